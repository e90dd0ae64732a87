"""What follows when a callback fails: a decision without clock or state."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from typing import Any
from urllib.error import HTTPError, URLError
from xmlrpc.client import ProtocolError

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shotgun_api3.lib.httplib2 import ServerNotFoundError
from shotgun_api3.shotgun import Fault

from sgevents_core.dispatch.policy import (
    LONGEST_HOLD,
    LONGEST_WAIT,
    FailureRules,
    Verdict,
    is_transient,
    judge,
)
from sgevents_core.errors import Retry

PASSING = [
    Retry("later"),
    ConnectionRefusedError(),
    TimeoutError(),
    socket.gaierror(-3, "Temporary failure in name resolution"),
    OSError(errno.EHOSTUNREACH, "No route to host"),
    URLError(ConnectionResetError()),
    ssl.SSLError("handshake"),
    http.client.RemoteDisconnected("gone"),
    http.client.IncompleteRead(b"half"),
    ProtocolError("site", 502, "Bad Gateway", {}),
    ProtocolError("site", 429, "Too Many Requests", {}),
    ServerNotFoundError("no such host"),
]
LASTING = [
    ValueError("no"),
    KeyError("sg_status_list"),
    SystemExit(1),
    KeyboardInterrupt(),
    FileNotFoundError(errno.ENOENT, "No such file"),
    URLError("unknown url type"),
    HTTPError("http://x", 404, "Not Found", {}, None),  # type: ignore[arg-type]  # no headers
    ProtocolError("site", 404, "Not Found", {}),
    Fault("API read() invalid field"),
]
RULES = st.builds(
    FailureRules,
    st.sampled_from(["dead-letter", "pause", "skip"]),
    st.integers(1, 9),
    st.integers(1, 9),
)
JITTER = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_errors_that_pass_by_themselves(error: BaseException) -> None:
    """The network's, the site's 5xx and 429, and what asks for it, are worth another try."""
    assert is_transient(error)
    assert judge(error, 1, FailureRules(), 0.5).outcome == "retry"


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_errors_that_would_come_again(error: BaseException) -> None:
    """A bug raises the same every time: it is not tried again."""
    assert not is_transient(error)
    for on_error in ("dead-letter", "pause", "skip"):
        rules = FailureRules(on_error, max_attempts=9)
        assert judge(error, 1, rules, 0.5) == Verdict(on_error)


def test_skip_tries_again_only_what_asks_for_it() -> None:
    """Where an event does not matter that much, the network's errors do not either."""
    rules = FailureRules("skip")
    assert judge(ConnectionError(), 1, rules, 0.5) == Verdict("skip")
    assert judge(Retry(after="3s"), 1, rules, 0.5) == Verdict("retry", 3.0)


@given(st.sampled_from([*PASSING, *LASTING]), st.integers(1, 12), RULES, JITTER)
def test_no_event_is_tried_for_ever(
    error: BaseException, attempt: int, rules: FailureRules, jitter: float
) -> None:
    """From `max_attempts` on, whatever is raised, the plugin's own way of failing is taken."""
    verdict = judge(error, attempt, rules, jitter)
    assert verdict.outcome in {"retry", rules.on_error}
    if attempt >= rules.max_attempts:
        assert verdict == Verdict(rules.on_error)
    assert 0 <= verdict.after <= LONGEST_WAIT


@given(st.integers(1, 30), JITTER)
def test_waits_grow_and_differ(attempt: int, jitter: float) -> None:
    """Each wait is about twice the one before, up to the longest, and never shorter than half."""
    rules = FailureRules(max_attempts=99)
    wait = judge(ConnectionError(), attempt, rules, jitter).after
    full = min(2.0 ** (attempt - 1), LONGEST_WAIT)
    assert full / 2 <= wait <= full


@pytest.mark.parametrize(
    ("after", "seconds"),
    [("250ms", 0.25), ("1m", 60.0), (3, 3.0), (0, 0.0), (-1, 0.0), (True, 1.0),
     ("400d", LONGEST_HOLD), (float("inf"), LONGEST_HOLD), (1e300, LONGEST_HOLD)],
)  # fmt: skip
def test_asked_wait_is_kept_within_a_day(after: str | float, seconds: float) -> None:
    """`Retry(after=...)` says how long; no plugin is held for longer than a day."""
    assert judge(Retry(after=after), 1, FailureRules(), 0.5) == Verdict("retry", seconds)


@given(st.text(max_size=6) | st.just(float("nan")) | st.binary(max_size=3) | st.just(10**400))
def test_wrong_wait_is_a_retry_all_the_same(after: Any) -> None:
    """A wait that is none is the usual one: a slip must not cost the event."""
    verdict = judge(Retry(after=after), 1, FailureRules(), 0.5)
    assert verdict.outcome == "retry"
    assert 0 <= verdict.after <= LONGEST_HOLD
