"""A plugin that is held or behind: it catches up at its own pace, and then rides along again."""

from __future__ import annotations

import threading
import time
from typing import Any

from lane_house import House, only
from waiting import wait_until

from sgevents_core.dispatch.strand import SLICE_SECONDS
from sgevents_core.errors import Retry
from sgevents_core.events import Event


def test_retry_holds_the_plugin_alone(house: House) -> None:
    """While it waits, others get live events; then it catches up in order, at the very callback."""
    later = threading.Event()

    def waits(event: Event, ctx: Any) -> None:
        if event.id == 2 and not later.is_set():
            raise Retry("not yet", after="20ms")

    house.plugin("held", "first", waits, "last", max_attempts=100_000)
    house.plugin("live", "run")
    with house.running():
        house.events(1, 2, 3)
        wait_until(lambda: "3 live.run" in house.calls)
        house.events(4)
        wait_until(lambda: "4 live.run" in house.calls)
        assert house.records()["held"].state == "held"
        later.set()
        wait_until(lambda: not house.records()["held"].apart)
        house.events(5)
        house.settle()
    tries = [call.partition("#")[0] for call in only(house.calls, "held")]
    assert list(dict.fromkeys(tries)) == [
        f"{event} held.{step}" for event in range(1, 6) for step in ("first", "waits", "last")
    ]
    assert {call for call in tries if tries.count(call) > 1} == {"2 held.waits"}
    assert only(house.calls, "live") == [f"{event} live.run" for event in range(1, 6)]
    assert house.calls[-4:] == ["5 held.first", "5 held.waits", "5 held.last", "5 live.run"]


def test_catching_up_is_done_in_slices(house: House) -> None:
    """A plugin far behind does not hold up live events for longer than a slice."""
    ready = threading.Event()
    seen: dict[int, float] = {}

    def behind(event: Event, ctx: Any) -> None:
        if not ready.is_set():
            raise Retry(after="10ms")
        threading.Event().wait(0.002)

    def live(event: Event, ctx: Any) -> None:
        seen[event.id] = time.monotonic()

    house.plugin("behind", behind, max_attempts=1_000_000)
    house.plugin("live", live)
    with house.running():
        house.events(*range(1, 401))
        wait_until(lambda: 400 in seen)
        ready.set()
        wait_until(lambda: "5 behind.behind" in house.calls)
        delays = []
        for event in range(401, 405):
            came = time.monotonic()
            house.events(event)
            wait_until(lambda event=event: event in seen)  # type: ignore[misc]  # bound early
            delays.append(seen[event] - came)
        assert house.records()["behind"].apart
        wait_until(lambda: not house.records()["behind"].apart)
    assert min(delays) < 4 * SLICE_SECONDS
    handled = [call.partition("#")[0] for call in only(house.calls, "behind")]
    assert list(dict.fromkeys(handled)) == [f"{event} behind.behind" for event in range(1, 405)]
    assert len(handled) - len(set(handled)) == len([c for c in house.calls if "#" in c])


def test_failures_while_catching_up_are_the_plugins_too(house: House) -> None:
    """Dead letters, retries and pauses are the same for a plugin that is behind."""

    def fails(event: Event, ctx: Any) -> None:
        if event.id == 2:
            raise ValueError("no")
        if event.id == 3 and ctx.attempt == 1:
            raise Retry(after=0)
        if event.id == 5:
            raise SystemExit(1)

    house.plugin("old", "run")
    house.run()
    house.events(1, 2, 3, 4, 5, 6)
    house.run()
    house.plugin("new", "first", fails, "last", start=1, pause_after=2)
    with house.running():
        wait_until(lambda: "6 new.last" in house.calls)
        house.settle()
    steps = ("first", "fails", "last")
    order = [f"{event} new.{step}" for event in range(1, 7) for step in steps]
    order.insert(order.index("3 new.last"), "3 new.fails#2")
    assert only(house.calls, "new") == order
    assert [letter.event_id for letter in house.state.dead_letters()] == [2, 5]
    assert not house.records()["new"].apart


def test_held_plugin_stopped_and_started_goes_on_where_it_was(house: House) -> None:
    """A plugin that catches up and is stopped in the middle repeats nothing."""
    gate = threading.Event()

    def stopping(event: Event, ctx: Any) -> None:
        if event.id == 4 and gate.is_set():
            gate.clear()
            house.stop()

    house.plugin("live", "run")
    house.run()
    house.events(1, 2, 3, 4, 5)
    house.run()
    gate.set()
    house.plugin("new", "first", stopping, "last", start=1)
    house.run()
    assert house.calls[-1] == "4 new.stopping"
    house.run()
    steps = ("first", "stopping", "last")
    assert only(house.calls, "new") == [f"{n} new.{step}" for n in range(1, 6) for step in steps]


def test_two_held_plugins_keep_their_own_places(house: House) -> None:
    """Plugins that are behind each go on at their own event, also after a restart."""
    gates = {"early": 2, "late": 5}

    def held(event: Event, ctx: Any) -> None:
        if event.id == gates.get(ctx.plugin):
            raise Retry(after="10ms")

    for name in gates:
        house.plugin(name, held, max_attempts=1_000_000)
    with house.running():
        house.events(*range(1, 8))
        wait_until(lambda: all(one.state == "held" for one in house.records().values()))
    cursors = {name: record.cursor for name, record in house.records().items()}
    assert cursors == {"early": 1, "late": 4}
    del gates["late"]
    with house.running():
        wait_until(lambda: not house.records()["late"].apart)
    assert house.records()["early"].cursor == 1
    gates.clear()
    with house.running():
        wait_until(lambda: not house.records()["early"].apart)
    for name in ("early", "late"):
        handled = [call.partition("#")[0] for call in only(house.calls, name)]
        assert list(dict.fromkeys(handled)) == [f"{event} {name}.held" for event in range(1, 8)]


def test_order_changed_while_the_plugin_is_held(house: House) -> None:
    """What it had done of the event stays done, in whatever order the rest comes now."""
    later = threading.Event()

    def waits(event: Event, ctx: Any) -> None:
        if not later.is_set():
            raise Retry(after="10ms")

    plugin = house.plugin("held", "first", waits, "last", max_attempts=1_000_000)
    with house.running():
        house.events(1)
        wait_until(lambda: "1 held.waits#2" in house.calls)
    plugin.callbacks.reverse()
    with house.running():
        wait_until(lambda: "1 held.last" in house.calls)
        later.set()
        wait_until(lambda: not house.records()["held"].apart)
    done = [call for call in house.calls if "waits" not in call]
    assert done == ["1 held.first", "1 held.last"]


def test_plugin_behind_gets_its_turn_before_its_lane_is_at_the_end(house: House) -> None:
    """Live events come in slices too while a plugin is behind: neither waits for the other."""
    house.plugin("live", "run")
    house.run()
    house.events(1, 2, 3)
    house.run()
    house.events(*range(4, 204))
    house.plugin("live", lambda event, ctx: threading.Event().wait(0.002))
    house.plugin("new", "run", start=1)
    house.run()
    assert house.calls.index("3 new.run") < house.calls.index("203 live.<lambda>")
    assert only(house.calls, "new") == [f"{event} new.run" for event in range(1, 204)]
