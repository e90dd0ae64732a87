"""Retries and replays that meet an outage of the site: they wait for it, and hold up nobody."""

from __future__ import annotations

from typing import Any

import pytest
from lane_house import House
from request_desk import Asking, asking, kept_event, letter, letters
from waiting import wait_until

from sgevents_core.events import Event


class Writes:
    """A callback that fails by a bug, because the site is down, or not at all."""

    def __init__(self) -> None:
        self.fails = "bug"

    def run(self, event: Event, ctx: Any) -> None:
        """Be called."""
        if self.fails == "bug":
            raise ValueError("a bug")
        if self.fails == "site":
            ctx.sg.update("Shot", 1, {"code": "x"})


@pytest.fixture
def writes(house: House) -> Writes:
    """A plugin with one callback, and one behind it that does nothing."""
    made = Writes()
    house.plugin("alpha", made.run, "second")
    return made


def put_off(house: House, person: Asking, kind: str, *events: Any, **detail: Any) -> int:
    """Ask for something, and wait until it waits for the site."""
    number = person.note(kind, "alpha", events, **detail)
    person.poll()
    wait_until(lambda: house.health.is_wanted and not house.lanes[0].errands)
    house.site_is_down()
    return number


def test_retry_waits_for_the_site(house: House, writes: Writes) -> None:
    """It is made again when the site answers, is the same attempt, and settles the letter."""
    with asking(house) as person:
        house.events(1)
        house.settle()
        writes.fails = "site"
        number = put_off(house, person, "retry", letter=1)
        assert person.ask("pause", "alpha").outcome == "done"
        assert person.ask("resume", "alpha").outcome == "done"
        for _ in range(4):  # more often than a call may die
            house.site_answers()
            wait_until(lambda: house.health.is_wanted and not house.lanes[0].errands)
            house.site_is_down()
        writes.fails = ""
        house.site_answers()
        assert person.answer(number).outcome == "done"
    assert letters(house) == []
    assert letter(house, 1).failure.attempt == 2
    assert {call for call in house.calls if "#" in call} == {"1 alpha.run#2"}


def test_retry_that_fails_by_its_own_fault(house: House, writes: Writes) -> None:
    """Where others are answered it has failed again, and is not called a second time."""
    with asking(house) as person:
        house.events(1)
        house.settle()
        writes.fails = "site"
        number = person.note("retry", "alpha", letter=1)
        person.poll()
        wait_until(lambda: house.health.is_wanted and not house.lanes[0].errands)
        house.site_answers()
        assert person.answer(number).outcome == "failed"
    assert [one.number for one in letters(house)] == [1]
    assert house.calls.count("1 alpha.run#2") == 1


def test_replay_waits_for_the_site(house: House, writes: Writes) -> None:
    """It goes on at the callback that failed; what was done before is not done again."""
    writes.fails = ""
    with asking(house) as person:
        house.events(1, 2)
        house.settle()
        house.calls.clear()
        house.plugin("beta", "run")
        writes.fails = "site"
        events = [kept_event(house, 1), kept_event(house, 2)]
        number = put_off(house, person, "replay", *events)
        writes.fails = ""
        house.site_answers()
        answer = person.answer(number)
    assert (answer.outcome, answer.text) == ("done", "replayed 2 events in 4 calls")
    assert house.calls == [
        "1 alpha.run", "1 alpha.run", "1 alpha.second", "2 alpha.run", "2 alpha.second"
    ]  # fmt: skip
    assert letters(house) == []


def test_replay_that_fails_by_its_own_fault(house: House, writes: Writes) -> None:
    """Each event becomes a dead letter, once, and the replay goes on behind it."""
    writes.fails = ""
    with asking(house) as person:
        house.events(1)
        house.settle()
        house.calls.clear()
        writes.fails = "site"
        number = person.note("replay", "alpha", [kept_event(house, 1)])
        person.poll()
        wait_until(lambda: house.health.is_wanted and not house.lanes[0].errands)
        house.site_answers()
        assert person.answer(number).outcome == "failed"
    assert house.calls == ["1 alpha.run", "1 alpha.second"]
    assert len(letters(house)) == 1


def test_requests_that_wait_are_carried_out_after_a_restart(house: House, writes: Writes) -> None:
    """What waited for the site is asked for still."""
    with asking(house) as person:
        house.events(1)
        house.settle()
        writes.fails = "site"
        number = put_off(house, person, "retry", letter=1)
    writes.fails = ""
    with asking(house) as person:
        person.poll()
        assert person.answer(number).outcome == "done"
    assert letters(house) == []
