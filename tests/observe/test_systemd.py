"""What systemd is told, over a real socket, and when its watchdog is fed."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.observe.systemd import MARGIN, Systemd, Watchdog, alive, busy, longest_call


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
        said = []
        while True:
            try:
                said.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return said

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
    for text in ("all is well", "all is well", "not quite"):
        systemd.status(text)
    assert manager.heard() == ["STATUS=all is well", "STATUS=not quite"]


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative/path"])
def test_without_systemd_nothing_is_said(address: str) -> None:
    """Started by hand, or with an address that is none, it is silent."""
    systemd = Systemd({"NOTIFY_SOCKET": address})
    systemd.ready()
    assert systemd.watchdog_every is None


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
    watchdog = Watchdog([], Systemd({**manager.environment, **environment}))
    assert watchdog.beat(0.0) == frozenset()
    assert manager.heard() == []


class Worker:
    """A loop in a thread of its own, that does what it is told, one thing after another."""

    def __init__(self, watchdog: Watchdog, loop: str) -> None:
        self._orders: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._done: SimpleQueue[None] = SimpleQueue()
        self._thread = threading.Thread(target=watchdog.run, args=(loop, self._serve))
        self._thread.start()

    def does(self, what: Callable[[], object]) -> None:
        """Let it do something, and wait until it has."""
        self._orders.put(what)
        self._done.get()

    def ends(self) -> None:
        """Let it end."""
        self._orders.put(None)
        self._thread.join()

    def _serve(self) -> None:
        for order in iter(self._orders.get, None):
            order()
            self._done.put(None)


class TestWatchdog:
    """When it is fed, and when not."""

    @pytest.fixture
    def watchdog(self, manager: Manager) -> Watchdog:
        """One that has to be fed every eight seconds, by the feed and one lane."""
        return Watchdog(["feed", "lane default"], manager.watching(8_000_000))

    @pytest.fixture
    def loops(self, watchdog: Watchdog) -> Iterator[dict[str, Worker]]:
        """The feed and the lane at work."""
        workers = {loop: Worker(watchdog, loop) for loop in ("feed", "lane default")}
        yield workers
        for worker in workers.values():
            worker.ends()

    def test_is_fed_in_good_time_and_not_at_every_beat(
        self, watchdog: Watchdog, loops: dict[str, Worker], manager: Manager
    ) -> None:
        """Four times in the interval, however often the main thread beats."""
        for tick in range(80):
            for worker in loops.values():
                worker.does(alive)
            watchdog.beat(tick / 10)
        assert manager.heard() == ["WATCHDOG=1"] * 4

    @pytest.mark.parametrize("hung", ["feed", "lane default"])
    def test_one_loop_that_hangs_starves_it(
        self,
        watchdog: Watchdog,
        loops: dict[str, Worker],
        manager: Manager,
        hung: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """However lively the others are; the log says once which one it is, and where it stands."""
        (lively,) = (worker for loop, worker in loops.items() if loop != hung)
        fed = 0
        for second in range(int(MARGIN) + 21):
            lively.does(alive)
            found = watchdog.beat(float(second))
            fed += len(manager.heard())
        assert found == {hung}
        assert fed == MARGIN / 2 + 1
        (record,) = caplog.records
        assert (record.levelno, vars(record)["action"]) == (logging.ERROR, "daemon.hung")
        assert hung in record.message
        assert "_serve" in vars(record)["traceback"]

    def test_loop_that_moves_again_is_forgiven(
        self,
        watchdog: Watchdog,
        loops: dict[str, Worker],
        manager: Manager,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """It is fed again at once, and the log says so."""
        watchdog.beat(0.0)
        assert watchdog.beat(MARGIN + 1)
        manager.heard()
        for worker in loops.values():
            worker.does(alive)
        assert not watchdog.beat(MARGIN + 2)
        assert manager.heard() == ["WATCHDOG=1"]
        assert vars(caplog.records[-1])["action"] == "daemon.moves"

    def test_lane_in_a_callback_is_alive_however_long_it_takes(
        self, watchdog: Watchdog, loops: dict[str, Worker], manager: Manager
    ) -> None:
        """A callback has no time limit; the time of the next one counts from its end."""
        loops["lane default"].does(busy)
        for hour in range(5):
            loops["feed"].does(alive)
            assert not watchdog.beat(3600.0 * hour)
        loops["lane default"].does(alive)
        loops["feed"].does(alive)
        assert not watchdog.beat(3600.0 * 5)
        assert len(manager.heard()) == 6
        loops["feed"].does(alive)
        assert watchdog.beat(3600.0 * 5 + MARGIN + 1) == {"lane default"}

    def test_loop_may_wait_as_long_as_it_said(
        self, watchdog: Watchdog, loops: dict[str, Worker]
    ) -> None:
        """A feed in a call to the site is alive for the call's longest time, and no longer."""
        wait = longest_call(60.0)
        loops["lane default"].does(busy)
        loops["feed"].does(partial(alive, wait))
        assert not watchdog.beat(0.0)
        assert not watchdog.beat(wait + MARGIN)
        assert watchdog.beat(wait + MARGIN + 1) == {"feed"}

    def test_signs_of_other_threads_count_for_nobody(
        self, watchdog: Watchdog, loops: dict[str, Worker]
    ) -> None:
        """A thread that a plugin starts, and the main thread, are none of the loops."""
        watchdog.beat(0.0)
        alive()
        busy()
        assert watchdog.beat(MARGIN + 1) == set(loops)

    def test_loop_that_never_began_hangs(self, watchdog: Watchdog) -> None:
        """Being registered is no sign of life."""
        watchdog.beat(0.0)
        assert watchdog.beat(MARGIN + 1) == {"feed", "lane default"}

    def test_loop_that_has_ended_is_not_waited_for(
        self, watchdog: Watchdog, loops: dict[str, Worker]
    ) -> None:
        """While the daemon stops, one lane may be done long before another."""
        watchdog.beat(0.0)
        loops["feed"].ends()
        assert watchdog.beat(MARGIN + 1) == {"lane default"}


@given(st.lists(st.tuples(st.sampled_from("abw"), st.floats(0, 2 * MARGIN)), max_size=30))
def test_a_loop_hangs_exactly_when_it_was_silent_for_too_long(
    history: list[tuple[str, float]],
) -> None:
    """Whatever it did before: what counts is its last sign, and the time since it was seen."""
    watchdog = Watchdog(["lane"], Systemd({}))
    lane = Worker(watchdog, "lane")
    now, since, is_busy = 0.0, 0.0, False
    watchdog.beat(now)
    right = []
    for what, passes in history:
        now += passes
        if what != "w":
            lane.does(alive if what == "a" else busy)
            is_busy = what == "b"
        if what != "w" or is_busy:
            since = now
        right.append(bool(watchdog.beat(now)) == (now - since > MARGIN))
    lane.ends()
    assert all(right)
