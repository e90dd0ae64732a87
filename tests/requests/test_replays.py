"""Events replayed to one plugin: in order, between live events, nobody's cursor moved."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

from lane_house import House, only, raising
from request_desk import asking, kept_event, letters, old_event
from waiting import wait_until

from sgevents_core.events import Event
from sgevents_core.filters import Match
from sgevents_core.state.opening import open_state
from sgevents_core.state.requests import RequestStep


def test_replay_calls_the_callbacks_that_want_the_event(house: House) -> None:
    """All of the one plugin, in order, and nobody else; no cursor moves."""
    house.plugin("alpha", "one", "two")
    house.plugin("beta", "one")
    house.run()
    house.events(1, 2)
    house.run()
    house.calls.clear()
    with asking(house) as person:
        answer = person.ask("replay", "alpha", [kept_event(house, 1), kept_event(house, 2)])
        house.events(3)
        house.settle()
    assert (answer.outcome, answer.text) == ("done", "replayed 2 events in 4 calls")
    assert house.calls[:4] == ["1 alpha.one", "1 alpha.two", "2 alpha.one", "2 alpha.two"]
    assert house.calls[4:] == ["3 alpha.one", "3 alpha.two", "3 beta.one"]


def test_filters_count_in_a_replay(house: House) -> None:
    """A callback that does not want an event is not called for it in a replay either."""
    house.plugin("alpha", "one", match=Match(event_type=("Studio_A",)))
    house.run()
    with asking(house) as person:
        answer = person.ask("replay", "alpha", [old_event(7, "Studio_B"), old_event(8, "Studio_A")])
    assert answer.text == "replayed 2 events in 1 call"
    assert house.calls == ["8 alpha.one"]


def test_replay_appends_nothing(house: House) -> None:
    """An event that only the site has is handed out, and stays out of the journal."""
    keys: list[str] = []

    def keep(event: Event, ctx: Any) -> None:
        keys.append(ctx.key)
        ctx.store["last"] = event.id

    house.plugin("alpha", keep)
    house.run()
    house.events(5)
    house.run()
    with asking(house) as person:
        person.ask("replay", "alpha", [old_event(3), kept_event(house, 1)])
    assert house.state.end() == 1
    assert house.calls == ["5 alpha.keep", "3 alpha.keep", "5 alpha.keep"]
    assert keys[2] == keys[0]
    assert house.state.store("alpha") == {"last": 5}


def test_failures_in_a_replay_are_dead_letters(house: House) -> None:
    """Each is kept with its event, the others go on, and the plugin is not paused."""
    house.plugin("alpha", raising(ValueError("no"), on=[1, 3]), on_error="pause")
    house.plugin("beta", "one")
    house.run()
    house.events(2)
    house.run()
    with asking(house) as person:
        answer = person.ask("replay", "alpha", [old_event(1), kept_event(house, 1), old_event(3)])
    assert answer.outcome == "failed"
    assert answer.text.endswith("2 failed; kept as dead letters: 1, 2")
    found = letters(house)
    assert [(one.failure.event_id, one.failure.seq) for one in found] == [(1, 0), (3, 0)]
    assert b"Studio_Old" in found[0].body
    assert house.records()["alpha"].state == "active"


def test_dead_letter_of_a_replay_can_be_retried(house: House) -> None:
    """Also for an event that the journal does not hold."""
    calls: list[int] = []

    def once(event: Event, ctx: Any) -> None:
        calls.append(event.id)
        if len(calls) == 1:
            raise ValueError("no")

    house.plugin("alpha", once)
    house.run()
    with asking(house) as person:
        person.ask("replay", "alpha", [old_event(7)])
        assert person.ask("retry", "alpha", letter=1).outcome == "done"
    assert calls == [7, 7]
    assert letters(house) == []


def test_replay_settles_and_updates_letters(house: House) -> None:
    """A callback that handles the event now has no dead letter left; one that fails keeps it."""
    fails = {1, 2}

    def maybe(event: Event, ctx: Any) -> None:
        if event.id in fails:
            raise ValueError(f"no {event.id}")

    house.plugin("alpha", maybe)
    house.run()
    house.events(1, 2)
    house.run()
    assert [one.number for one in letters(house)] == [1, 2]
    fails.remove(1)
    with asking(house) as person:
        person.ask("replay", "alpha", [kept_event(house, 1), kept_event(house, 2)])
    assert [one.number for one in letters(house)] == [2]


def test_long_replay_lets_live_events_through(house: House) -> None:
    """It works in slices of time: an event that comes meanwhile does not wait for its end."""

    def takes_a_while(event: Event, ctx: Any) -> None:
        time.sleep(0.004)

    house.plugin("alpha", takes_a_while)
    house.plugin("beta", "one")
    house.run()
    with asking(house) as person:
        number = person.note("replay", "alpha", [old_event(n) for n in range(1, 201)])
        person.poll()
        wait_until(lambda: len(house.calls) > 5)
        house.events(1000)
        wait_until(lambda: "1000 beta.one" in house.calls)
        assert len(only(house.calls, "alpha")) < 190
        assert person.answer(number).text == "replayed 200 events in 200 calls"


def test_replay_goes_on_after_a_restart(house: House) -> None:
    """Stopped in the middle, it is finished by the next process: each event once."""

    def takes_a_while(event: Event, ctx: Any) -> None:
        time.sleep(0.003)

    house.plugin("alpha", takes_a_while)
    house.run()
    with asking(house) as person:
        number = person.note("replay", "alpha", [old_event(n) for n in range(1, 151)])
        person.poll()
        wait_until(lambda: len(house.calls) > 5)
    assert 5 < len(house.calls) < 150
    with asking(house) as person:
        person.poll()
        assert person.answer(number).text == "replayed 150 events in 150 calls"
    assert house.calls == [f"{n} alpha.takes_a_while" for n in range(1, 151)]


def test_call_of_a_replay_and_what_it_stored_are_noted_as_one(house: House) -> None:
    """Before the next call: where the process dies in that, the first is not made again."""
    seen: list[tuple[object, ...]] = []

    def one(event: Event, ctx: Any) -> None:
        ctx.store["n"] = ctx.store.get("n", 0) + 1

    def two(event: Event, ctx: Any) -> None:
        with closing(open_state(house.folder).requests()) as requests:
            (request,) = requests.waiting()
        stored = house.state.store("alpha")
        seen.append((stored, request.progress["done"], request.begun))

    house.plugin("alpha", one, two)
    house.run()
    with asking(house) as person:
        person.ask("replay", "alpha", [old_event(1)])
    assert seen == [({"n": 1}, ["alpha:one"], 1)]


def test_replay_goes_on_at_the_callback_in_which_the_process_died(house: House) -> None:
    """It is called with the next attempt; what was done for the event before it is not."""
    house.plugin("alpha", "one", "two")
    house.run()
    with asking(house) as person:
        number = person.note("replay", "alpha", [old_event(1), old_event(2)])
        progress = {"place": 0, "calls": 1, "failed": 0, "named": [], "done": ["alpha:one"]}
        house.state.answer(RequestStep(number, progress))
        with closing(open_state(house.folder).requests()) as requests:
            requests.begin(number)
        person.poll()
        assert person.answer(number).text == "replayed 2 events in 4 calls"
    assert house.calls == ["1 alpha.two#2", "2 alpha.one", "2 alpha.two"]


def test_call_in_which_the_process_died_twice_is_passed_over(house: House) -> None:
    """The replay goes on behind it, and says that one failed."""
    house.plugin("alpha", "one")
    house.run()
    with closing(open_state(house.folder).requests()) as requests:
        number = requests.ask("replay", "alpha", {}, "anna", [old_event(1), old_event(2)])
        requests.begin(number)
        requests.begin(number)
    with asking(house) as person:
        person.poll()
        answer = person.answer(number)
    assert answer.text == "replayed 2 events in 1 call, 1 failed"
    assert house.calls == ["2 alpha.one"]


def test_deaths_in_two_callbacks_of_an_event_are_counted_apart(house: House) -> None:
    """The one that was passed over is over, whatever becomes of the next."""
    begun: list[tuple[int, list[str]]] = []

    def two(event: Event, ctx: Any) -> None:
        with closing(open_state(house.folder).requests()) as requests:
            (request,) = requests.waiting()
        begun.append((request.begun, request.progress["done"]))

    house.plugin("alpha", "one", two)
    house.run()
    with closing(open_state(house.folder).requests()) as requests:
        number = requests.ask("replay", "alpha", {}, "anna", [old_event(1)])
        requests.begin(number)
        requests.begin(number)
    with asking(house) as person:
        person.poll()
        assert person.answer(number).text == "replayed 1 event in 1 call, 1 failed"
    assert begun == [(1, ["alpha:one"])]


def test_filter_that_raises_in_a_replay_is_a_failure(house: House) -> None:
    """As it is for an event that comes: kept as a dead letter of its callback."""

    def broken(event: Event) -> bool:
        raise LookupError("no such thing")

    house.plugin("alpha", "one", match=Match(where=broken))
    house.run()
    with asking(house) as person:
        answer = person.ask("replay", "alpha", [old_event(1)])
    assert answer.outcome == "failed"
    assert "LookupError" in letters(house)[0].failure.error
    assert house.calls == []
