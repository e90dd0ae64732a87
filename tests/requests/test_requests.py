"""What the daemon does when a person asks: pause, resume, skip; each once, at a boundary."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import Any

from lane_house import House, only, raising, without
from request_desk import asking
from waiting import PATIENCE, wait_until

from sgevents_core.errors import Retry
from sgevents_core.events import Event
from sgevents_core.state.opening import open_state

EVENTS = (1, 2, 3)


def test_paused_plugin_gets_nothing_and_loses_nothing(house: House) -> None:
    """Paused behind event 3, it gets 4 and 5 when it is resumed; the others never wait."""
    house.plugin("alpha", "one")
    house.plugin("beta", "one")
    with asking(house) as person:
        house.events(1, 2, 3)
        house.settle()
        answer = person.ask("pause", "alpha", reason="moving house")
        assert (answer.outcome, "behind the last event" in answer.text) == ("done", True)
        house.events(4, 5)
        wait_until(lambda: "5 beta.one" in house.calls)
        assert only(house.calls, "alpha") == ["1 alpha.one", "2 alpha.one", "3 alpha.one"]
        assert house.records()["alpha"].reason == "moving house"
        assert person.ask("resume", "alpha").outcome == "done"
        house.settle()
    assert only(house.calls, "alpha")[3:] == ["4 alpha.one", "5 alpha.one"]
    assert only(house.calls, "beta") == [f"{n} beta.one" for n in (1, 2, 3, 4, 5)]
    assert not house.records()["alpha"].apart


def test_pause_takes_effect_between_two_events(house: House) -> None:
    """A pause asked for in the middle of an event cuts it not in two."""
    began, go = threading.Event(), threading.Event()

    def slow(event: Event, ctx: Any) -> None:
        began.set()
        assert go.wait(PATIENCE)

    house.plugin("alpha", slow, "two")
    with asking(house) as person:
        house.events(1)
        assert began.wait(PATIENCE)
        number = person.note("pause", "alpha")
        person.poll()
        go.set()
        assert person.answer(number).outcome == "done"
        house.events(2)
        assert house.calls == ["1 alpha.slow", "1 alpha.two"]
        assert person.ask("resume", "alpha").outcome == "done"
        house.settle()
    assert house.calls == [f"{n} alpha.{c}" for n in (1, 2) for c in ("slow", "two")]


def test_busy_lane_hears_a_request_soon(house: House) -> None:
    """A thousand events that wait do not keep a pause waiting: a slice of time is enough."""

    def takes_a_while(event: Event, ctx: Any) -> None:
        time.sleep(0.002)

    house.plugin("alpha", takes_a_while)
    with asking(house) as person:
        house.events(*range(1, 1001))
        wait_until(lambda: house.calls)
        assert person.ask("pause", "alpha").outcome == "done"
        assert len(house.calls) < 500


def test_pause_and_resume_survive_a_restart(house: House) -> None:
    """A pause is a record, not a state of the process."""
    house.plugin("alpha", "one")
    with asking(house) as person:
        house.events(1)
        house.settle()
        person.ask("pause", "alpha")
    house.events(2)
    house.run()
    assert house.calls == ["1 alpha.one"]
    with asking(house) as person:
        person.ask("resume", "alpha")
        house.settle()
    assert house.calls == ["1 alpha.one", "2 alpha.one"]


def test_pausing_what_is_paused_changes_nothing(house: House) -> None:
    """It says since when, that is why, it is paused."""
    house.plugin("alpha", "one")
    with asking(house) as person:
        person.ask("pause", "alpha", reason="first")
        answer = person.ask("pause", "alpha", reason="second")
    assert (answer.outcome, answer.text) == ("done", "it is paused already: first")
    assert house.records()["alpha"].reason == "first"


def test_unknown_plugin_is_refused(house: House) -> None:
    """A name that was never enabled is a mistake."""
    house.plugin("alpha", "one")
    with asking(house) as person:
        answer = person.ask("pause", "alhpa")
    assert answer.outcome == "refused"
    assert "alhpa" in answer.text


def test_plugin_that_is_not_loaded_can_be_paused(house: House) -> None:
    """Any lane sees to a plugin that rides with none, and its record is what changes."""
    house.plugin("alpha", "one")
    house.plugin("beta", "one")
    house.run()
    house.plugin("alpha", "one", enabled=False)
    with asking(house) as person:
        assert person.ask("pause", "alpha").outcome == "done"
        assert house.records()["alpha"].state == "paused"
        assert person.ask("resume", "alpha").outcome == "done"
    assert house.records()["alpha"].state == "active"


def test_resume_ends_a_hold_at_once(house: House) -> None:
    """A plugin that waits to try again tries at once, as often as somebody says so."""
    tries: list[int] = []

    def later(event: Event, ctx: Any) -> None:
        tries.append(ctx.attempt)
        if ctx.attempt < 3:
            raise Retry(after=3600)

    house.plugin("alpha", later)
    with asking(house) as person:
        house.events(1)
        for turn in (1, 2):
            wait_until(lambda turn=turn: len(tries) == turn)  # type: ignore[misc]  # bound as a default
            wait_until(lambda: house.records()["alpha"].state == "held")
            assert person.ask("resume", "alpha").text == "no longer held"
        house.settle()
    assert tries == [1, 2, 3]


def test_resume_forgets_failures_in_a_row(house: House) -> None:
    """A plugin paused for failing too often may fail as often again before the next pause."""
    house.plugin("alpha", raising(ValueError("no")), pause_after=2)
    with asking(house) as person:
        house.events(1, 2, 3, 4, 5)
        wait_until(lambda: house.records()["alpha"].state == "paused")
        assert len(house.calls) == 2
        person.ask("resume", "alpha")
        wait_until(lambda: len(house.calls) == 4)
        wait_until(lambda: house.records()["alpha"].state == "paused")
    assert house.records()["alpha"].failures == 2


class TestSkip:
    """A plugin that stands at an event goes on behind it."""

    def test_paused_plugin_goes_on_behind_the_event(self, house: House) -> None:
        """The callback that failed is not called again, nor are those behind it for that event."""
        house.plugin("alpha", "one", raising(ValueError("no"), on=[2]), "three", on_error="pause")
        house.plugin("beta", "one")
        with asking(house) as person:
            house.events(*EVENTS)
            wait_until(lambda: house.records()["alpha"].state == "paused")
            answer = person.ask("skip", "alpha", event_id=2)
            assert (answer.outcome, answer.text) == ("done", "it continues after event 2")
            house.settle()
        assert only(house.calls, "alpha") == [
            *("1 alpha.one", "1 alpha.fails", "1 alpha.three"),
            *("2 alpha.one", "2 alpha.fails"),
            *("3 alpha.one", "3 alpha.fails", "3 alpha.three"),
        ]
        assert without(house.calls, "alpha") == ["1 beta.one", "2 beta.one", "3 beta.one"]

    def test_held_plugin_goes_on_behind_the_event(self, house: House) -> None:
        """Its attempts for the event are over: none is counted for what comes."""
        house.plugin("alpha", raising(Retry(after=3600), on=[1]))
        with asking(house) as person:
            house.events(1, 2)
            wait_until(lambda: house.records()["alpha"].state == "held")
            assert person.ask("skip", "alpha", event_id=1).outcome == "done"
            house.settle()
        assert house.calls == ["1 alpha.fails", "2 alpha.fails"]
        assert house.state.attempts() == {}

    def test_plugin_that_stands_elsewhere_is_refused(self, house: House) -> None:
        """It says where it stands, and nothing is changed."""
        house.plugin("alpha", raising(ValueError("no"), on=[2]), on_error="pause")
        with asking(house) as person:
            house.events(*EVENTS)
            wait_until(lambda: house.records()["alpha"].state == "paused")
            answer = person.ask("skip", "alpha", event_id=3)
        assert (answer.outcome, answer.text) == ("refused", "it stands at event 2, not at event 3")
        assert house.records()["alpha"].state == "paused"

    def test_plugin_that_is_neither_held_nor_paused_is_refused(self, house: House) -> None:
        """What works is not skipped over."""
        house.plugin("alpha", "one")
        with asking(house) as person:
            house.events(1)
            house.settle()
            answer = person.ask("skip", "alpha", event_id=1)
        assert answer.outcome == "refused"
        assert house.records()["alpha"].cursor == 0 or not house.records()["alpha"].apart


def test_request_is_carried_out_once(house: House) -> None:
    """An answered request stays answered, whoever looks at it again."""
    house.plugin("alpha", "one")
    with asking(house) as person:
        number = person.note("pause", "alpha", reason="x")
        person.poll()
        person.answer(number)
        person.ask("resume", "alpha")
    with asking(house) as again:
        again.poll()
        assert again.answer(number).outcome == "done"
    assert house.records()["alpha"].state == "active"


def test_request_that_breaks_is_answered(house: House) -> None:
    """A mistake of ours costs the request, and no lane."""
    house.plugin("alpha", "one")
    with asking(house) as person:
        answer = person.ask("skip", "alpha")  # it does not say which event
        house.events(1)
        house.settle()
    assert answer.outcome == "failed"
    assert "KeyError" in answer.text
    assert house.calls == ["1 alpha.one"]


def test_reset_is_the_feed_s(house: House) -> None:
    """Requests about the feed go to the feed."""
    house.plugin("alpha", "one")
    with asking(house) as person:
        person.note("reset", "", era=1)
        person.poll()
        person.poll()
        assert [request.kind for request in person.of_the_feed] == ["reset"]


def test_old_answers_are_forgotten(house: House) -> None:
    """Requests that were answered long ago leave the state, others stay."""
    house.plugin("alpha", "one")
    with asking(house) as person:
        person.ask("pause", "alpha")
    with closing(open_state(house.folder).requests()) as requests:
        requests.ask("resume", "alpha", {}, "anna")
        requests.forget(answered_before=4_000_000_000)
        assert requests.answer_of(1) is None
        assert [request.kind for request in requests.waiting()] == ["resume"]
