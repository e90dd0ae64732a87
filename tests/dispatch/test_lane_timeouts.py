"""A callback that does not return in time: its plugin waits for it, and nobody else does."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hanging import SOON, Door
from lane_house import House, only, raising, without
from waiting import PATIENCE, wait_until

from sgevents_core.calling.breaker import Breaker
from sgevents_core.events import Event
from sgevents_core.filters import Match
from sgevents_core.observe.liveness import LIVENESS_MARGIN, Liveness
from sgevents_core.settings import LaneSettings


def test_others_go_on_and_the_plugin_catches_up(house: House) -> None:
    """The event is a dead letter; once the call is back, the plugin gets all others in order."""
    door = Door(2)
    house.plugin("hangs", door, "second", timeout=SOON)
    house.plugin("good", "run")
    with house.running():
        house.events(1, 2, 3, 4)
        house.settle()
        assert only(house.calls, "good") == [f"{event} good.run" for event in (1, 2, 3, 4)]
        assert only(house.calls, "hangs") == ["1 hangs.door", "1 hangs.second", "2 hangs.door"]
        record = house.records()["hangs"]
        assert (record.state, record.retry_at, record.failures) == ("held", 0.0, 1)
        assert record.reason == (
            "hangs:door has not returned within 50ms from event 2; held until it does"
        )
        door.opened.set()
        wait_until(lambda: house.records()["hangs"].state == "active")
        house.settle()
    steps = ["hangs.door", "hangs.second"]
    assert only(house.calls, "hangs") == [f"{e} {step}" for e in (1, 2, 3, 4) for step in steps]
    (letter,) = house.state.dead_letters()
    assert (letter.callback, letter.event_id, letter.attempt) == ("hangs:door", 2, 1)
    assert letter.error == "CallbackTimeout: It did not return within 50ms."
    assert house.state.attempts() == {}


def test_dead_letter_tells_where_it_hung(house: House) -> None:
    """Its traceback is the stack of the plugin's code, and has no secrets."""
    api_key = house.site.api_key.reveal()
    door = Door(1, then=None)

    def hangs(event: Event, ctx: Any) -> None:
        door(event, ctx)  # demo-key

    house.plugin("hangs", hangs, timeout=SOON)
    with house.running():
        house.events(1)
        wait_until(house.state.dead_letters)
        door.opened.set()
        wait_until(lambda: house.records()["hangs"].state == "active")
    (letter,) = house.state.dead_letters()
    assert letter.traceback.startswith("Where it stood (most recent call last):\n")
    assert "self.opened.wait(PATIENCE)" in letter.traceback
    assert "own_thread.py" not in letter.traceback
    assert "door(event, ctx)" in letter.traceback
    assert api_key not in letter.traceback


@pytest.mark.parametrize("raises", [False, True])
def test_late_changes_of_the_store_are_dropped(house: House, raises: bool) -> None:
    """What a late call did to the store, before its time was over or after, counts for nothing."""

    def late(event: Event, ctx: Any) -> None:
        ctx.store["after"] = event.id
        if raises:
            raise ValueError("late")

    def notes(event: Event, ctx: Any) -> None:
        ctx.store["noted"] = [*ctx.store.get("noted", []), event.id]

    door = Door(2, then=late)
    house.plugin("hangs", door, notes, timeout=SOON)
    with house.running():
        house.events(1, 2, 3)
        house.settle()
        door.opened.set()
        wait_until(lambda: house.records()["hangs"].state == "active")
        house.settle()
    assert house.state.store("hangs") == {"noted": [1, 2, 3]}
    assert [one.event_id for one in house.state.dead_letters()] == [2]


def test_all_callbacks_of_the_plugin_run_in_one_thread(house: House) -> None:
    """So what it keeps per thread, `ctx.sg` too, is the same in all; the plugin is no lane's."""
    timed, free, other = Door(), Door(), Door()
    timed.__name__, free.__name__ = "timed", "free"
    plugin = house.plugin("p", timed, free)
    plugin.callbacks[0] = _with_timeout(plugin.callbacks[0], 30.0)
    house.plugin("other", other)
    with house.running():
        house.events(1, 2)
        house.settle()
        lane_thread = house.threads[0].ident
    assert len({*timed.threads, *free.threads}) == 1
    assert set(other.threads) == {lane_thread} != set(timed.threads)


@pytest.mark.parametrize(
    ("callback", "plugin", "lane"), [(SOON, 30.0, 30.0), (None, SOON, 30.0), (None, None, SOON)]
)
def test_narrowest_timeout_counts(
    house: House, callback: float | None, plugin: float | None, lane: float | None
) -> None:
    """A callback's own, else its plugin's, else its lane's."""
    house.lane_settings["default"] = LaneSettings(timeout=lane)
    door = Door(1)
    made = house.plugin("hangs", door, timeout=plugin)
    made.callbacks[0] = _with_timeout(made.callbacks[0], callback)
    with house.running():
        house.events(1)
        wait_until(house.state.dead_letters)
        door.opened.set()


def _with_timeout(callback: Any, timeout: float | None) -> Any:
    return replace(callback, timeout=timeout)


def test_policy_of_the_callback_counts(house: House) -> None:
    """`pause` stops the plugin at the event, `skip` keeps no dead letter; both wait for it."""
    pauses, skips = Door(1), Door(1)
    house.plugin("pauses", pauses, timeout=SOON, on_error="pause")
    house.plugin("skips", skips, timeout=SOON, on_error="skip")
    with house.running():
        house.events(1, 2)
        house.settle()
        states = {name: record.state for name, record in house.records().items()}
        assert states == {"pauses": "paused", "skips": "held"}
        skips.opened.set()
        wait_until(lambda: house.records()["skips"].state == "active")
        pauses.opened.set()
        pauses.passed.wait(5)
        house.settle()
        assert house.records()["pauses"].cursor == 0
    assert house.calls == ["1 pauses.door", "1 skips.door", "2 skips.door"]
    assert house.state.dead_letters() == []


def test_timeouts_of_two_events_in_a_row_pause_the_plugin(house: House) -> None:
    """They count as any failure does."""
    doors = {1: Door(1), 2: Door(2)}

    def hangs(event: Event, ctx: Any) -> None:
        if event.id in doors:
            doors[event.id](event, ctx)

    house.plugin("hangs", hangs, timeout=SOON, pause_after=2)
    with house.running():
        house.events(1, 2, 3)
        wait_until(lambda: house.records()["hangs"].state == "held")
        doors[1].opened.set()
        wait_until(lambda: house.records()["hangs"].state == "paused")
        assert "2 failures in a row" in house.records()["hangs"].reason
        doors[2].opened.set()
    assert only(house.calls, "hangs") == ["1 hangs.hangs", "2 hangs.hangs"]


def test_filter_that_hangs_is_given_up_too(house: House) -> None:
    """`where` is the plugin's code, and runs in its thread."""
    opened = threading.Event()

    def where(event: Event) -> bool:
        if event.id == 2:
            opened.wait(PATIENCE)
        return event.id != 1

    house.plugin("picky", "run", timeout=SOON, match=Match(where=where))
    house.plugin("good", "run")
    with house.running():
        house.events(1, 2, 3)
        house.settle()
        assert only(house.calls, "good") == ["1 good.run", "2 good.run", "3 good.run"]
        assert "opened.wait(PATIENCE)" in house.state.dead_letters()[0].traceback
        opened.set()
        wait_until(lambda: house.records()["picky"].state == "active")
        house.settle()
    assert only(house.calls, "picky") == ["3 picky.run"]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
def test_failures_within_the_time_are_failures_as_ever(house: House, error: BaseException) -> None:
    """What a callback raises in its plugin's thread is charged to it alone."""
    house.plugin("bad", raising(error, on={1}), timeout=30.0)
    house.plugin("good", "run")
    with house.running():
        house.events(1, 2)
        house.settle()
    assert only(house.calls, "bad") == ["1 bad.fails", "2 bad.fails"]
    assert without(house.calls, "bad") == ["1 good.run", "2 good.run"]
    (letter,) = house.state.dead_letters()
    assert letter.error.startswith(type(error).__name__)
    assert "raise error" in letter.traceback


def test_stop_does_not_wait_for_it_and_the_next_start_goes_on(house: House) -> None:
    """The lane ends at once, no `shutdown` meets the call; the plugin goes on at the next start."""
    door, ended = Door(1), []
    house.plugin("hangs", door, timeout=SOON, hooks={"shutdown": lambda ctx: ended.append(1)})
    with house.running():
        house.events(1, 2)
        house.settle()
    assert ended == []
    assert house.records()["hangs"].state == "held"
    house.run()
    door.opened.set()
    assert house.calls == ["1 hangs.door", "2 hangs.door"]
    assert house.records()["hangs"].state == "active"
    assert ended == [1]


def test_plugin_that_catches_up_can_hang(house: House) -> None:
    """A call that hangs while its plugin is behind is charged where the plugin is."""
    door = Door(1, 2)
    first = threading.Event()

    def hangs(event: Event, ctx: Any) -> None:
        if event.id == 1:
            first.wait(PATIENCE)
        else:
            door(event, ctx)

    house.plugin("hangs", "before", hangs, "after", timeout=SOON)
    with house.running():
        house.events(1, 2, 3)
        house.settle()
        first.set()
        wait_until(lambda: len(house.state.dead_letters()) == 2)
        assert house.records()["hangs"].cursor == 1
        door.opened.set()
        wait_until(lambda: house.records()["hangs"].state == "active")
        house.settle()
    steps = ("before", "hangs", "after")
    assert house.calls == [f"{event} hangs.{step}" for event in (1, 2, 3) for step in steps]


def test_loop_may_hang_in_a_call_for_as_long_as_it_may_take(house: House) -> None:
    """The lane is alive for as long as the call may take, and no longer; without a limit, for ever.

    The pulse of its loop says so: a number that grows, and the seconds allowed until the next.
    """
    with_limit, without_limit = Door(1), Door(2)
    made = house.plugin("slow", with_limit, without_limit)
    made.callbacks[0] = _with_timeout(made.callbacks[0], 600.0)
    liveness = Liveness(["lane"])
    loop = liveness._loops["lane"]
    house.around_lanes = partial(liveness.run, "lane")
    allowed = []
    with house.running():
        house.events(1, 2)
        for door in (with_limit, without_limit):
            wait_until(partial(door.events.count, door.on[0]))
            allowed.append(loop.last_sign[1])
            door.opened.set()
        house.settle()
        wait_until(lambda: loop.last_sign[1] is not None)
    assert allowed == [600.0 + LIVENESS_MARGIN, None]
    assert liveness.hanging_loops(0.0) == frozenset()


def test_own_writes_are_counted_where_the_plugin_runs(house: House) -> None:
    """The breaker for loops sees them, though the lane's thread has no connection of its own."""

    def writes(event: Event, ctx: Any) -> None:
        ctx.sg.writes += 1

    counted: list[int] = []

    class Counting(Breaker):
        def completes_loop(self, event: Event, created_at: int, write_count: int) -> bool:
            counted.append(write_count)
            return super().completes_loop(event, created_at, write_count)

    house.plugin("writes", writes, timeout=30.0)
    with house.running():
        (lane_plugin,) = house.lanes[0].lane_plugins
        lane_plugin.breaker = Counting("rollup", is_own=False, loop_calls=9, loop_seconds=9.0)
        house.events(1, 2)
        house.settle()
    assert counted == [1, 1]


def test_time_limit_counts_from_the_last_heartbeat(house: House) -> None:
    """A call that says that it is alive may take longer than its limit; a silent one may not."""
    door, began = Door(2), time.monotonic()

    def lives(event: Event, ctx: Any) -> None:
        while event.id == 1 and time.monotonic() < began + 1.5:
            ctx.heartbeat()
            time.sleep(0.01)
        ctx.heartbeat()
        door(event, ctx)

    house.plugin("long", lives, timeout=1.0)
    with house.running():
        house.events(1, 2)
        wait_until(house.state.dead_letters)
        door.opened.set()
        wait_until(lambda: house.records()["long"].state == "active")
    assert [letter.event_id for letter in house.state.dead_letters()] == [2]


@pytest.mark.parametrize("timeout", [None, PATIENCE])
def test_call_sees_that_a_stop_waits(house: House, timeout: float | None) -> None:
    """A long call can ask, in the lane's thread and in one of its own, and end early."""
    seen: list[bool] = []

    def asks(event: Event, ctx: Any) -> None:
        seen.append(ctx.stopping)
        house.stop()
        seen.append(ctx.stopping)

    house.plugin("asks", asks, timeout=timeout)
    with house.running():
        house.events(1)
        wait_until(lambda: len(seen) == 2)
    assert seen == [False, True]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_cancelled_async_call_costs_its_event_alone(house: House, workers: int) -> None:
    """Its plugin goes on with the next event, in a lane with one worker and with several."""

    async def waits(event: Event, ctx: Any) -> None:
        if event.id == 2:
            await asyncio.get_running_loop().create_future()
        ctx.store[str(event.id)] = True

    house.plugin("waits", waits, timeout=0.2)
    if workers > 1:
        house.lane_settings["default"] = LaneSettings(workers=workers, order_by="entity")
    with house.running():
        house.events(1, 2, 3)
        house.settle()
        assert all(not lane.hung_plugins() for lane in house.lanes)
    assert house.state.store("waits") == {"1": True, "3": True}
    (letter,) = house.state.dead_letters()
    assert (letter.event_id, letter.attempt) == (2, 1)
    assert letter.error == "CallbackTimeout: It did not return within 200ms."
    assert "in waits" in letter.traceback
