"""The judge: from what a call came to, and what is known about it, to what follows."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.calling.judging import (
    REPEATED_RULES,
    RETURNED,
    Circumstances,
    Decision,
    WorkerEnd,
    judge_call,
    step_for,
)
from sgevents_core.calling.outcome import CallOutcome, ErrorFacts, RaisedError
from sgevents_core.calling.policy import LONGEST_HOLD, FailureRules
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress

WAITS = st.none() | st.floats(0, LONGEST_HOLD)
FACTS = st.builds(ErrorFacts, st.booleans(), st.booleans(), WAITS, st.booleans())
ERRORS = st.builds(RaisedError, st.just("E"), st.text(max_size=5), st.just(""), FACTS)
OUTCOMES = st.builds(
    CallOutcome, error=st.none() | ERRORS, timed_out=st.booleans(), site_unanswered=st.booleans()
)
RULES = st.builds(
    FailureRules,
    st.sampled_from(["dead-letter", "pause", "skip"]),
    st.integers(1, 4),
    st.integers(1, 4),
)
CIRCUMSTANCES = st.builds(
    Circumstances,
    RULES,
    attempt=st.integers(1, 5),
    failures=st.integers(1, 5),
    is_site_down=st.none() | st.booleans(),
    hang_reason=st.sampled_from([None, "it hangs"]),
    loop_reason=st.sampled_from([None, "it loops"]),
    worker_end=st.builds(
        WorkerEnd, st.booleans(), st.floats(0.1, 60), st.sampled_from(["", "it ends workers"])
    ),
    jitter=st.floats(0, 1),
)
KEYS = [CallKey(plugin, f"m:{name}") for plugin in ("one", "two") for name in "abc"]
KEY = KEYS[1]
BUG = RaisedError("ValueError", "ValueError: no")
PASSES = RaisedError("E", "E: later", facts=ErrorFacts(is_transient=True))


def decide(error: RaisedError | None, rules: FailureRules, **known: Any) -> Decision:
    """Judge a call that raised an error, or returned."""
    unanswered = known.pop("site_unanswered", False)
    outcome = CallOutcome(error=error, site_unanswered=unanswered)
    return judge_call(outcome, Circumstances(rules, **known))


@given(OUTCOMES, CIRCUMSTANCES)
def test_decisions_are_consistent(outcome: CallOutcome, known: Circumstances) -> None:
    """A plugin that does not stay has a reason; only a failure has an outcome, and each has one.

    Either the callback is finished with the event, or the plugin stops there to be called again.
    """
    decision = judge_call(outcome, known)
    assert decision.stays is not bool(decision.reason) or decision.action == "hold"
    assert decision.is_finished is (decision.outcome in {"", "dead-letter", "skip"}) or (
        decision.action == "wait for site"
    )
    assert decision.is_finished or not decision.stays
    is_judged = outcome.error is not None and decision.action != "wait for site"
    assert bool(decision.outcome) is is_judged
    assert 0 <= decision.hold_seconds <= LONGEST_HOLD
    assert (decision.hold_seconds > 0) <= (decision.action == "hold")


@given(OUTCOMES, CIRCUMSTANCES)
def test_failure_is_retried_only_while_attempts_are_left(
    outcome: CallOutcome, known: Circumstances
) -> None:
    """And only if it is transient or the plugin asked for it."""
    decision = judge_call(outcome, known)
    if decision.outcome == "retry":
        assert outcome.error is not None
        if known.worker_end.is_repeated:
            return
        assert known.attempt < known.rules.max_attempts
        assert outcome.error.facts.asks_retry or outcome.error.facts.is_transient


@given(OUTCOMES, CIRCUMSTANCES)
def test_waiting_for_the_site_costs_nothing(outcome: CallOutcome, known: Circumstances) -> None:
    """It has neither outcome nor end, and does not happen where the call is judged now."""
    decision = judge_call(outcome, known)
    if decision.action == "wait for site":
        assert (decision.outcome, decision.is_finished) == ("", False)
        assert known.is_site_down is not None
        assert known.rules.on_error != "skip"
    assert judge_call(outcome, known._replace(is_site_down=None)).action != "wait for site"


@given(OUTCOMES, CIRCUMSTANCES)
def test_hang_and_loop_stop_only_a_plugin_that_would_stay(
    outcome: CallOutcome, known: Circumstances
) -> None:
    """They change nothing about what becomes of the failure; a hang comes first."""
    alone = known.worker_end._replace(slow_reason="")
    plain = judge_call(
        outcome, known._replace(hang_reason=None, loop_reason=None, worker_end=alone)
    )
    decision = judge_call(outcome, known)
    assert (decision.outcome, decision.is_finished) == (plain.outcome, plain.is_finished)
    if not plain.stays:
        assert decision == plain
    elif known.hang_reason:
        assert (decision.action, decision.reason) == ("wait for call", "it hangs")
    elif known.loop_reason:
        assert (decision.action, decision.reason) == ("pause", "it loops")
    elif known.worker_end.slow_reason:
        assert (decision.action, decision.reason) == ("hold", "it ends workers")
        assert decision.hold_seconds == known.worker_end.wait_seconds


@given(OUTCOMES, CIRCUMSTANCES)
def test_call_that_ended_its_process_is_repeated_until_that_is_enough(
    outcome: CallOutcome, known: Circumstances
) -> None:
    """Whatever the policy, the attempts or the error say, the count of deaths decides."""
    repeated = known._replace(worker_end=WorkerEnd(is_repeated=True, wait_seconds=2.0))
    decision = judge_call(outcome, repeated)
    if outcome.error is not None and decision.action != "wait for site":
        assert decision == Decision("retry", False, "hold", outcome.error.line, 2.0)


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (decide(None, FailureRules()), RETURNED),
        (decide(BUG, FailureRules()), Decision("dead-letter")),
        (decide(BUG, FailureRules("skip")), Decision("skip")),
        (
            decide(BUG, FailureRules("pause")),
            Decision("pause", False, "pause", 'on_error = "pause": ValueError: no'),
        ),
        (
            decide(BUG, FailureRules(pause_after=3), failures=3),
            Decision(
                "dead-letter", True, "pause", "3 failures in a row, the last: ValueError: no"
            ),
        ),
        (decide(BUG, FailureRules(pause_after=3), failures=2), Decision("dead-letter")),
        (decide(BUG, FailureRules("skip", pause_after=1), failures=9), Decision("skip")),
        (
            decide(PASSES, FailureRules(), jitter=1.0),
            Decision("retry", False, "hold", "E: later", 1.0),
        ),
        (
            decide(PASSES, FailureRules(), is_site_down=True),
            Decision("", False, "wait for site", "waits for the site: E: later"),
        ),
        (decide(PASSES, FailureRules("skip"), is_site_down=True), Decision("skip")),
        (decide(BUG, FailureRules(), is_site_down=True), Decision("dead-letter")),
        (
            decide(BUG, FailureRules(), is_site_down=False, site_unanswered=True),
            Decision("", False, "wait for site", "waits for the site: ValueError: no"),
        ),
        (decide(PASSES, REPEATED_RULES, failures=99), Decision("dead-letter")),
    ],
)  # fmt: skip
def test_each_kind_of_outcome(decision: Decision, expected: Decision) -> None:
    """The policy of the callback decides; the reasons are those that people see."""
    assert decision == expected


@given(
    st.sampled_from([RETURNED, Decision("skip"), Decision("retry", False, "hold", "E"),
                     Decision("dead-letter", True, "pause", "E")]),
    st.booleans(),
    st.integers(1, 5),
    st.frozensets(st.sampled_from([key for key in KEYS if key != KEY])),
)  # fmt: skip
def test_step_moves_lane_and_plugin(
    decision: Decision, apart: bool, seq: int, done: frozenset[CallKey]
) -> None:
    """The lane passes the callback in any case; a plugin that leaves stands before or after it.

    A plugin separate from its lane moves by itself, and its lane is left alone.
    """
    before = Progress.at(seq, done)
    record = PluginRecord("one", "lane")
    if apart:
        record.stop_at(before.of("one"))
    was = copy.copy(record)
    step = step_for(decision, record, before, KEY)
    assert step.plugins == [record]
    assert step.progress == (None if apart else before.with_done(KEY))
    assert record.apart is (apart or not decision.stays)
    if record.apart:
        position = record.progress
        assert position.running == seq
        assert (KEY in position.done) is decision.is_finished
        assert position.done - {KEY} == before.of("one").done
    else:
        assert record == was


@given(ERRORS, CIRCUMSTANCES)
def test_call_that_could_not_be_made_waits_whatever_the_policy(
    error: RaisedError, known: Circumstances
) -> None:
    """It is no attempt: no event is given up because a process could not be started."""
    for_now = judge_call(CallOutcome(was_called=False, error=error, unmade="for now"), known)
    if for_now.action != "wait for site":
        assert (for_now.outcome, for_now.is_finished, for_now.action) == ("retry", False, "hold")
        assert for_now.hold_seconds > 0
    unusable = CallOutcome(was_called=False, error=error, unmade="until resumed")
    decision = judge_call(unusable, known._replace(is_site_down=None))
    assert decision == Decision("retry", False, "pause", error.line)
