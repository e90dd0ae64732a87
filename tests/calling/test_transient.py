"""Which failures pass by themselves: judged by what an error carries, is called and comes from."""

from __future__ import annotations

import errno
import ftplib
import http.client
import imaplib
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from email.utils import formatdate
from typing import Any
from urllib.error import HTTPError, URLError
from xmlrpc.client import ProtocolError

import pytest
from doc_pages import DOCS
from hypothesis import given
from hypothesis import strategies as st
from shotgun_api3.lib.httplib2 import ServerNotFoundError
from shotgun_api3.shotgun import AuthenticationFault, Fault

from sgevents_core.calling.transient import TransientFailure, transient_failure
from sgevents_core.errors import (
    CallbackTimeout,
    Retry,
    SiteAnswerError,
    SiteFault,
    SiteUnreachable,
)
from sgevents_core.moments import MAX_RETRY_AFTER, retry_after_seconds
from sgevents_core.site.client_errors import NoAnswer

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup, ExceptionGroup

NOW = 1_750_000_000.0


class Answer:
    """An answer as HTTP clients keep it."""

    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.status_code = status
        self.headers = headers or {}


def made(name: str = "StudioError", base: type = Exception, package: str = "studio",
         **carries: Any) -> BaseException:  # fmt: skip
    """An error of a library or a studio that carries something."""
    error: BaseException = type(name, (base,), {"__module__": f"{package}.errors"})("wrong")
    for key, value in carries.items():
        setattr(error, key, value)
    return error


def raised(error: BaseException, *, cause: BaseException | None = None,
           while_handling: BaseException | None = None) -> BaseException:  # fmt: skip
    """An error as it was raised: from another, or while that was handled."""
    try:
        try:
            if while_handling is not None:
                raise while_handling
        finally:
            if cause is not None:
                raise error from cause
            raise error
    except BaseException as caught:
        return caught


REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
TABLE: dict[str, tuple[list[BaseException], list[BaseException]]] = {
    "An HTTP status, from any client": (
        [
            *(ProtocolError("site", status, "no", {}) for status in (408, 425, 429, 500, 502, 503)),
            HTTPError("http://x", 503, "no", {}, None),  # type: ignore[arg-type]  # no headers
            made(status_code=503),
            made(response=Answer(502)),
            made(status=504, headers={}),
            made(code=503, response=None),
            made(response_code=503),
            made(base=KeyError, status_code=500),
        ],
        [
            *(ProtocolError("site", status, "no", {}) for status in (400, 401, 403, 404, 409, 422)),
            HTTPError("http://x", 404, "no", {}, None),  # type: ignore[arg-type]  # no headers
            made(status_code=404),
            made(response=Answer(409)),
            made(status_code=True),
            made(status_code="503"),
            raised(made(status_code=404), while_handling=ConnectionResetError()),
        ],
    ),
    "A number or text that is not an HTTP status": (
        [],
        [
            made(base=ValueError, code=500),
            made(code=503),
            made(status=500),
            made(code="503"),
            SystemExit(500),
            made(status_code=1200),
        ],
    ),
    "A wait that the error itself names": (
        [made(retry_after=5), made(retry_after=2.5), made(retry_after=timedelta(seconds=3))],
        [made(retry_after="5"), made(retry_after=None), made(retry_after=True),
         made(status_code=404, retry_after=5)],
    ),
    "A message broker": (
        [made("AMQPChannelError", reply_code=code) for code in (320, 405, 506, 541)],
        [made("AMQPConnectionError", reply_code=code) for code in (403, 404, 406, 530)],
    ),
    "The network, as Python reports it": (
        [
            *(OSError(number, "no") for number in (errno.ECONNRESET, errno.ENETUNREACH)),
            *(OSError(number, "no") for number in (errno.EHOSTUNREACH, errno.ETIMEDOUT)),
            *(OSError(number, "no") for number in (errno.EPIPE, errno.EAGAIN, errno.ESTALE)),
            REFUSED,
            TimeoutError(),
            socket.gaierror(-3, "Temporary failure in name resolution"),
            ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
            http.client.RemoteDisconnected("gone"),
            http.client.IncompleteRead(b"half"),
            http.client.BadStatusLine("nonsense"),
            URLError(ConnectionResetError()),
            URLError(TimeoutError()),
            subprocess.TimeoutExpired("render", 5),
            ftplib.error_temp("421 too busy"),
            imaplib.IMAP4.abort("gone"),
            ServerNotFoundError("no such host"),
            made(errno=errno.ECONNREFUSED),
        ],
        [
            *(OSError(number, "no") for number in (errno.ENOENT, errno.EACCES, errno.ENOSPC)),
            FileNotFoundError(errno.ENOENT, "no"),
            URLError("unknown url type"),
            http.client.InvalidURL("nonsense"),
            subprocess.CalledProcessError(1, "render"),
            ftplib.error_perm("530 no"),
            OSError("something"),
            made(errno=errno.ENOENT),
            made(errno=errno.EBUSY),
        ],
    ),
    "A certificate that is not trusted": (
        [],
        [
            ssl.SSLCertVerificationError("expired"),
            URLError(ssl.SSLCertVerificationError("expired")),
            raised(made("ConnectError"), cause=ssl.SSLCertVerificationError("expired")),
        ],
    ),
    "The site": (
        [
            SiteUnreachable(url="https://x", reason="no"),
            SiteAnswerError(url="https://x", reason="a page of HTML"),
            NoAnswer(url="https://x", reason="a page of HTML"),
        ],
        [SiteFault(url="https://x", reason="no"), Fault("invalid field"),
         AuthenticationFault("no")],
    ),
    "An error raised from one that passes": (
        [
            raised(made(), cause=REFUSED),
            raised(made(), while_handling=TimeoutError()),
            raised(made(base=RuntimeError), while_handling=made(status_code=503)),
            raised(ValueError("no"), cause=REFUSED),
            raised(made(), cause=raised(made(), cause=REFUSED)),
            made("Wraps", base=OSError, orig=REFUSED),
            made("Wraps", reason=REFUSED),
            Exception("wraps", REFUSED),
        ],
        [raised(made(), cause=ValueError("no")), raised(made(), cause=FileNotFoundError(2, "no"))],
    ),
    "A mistake made while handling one that passes": (
        [],
        [
            raised(kind("no"), while_handling=REFUSED)
            for kind in (AssertionError, KeyError, TypeError, AttributeError, SystemExit)
        ],
    ),
    "A group": (
        [
            ExceptionGroup("both", [ConnectionResetError(), TimeoutError()]),
            BaseExceptionGroup("deep", [ExceptionGroup("one", [TimeoutError()])]),
        ],
        [
            ExceptionGroup("one is a mistake", [ConnectionResetError(), KeyError("x")]),
            ExceptionGroup("all are", [KeyError("x")]),
        ],
    ),
    "A call given up by its own `timeout`": ([], [CallbackTimeout(within="5s", stack="")]),
    "Any other": (
        [],
        [ValueError("no"), KeyError("x"), KeyboardInterrupt(), AssertionError(), made(),
         Exception("53000"), KeyError("08001")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", TABLE)
def test_what_passes_and_what_does_not(row: str) -> None:
    """Whatever the table of the page tells is so, and what it does not tell is a mistake."""
    passes, lasts = TABLE[row]
    for error in passes:
        assert transient_failure(error, NOW) is not None, repr(error)
    for error in lasts:
        assert transient_failure(error, NOW) is None, repr(error)


def test_page_tells_of_each_kind() -> None:
    """The table of the page has the rows that are held here, and no other."""
    text = (DOCS / "explanation" / "failures.md").read_text("utf-8")
    table = text.partition("### What passes by itself")[2].partition("\n#")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    told = {cells[1].strip(): (cells[2], cells[3]) for cells in (row.split("|") for row in rows)}
    assert list(told) == list(TABLE)
    for row, (passes, lasts) in TABLE.items():
        assert (told[row][0].strip() != "-", told[row][1].strip() != "-") == (
            bool(passes),
            bool(lasts),
        ), row


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 7.5 ", 7.5),
        ("0", 0.0),
        ("-3", 0.0),
        ("1e9", MAX_RETRY_AFTER),
        ("inf", MAX_RETRY_AFTER),
        ("nan", None),
        ("soon", None),
        ("", None),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        (formatdate(NOW + 1e6, usegmt=True), MAX_RETRY_AFTER),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
    ],
)
def test_wait_that_an_answer_asks_for(text: str, seconds: float | None) -> None:
    """`Retry-After` is a number of seconds or a date, and is never waited for without end."""
    assert retry_after_seconds(text, NOW) == seconds
    for error in (
        ProtocolError("site", 503, "no", {"retry-after": text}),
        made(response=Answer(429, {"RETRY-AFTER": text})),
        made(status=429, headers={"Retry-After": text}),
    ):
        assert transient_failure(error, NOW) == TransientFailure(seconds)


@given(
    st.text(max_size=40) | st.from_regex(r"\w{3}, \d+ \w{3} \d+ \d+:\d+:\d+ \w+", fullmatch=True)
)
def test_any_text_is_a_bounded_wait_or_none(text: str) -> None:
    """Whatever a server writes there, nobody waits for an hour."""
    found = retry_after_seconds(text, NOW)
    assert found is None or 0 <= found <= MAX_RETRY_AFTER


def test_group_waits_as_long_as_the_longest_asks() -> None:
    """Called again earlier, one of its errors would come again."""
    answers = [made(response=Answer(429, {"Retry-After": wait})) for wait in ("3", "9", "6")]
    group = ExceptionGroup("all", [error for error in answers if isinstance(error, Exception)])
    assert transient_failure(group, NOW) == TransientFailure(9.0)


def _cycle() -> BaseException:
    first, second = made(), made()
    first.__cause__, second.__cause__ = second, first
    return first


def _ladder() -> BaseException:
    error = made()
    for _ in range(50_000):
        error, below = made(), error
        error.__cause__ = below
    return error


def _hostile() -> BaseException:
    class Hostile(Exception):
        def __getattribute__(self, name: str) -> Any:
            raise SystemExit(name)

    return Hostile()


def _lying() -> BaseException:
    def no_class(_: object) -> Any:
        raise KeyboardInterrupt

    lies: dict[str, Any] = {
        "__class__": property(no_class),
        "status_code": property(lambda self: 1 / 0),
        "response": property(lambda self: self),
        "headers": property(lambda self: {1: 2, "retry-after": object()}),
    }
    lying: type[BaseException] = type("Lying", (Exception,), lies)
    return lying()


def _itself() -> BaseException:
    error = made()
    error.args = (error, [error], error)
    error.reason = error.orig = error.response = error  # type: ignore[attr-defined]  # as odd as it gets
    return error


@pytest.mark.parametrize("odd", [_cycle, _ladder, _hostile, _lying, _itself])
def test_odd_errors_are_judged_like_others(odd: Callable[[], BaseException]) -> None:
    """Circles, ladders without end, and what raises whatever it is asked, are mistakes."""
    assert transient_failure(odd(), NOW) is None


def test_retry_is_no_matter_of_names() -> None:
    """`Retry` in a group asks for another try like all others in it."""
    assert (
        transient_failure(ExceptionGroup("both", [Retry("later"), TimeoutError()]), NOW)
        == TransientFailure()
    )


def test_first_that_says_something_counts() -> None:
    """Of the errors that one stands for, those that say nothing leave it to the next."""
    mixed = Exception(made(), made(status_code=503), made(status_code=404))
    assert transient_failure(mixed, NOW) == TransientFailure()


@pytest.mark.parametrize(
    ("carries", "after"),
    [({"retry_after": 7}, 7.0), ({"retry_after": 2.5}, 2.5), ({"retry_after": True}, None)],
)
def test_wait_that_an_error_carries_itself(carries: dict[str, Any], after: float | None) -> None:
    """As a number; True is none."""
    assert transient_failure(made(status_code=503, **carries), NOW) == TransientFailure(after)


@pytest.mark.parametrize(
    ("status", "passes"),
    [
        (399, None),
        (400, None),
        (499, None),
        (500, TransientFailure()),
        (599, TransientFailure()),
        (600, None),
    ],
)
def test_which_numbers_are_statuses(status: int, passes: TransientFailure | None) -> None:
    """From 400 to 599; True is no number."""
    assert transient_failure(made(status_code=status), NOW) == passes
    assert (
        transient_failure(made(status_code=True, status=503, headers={}), NOW) == TransientFailure()
    )


@pytest.mark.parametrize(
    ("code", "passes"),
    [
        (399, None),
        (400, TransientFailure()),
        (450, TransientFailure()),
        (499, TransientFailure()),
        (500, None),
        (600, None),
    ],
)
def test_replies_of_mail_servers(code: int, passes: TransientFailure | None) -> None:
    """4xx is for now, in the reply itself or in those to all recipients."""
    assert transient_failure(made("SMTPDataError", smtp_code=code), NOW) == passes
    refused = made("SMTPRecipientsRefused", recipients={"a": (code, b"no"), "b": (450, b"later")})
    assert transient_failure(refused, NOW) == passes
    assert (
        transient_failure(made("SMTPRecipientsRefused", recipients={}, smtp_code=450), NOW)
        == TransientFailure()
    )


@pytest.mark.parametrize("state", ["40001", "57P01", "53300", "08006"])
def test_states_of_databases_that_pass(state: str) -> None:
    """Conflicts, restarts, full servers and lost connections, as SQL has them; no other text is."""
    assert transient_failure(made("DatabaseError", sqlstate=state), NOW) == TransientFailure()
    for other in (state.lower() + "x", state[:4], f"{state}0", "42P01"):
        assert transient_failure(made("DatabaseError", sqlstate=other), NOW) is None


@pytest.mark.parametrize(
    ("code", "passes"), [("ThrottlingException", TransientFailure()), ([], None)]
)
def test_codes_of_services(code: object, passes: TransientFailure | None) -> None:
    """What a service calls its refusal; what is no text is no code."""
    assert transient_failure(made(response={"Error": {"Code": code}}), NOW) == passes
