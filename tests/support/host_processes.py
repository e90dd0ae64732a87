"""Several hosts as processes of this machine: each has its own files, all share one NATS server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from running_daemon import WRITER, RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox


def find_held_work(log_records: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the lanes, and `the feed`, that a daemon has by its log since its last start."""
    work: set[str] = set()
    for record in log_records:
        action = record["action"]
        if action in {"lane.taken", "feed.taken"}:
            work.add(record.get("lane", "the feed"))
        elif action in {"lane.given_up", "feed.given_up"}:
            work.discard(record.get("lane", "the feed"))
        elif action == "daemon.started":
            work.clear()
    return work


class Host:
    """One host: its configuration, its files, and its daemon."""

    def __init__(self, folder: Path, site: Sandbox, name: str) -> None:
        folder.mkdir()
        self.name = name
        self.daemon = RunningDaemon(folder, site)
        self.daemon.output.touch()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start its daemon."""
        command = self._command_line("run")
        with self.daemon.output.open("ab") as output:
            self.process = subprocess.Popen(
                command, env=self.daemon.environment(), stdout=output, stderr=output
            )

    def kill(self) -> None:
        """Kill its daemon, as a power cut does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Stop its daemon in order, and return its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait()

    def command(self, *words: str, codes: Sequence[int] = (0,)) -> str:
        """Run a command on this host, which must end with one of `codes`; return what it prints."""
        command = self._command_line(*words)
        environment = self.daemon.environment()
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode in codes, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def _command_line(self, *words: str) -> list[str]:
        program = [*self.daemon.under, sys.executable, "-m", "sgevents_core"]
        return [*program, *words, "-c", str(self.daemon.config)]

    def ask(self, *words: str) -> Any:
        """Return what a command prints as JSON."""
        return json.loads(self.command(*words))

    def log(self) -> str:
        """Return what it has logged."""
        return self.daemon.output.read_text()

    def work(self) -> set[str]:
        """Return what it has taken and not given up, as its log says."""
        return find_held_work(self.daemon.told())


class Studio:
    """Hosts with the same plugins, one in each lane, which write their calls into one file.

    Args:
        folder: Where everything lives.
        site: The site.
        server_url: The NATS server.
        host_names: The hosts.
        lanes: The lanes, besides `default`.
        lease: How long a lease lasts.
        plugin: The text of each plugin; it notes its calls in the file `calls`.
    """

    def __init__(
        self,
        folder: Path,
        site: Sandbox,
        server_url: str,
        *,
        host_names: Sequence[str],
        lanes: Sequence[str],
        lease: str = "2s",
        plugin: str = WRITER,
    ) -> None:
        self._plugin = plugin
        self.site = site
        self.calls = folder / "calls.txt"
        self.lanes = lanes
        self.hosts = {name: Host(folder / name, site, name) for name in host_names}
        for host in self.hosts.values():
            self._configure(host, server_url, lease)

    def _configure(self, host: Host, server_url: str, lease: str) -> None:
        daemon = host.daemon
        daemon.calls = self.calls
        for lane_name in self.lanes:
            text = self._plugin.format(calls=str(self.calls))
            daemon.install(f"plugin_{lane_name}", text, lane_name)
            daemon.log += f'[[groups]]\nname = "{lane_name}"\nlane = "{lane_name}"\n'
        daemon.state = (
            f'path = "state"\nurl = "{server_url}"\nhost = "{host.name}"\nlease = "{lease}"\n'
        )
        daemon.log += '[log]\nlevel = "info"\n'
        daemon.write_config()

    def make_streams(self) -> None:
        """Make the streams, as a new user does."""
        next(iter(self.hosts.values())).command("cluster", "init")

    def await_spread(self, *host_names: str) -> None:
        """Wait until the feed and all lanes are spread evenly over these hosts."""
        everything = {"the feed", "default", *self.lanes}

        def is_spread() -> bool:
            works = [self.hosts[name].work() for name in host_names]
            sizes = [len(work) for work in works]
            return (
                set().union(*works) == everything
                and sum(sizes) == len(everything)
                and max(sizes) - min(sizes) <= 1
            )

        try:
            wait_until(is_spread)
        except AssertionError:
            logs = [f"{name}: {self.hosts[name].log()[-3000:]}" for name in self.hosts]
            raise AssertionError("\n".join(["not spread evenly", *logs])) from None

    def noted_calls(self) -> list[tuple[str, int]]:
        """Return the calls of each plugin's first callback, plugin and event, as they came."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        noted = [line.split() for line in lines]
        return [(plugin, int(event)) for event, plugin, callback, _ in noted if callback == "every"]

    def call_counts(self) -> Counter[tuple[str, int]]:
        """Return how often each plugin's first callback was called for each event."""
        return Counter(self.noted_calls())

    def await_calls(self, event_ids: Sequence[int]) -> None:
        """Wait until every plugin was called for events."""
        wanted = {
            (f"plugin_{lane_name}", number) for lane_name in self.lanes for number in event_ids
        }
        wait_until(lambda: wanted <= self.call_counts().keys())


@contextmanager
def studio_of_hosts(
    folder: Path,
    server_url: str,
    host_names: Sequence[str],
    lanes: Sequence[str],
    plugin: str = WRITER,
) -> Iterator[Studio]:
    """Have hosts, not started, for a site without events; their daemons are killed at the end."""
    with ExitStack() as opened:
        site = opened.enter_context(Sandbox(project=False))
        studio = Studio(folder, site, server_url, host_names=host_names, lanes=lanes, plugin=plugin)
        studio.make_streams()
        for host in studio.hosts.values():
            opened.callback(end_host, host)
        yield studio


def end_host(host: Host) -> None:
    """Kill a host's daemon if it still runs, frozen or not."""
    if host.process is not None and host.process.poll() is None:
        host.kill()
