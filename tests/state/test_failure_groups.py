"""Failures in groups, and the progress of people's requests, in each home of a state."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
from journal_rows import event_row, grow
from state_values import failure

from sgevents_core.state.letters import (
    FailureGroup,
    Letter,
    LetterChoice,
    error_kind,
    letter_requests,
)
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


@pytest.mark.parametrize(
    ("error", "kind_text"),
    [
        ("no shot 12", "no shot #"),
        ("KeyError: 'code'", "KeyError: 'code'"),
        ("no folder for 'sq010_sh020' of 'FOX'", "no folder for '…' of 'FOX'"),
        ("it isn't on 7 of 'a', and doesn't", "it isn't on # of 'a', and doesn't"),
        ('no "v001" in 3', 'no "…" in #'),
        ("[Errno 13] Permission denied: '/mnt/sq010'", "[Errno 13] Permission denied: '…'"),
        ("HTTP 403 from https://jira/api/2", "HTTP 403 from https://jira/api/#"),
        ("HTTPError: 503 Server Error: for 12345", "HTTPError: 503 Server Error: for #"),
        ("Client error '404 Not Found' for '/12'", "Client error '404 Not Found' for '…'"),
        ("status code: 502, status_code=502", "status code: 502, status_code=502"),
        ("refused {'id': 1, 'in': {'name': 'a'}} there", "refused {…} there"),
        ("refused {'id': 1, 'text': 'cut o", "refused {…}"),
    ],
)
def test_kinds_of_errors(error: str, kind_text: str) -> None:
    """They leave out what changes with each event, and nothing that asks for another remedy."""
    assert error_kind(error) == kind_text
    assert error_kind(kind_text) == kind_text


@pytest.mark.parametrize("unit", ["{", "}{", "'", "'1 ", '"', "1 ", "HTTP ", "404 Aa"])
def test_the_kind_of_a_long_error_is_found_quickly(unit: str) -> None:
    """No text takes time that grows faster than its length."""
    began_at = time.process_time()
    for _ in range(20):
        error_kind(unit * (20_000 // len(unit)))
    assert time.process_time() - began_at < 2.0


def test_a_kind_chooses_its_letters(home: State, state: Writer) -> None:
    """The text of a group is also the choice of it, with what it leaves out."""
    errors = [
        "HTTP 403 for 'sh010': {'id': 1}",
        "HTTP 403 for 'sh020': {'id': 2}",
        "HTTP 503 for 1",
    ]
    grow(state, [event_row(n) for n in range(1, 4)])
    fence = state.take_lane("main")
    for seq, error in enumerate(errors, 1):
        dead_letter = failure(seq=seq, event_id=seq, error=error, at=float(seq))
        state.record("main", fence, Step(failure=dead_letter, dead=True))
    with closing(home.letters()) as letters:
        groups = letters.groups(LetterChoice())
        assert [(group.error, group.letters) for group in groups] == [
            ("HTTP 403 for '…': {…}", 2),
            ("HTTP 503 for #", 1),
        ]
        assert [letters.count(LetterChoice(error=group.error)) for group in groups] == [2, 1]
