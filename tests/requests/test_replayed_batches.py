"""Replayed events come into batches, as they did when they happened: one call for each key."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import pytest
from lane_house import House, only
from request_desk import asking, kept_event, letters, old_event
from waiting import wait_until

from sgevents_core.batching import BatchRules, By
from sgevents_core.errors import Defer
from sgevents_core.events import Event
from sgevents_core.filters import Match
from sgevents_core.plugins.callback import Callback
from sgevents_core.reading.outcomes import Outcomes
from sgevents_core.requests.replayed_batches import batched_event
from sgevents_core.settings import LaneSettings
from sgevents_core.state.batches import BatchedEvent
from sgevents_core.state.opening import open_state
from sgevents_core.state.requests import ReplayEvent, RequestStep
from sgevents_core.state.steps import Step

pytestmark = pytest.mark.disk
LONG = 3600.0


def rules(size: int = 100, by: By = "entity") -> BatchRules:
    """Return rules of batches that are complete by their size alone."""
    return BatchRules(LONG, LONG, size, by)


def shot(number: int) -> dict[str, Any]:
    """Return the fields of a row about a shot."""
    return {"entity": {"type": "Shot", "id": number}}


@pytest.fixture(params=["one worker", "three workers"])
def workers(request: pytest.FixtureRequest, house: House) -> str:
    """A lane with one strand, and one that is divided by entity."""
    if request.param == "three workers":
        house.lane_settings["default"] = LaneSettings(workers=3, order_by="entity")
    return str(request.param)


def past_events(house: House, count: int = 6, shots: int = 2) -> list[ReplayEvent]:
    """Return events that the journal holds, about some shots in turn."""
    for event_id in range(1, count + 1):
        house.events(event_id, **shot(event_id % shots))
    return [kept_event(house, seq) for seq in range(1, count + 1)]


def test_events_of_one_key_are_one_call(house: House, workers: str) -> None:
    """In order, the key that came first before the others."""
    events = past_events(house)
    house.plugin("rolls", "up", batch=rules())
    house.run()
    with asking(house) as person:
        answer = person.ask("replay", "rolls", events)
    assert answer.text == "replayed 6 events in 2 calls"
    assert house.calls == ["1+3+5 rolls.up", "2+4+6 rolls.up"]
    assert house.state.batches() == []


def test_other_callbacks_get_each_event(house: House) -> None:
    """At its turn, before the batches are called."""
    events = past_events(house, 3, 1)
    single = house.plugin("rolls", "each").callbacks
    house.plugin("rolls", "up", batch=rules()).callbacks.extend(single)
    house.run()
    with asking(house) as person:
        answer = person.ask("replay", "rolls", events)
    assert answer.text == "replayed 3 events in 4 calls"
    assert house.calls == ["1 rolls.each", "2 rolls.each", "3 rolls.each", "1+2+3 rolls.up"]


def test_a_full_batch_is_called_at_once(house: House, workers: str) -> None:
    """Before the next event; the rest of its key is another batch."""
    events = past_events(house, 5, 1)
    single = house.plugin("rolls", "each").callbacks
    house.plugin("rolls", "up", batch=rules(2)).callbacks.extend(single)
    house.run()
    with asking(house) as person:
        person.ask("replay", "rolls", events)
    assert only(house.calls, "rolls") == [
        *("1 rolls.each", "1+2 rolls.up", "2 rolls.each"),
        *("3 rolls.each", "3+4 rolls.up", "4 rolls.each"),
        *("5 rolls.each", "5 rolls.up"),
    ]


def test_the_plugin_is_asked_for_keys_and_filters(house: House, workers: str) -> None:
    """Each in a call of its own, which may fail: then that event is a dead letter."""

    def key_of(event: Event) -> object:
        if event.id == 3:
            raise ValueError("no key")
        return event.id % 2

    events = past_events(house, 6, 1)
    match = Match(where=lambda event: event.id != 5)
    house.plugin("rolls", "up", batch=rules(by=key_of), match=match)
    house.run()
    with asking(house) as person:
        answer = person.ask("replay", "rolls", events)
    assert answer.text == "replayed 6 events in 3 calls, 1 failed; kept as dead letters: 1"
    assert house.calls == ["1 rolls.up", "2+4+6 rolls.up"]
    (letter,) = letters(house)
    assert (letter.failure.event_id, letter.batch) == (3, ())


def test_events_that_the_journal_lacks_come_first(house: House) -> None:
    """In the order of the replay, and so before those that came later."""
    house.plugin("rolls", "up", batch=rules(by=lambda event: "all"))
    house.run()
    (kept,) = past_events(house, 1, 1)
    with asking(house) as person:
        person.ask("replay", "rolls", [old_event(8), old_event(9), kept])
    assert house.calls == ["8+9+1 rolls.up"]


class Door:
    """A callback that raises until it is opened."""

    def __init__(self, error: BaseException) -> None:
        self.error: BaseException | None = error
        self.__name__ = "door"

    def __call__(self, events: Any, ctx: Any) -> None:
        """Handle a batch, or raise."""
        if self.error is not None:
            raise self.error
        ctx.store["got"] = [*ctx.store.get("got", []), *(event.id for event in events)]


@pytest.mark.parametrize("error", [ValueError("closed"), Defer(after="1m")])
def test_a_failed_batch_is_one_dead_letter(house: House, error: BaseException) -> None:
    """It lists its events, is explained for each, and is retried as a whole."""
    events = past_events(house, 4)
    house.plugin("rolls", door := Door(error), batch=rules())
    house.run()
    with asking(house) as person:
        answer = person.ask("replay", "rolls", events)
        assert answer.text.endswith("2 failed; kept as dead letters: 1, 2")
        assert [letter.batch for letter in letters(house)] == [(1, 3), (2, 4)]
        explained = Outcomes(house.folder).outcome_of("rolls", "rolls:door", 3, ())
        assert (explained.what, explained.letter_number) == ("dead letter", 1)
        door.error = None
        assert person.ask("retry", "rolls", letter=1).outcome == "done"
    assert house.state.store("rolls") == {"got": [1, 3]}
    assert [letter.batch for letter in letters(house)] == [(2, 4)]


def test_letters_whose_events_are_replayed_are_settled(house: House) -> None:
    """Those of which a replay has all events, of one or of several; others stay."""
    house.plugin("rolls", door := Door(ValueError("closed")), batch=rules(2))
    house.run()
    events = past_events(house, 6, 1)
    with house.running():
        wait_until(lambda: len(house.state.dead_letters()) == 3)
    house.calls.clear()
    door.error = None
    house.plugin("rolls", door, batch=rules(10))
    with asking(house) as person:
        person.ask("replay", "rolls", events[:5])
    assert house.calls == ["1+2+3+4+5 rolls.door"]
    assert [letter.batch for letter in letters(house)] == [(5, 6)]


def test_what_fails_again_stays_one_letter(house: House) -> None:
    """With the new error; letters of parts of it are settled by the one of the whole."""
    house.plugin("rolls", door := Door(ValueError("closed")), batch=rules())
    house.run()
    events = past_events(house, 3, 1)
    house.run()
    with asking(house) as person:
        assert person.ask("replay", "rolls", events[:2]).outcome == "failed"
        door.error = ValueError("still closed")
        assert person.ask("replay", "rolls", events[:2]).outcome == "failed"
        (letter,) = letters(house)
        assert (letter.batch, letter.failure.error) == ((1, 2), "ValueError: still closed")
        assert person.ask("replay", "rolls", events).outcome == "failed"
    assert [(one.number, one.batch) for one in letters(house)] == [(2, (1, 2, 3))]
    explained = Outcomes(house.folder).outcome_of("rolls", "rolls:door", 2, ())
    assert explained.letter_number == 2


def test_what_a_batch_ignores_is_explained_for_each_event(house: House) -> None:
    """With the reason that the callback gives."""

    def door(events: Any, ctx: Any) -> None:
        ctx.ignore("no route for this project")

    events = past_events(house, 2, 1)
    house.plugin("rolls", door, batch=rules())
    house.run()
    with asking(house) as person:
        person.ask("replay", "rolls", events)
    with closing(open_state(house.folder).past()) as past:
        assert [len(past.ignored_reasons(seq)) for seq in (1, 2)] == [1, 1]


def test_a_replay_goes_on_with_its_batches_after_a_restart(house: House) -> None:
    """A stop in the middle keeps what is collected; a batch whose call died is called again."""
    events = past_events(house, 5, 1)
    house.plugin("rolls", "up", batch=rules(3))
    house.run()
    with closing(open_state(house.folder).requests()) as requests:
        number = requests.ask("replay", "rolls", {}, "anna@host", events)
        fence = house.state.take_lane("default")
        for seq, event in enumerate(events[:3], 1):
            collected = _collected(number, event)
            progress = {"place": seq - 1, "done": ["rolls:up"]}
            if seq == 3:
                progress["due"] = ["rolls:up", 0]
            step = Step(collected=collected, request=RequestStep(number, progress))
            house.state.record("default", fence, step)
        requests.begin(number)
    with asking(house) as person:
        person.poll()
        answer = person.answer(number)
    assert answer.text == "replayed 5 events in 2 calls"
    assert house.calls == ["1+2+3 rolls.up#2", "4+5 rolls.up"]


def _collected(request_number: int, event: ReplayEvent) -> BatchedEvent:
    callback = Callback("rolls", "rolls:up", None, Match(), print)
    return batched_event(request_number, callback, "Shot 0", 0, event)


def test_a_batch_that_kills_the_process_is_given_up(house: House) -> None:
    """After two deaths, as any call of a replay; its events are one dead letter."""
    house.plugin("rolls", "up", batch=rules())
    house.run()
    events = past_events(house, 2, 1)
    with closing(open_state(house.folder).requests()) as requests:
        number = requests.ask("replay", "rolls", {}, "anna@host", events)
        fence = house.state.take_lane("default")
        for event in events:
            progress = {"place": 2}
            step = Step(collected=_collected(number, event), request=RequestStep(number, progress))
            house.state.record("default", fence, step)
        requests.begin(number)
        requests.begin(number)
    with asking(house) as person:
        person.poll()
        answer = person.answer(number)
    assert answer.text == "replayed 2 events in 0 calls, 1 failed; kept as dead letters: 1"
    assert [letter.batch for letter in letters(house)] == [(1, 2)]


def test_a_replay_waits_with_a_batch_for_the_site(house: House) -> None:
    """And calls it again once the site answers; that is no failure."""
    seen = []

    def needs_site(events: Any, ctx: Any) -> None:
        seen.append(len(events))
        if len(seen) == 1:
            house.site_is_down()
            raise ConnectionError("gone")

    events = past_events(house, 2, 1)
    house.plugin("rolls", needs_site, batch=rules())
    house.run()
    with asking(house) as person:
        number = person.note("replay", "rolls", events)
        person.poll()
        wait_until(lambda: seen)
        wait_until(lambda: house.lanes[0].errands.has_waiting)
        house.site_answers()
        assert person.answer(number).text == "replayed 2 events in 1 call"
    assert seen == [2, 2]


def test_a_batch_that_hangs_ends_the_replay(house: House) -> None:
    """The answer says that batches are left; they are dropped with it."""
    opened = threading.Event()

    def hangs(events: Any, ctx: Any) -> None:
        opened.wait(60)

    events = past_events(house, 4)
    house.plugin("rolls", hangs, batch=rules(), timeout=0.05)
    house.run()
    with asking(house) as person:
        answer = person.ask("replay", "rolls", events)
        opened.set()
    assert "nor those in batches that were not called yet" in answer.text
    assert [letter.batch for letter in letters(house)] == [(1, 3)]
