"""Deaths in a call: counted by what is known of them, given up as the plugin's policy says."""

from __future__ import annotations

from pathlib import Path

import pytest
from lane_house import House
from request_desk import letters

from sgevents_core.calling.deaths import UNKNOWN_CAUSE, died_too_often
from sgevents_core.crashes.evidence import EVIDENCE_FILE, DeathEvidence
from sgevents_core.crashes.giving_up import GivenUpCall, count_deaths
from sgevents_core.crashes.recovering import fold_registers, give_up_fatal_calls, recover
from sgevents_core.crashes.recovery import DoubtfulCall
from sgevents_core.state.keys import CallKey
from sgevents_core.state.progress import Progress
from sgevents_core.state.register import LANE_WORD, Register, lane_register_path
from sgevents_core.state.steps import CallDeaths, Step

CALL = DoubtfulCall(7, CallKey("alpha", "alpha:one"))
CRASH = DeathEvidence("it crashed", "here", "default")
WORDS = '@{"thread":4711,"lane":"default"}\n@{"thread":4711,"says":"it called os._exit(3)"}\n'


def died(proved: int, unproved: int) -> CallDeaths:
    """A call in which the process died so often."""
    return CallDeaths("alpha", "alpha:one", 7, proved, unproved, "somehow", "")


def test_death_with_a_proof_is_told_from_one_without() -> None:
    """Each is counted on its own; what is known of the last is kept."""
    (first,) = count_deaths([CALL], "default", None, [])
    assert (first.proved, first.unproved, first.how) == (0, 1, UNKNOWN_CAUSE)
    (second,) = count_deaths([CALL], "default", CRASH, [first])
    assert (second.proved, second.unproved) == (1, 1)
    assert (second.how, second.traceback) == ("it crashed", "here")
    (third,) = count_deaths([CALL], "default", None, [second])
    assert (third.proved, third.unproved, third.how) == (1, 2, "it crashed")


def test_lane_that_did_nothing_is_charged_nothing() -> None:
    """Where another lane's call ended the process, the call in hand is innocent."""
    assert count_deaths([CALL], "slow", CRASH, []) == []


def test_other_calls_do_not_count() -> None:
    """Deaths are counted in the very same call: callback and event."""
    other = CallDeaths("alpha", "alpha:one", 6, 1, 0, "x", "")
    (found,) = count_deaths([CALL], "default", CRASH, [other])
    assert (found.seq, found.proved) == (7, 1)


@pytest.mark.parametrize(
    ("proved", "unproved", "expected"),
    [(1, 0, False), (2, 0, True), (0, 4, False), (0, 5, True), (1, 3, False), (1, 4, True)],
)
def test_two_proved_deaths_or_five_of_any_kind_are_enough(
    proved: int, unproved: int, expected: bool
) -> None:
    """A callback that kills is given up soon, one that may be innocent late."""
    assert died_too_often(died(proved, unproved)) is expected


def die_in(house: House, callback: CallKey, seq: int, *, proof: bool = True) -> list[GivenUpCall]:
    """Let the process die in a call of the lane, and the next one start; what it gives up."""
    keys = [CallKey(one.plugin, one.name) for one in house.loaded().callbacks]
    (house.folder / EVIDENCE_FILE).write_text(WORDS if proof else "")
    register = Register(lane_register_path(house.folder, "default"), keys)
    attempt = house.state.attempts().get((callback, seq), 0) + 1
    register.slots[0].begun(LANE_WORD, seq, keys.index(callback), attempt)
    register.close()
    held_lanes = recover(house.settings(), house.loaded(), house.state)
    return give_up_fatal_calls(house.settings(), house.loaded(), held_lanes)


def test_call_is_made_a_dead_letter_at_the_second_death(house: House) -> None:
    """It is done for the lane, the callbacks behind it are called, and attempts are over."""
    house.plugin("alpha", "one", "two", "three")
    house.run()
    house.events(1, 2)
    assert die_in(house, CallKey("alpha", "alpha:two"), 1) == []
    (given_up,) = die_in(house, CallKey("alpha", "alpha:two"), 1)
    assert (given_up.failure_number, given_up.event.id, given_up.failure.attempt) == (1, 1, 2)
    assert "os._exit(3)" in letters(house)[0].failure.error
    assert house.deaths() == []
    assert house.state.attempts() == {}
    house.run()
    assert house.calls == ["1 alpha.three", "2 alpha.one", "2 alpha.two", "2 alpha.three"]


def test_plugin_on_its_own_way_is_given_up_there(house: House) -> None:
    """A call of a plugin that is catching up is done for that plugin, and nobody else."""
    house.plugin("alpha", "one", "two")
    house.run()
    house.events(1)
    record = house.records()["alpha"]
    record.stop_at(Progress(0))
    fence = house.state.take_lane("default")
    step = Step(progress=Progress(1), plugins=[record])
    step.deaths = [CallDeaths("alpha", "alpha:one", 1, 2, 0, "it died", "")]
    house.state.record("default", fence, step)
    held_lanes = recover(house.settings(), house.loaded(), house.state)
    assert len(give_up_fatal_calls(house.settings(), house.loaded(), held_lanes)) == 1
    house.run()
    assert house.calls == ["1 alpha.two"]


def test_plugin_that_pauses_on_errors_is_paused(house: House) -> None:
    """It stops at the event, as on_error says; resumed, it may die again and is paused."""
    house.plugin("alpha", "one", on_error="pause")
    house.plugin("beta", "one")
    house.run()
    house.events(1, 2)
    die_in(house, CallKey("alpha", "alpha:one"), 1)
    (given_up,) = die_in(house, CallKey("alpha", "alpha:one"), 1)
    assert given_up.plugin_record.state == "paused"
    assert letters(house) == []
    house.run()
    assert house.calls == ["1 beta.one", "2 beta.one"]
    record = house.records()["alpha"]
    assert "the process died 2 times" in record.reason
    record.state = "active"
    house.state.record("default", house.state.take_lane("default"), Step(plugins=[record]))
    house.run()
    assert house.calls[2:] == ["1 alpha.one#3", "2 alpha.one"]


def test_plugin_that_skips_errors_goes_on(house: House) -> None:
    """The failure is kept, no dead letter."""
    house.plugin("alpha", "one", on_error="skip")
    house.run()
    house.events(1, 2)
    die_in(house, CallKey("alpha", "alpha:one"), 1)
    assert die_in(house, CallKey("alpha", "alpha:one"), 1)[0].failure.outcome == "skip"
    assert letters(house) == []
    house.run()
    assert house.calls == ["2 alpha.one"]


def test_many_deadly_events_pause_the_plugin(house: House) -> None:
    """As many given up in a row as dead letters may be."""
    house.plugin("alpha", "one", pause_after=2)
    house.run()
    house.events(1, 2, 3)
    for seq in (1, 1, 2, 2):
        die_in(house, CallKey("alpha", "alpha:one"), seq)
    record = house.records()["alpha"]
    assert (record.state, record.failures) == ("paused", 2)
    assert len(letters(house)) == 2


def test_call_that_succeeds_forgets_its_deaths(house: House) -> None:
    """Five deaths in a row are meant, and a success ends the row."""
    house.plugin("alpha", "one")
    house.run()
    house.events(1)
    for _ in range(4):
        assert die_in(house, CallKey("alpha", "alpha:one"), 1, proof=False) == []
    house.run()
    assert house.calls == ["1 alpha.one#5"]
    assert house.deaths() == []


def test_deaths_are_counted_once(house: House) -> None:
    """A start that is itself cut off leaves nothing to be counted again."""
    house.plugin("alpha", "one")
    house.run()
    house.events(1)
    die_in(house, CallKey("alpha", "alpha:one"), 1)
    for _ in range(3):
        fold_registers(house.folder, house.state)
        recover(house.settings(), house.loaded(), house.state)
    assert [(one.proved, one.unproved) for one in house.deaths()] == [(1, 0)]


def test_secrets_are_kept_out(house: House, tmp_path: Path) -> None:
    """What a dying process said may hold a key."""
    house.plugin("alpha", "one")
    house.run()
    house.events(1)
    key = house.site.api_key.reveal()
    words = WORDS.replace("os._exit(3)", f"os.execv({key})")
    for attempt in (1, 2):
        (house.folder / EVIDENCE_FILE).write_text(words)
        keys = [CallKey("alpha", "alpha:one")]
        register = Register(lane_register_path(house.folder, "default"), keys)
        register.slots[0].begun(LANE_WORD, 1, 0, attempt)
        register.close()
        (house.folder / EVIDENCE_FILE).write_text(words)
        held_lanes = recover(house.settings(), house.loaded(), house.state)
    give_up_fatal_calls(house.settings(), house.loaded(), held_lanes)
    assert key not in letters(house)[0].failure.error
