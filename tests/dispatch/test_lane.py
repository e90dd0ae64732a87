"""A lane: one event after another, for each the callbacks in order."""

from __future__ import annotations

import itertools
import threading
from typing import Any

from lane_house import House, raising, without
from waiting import PATIENCE, wait_until

from sgevents_core.errors import Retry
from sgevents_core.events import Event
from sgevents_core.filters import Match
from sgevents_core.state.progress import Progress


def test_events_go_to_callbacks_in_order(house: House) -> None:
    """One event after another; for each all callbacks, in plan order."""
    house.plugin("zulu", "one", "two")
    house.plugin("alpha", "one")
    with house.running():
        house.events(10, 11)
        house.settle()
        house.events(9)
        house.settle()
    order = ["zulu.one", "zulu.two", "alpha.one"]
    assert house.calls == [f"{event} {call}" for event in (10, 11, 9) for call in order]


def test_filters_choose_the_events(house: House) -> None:
    """A callback is called for what its filter wants, by type and by what the event holds."""
    house.plugin("tasks", "run", match=Match(event_type=("Shotgun_Task_*",)))
    house.plugin("odd", "run", match=Match(where=lambda event: event.id % 2))
    with house.running():
        house.events(1, 2)
        house.events(3, 4, kind="Shotgun_Shot_New")
        house.settle()
    assert house.calls == ["1 tasks.run", "1 odd.run", "2 tasks.run", "3 odd.run"]


def test_filter_that_raises_is_a_failure_of_its_callback(house: House) -> None:
    """The failure is kept as the callback's; its plugin's other callbacks and others go on."""
    match = Match(where=lambda event: 1 / (event.id - 2))
    house.plugin("first", "run", match=match)
    house.plugin("second", "run")
    with house.running():
        house.events(1, 2, 3)
        house.settle()
    assert house.calls == ["1 first.run", "1 second.run", "2 second.run", "3 first.run",
                           "3 second.run"]  # fmt: skip
    (letter,) = house.state.dead_letters()
    assert (letter.callback, letter.event_id) == ("first:run", 2)
    assert letter.error == "ZeroDivisionError: division by zero"


def test_stop_in_the_middle_of_an_event_goes_on_at_the_very_callback(house: House) -> None:
    """The callback in hand is finished; the next start begins with the one behind it."""

    def stopping(event: Event, ctx: Any) -> None:
        if event.id == 2:
            house.stop()

    house.plugin("alpha", "one", stopping, "three")
    house.plugin("bravo", "one")
    with house.running():
        house.events(1, 2, 3)
        wait_until(lambda: "2 alpha.stopping" in house.calls)
    assert house.calls[4:] == ["2 alpha.one", "2 alpha.stopping"]
    house.run()
    rest = ["2 alpha.three", "2 bravo.one", "3 alpha.one", "3 alpha.stopping"]
    assert house.calls[6:] == [*rest, "3 alpha.three", "3 bravo.one"]


def test_stopped_again_and_again_nothing_is_repeated(house: House) -> None:
    """A lane stopped after every single callback calls each once, in order, with attempt 1."""

    def stopping(event: Event, ctx: Any) -> None:
        house.stop()

    house.plugin("alpha", stopping)
    house.plugin("bravo", "one", stopping)
    house.run()
    house.events(1, 2)
    for _ in range(5):
        house.run()
    steps = ["alpha.stopping", "bravo.one", "bravo.stopping"]
    assert house.calls == [f"{event} {step}" for event in (1, 2) for step in steps]


def test_lanes_do_not_wait_for_each_other(house: House) -> None:
    """A callback that takes its time holds up its own lane only."""
    free = threading.Event()
    house.plugin("slow", lambda event, ctx: free.wait(PATIENCE), lane="slow")
    house.plugin("fast", "run")
    try:
        with house.running():
            house.events(1, 2, 3)
            wait_until(lambda: {"3 fast.run", "1 slow.<lambda>"} <= set(house.calls))
            assert without(house.calls, "fast") == ["1 slow.<lambda>"]
            free.set()
            house.settle()
    finally:
        free.set()
    assert without(house.calls, "fast") == [f"{n} slow.<lambda>" for n in (1, 2, 3)]


def test_key_is_the_same_for_every_try_and_no_other_call(house: House) -> None:
    """`ctx.key` names site, era, event, plugin and callback, whatever attempt and process."""
    keys: dict[str, list[str]] = {}

    def note(event: Event, ctx: Any) -> None:
        keys.setdefault(f"{event.id} {ctx.plugin}", []).append(ctx.key)
        if ctx.plugin == "again" and ctx.attempt == 1:
            raise Retry(after=0)

    house.plugin("again", note)
    house.plugin("once", note)
    with house.running():
        house.events(1, 2)
        house.settle()
        wait_until(lambda: not house.records()["again"].apart)
    tries = {call: len(some) for call, some in keys.items()}
    assert tries == {"1 again": 2, "1 once": 1, "2 again": 2, "2 once": 1}
    assert all(len(set(some)) == 1 for some in keys.values())
    assert len({some[0] for some in keys.values()}) == 4
    assert keys["1 again"][0] == "127.0.0.1:1:1:1:again:again:note"


def test_thousands_of_events_by_the_page(house: House) -> None:
    """More events than a page are handled in order, and where the lane is is noted meanwhile."""
    house.plugin("alpha", "run")
    house.run()
    house.events(*range(1, 1801))
    house.run()
    assert house.calls == [f"{event} alpha.run" for event in range(1, 1801)]
    assert house.state.lane_progress("default") == Progress(1800)


def test_row_with_a_lone_surrogate_is_an_event(house: House) -> None:
    """What strict JSON decoders refuse, and sites send, stops no lane."""
    seen = []

    def note(event: Event, ctx: Any) -> None:
        seen.append(event.new_value)

    house.plugin("alpha", note)
    with house.running():
        meta = {"type": "attribute_change", "new_value": "\ud800"}
        house.events(1, meta=meta)
        house.settle()
    assert seen == ["\ud800"]


def test_events_nobody_wants_pass(house: House) -> None:
    """A lane goes over events without a callback, and notes how far it is."""
    house.plugin("alpha", "run", match=Match(event_type=("Shotgun_Shot_*",)))
    house.run()
    house.events(*range(1, 50))
    house.run()
    assert house.calls == []
    assert house.state.lane_progress("default") == Progress(49)


def test_plugin_that_raises_at_every_event_costs_itself(house: House) -> None:
    """Errors, exits and interrupts of one plugin's callbacks leave all others their order."""
    for number, error in enumerate([ValueError("no"), SystemExit(3), KeyboardInterrupt()]):
        house.plugin(f"bad{number}", raising(error), pause_after=1000)
        house.plugin(f"good{number}", "run")
    with house.running():
        house.events(*range(1, 31))
        house.settle()
    good = [f"{event} good{n}.run" for event, n in itertools.product(range(1, 31), range(3))]
    assert without(house.calls, "bad0", "bad1", "bad2") == good
    assert len(house.state.dead_letters()) == 90
