"""What people ask for about batches: retried, dismissed, replayed, explained, counted."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from lane_house import House
from request_desk import asking
from waiting import wait_until

from sgevents_core.batching import BatchRules
from sgevents_core.errors import Defer
from sgevents_core.reading.outcomes import Outcome, Outcomes
from sgevents_core.reading.overview import read_overview
from sgevents_core.settings import LaneSettings
from sgevents_core.state.batches import BatchedEvent
from sgevents_core.state.opening import open_state
from sgevents_core.state.requests import ReplayEvent

pytestmark = pytest.mark.disk
LONG = 3600.0
SHOT: dict[str, Any] = {"entity": {"type": "Shot", "id": 1}}


class Door:
    """A callback that raises until it is opened, and keeps what it got."""

    def __init__(self) -> None:
        self.error: BaseException | None = ValueError("closed")
        self.__name__ = "door"

    def __call__(self, events: Any, ctx: Any) -> None:
        """Handle a batch, or raise."""
        if self.error is not None:
            raise self.error
        ctx.store["got"] = [event.id for event in events]


@pytest.fixture
def door(house: House) -> Door:
    """A door that is closed, behind which events 1 and 2 have failed as a batch."""
    made = Door()
    house.plugin("rolls", made, batch=BatchRules(LONG, LONG, 2))
    house.run()
    house.events(1, 2, **SHOT)
    with house.running():
        wait_until(house.state.dead_letters)
    house.calls.clear()
    return made


def kept(house: House, number: int = 1) -> list[BatchedEvent]:
    """Return the events that a dead letter keeps."""
    with closing(open_state(house.folder).letters()) as letters:
        return letters.events_of(number)


def fate(house: House, seq: int) -> Outcome:
    """Return what has become of an event."""
    with closing(open_state(house.folder).past()) as past:
        failures = past.failures(seq)
    return Outcomes(house.folder).outcome_of("rolls", "rolls:door", seq, failures)


def test_a_retried_letter_is_called_with_its_whole_batch(house: House, door: Door) -> None:
    """And settled as a whole, with what it changed in the store."""
    door.error = None
    with asking(house) as person:
        answer = person.ask("retry", "rolls", letter=1)
    assert answer.outcome == "done"
    assert house.calls == ["1+2 rolls.door#2"]
    assert house.state.store("rolls") == {"got": [1, 2]}
    assert house.state.dead_letters() == []
    assert fate(house, 2).what == "handled later"


@pytest.mark.parametrize("error", [ValueError("still"), Defer(after="1m")])
def test_a_letter_that_fails_again_stays_with_its_batch(
    house: House, door: Door, error: BaseException
) -> None:
    """Also if the batch asks to be put off, as one event could be."""
    door.error = error
    with asking(house) as person:
        answer = person.ask("retry", "rolls", letter=1)
    assert answer.outcome == "failed"
    assert [event.event_id for event in kept(house)] == [1, 2]
    assert fate(house, 2).what == "dead letter"


def test_a_dismissed_letter_is_explained_for_each_event(house: House, door: Door) -> None:
    """Whichever of the batch it is about."""
    with asking(house) as person:
        assert person.ask("dismiss", "rolls", letter=1).outcome == "done"
    assert [fate(house, seq).what for seq in (1, 2)] == ["dismissed", "dismissed"]


def test_the_answer_to_a_retry_counts_the_events(house: House, door: Door) -> None:
    """And says that it was the batch of the letter."""
    door.error = None
    with asking(house) as person:
        answer = person.ask("retry", "rolls", letter=1)
    assert answer.text == "dead letter 1 was handled: rolls:door got its batch of 2 events"


def test_a_replayed_event_leaves_the_letter_of_its_batch(house: House, door: Door) -> None:
    """It is called with a batch of one; the letter is about the others too."""
    door.error = None
    with asking(house) as person:
        (entry,) = house.state.read(0, 1)
        event = ReplayEvent(entry.era, entry.seq, entry.event_id, entry.body)
        answer = person.ask("replay", "rolls", [event])
    assert answer.outcome == "done"
    assert house.calls == ["1 rolls.door"]
    assert [event.event_id for event in kept(house)] == [1, 2]
    assert len(house.state.dead_letters()) == 1


def test_a_letter_is_not_retried_once_its_callback_takes_single_events(
    house: House, door: Door
) -> None:
    """The answer says what to do instead."""
    house.plugin("rolls", door)
    with asking(house) as person:
        answer = person.ask("retry", "rolls", letter=1)
    assert answer.outcome == "refused"
    assert "takes single events now: dismiss it, and replay its events" in answer.text


def test_explain_and_status_tell_what_waits(house: House) -> None:
    """Until when, in a batch of how many; then that it was handled."""
    door = Door()
    door.error = None
    house.plugin("rolls", door, batch=BatchRules(LONG, LONG, 3))
    house.run()
    house.events(1, 2, **SHOT)
    house.run()
    outcome = fate(house, 2)
    assert outcome.what == "in a batch"
    assert outcome.text.startswith("waiting in a batch of 2 events until 20")
    overview = read_overview(house.folder, frozenset({"rolls"}))
    assert overview is not None
    assert [(one.batches, one.batched) for one in overview.plugins] == [(1, 2)]
    house.events(3, **SHOT)
    with house.running():
        wait_until(lambda: house.calls)
    assert fate(house, 2).what == "handled"


@pytest.mark.parametrize("workers", [1, 3])
def test_a_batch_at_which_a_plugin_is_stopped_can_be_skipped(house: House, workers: int) -> None:
    """By any of its events; it is explained as dismissed, and the plugin continues behind it."""
    if workers > 1:
        house.lane_settings["default"] = LaneSettings(workers=workers, order_by="entity")
    door = Door()
    house.plugin("rolls", door, batch=BatchRules(LONG, LONG, 2), on_error="pause")
    house.run()
    house.events(1, 2, 3, 4, **SHOT)
    with asking(house) as person:
        wait_until(lambda: house.records()["rolls"].state == "paused")
        assert person.ask("skip", "rolls", event_id=4).outcome == "refused"
        door.error = None
        answer = person.ask("skip", "rolls", event_id=2)
        assert answer.text == "it continues after a batch of 2 events"
        wait_until(lambda: house.state.store("rolls"))
    assert house.calls == ["1+2 rolls.door", "3+4 rolls.door"]
    assert house.state.store("rolls") == {"got": [3, 4]}
    assert [fate(house, seq).what for seq in (1, 2, 3)] == ["dismissed", "dismissed", "handled"]
    assert house.state.attempts() == {}


def test_what_a_batch_ignores_is_explained_for_each_event(house: House) -> None:
    """With the reason that the callback gives."""

    def door(events: Any, ctx: Any) -> None:
        ctx.ignore("no route for this project")

    house.plugin("rolls", door, batch=BatchRules(LONG, LONG, 2))
    house.run()
    house.events(1, 2, **SHOT)
    with house.running():
        wait_until(lambda: fate(house, 2).what == "ignored")
    assert [fate(house, seq).what for seq in (1, 2)] == ["ignored", "ignored"]
    assert "no route for this project" in fate(house, 2).text


def test_a_pause_keeps_the_batches(house: House) -> None:
    """Nothing of them is called until the plugin is resumed; later events join them."""
    door = Door()
    door.error = None
    house.plugin("rolls", door, batch=BatchRules(LONG, LONG, 3))
    house.run()
    house.events(1, 2, **SHOT)
    house.run()
    with asking(house) as person:
        assert person.ask("pause", "rolls").outcome == "done"
    house.events(3, **SHOT)
    house.run()
    assert house.calls == []
    with asking(house) as person:
        assert person.ask("resume", "rolls").outcome == "done"
        wait_until(lambda: house.calls)
    assert house.calls == ["1+2+3 rolls.door"]
