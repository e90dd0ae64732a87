"""Reloading: changed packages and configurations are taken up between two callbacks, or not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from drained import configured
from reloading import SLOW, reload
from running_daemon import WRITER, RunningDaemon
from waiting import PATIENCE, wait_until

from sgevents_core.daemon.daemon import Daemon
from sgevents_core.errors import NoDaemonError
from sgevents_core.sandbox import Sandbox
from sgevents_core.state.running import Running, read_running_daemon, write_running_daemon


def upgrade(daemon: RunningDaemon, name: str, version: str, text: str) -> None:
    """Install another version of a plugin, as pip does."""
    remove(daemon, name)
    daemon.packages.install(f"dist-{name}", {name: name}, {f"{name}.py": text}, version=version)


def remove(daemon: RunningDaemon, name: str) -> None:
    """Uninstall a plugin, as pip does."""
    for folder in daemon.packages.folder.glob(f"dist_{name}-*.dist-info"):
        shutil.rmtree(folder)
    (daemon.packages.folder / f"{name}.py").unlink()


def versions(daemon: RunningDaemon) -> dict[str, str | None]:
    """What the running daemon has loaded."""
    found = read_running_daemon(daemon.folder / "state")
    return found.plugins if found else {}


@contextmanager
def traffic(site: Sandbox) -> Iterator[None]:
    """Let events come while the block lasts."""
    over = threading.Event()

    def make() -> None:
        while not over.wait(0.03):
            site.event("Shotgun_Task_Change")

    thread = threading.Thread(target=make)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site whose events are those of the tests alone."""
    with Sandbox(project=False) as empty:
        yield empty


def test_added_upgraded_and_removed_packages_are_taken_up_and_nothing_is_lost(
    daemon: RunningDaemon, site: Sandbox
) -> None:
    """While events come: no event is missed, none is handed out twice, the order stays."""
    writer = WRITER.format(calls=str(daemon.calls))
    daemon.install_writer("one")
    site.event("Shotgun_Task_Change")
    with daemon.running() as process:
        with traffic(site):
            change_packages(daemon, writer)
        everything = site.log.visible_ids()
        wait_until(lambda: f"\n{everything[-1]} one" in daemon.calls.read_text(), what="all came")
        assert daemon.stop(process) == 0, "it is the same process"
    ours = [n for n in daemon.noted() if n.plugin == "one" and n.callback.startswith("every")]
    assert [n.event_id for n in ours] == everything
    kinds = [n.callback for n in ours]
    assert kinds == sorted(kinds), "first the old version, then the new one"
    assert set(kinds) == {"every", "every-upgraded"}
    second = Counter(daemon.events_of("two"))
    assert set(second.values()) == {1}
    got = sorted(second)
    assert got == [event for event in everything if got[0] <= event <= got[-1]]


def change_packages(daemon: RunningDaemon, writer: str) -> None:
    """Add one plugin, upgrade another, remove the first again; each is taken up."""
    wait_until(lambda: "one" in versions(daemon), what="it runs")
    daemon.install_writer("two")
    daemon.write_config()
    added = reload(daemon)
    assert (added.returncode, added.stdout) == (0, "Reloaded.\n  two: not loaded -> 1.0\n")

    upgrade(daemon, "one", "2.0", writer.replace("{callback}", "{callback}-upgraded"))
    upgraded = reload(daemon)
    assert upgraded.stdout == "Reloaded.\n  one: 1.0 -> 2.0\n"
    assert versions(daemon) == {"one": "2.0", "two": "1.0"}

    remove(daemon, "two")
    daemon.config.write_text(daemon.config.read_text().replace("two]\nenabled = true", "two]"))
    removed = reload(daemon)
    assert removed.stdout == "Reloaded.\n  two: 1.0 -> not loaded\n", removed.stderr


def test_what_does_not_load_is_refused_and_the_old_goes_on(
    daemon: RunningDaemon, site: Sandbox
) -> None:
    """The command says why and exits with 1, the log says it too; mended, it is taken up."""
    daemon.install_writer("one")
    with daemon.running() as process:
        wait_until(lambda: versions(daemon), what="it runs")
        good = daemon.config.read_text()
        for wrong, why in (
            (good + "[feed", "is there twice"),
            (good.replace("timeout", "tmieout"), "did you mean timeout?"),
            (good.replace('"state"', '"other"'), "stop and start the daemon"),
        ):
            daemon.config.write_text(wrong)
            refused = reload(daemon) if '"other"' not in wrong else hang_up(daemon, process)
            assert refused.returncode == 1, wrong
            assert why in refused.stderr
        daemon.config.write_text(good + "[plugins.tow]\nenabled = true\n")
        upgrade(daemon, "one", "2.0", "raise RuntimeError('no luck')")
        refused = reload(daemon)
        assert "Plugin tow is not installed" in refused.stderr
        assert "a plugin called 'tow'. Install" in refused.stderr
        assert "Plugin one is broken: importing one raised RuntimeError: no luck" in refused.stderr
        daemon.config.write_text(good)
        upgrade(daemon, "one", "2.0", "import os\nos._exit(0)")
        said = reload(daemon).stderr
        assert "Plugin one is broken: it ends the process in this step: importing one" in said
        event = site.event("Shotgun_Task_Change")
        wait_until(lambda: event in daemon.events_of("one"), what="the old goes on")
        assert versions(daemon) == {"one": "1.0"}
        log = daemon.output.read_text()
        assert log.count("daemon.not_reloaded") == 4, "the file that is no TOML names no state"

        upgrade(daemon, "one", "2.0", WRITER.format(calls=str(daemon.calls)))
        assert reload(daemon).returncode == 0
        assert versions(daemon) == {"one": "2.0"}
        assert daemon.stop(process) == 0


def hang_up(
    daemon: RunningDaemon, process: subprocess.Popen[bytes]
) -> subprocess.CompletedProcess[str]:
    """Ask with the signal alone, and wait for the refusal."""
    folder = daemon.folder / "state"
    before = read_running_daemon(folder)
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: read_running_daemon(folder) != before, what="it is refused")
    after = read_running_daemon(folder)
    assert after is not None
    assert after.refusal is not None
    return subprocess.CompletedProcess([], 1, "", after.refusal.reason)


def test_what_was_broken_before_does_not_hinder(daemon: RunningDaemon) -> None:
    """It is no worse than it was; a signal is as good as the command."""
    daemon.install_writer("one")
    daemon.install("bad", "raise RuntimeError")
    with daemon.running() as process:
        wait_until(lambda: versions(daemon), what="it runs")
        before = read_running_daemon(daemon.folder / "state")
        daemon.install_writer("two")
        daemon.write_config()
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: set(versions(daemon)) == {"one", "two"}, what="it has reloaded")
        after = read_running_daemon(daemon.folder / "state")
        assert before is not None
        assert after is not None
        assert (after.pid, after.run != before.run) == (before.pid, True)
        assert daemon.stop(process) == 0


def test_forty_plugins_are_reloaded_as_one_is(daemon: RunningDaemon) -> None:
    """The report about the new state may be as long as it has to be."""
    names = [f"plugin_of_the_studio_{number}" for number in range(40)]
    for name in names:
        daemon.install(name, "")
    with daemon.running() as process:
        wait_until(lambda: versions(daemon), what="it runs")
        daemon.install_writer("new")
        daemon.write_config()
        reloaded = reload(daemon)
        assert (reloaded.returncode, reloaded.stdout) == (
            0,
            "Reloaded.\n  new: not loaded -> 1.0\n",
        ), reloaded.stderr
        assert set(versions(daemon)) == {"new", *names}
        assert daemon.stop(process) == 0


def test_callback_in_hand_is_finished_first(daemon: RunningDaemon, site: Sandbox) -> None:
    """It is called once, and the events behind it by the new process."""
    daemon.install("slow", SLOW.format(folder=str(daemon.folder)))
    calls = daemon.folder / "slow.txt"
    with daemon.running() as process:
        wait_until(lambda: versions(daemon), what="it runs")
        before = read_running_daemon(daemon.folder / "state")
        events = [site.event("Shotgun_Task_Change") for _ in range(3)]
        wait_until(calls.exists, what="the first is in hand")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "daemon.reloading" in daemon.output.read_text(), what="it loads")
        assert read_running_daemon(daemon.folder / "state") == before
        assert calls.read_text() == f"{events[0]}\n"
        (daemon.folder / "go").touch()
        wait_until(lambda: len(calls.read_text().splitlines()) == len(events), what="all came")
        after = read_running_daemon(daemon.folder / "state")
        assert after is not None
        assert after != before
        assert daemon.stop(process) == 0
    assert calls.read_text().split() == [str(event) for event in events]


def test_who_stops_it_means_it(daemon: RunningDaemon, site: Sandbox) -> None:
    """Also while a reload waits for the callback in hand: it ends in order, and stays so."""
    daemon.install("slow", SLOW.format(folder=str(daemon.folder)))
    with daemon.running() as process:
        wait_until(lambda: versions(daemon), what="it runs")
        site.event("Shotgun_Task_Change")
        wait_until((daemon.folder / "slow.txt").exists, what="it is in hand")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "daemon.reloading" in daemon.output.read_text(), what="it loads")
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: not is_pending(process.pid, signal.SIGTERM), what="it was told")
        (daemon.folder / "go").touch()
        assert process.wait(PATIENCE) == 0
    assert daemon.output.read_text().count("daemon.started") == 1


def is_pending(pid: int, number: int) -> bool:
    """Whether a signal has not reached a process yet."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    masks = [int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd", "ShdPnd"))]
    return any(mask >> (number - 1) & 1 for mask in masks)


def test_to_be_told_to_stop_twice_is_to_stop(tmp_path: Path, site: Sandbox) -> None:
    """And no reload, whatever was asked for besides."""
    told = Daemon(configured(tmp_path, site, ""))
    for tell in (told.stop, told.reload, told.stop):
        tell()
    told.run()
    assert not told.reloads


def test_without_a_daemon_it_says_so(daemon: RunningDaemon) -> None:
    """And exits with 1: there is nothing to reload."""
    daemon.write_config()
    nobody = reload(daemon)
    assert nobody.returncode == 1
    assert str(NoDaemonError(path=daemon.folder / "state")) in nobody.stderr


def test_what_a_dead_daemon_noted_counts_for_nothing(tmp_path: Path) -> None:
    """The file outlives the process, the lock does not."""
    write_running_daemon(
        tmp_path, Running(pid=os.getpid(), run="1", version="1", plugins={"one": "1"})
    )
    assert read_running_daemon(tmp_path) is None
    assert read_running_daemon(tmp_path / "nowhere") is None
