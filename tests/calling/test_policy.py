"""What follows when a callback fails: a decision without clock or state."""

from __future__ import annotations

from typing import Any
from xmlrpc.client import ProtocolError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.calling.outcome import ErrorFacts
from sgevents_core.calling.policy import (
    LONGEST_HOLD,
    LONGEST_WAIT,
    FailureRules,
    Verdict,
    facts_of,
    judge,
)
from sgevents_core.choices import OnError
from sgevents_core.errors import Retry
from sgevents_core.moments import MAX_RETRY_AFTER

ASKS, PASSES, BUG = ErrorFacts(asks_retry=True), ErrorFacts(is_transient=True), ErrorFacts()
RULES = st.builds(
    FailureRules,
    st.sampled_from(["dead-letter", "pause", "skip"]),
    st.integers(1, 9),
    st.integers(1, 9),
)


def _raised(error: BaseException) -> ErrorFacts:
    return facts_of(error, 1_750_000_000.0)


JITTER = st.floats(0, 1, exclude_max=True)


def test_what_passes_or_asks_is_tried_again() -> None:
    """A failure that passes and a plugin that asks for it are worth another try."""
    assert [judge(one, 1, FailureRules(), 0.5).outcome for one in (ASKS, PASSES)] == ["retry"] * 2


@pytest.mark.parametrize("on_error", ["dead-letter", "pause", "skip"])
def test_bugs_would_come_again(on_error: OnError) -> None:
    """A bug raises the same every time: it is not tried again."""
    assert judge(BUG, 1, FailureRules(on_error, max_attempts=9), 0.5) == Verdict(on_error)


def test_skip_tries_again_only_what_asks_for_it() -> None:
    """Where an event does not matter that much, the network's errors do not either."""
    rules = FailureRules("skip")
    assert judge(PASSES, 1, rules, 0.5) == Verdict("skip")
    assert judge(_raised(Retry(after="3s")), 1, rules, 0.5) == Verdict("retry", 3.0)


@given(st.sampled_from([ASKS, PASSES, BUG]), st.integers(1, 12), RULES, JITTER)
def test_no_event_is_tried_for_ever(
    raised: ErrorFacts, attempt: int, rules: FailureRules, jitter: float
) -> None:
    """From `max_attempts` on, whatever is raised, the plugin's own way of failing is taken."""
    verdict = judge(raised, attempt, rules, jitter)
    assert verdict.outcome in {"retry", rules.on_error}
    if attempt >= rules.max_attempts:
        assert verdict == Verdict(rules.on_error)
    assert 0 <= verdict.wait_seconds <= LONGEST_WAIT


@given(st.integers(1, 30), JITTER)
def test_waits_grow_and_differ(attempt: int, jitter: float) -> None:
    """Each wait is about twice the one before, up to the longest, and not much shorter."""
    rules = FailureRules(max_attempts=99)
    wait = judge(PASSES, attempt, rules, jitter).wait_seconds
    full = min(2.0 ** (attempt - 1), LONGEST_WAIT)
    assert full * 0.6 <= wait <= full


@given(JITTER)
def test_attempts_are_spread_over_five_minutes(jitter: float) -> None:
    """What is down for five minutes costs no event, whatever jitter does."""
    rules = FailureRules()
    waits = [judge(PASSES, attempt, rules, jitter).wait_seconds for attempt in range(1, 10)]
    assert judge(PASSES, 10, rules, jitter).outcome == "dead-letter"
    assert sum(waits) >= 300


@given(st.floats(0, MAX_RETRY_AFTER), st.integers(1, 9), JITTER)
def test_answer_that_asks_for_patience_gets_it(after: float, attempt: int, jitter: float) -> None:
    """`Retry-After` is waited for; one that is short does not use up the attempts at once."""
    raised = _raised(ProtocolError("site", 429, "no", {"retry-after": str(after)}))
    usual = judge(PASSES, attempt, FailureRules(), jitter).wait_seconds
    assert judge(raised, attempt, FailureRules(), jitter).wait_seconds == max(after, usual)


@pytest.mark.parametrize(
    ("after", "seconds"),
    [("250ms", 0.25), ("1m", 60.0), (3, 3.0), (0, 0.0), (-1, 0.0), (True, 1.0),
     ("400d", LONGEST_HOLD), (float("inf"), LONGEST_HOLD), (1e300, LONGEST_HOLD)],
)  # fmt: skip
def test_asked_wait_is_kept_within_a_day(after: str | float, seconds: float) -> None:
    """`Retry(after=...)` says how long; no plugin is held for longer than a day."""
    assert judge(_raised(Retry(after=after)), 1, FailureRules(), 0.5) == Verdict("retry", seconds)


@given(st.text(max_size=6) | st.just(float("nan")) | st.binary(max_size=3) | st.just(10**400))
def test_wrong_wait_is_a_retry_all_the_same(after: Any) -> None:
    """A wait that is none is the usual one: a slip must not cost the event."""
    verdict = judge(_raised(Retry(after=after)), 1, FailureRules(), 0.5)
    assert verdict.outcome == "retry"
    assert 0 <= verdict.wait_seconds <= LONGEST_HOLD
