"""What people can ask of a plugin whose callback does not return, and calls asked for that hang."""

from __future__ import annotations

import pytest
from hanging import SOON, Door
from lane_house import House, only
from request_desk import asking, kept_event, letters
from waiting import PATIENCE, wait_until

from sgevents_core.events import Event
from sgevents_core.state.keys import CallKey


def hang(house: House, *events: int) -> None:
    """Let a plugin hang at the first of some events."""
    house.events(*events)
    wait_until(lambda: house.records()["hangs"].state == "held")


def active(house: House) -> bool:
    """Whether the plugin goes on."""
    return house.records()["hangs"].state == "active"


def test_resume_is_refused_and_says_what_it_waits_for(house: House) -> None:
    """Nobody can end the call from here; the plugin continues by itself when it returns."""
    door = Door(1)
    house.plugin("hangs", door, timeout=SOON)
    with asking(house) as person:
        hang(house, 1, 2)
        answer = person.ask("resume", "hangs")
        assert answer.outcome == "refused"
        assert "hangs:door has not returned within 50ms" in answer.text
        assert "until the daemon starts anew" in answer.text
        door.opened.set()
        wait_until(lambda: active(house))
        house.settle()
    assert house.calls == ["1 hangs.door", "2 hangs.door"]


def test_paused_and_resumed_it_still_waits(house: House) -> None:
    """A pause holds after the return; a resume before it makes the plugin held again."""
    door = Door(1)
    house.plugin("hangs", door, timeout=SOON)
    with asking(house) as person:
        hang(house, 1, 2)
        assert person.ask("pause", "hangs").outcome == "done"
        answer = person.ask("resume", "hangs")
        assert answer.outcome == "done"
        assert "no longer paused; hangs:door has not returned" in answer.text
        assert house.records()["hangs"].state == "held"
        assert person.ask("pause", "hangs").outcome == "done"
        door.opened.set()
        assert door.passed.wait(PATIENCE)
        assert person.ask("resume", "hangs").outcome == "done"
        house.settle()
    assert house.calls == ["1 hangs.door", "2 hangs.door"]


def test_skip_passes_over_the_event_and_waits(house: House) -> None:
    """The rest of the event is given up; no callback runs beside the one that hangs."""
    door = Door(1)
    house.plugin("hangs", door, "second", timeout=SOON)
    with asking(house) as person:
        hang(house, 1, 2)
        assert person.ask("skip", "hangs", event_id=1).outcome == "done"
        house.settle()
        assert house.calls == ["1 hangs.door"]
        assert house.records()["hangs"].state == "held"
        door.opened.set()
        wait_until(lambda: active(house))
        house.settle()
    assert house.calls == ["1 hangs.door", "2 hangs.door", "2 hangs.second"]


def test_skip_of_the_last_event_keeps_it_apart(house: House) -> None:
    """Exactly where its lane is, it does not ride with it before the call is back."""
    door = Door(1)
    house.plugin("hangs", door, timeout=SOON)
    with asking(house) as person:
        hang(house, 1)
        assert person.ask("skip", "hangs", event_id=1).outcome == "done"
        house.events(2)
        house.settle()
        assert house.calls == ["1 hangs.door"]
        door.opened.set()
        wait_until(lambda: active(house))
        house.settle()
    assert house.calls == ["1 hangs.door", "2 hangs.door"]


@pytest.mark.parametrize("kind", ["retry", "replay"])
def test_nothing_is_called_again_while_it_hangs(house: House, kind: str) -> None:
    """A clear answer instead; the same request works once the call is back."""
    door = Door(1)
    house.plugin("hangs", door, timeout=SOON)
    with asking(house) as person:
        hang(house, 1, 2)

        def ask() -> str:
            if kind == "retry":
                return person.ask("retry", "hangs", letter=letters(house)[0].number).outcome
            return person.ask("replay", "hangs", [kept_event(house, 1)]).outcome

        assert ask() in {"refused", "failed"}
        assert house.calls == ["1 hangs.door"]
        door.opened.set()
        wait_until(lambda: active(house))
        house.settle()
        assert ask() == "done"
    assert house.calls == ["1 hangs.door", "2 hangs.door", "1 hangs.door" + _again(kind)]
    assert letters(house) == []


def _again(kind: str) -> str:
    return "#2" if kind == "retry" else ""


def test_retry_that_hangs_holds_the_plugin_only(house: House) -> None:
    """It stays a dead letter; the plugin, which rode along, waits; others go on."""
    door = Door(1)

    def fails_first(event: Event, ctx: object) -> None:
        if event.id == 1 and len(house.calls) < 3:
            raise ValueError("no")
        door(event, ctx)

    house.plugin("hangs", fails_first, timeout=SOON)
    house.plugin("good", "run")
    with asking(house) as person:
        house.events(1)
        house.settle()
        answer = person.ask("retry", "hangs", letter=letters(house)[0].number)
        assert answer.outcome == "failed"
        assert "did not return within 50ms" in answer.text
        assert house.records()["hangs"].state == "held"
        house.events(2)
        house.settle()
        assert only(house.calls, "good") == ["1 good.run", "2 good.run"]
        door.opened.set()
        wait_until(lambda: active(house))
        house.settle()
    assert house.calls[-1] == "2 hangs.fails_first"
    assert len(letters(house)) == 1
    assert house.state.store("hangs") == {}


def test_replay_that_hangs_stops_there(house: House) -> None:
    """What is not replayed is said; nothing late reaches the store."""
    door = Door(2, then=lambda event, ctx: ctx.store.update(late=True))
    door.on = ()
    house.plugin("hangs", door, "second", timeout=SOON)
    with asking(house) as person:
        house.events(1, 2, 3)
        house.settle()
        house.calls.clear()
        door.on = (2,)
        answer = person.ask("replay", "hangs", [kept_event(house, n) for n in (1, 2, 3)])
        assert answer.outcome == "failed"
        assert "event 2 and those behind it are not replayed" in answer.text
        house.events(4)
        house.settle()
        assert house.records()["hangs"].state == "held"
        assert house.calls == ["1 hangs.door", "1 hangs.second", "2 hangs.door"]
        door.opened.set()
        wait_until(lambda: active(house))
        house.settle()
    assert house.calls[3:] == ["4 hangs.door", "4 hangs.second"]
    assert [one.failure.event_id for one in letters(house)] == [2]
    assert house.state.store("hangs") == {}


def test_skip_forgets_the_attempts(house: House) -> None:
    """Ledger and lane count none for the event any more, and all of other events'."""

    def fails(event: Event, ctx: object) -> None:
        if event.id == 1:
            raise ConnectionError("gone")

    house.plugin("held", fails, "second")
    with asking(house) as person:
        house.events(1)
        wait_until(lambda: house.records()["held"].state == "held")
        lane = house.lanes[0]
        lane._strand.caller._attempts_by_call[CallKey("other", "other:fails"), 1] = 3
        assert (CallKey("held", "held:fails"), 1) in house.state.attempts()
        assert (CallKey("held", "held:fails"), 1) in lane._strand.caller._attempts_by_call
        assert person.ask("skip", "held", event_id=1).outcome == "done"
        assert house.state.attempts() == {}
        assert lane._strand.caller._attempts_by_call == {(CallKey("other", "other:fails"), 1): 3}
