"""Hosts as processes of this machine, each with a studio of its own, that share one NATS server."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from host_processes import find_held_work
from lean_site import SiteProcess
from studio import Studio
from waiting import wait_until

from sgevents_core.state.nats.copy import COPY_FOLDER
from sgevents_core.state.sqlite.database import DATABASE
from sgevents_core.state.sqlite.journal_reading import END_QUERY

FEED: Final = "the feed"
DEFAULT_LANE: Final = "default"
_AT_ONCE: Final = 1e6
"""Rows a second of a site that shows them at once."""


class GroupHost:
    """One host of a group.

    Args:
        folder: Where its files live; it is made.
        site: The site.
        name: Its name.
    """

    def __init__(self, folder: Path, site: SiteProcess, name: str) -> None:
        self.name = name
        self.studio = Studio(folder, site.url)
        self.pinned_lanes: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        self._output = folder / "output.txt"

    def start(self) -> None:
        """Start its daemon, whose log begins anew."""
        with self._output.open("wb") as output:
            self.process = self.studio.command(
                "run", "-c", str(self.studio.config), output=output.fileno()
            )

    def send(self, signal_number: int) -> None:
        """Send its daemon a signal."""
        assert self.process is not None
        self.process.send_signal(signal_number)

    def is_running(self) -> bool:
        """Return whether its daemon runs."""
        return self.process is not None and self.process.poll() is None

    def log_records(self) -> list[dict[str, Any]]:
        """Return what its daemon has logged since its start."""
        lines = self._output.read_text().splitlines() if self._output.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def held_work(self) -> set[str]:
        """Return the lanes, and the feed, that it has by its log."""
        return find_held_work(self.log_records())

    def has_begun(self) -> bool:
        """Return whether its daemon has started, by its log."""
        return any(record["action"] == "daemon.started" for record in self.log_records())

    def end_of_journal(self) -> int:
        """Return how many entries its journal, or its copy of it, has."""
        state_folder = self.studio.folder / "state"
        copy_file = state_folder / COPY_FOLDER / DATABASE
        database_file = copy_file if copy_file.exists() else state_folder / DATABASE
        try:
            with closing(sqlite3.connect(f"file:{database_file}?mode=ro", uri=True)) as connection:
                row = connection.execute(END_QUERY).fetchone()
        except sqlite3.OperationalError:  # it is not made yet
            return 0
        return int(row[0])

    def largest_memory(self) -> float:
        """Return the most memory that its daemon had so far, in MB."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        peak = re.search(r"VmHWM:\s*(\d+) kB", status)
        assert peak is not None
        return int(peak[1]) / 1024

    def end(self) -> None:
        """Kill its daemon if it runs."""
        if self.is_running():
            self.send(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()


class HostGroup:
    """Hosts with the same plugins.

    Args:
        hosts: The hosts.
        site: The site that they follow, with one event.
        lanes: The lanes, `default` first.
    """

    def __init__(self, hosts: Sequence[GroupHost], site: SiteProcess, lanes: Sequence[str]) -> None:
        self.hosts = hosts
        self.site = site
        self.lanes = lanes
        self.event_count = 1

    def add_events(self, event_types: Sequence[str]) -> None:
        """Let the site have events of these types at once."""
        self.site.add_rows(len(event_types), _AT_ONCE, event_types)
        self.event_count += len(event_types)

    def install(self, number: int, text: str) -> None:
        """Install a plugin on all hosts, in the lane with a number."""
        lane = self.lanes[number] if number else ""
        for host in self.hosts:
            host.studio.install({f"bench_host{number:02}.py": text}, lane=lane)

    def share_state(self, server_url: str, keys: str) -> None:
        """Keep the state on a NATS server, and make its streams.

        Args:
            server_url: The server.
            keys: More keys of `[state]`.
        """
        for host in self.hosts:
            host.studio.state += f'url = "{server_url}"\nhost = "{host.name}"\n{keys}'
            host.studio.tables += '[log]\nlevel = "info"\n'
            host.studio.tables += "".join(
                f'[hosts."{other.name}"]\npinned = {json.dumps(other.pinned_lanes)}\n'
                for other in self.hosts
            )
            host.studio.write_config()
        first_studio = self.hosts[0].studio
        process = first_studio.command("cluster", "init", "-c", str(first_studio.config))
        assert process.wait() == 0

    def pin_lanes(self) -> None:
        """Let each lane have a host, one after another, so that all runs spread them alike."""
        for number, lane in enumerate(self.lanes):
            self.hosts[number % len(self.hosts)].pinned_lanes.append(lane)

    def await_pinned(self) -> None:
        """Wait until every host has its lanes."""
        wait_until(lambda: all(set(host.pinned_lanes) <= host.held_work() for host in self.hosts))

    def find_holder(self, work_name: str) -> GroupHost | None:
        """Return the host that has a lane, or the feed; None if none says so, or several do."""
        holders = [host for host in self.hosts if work_name in host.held_work()]
        return holders[0] if len(holders) == 1 and holders[0].is_running() else None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run all daemons while the block lasts."""
        try:
            for host in self.hosts:
                host.studio.write_config()
                host.start()
            yield
        finally:
            for host in self.hosts:
                host.end()


def new_group(folder: Path, site: SiteProcess, host_count: int, lane_count: int) -> HostGroup:
    """Return hosts that are not configured yet.

    Args:
        folder: Where everything lives.
        site: The site that they follow.
        host_count: How many hosts.
        lane_count: How many lanes.
    """
    hosts = [GroupHost(folder / f"host{n}", site, f"host{n}") for n in range(host_count)]
    lanes = [DEFAULT_LANE, *(f"lane{number}" for number in range(1, lane_count))]
    return HostGroup(hosts, site, lanes)
