"""Classic files of several hosts: each follows its own folder, and all see which of them differ."""

from __future__ import annotations

from pathlib import Path

from host_processes import Host, Studio, studio_of_hosts
from nats_server import NatsServer
from waiting import wait_until

NAMES = ["alpha", "beta"]
PLUGIN = "classic:studio/notify"
TEXT = """
def registerCallbacks(reg):
    reg.registerCallback("studio", "demo-key", note, None, None)

def note(sg, logger, event, args):
    with open({calls!r}, "a") as calls:
        calls.write("%s {version}\\n" % event["id"])
    {deed}
"""


def write_file(host: Host, calls: Path, version: str, deed: str = "pass") -> None:
    """Write the plugin into a host's folder, as a person or a program that copies files does."""
    folder = host.daemon.folder / "studio"
    folder.mkdir(exist_ok=True)
    new_file = folder / "notify.new"
    new_file.write_text(TEXT.format(calls=str(calls), version=version, deed=deed))
    new_file.replace(folder / "notify.py")


def differences(host: Host) -> dict[str, str]:
    """Return which hosts differ from what is wanted, as a host shows it."""
    hosts = host.ask("status", "--json")["hosts"]
    return {shown["host"]: shown["differs"] for shown in hosts if shown["differs"]}


def await_call(studio: Studio, calls: Path, version: str) -> None:
    """Let an event come, and wait until this version of the plugin has had it, alone."""
    event_id = studio.site.event("Studio_Ping")
    wait_until(lambda: f"{event_id} {version}\n" in (calls.read_text() if calls.exists() else ""))
    assert calls.read_text().count(f"{event_id} ") == 1


def has_loaded(host: Host, times: int) -> bool:
    """Return whether a host has loaded the changed file so often."""
    return [record["action"] for record in host.daemon.told()].count("classic.reloaded") == times


def test_changed_files_are_followed_on_every_host(tmp_path: Path, nats_server: NatsServer) -> None:
    """Where a file has changed on one host alone, every host says so; then nothing moves.

    A plugin that an error has paused resumes with its corrected file, whichever host has its lane.
    """
    calls = tmp_path / "classic-calls.txt"
    with studio_of_hosts(tmp_path, nats_server.url, NAMES, ["day"]) as studio:
        for host in studio.hosts.values():
            host.daemon.log += '[[classic.paths]]\npath = "studio"\n'
            host.daemon.write_config()
            write_file(host, calls, "one")
            host.start()
        studio.await_spread(*NAMES)
        await_call(studio, calls, "one")
        work = {name: host.work() for name, host in studio.hosts.items()}
        holder = next(host for host in studio.hosts.values() if "default" in host.work())
        other = next(host for host in studio.hosts.values() if host is not holder)
        write_file(other, calls, "two")
        wait_until(lambda: has_loaded(other, 1))
        wait_until(lambda: bool(differences(holder)))
        text = f"plugin {PLUGIN}: its file has another content"
        assert differences(holder) == {other.name: text}
        assert {name: host.work() for name, host in studio.hosts.items()} == work
        write_file(holder, calls, "two")
        wait_until(lambda: has_loaded(holder, 1))
        wait_until(lambda: not differences(holder))
        studio.await_spread(*NAMES)
        await_call(studio, calls, "two")
        for host in studio.hosts.values():
            write_file(host, calls, "three", deed="reg")
        wait_until(lambda: all(has_loaded(host, 2) for host in studio.hosts.values()))
        await_call(studio, calls, "three")
        wait_until(lambda: "paused" in holder.command("status"))
        for host in studio.hosts.values():
            write_file(host, calls, "four")
        await_call(studio, calls, "four")
        assert [host.stop() for host in studio.hosts.values()] == [0, 0]
