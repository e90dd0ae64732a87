"""What the main thread sees of callbacks that do not return."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from typing import Any

import pytest
from hanging import SOON, Door
from lane_house import House
from waiting import PATIENCE, wait_until

from sgevents_core.dispatch.overdue import LEAST_UPTIME, MAX_HUNG_THREADS, SLOW_AFTER, OverdueCalls
from sgevents_core.events import Event
from sgevents_core.state.opening import open_state


def told(caplog: pytest.LogCaptureFixture, action: str) -> list[str]:
    """The messages of an action."""
    return [r.getMessage() for r in caplog.records if getattr(r, "action", "") == action]


def test_slow_call_is_told_of_while_it_lasts(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """After a minute, then after twice as long each time; a call with a timeout never."""
    began, go = threading.Event(), threading.Event()

    def slow(event: Event, ctx: Any) -> None:
        began.set()
        assert go.wait(PATIENCE)

    house.plugin("slow", slow)
    with house.running():
        house.events(7)
        assert began.wait(PATIENCE)
        overdue = OverdueCalls(house.lanes, house.state, started_at=0.0, can_restart=True)
        times = [
            0.0,
            SLOW_AFTER - 1,
            SLOW_AFTER,
            SLOW_AFTER + 1,
            2 * SLOW_AFTER - 1,
            2 * SLOW_AFTER,
            4 * SLOW_AFTER - 1,
            4 * SLOW_AFTER,
        ]
        counts = []
        for now in times:
            overdue.check(now)
            counts.append(len(told(caplog, "callback.slow")))
        assert counts == [0, 0, 1, 1, 1, 2, 2, 3]
        assert told(caplog, "callback.slow")[0] == (
            "slow:slow of plugin slow has been at event 7 for 60 s, and lane default waits for "
            "it: give it a timeout, or a lane of its own"
        )
        go.set()
        house.settle()
        overdue.check(100 * SLOW_AFTER)
        assert len(told(caplog, "callback.slow")) == 3


@pytest.mark.disk
def test_journal_that_cannot_be_read_ends_nothing(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Slow calls are told of without their event; the daemon goes on."""
    door = Door(1)
    house.plugin("slow", door)
    broken = open_state(house.folder).writer()
    broken.close()
    with house.running():
        house.events(1)
        wait_until(lambda: door.threads)
        overdue = OverdueCalls(house.lanes, broken, started_at=0.0, can_restart=True)
        assert [overdue.check(now) for now in (0.0, SLOW_AFTER)] == [False, False]
        door.opened.set()
    assert "event 0" in told(caplog, "callback.slow")[0]


def test_call_with_a_timeout_is_not_slow(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """It ends by itself."""
    door = Door(1)
    house.plugin("slow", door, timeout=60.0)
    with house.running():
        house.events(1)
        wait_until(lambda: door.threads)
        overdue = OverdueCalls(house.lanes, house.state, started_at=0.0, can_restart=True)
        overdue.check(0.0)
        overdue.check(SLOW_AFTER)
        door.opened.set()
    assert told(caplog, "callback.slow") == []


def test_worn_process_goes_on_while_a_lane_waits_for_a_slow_call(house: House) -> None:
    """To stop, it would have to wait for that call, and so would all that still works."""
    doors = [Door(1) for _ in range(MAX_HUNG_THREADS + 1)]
    for number, door in enumerate(doors[1:]):
        house.plugin(f"p{number}", door, timeout=SOON)
    house.plugin("slow", doors[0], lane="other")
    with house.running(), ExitStack() as opening:
        for door in doors:
            opening.callback(door.opened.set)
        house.events(1)
        wait_until(lambda: len(house.state.dead_letters()) == MAX_HUNG_THREADS and doors[0].threads)
        overdue = OverdueCalls(house.lanes, house.state, started_at=0.0, can_restart=True)
        assert overdue.check(LEAST_UPTIME + 1)
        assert not overdue.check(LEAST_UPTIME + 1 + SLOW_AFTER)
        doors[0].opened.set()
        wait_until(
            lambda: not house.lanes[-1].running_calls() and not house.lanes[0].running_calls()
        )
        assert overdue.check(LEAST_UPTIME + 2 + SLOW_AFTER)


@pytest.mark.parametrize("restarts", [True, False])
def test_four_threads_that_hang_wear_the_process_out(
    house: House, caplog: pytest.LogCaptureFixture, restarts: bool
) -> None:
    """Not three, and not within seconds of the start; where it cannot restart, it is said once."""
    caplog.set_level(logging.ERROR)
    doors = [Door(1) for _ in range(MAX_HUNG_THREADS)]
    for number, door in enumerate(doors):
        house.plugin(f"p{number}", door, timeout=SOON)
    with house.running(), ExitStack() as opening:
        for door in doors:
            opening.callback(door.opened.set)
        house.events(1)
        wait_until(lambda: len(house.state.dead_letters()) == MAX_HUNG_THREADS)
        house.settle()
        overdue = OverdueCalls(house.lanes, house.state, started_at=100.0, can_restart=restarts)
        assert not overdue.check(100.0 + LEAST_UPTIME - 0.1)
        assert told(caplog, "daemon.worn") == []
        assert overdue.check(100.0 + LEAST_UPTIME) == restarts
        assert overdue.check(100.0 + LEAST_UPTIME) == restarts
        assert len(told(caplog, "daemon.worn")) == 1
        doors[0].opened.set()
        wait_until(lambda: house.lanes[0].lane_plugins[0].hung is None)
        assert not overdue.check(200.0)
