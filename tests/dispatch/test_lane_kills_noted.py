"""A process that dies between two notes of the same call: what the ledger has, counts once."""

from __future__ import annotations

from typing import Any

import pytest
from lane_house import House
from waiting import wait_until

from sgevents_core import Retry
from sgevents_core.crashes.recovering import recover
from sgevents_core.dispatch.ledger import LaneLedger
from sgevents_core.events import Event
from sgevents_core.filters import Match
from sgevents_core.state import register
from sgevents_core.state.keys import CallKey
from sgevents_core.state.steps import Step

pytestmark = pytest.mark.disk


class Died(BaseException):
    """Ends a lane as a kill does: nothing more is written, and its register is left behind."""


def die_behind_failure(patch: pytest.MonkeyPatch, number: int) -> None:
    """Let the lane die as soon as so many failures are in the ledger."""
    real, failures = LaneLedger.record, []

    def record(ledger: LaneLedger, step: Step) -> int:
        result = real(ledger, step)
        if step.failure is not None:
            failures.append(step.failure)
        if step.failure is not None and len(failures) == number:
            raise Died
        return result

    patch.setattr(LaneLedger, "record", record)


def run_until_it_dies(house: House, failure: int) -> None:
    """Run the lane until it dies behind a failure that was just written down."""
    errors: list[BaseException] = []
    with pytest.MonkeyPatch.context() as patch:
        die_behind_failure(patch, failure)
        with house.running(errors):
            wait_until(lambda: not house.threads[0].is_alive())
    assert [type(error) for error in errors] == [Died]


@pytest.mark.parametrize("failure", [1, 2, 3])
def test_killed_behind_the_note_of_a_failed_attempt(house: House, failure: int) -> None:
    """With its lane or on its own: each attempt is made once, and no death is charged to it."""

    def fails(event: Event, ctx: Any) -> None:
        if ctx.attempt < 4:
            raise Retry(after=0)

    house.plugin("alpha", "one", fails, "three")
    house.run()
    house.events(1)
    run_until_it_dies(house, failure)
    with house.running():
        assert house.deaths() == []
        wait_until(lambda: house.calls[-1:] == ["1 alpha.three"])
    attempts = ["1 alpha.fails", *(f"1 alpha.fails#{n}" for n in (2, 3, 4))]
    assert house.calls == ["1 alpha.one", *attempts, "1 alpha.three"]


def test_killed_behind_the_note_that_a_plugin_stops(house: House) -> None:
    """A plugin that pauses on errors, on its own way already: its failure is no death."""

    def fails(event: Event, ctx: Any) -> None:
        raise Retry(after=0) if ctx.attempt < 2 else ValueError

    house.plugin("alpha", fails, on_error="pause")
    house.run()
    house.events(1)
    run_until_it_dies(house, 2)
    house.run()
    assert (house.records()["alpha"].state, house.deaths()) == ("paused", [])
    assert house.state.attempts() == {(CallKey("alpha", "alpha:fails"), 1): 2}


@pytest.mark.parametrize("word", [register.LANE_WORD, register.APART_WORD])
def test_killed_while_a_start_counts_a_death(house: House, word: int) -> None:
    """The next start finds the same register, and counts the same death no second time."""
    house.plugin("alpha", "one")
    house.run()
    house.events(1)
    if word == register.APART_WORD:
        record = house.records()["alpha"]
        record.apart = True
        house.state.record("default", house.state.take_lane("default"), Step(plugins=[record]))
    path = register.lane_register_path(house.folder, "default")
    left = register.Register(path, [CallKey("alpha", "alpha:one")])
    left.slots[0].begun(word, 1, 0)
    left.close()
    content = path.read_bytes()
    for _ in range(2):
        path.write_bytes(content)
        recover(house.settings(), house.loaded(), house.state)
    assert [death.unproved for death in house.deaths()] == [1]
    assert house.state.attempts() == {(CallKey("alpha", "alpha:one"), 1): 1}


def test_filter_in_code_is_part_of_the_call(house: House) -> None:
    """A `where` that ends the process, or hangs, is known by the register like a callback."""
    seen: list[register.NotedCall | None] = []

    def where(event: Event) -> bool:
        seen.append(
            register.read_register(register.lane_register_path(house.folder, "default")).of().lane
        )
        seen_in_hand.extend(house.lanes[0].running_calls())
        return event.id == 2

    seen_in_hand: list[Any] = []
    house.plugin("alpha", "one", match=Match(where=where))
    house.run()
    house.events(1, 2)
    house.run()
    assert [(one.seq, one.returned) for one in seen if one] == [(1, False), (2, False)]
    assert [(seq, callback.name) for seq, callback, _ in seen_in_hand] == [
        (1, "alpha:one"), (2, "alpha:one")
    ]  # fmt: skip
    assert house.calls == ["2 alpha.one"]


def test_filter_in_code_is_asked_last(house: House) -> None:
    """An event that other conditions rule out costs no call of a plugin's code."""
    asked: list[int] = []

    def where(event: Event) -> bool:
        asked.append(event.id)
        return True

    house.plugin("alpha", "one", match=Match(entity_type=("Shot",), where=where))
    house.run()
    house.events(1)
    house.run()
    assert (asked, house.calls) == ([], [])
