"""What is said to systemd, over a real socket, and when its watchdog is fed."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from watched_loops import WatchedLoop

from sgevents_core.daemon.run import feed_watchdog
from sgevents_core.observe.liveness import LIVENESS_MARGIN, Liveness, report_alive
from sgevents_core.observe.systemd import Systemd


class Manager:
    """Stands where systemd does: a datagram socket, and what was said to it."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(0)
        self.environment = {"NOTIFY_SOCKET": address.replace("\0", "@")}

    def watching(self, microseconds: int) -> Systemd:
        """Return what speaks to it, from a process that is watched."""
        watched = {"WATCHDOG_USEC": str(microseconds), "WATCHDOG_PID": str(os.getpid())}
        return Systemd({**self.environment, **watched})

    def heard(self) -> list[str]:
        """Return what was said since last asked."""
        received_messages = []
        while True:
            try:
                received_messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return received_messages

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """A manager with a socket of either kind."""
    path = str(tmp_path / "notify")
    listening = Manager(path if request.param == "file" else f"\0{secrets.token_hex(8)}")
    yield listening
    listening.close()


def test_states_and_status_are_told(manager: Manager) -> None:
    """Ready, a line of status that never spans two, and stopping arrive as systemd reads them."""
    systemd = Systemd(manager.environment)
    systemd.ready()
    systemd.status("event 7,\n  2 plugins paused")
    systemd.stopping()
    assert manager.heard() == ["READY=1", "STATUS=event 7, 2 plugins paused", "STOPPING=1"]


def test_status_that_is_the_same_is_told_once(manager: Manager) -> None:
    """The main thread may say how things are at every tick."""
    systemd = Systemd(manager.environment)
    for status_text in ("all is well", "all is well", "not quite"):
        systemd.status(status_text)
    assert manager.heard() == ["STATUS=all is well", "STATUS=not quite"]


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative/path"])
def test_without_systemd_nothing_is_said(address: str) -> None:
    """Started by hand, or with an address that is none, it is silent."""
    systemd = Systemd({"NOTIFY_SOCKET": address})
    systemd.ready()
    assert systemd.watchdog_interval is None


def test_manager_that_does_not_listen_stops_nobody(tmp_path: Path) -> None:
    """A socket that is gone is no reason to fail."""
    systemd = Systemd({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    systemd.ready()
    systemd.stopping()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
    ],
)
def test_watchdog_of_nobody_or_another_process_is_not_fed(
    manager: Manager, environment: dict[str, str]
) -> None:
    """Only where systemd watches this very process is anything sent."""
    Systemd({**manager.environment, **environment}).feed_watchdog(0.0)
    assert manager.heard() == []


def test_watchdog_is_fed_in_good_time_and_not_at_every_tick(manager: Manager) -> None:
    """Four times in the interval, however often the main thread ticks."""
    systemd = manager.watching(8_000_000)
    for tick in range(80):
        systemd.feed_watchdog(tick / 10)
    assert manager.heard() == ["WATCHDOG=1"] * 4


@pytest.mark.parametrize("hangs", ["feed", "lane default"])
def test_one_loop_that_hangs_starves_the_watchdog(manager: Manager, hangs: str) -> None:
    """However lively the others are; once it moves again, the watchdog is fed at once."""
    systemd, liveness = manager.watching(8_000_000), Liveness(["feed", "lane default"])
    loops = {name: WatchedLoop(liveness, name) for name in ("feed", "lane default")}
    fed = 0
    for second in range(int(LIVENESS_MARGIN) + 21):
        for name, loop in loops.items():
            if name != hangs:
                loop.does(report_alive)
        feed_watchdog(systemd, liveness, float(second))
        fed += len(manager.heard())
    assert fed == LIVENESS_MARGIN / 2 + 1
    loops[hangs].does(report_alive)
    feed_watchdog(systemd, liveness, LIVENESS_MARGIN + 21)
    assert manager.heard() == ["WATCHDOG=1"]
    for loop in loops.values():
        loop.ends()
