"""Failures in groups, and the progress of people's requests, in each home of a state."""

from __future__ import annotations

from contextlib import closing

from journal_rows import event_row, grow
from state_values import failure

from sgevents_core.state.letters import FailureGroup, Letter, letter_requests
from sgevents_core.state.protocols import State, Writer
from sgevents_core.state.requests import RequestAnswer, RequestProgress
from sgevents_core.state.steps import Step


def test_failures_that_are_no_dead_letters_are_grouped(home: State, state: Writer) -> None:
    """By plugin, callback, error without its numbers, and outcome; the newest group first."""
    grow(state, [event_row(n) for n in range(1, 5)])
    fence = state.take_lane("main")
    for seq, error, at in ((1, "no 7", 10.0), (1, "no 7", 20.0), (2, "no 815", 15.0)):
        step = Step(failure=failure(seq=seq, event_id=seq, error=error, at=at))
        state.record("main", fence, step)
    skipped = failure("count", seq=3, event_id=3, error="no 7", at=30.0, outcome="skip")
    state.record("main", fence, Step(failure=skipped))
    state.record("main", fence, Step(failure=failure(seq=4), dead=True))
    retried = FailureGroup("notify", "notify:on_new", "no #", "retry", 3, 2, 1, 10.0, 20.0)
    passed = FailureGroup("count", "notify:on_new", "no #", "skip", 1, 1, 3, 30.0, 30.0)
    with closing(home.letters()) as letters:
        assert letters.failure_groups() == [passed, retried]
        assert letters.failure_groups("notify") == [retried]
        assert letters.failure_groups("nobody") == []


def test_progress_of_requests(home: State, state: Writer) -> None:
    """Those that wait, and what came of those answered lately, by kind and plugin."""
    with closing(home.requests()) as requests:
        drafts = [("retry", "notify", {"letter": number}, ()) for number in range(4)]
        numbers = requests.ask_all([*drafts, ("pause", "notify", {}, ())], "anna")
        requests.answer(numbers[0], RequestAnswer("done", "it worked"))
        requests.answer(numbers[1], RequestAnswer("failed", "again"))
        kinds = {"retry", "dismiss"}
        assert requests.progress_of_kinds(kinds, 0) == [RequestProgress("retry", "notify", 2, 1, 1)]
        later = requests.progress_of_kinds(kinds, 9e9)
        assert later == [RequestProgress("retry", "notify", 2, 0, 0)]
        assert requests.progress_of_kinds({"replay"}, 0) == []


def test_requests_about_letters() -> None:
    """Each is retried by a request of its own; many are dismissed by few requests."""
    few = [Letter(number, failure(), True, 1, b"") for number in (3, 4)]
    many = [Letter(number, failure(), True, 1, b"") for number in range(1, 1_502)]
    assert [*letter_requests("retry", few)] == [
        ("notify", {"letter": 3}),
        ("notify", {"letter": 4}),
    ]
    assert len([*letter_requests("retry", many)]) == 1_501
    dismissals = [*letter_requests("dismiss", many)]
    assert [len(detail["letters"]) for _, detail in dismissals] == [1_000, 501]
    assert [*letter_requests("dismiss", few)] == [*letter_requests("retry", few)]
