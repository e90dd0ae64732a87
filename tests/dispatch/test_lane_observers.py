"""Who is told when calls begin and end: each call once, however it is made."""

from __future__ import annotations

import logging
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from journal_rows import event_row
from lane_house import House, raising
from observed_calls import Diary
from waiting import wait_until

from sgevents_core.dispatch.lane import Lane
from sgevents_core.filters import Match
from sgevents_core.observe.observers import CallObserver, CallObservers
from sgevents_core.requests.carrying_out import carry_out
from sgevents_core.state.opening import open_state
from sgevents_core.state.requests import ReplayEvent


@pytest.fixture
def diary(house: House) -> Diary:
    """What is told of the house's calls."""
    diary = Diary()
    house.observers.append(diary)
    return diary


def test_calls_are_told_one_after_another(house: House, diary: Diary) -> None:
    """Each when it begins and when it is over, with what it raised; the next begins after that."""
    house.plugin("alpha", "first", raising(ValueError("no")))
    with house.running():
        house.events(1, 2)
        house.settle()
    assert diary.heard == [
        line
        for event in (1, 2)
        for line in (
            f"began {event} alpha.first",
            f"returned {event} alpha.first",
            f"began {event} alpha.fails",
            f"ValueError {event} alpha.fails",
        )
    ]


def test_event_that_no_filter_wants_is_no_call(house: House, diary: Diary) -> None:
    """A filter that is code has its turn like a call; one that is not asks nobody."""
    house.plugin("asks", "run", match=Match(where=lambda event: event.id == 2))
    house.plugin("types", "run", match=Match(event_type=("Shotgun_Shot_*",)))
    with house.running():
        house.events(1, 2)
        house.settle()
    assert diary.heard == [
        "began 1 asks.run",
        "passed 1 asks.run",
        "began 2 asks.run",
        "returned 2 asks.run",
    ]


def test_limit_of_a_call_is_told(house: House, diary: Diary) -> None:
    """What a plugin's `timeout` allows; None where a call may take as long as it takes."""
    house.plugin("limited", "run", timeout=30.0)
    house.plugin("free", "run")
    with house.running():
        house.events(1)
        house.settle()
    assert [line.split()[0] for line in diary.heard] == ["began", "returned"] * 2
    assert diary.limits == [30.0, None]


@pytest.mark.parametrize("timeout", [None, 30.0])
def test_calls_that_a_person_asked_for_are_told(
    house: House, diary: Diary, tmp_path: Path, timeout: float | None
) -> None:
    """A replay is made of calls like any other, in the lane's thread or the plugin's own."""
    odd = Match(where=lambda event: event.id == 1)
    house.plugin("alpha", "run", match=odd, timeout=timeout)
    with house.running(), closing(open_state(house.folder).requests()) as requests:
        events = [ReplayEvent(0, 0, id_, event_row(id_).body) for id_ in (1, 2)]
        number = requests.ask("replay", "alpha", {}, "anna@host", events)
        house.lanes[0].post(partial(_carry_out, number, house.folder))
        wait_until(lambda: len(diary.heard) == 4)
    assert diary.heard == [
        "began 1 alpha.run asked for",
        "returned 1 alpha.run asked for",
        "began 2 alpha.run asked for",
        "passed 2 alpha.run asked for",
    ]
    assert diary.limits == [timeout] * 2


def _carry_out(number: int, folder: Path, lane: Lane) -> bool:
    return carry_out(number, lane, folder)


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_log_has_each_call_that_returned_at_level_debug(
    house: House, caplog: pytest.LogCaptureFixture, level: int
) -> None:
    """With its plugin, callback and event; a call that raised is not among them."""
    house.plugin("alpha", "first", raising(ValueError("no")))
    with caplog.at_level(level, "sgevents.timing"), house.running():
        house.events(1, 2)
        house.settle()
    logged = [vars(record) for record in caplog.records if record.name == "sgevents.timing"]
    assert [(one["callback"], one["event_id"]) for one in logged] == (
        [("alpha:first", 1), ("alpha:first", 2)] if level == logging.DEBUG else []
    )


def test_what_an_observer_does_not_hear_of_costs_nothing() -> None:
    """Only what it overrides is called."""
    diary, deaf = Diary(), CallObserver()
    observers = CallObservers([deaf, diary])
    assert observers.began == (diary.began,)
    assert observers.ended == (diary.ended,)
    assert observers.passed == (diary.passed,)
