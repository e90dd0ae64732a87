"""How far a reload of all hosts that share a state is, printed while it goes on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sgevents_core.cli.printing import echo, echo_line
from sgevents_core.errors import RollStoppedError, StateError
from sgevents_core.state.opening import open_state

if TYPE_CHECKING:
    from sgevents_core.hosts.presence import HostsOverview

LOOK_INTERVAL: Final = 0.5
_LATE_AFTER: Final = 30.0
"""Seconds after which a host that does not come back is named."""


class ReloadProgress:
    """The progress that one command shows.

    Args:
        state_folder: The state's folder.
    """

    def __init__(self, state_folder: Path) -> None:
        self._state_folder = state_folder
        self._looked_at = 0.0
        hosts = self._read_hosts()
        self._number_before = 0 if hosts is None or hosts.wanted is None else hosts.wanted.number

    def raise_if_stopped(self) -> None:
        """Raise the reason if hosts wait for one that could not reload; looks now and then.

        Raises:
            RollStoppedError: They do, since this command was given.
        """
        if time.monotonic() < self._looked_at + LOOK_INTERVAL:
            return
        self._looked_at = time.monotonic()
        self._raise_if_stopped(self._read_hosts())

    def follow(self) -> None:
        """Print which hosts have reloaded, until all have.

        Raises:
            RollStoppedError: One could not.
        """
        waiting: tuple[str, ...] | None = None
        changed_at = time.monotonic()
        while True:
            hosts = self._read_hosts()
            if hosts is None:
                echo("How far the other hosts are: sgevents status", err=True)
                return
            wanted = hosts.wanted
            now_waiting = () if wanted is None else wanted.waiting
            for host_name in waiting or ():
                is_asked = wanted is not None and host_name == wanted.asked_on
                if host_name not in now_waiting and not is_asked:
                    echo_line(f"  {host_name} has reloaded")
            if now_waiting != waiting:
                waiting, changed_at = now_waiting, time.monotonic()
            self._raise_if_stopped(hosts)
            if not hosts.rolls:
                return
            if time.monotonic() - changed_at > _LATE_AFTER and wanted is not None:
                echo_line(f"Still waiting for {wanted.reloading or waiting[0]} ...", err=True)
                changed_at = time.monotonic()
            time.sleep(LOOK_INTERVAL)

    def _raise_if_stopped(self, hosts: HostsOverview | None) -> None:
        wanted = None if hosts is None or not hosts.rolls else hosts.wanted
        if wanted is not None and wanted.stopped_on and wanted.number > self._number_before:
            raise RollStoppedError(host=wanted.stopped_on, reason=wanted.reason)

    def _read_hosts(self) -> HostsOverview | None:
        """Return the hosts; None if the servers do not answer."""
        from sgevents_core.hosts.presence import read_hosts

        state = open_state(self._state_folder)
        try:
            leases, notes = state.leases(), state.host_notes()
            return None if leases is None or notes is None else read_hosts(leases, notes)
        except StateError:
            return None
