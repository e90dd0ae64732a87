"""Asking a site that misbehaves: a known error for each trouble, and nothing secret in it."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from scripted_site import ScriptedSite
from site_records import AT, ROW, Connect

from sgevents_core.errors import (
    SiteAnswerError,
    SiteError,
    SiteFault,
    SiteRefused,
    SiteUnreachable,
)
from sgevents_core.sandbox import Sandbox
from sgevents_core.settings import Secret, SiteSettings
from sgevents_core.site.client import EventLog
from sgevents_core.site.questions import Call, Count, Fetch, Ids, Look, Newest, Page, Recent, Since
from sgevents_core.site.ranges import Span

PAGE = Page(0, 20, None)
CALLS: list[Call] = [
    PAGE,
    Newest(10),
    Since(0),
    Look((Span(1, 3),), 500, 0.0),
    Recent((Span(1, 3),), 500),
    Count(Span(1, 10)),
    Ids(Span(1, 10), 20),
    Fetch((Span(1, 3),), 500),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: type(call).__name__)
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "status", "status": 500}, SiteUnreachable),
        ({"kind": "html"}, SiteAnswerError),
        ({"kind": "garbage"}, SiteAnswerError),
        ({"kind": "cut-json"}, SiteAnswerError),
        ({"kind": "cut-body"}, SiteUnreachable),
        ({"kind": "drop"}, SiteUnreachable),
        ({"kind": "reset"}, SiteUnreachable),
        ({"kind": "refused-key"}, SiteRefused),
        ({"kind": "api-error", "message": "demo-key may not do this"}, SiteFault),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_every_misbehaviour_is_a_known_error(
    busy: Sandbox, log: EventLog, call: Call, fault: dict[str, Any], error: type[SiteError]
) -> None:
    """Whatever goes wrong with whatever is asked: its own error, no secret in it, and it passes."""
    expected = log.ask(call)
    busy.faults.add(**fault)
    with pytest.raises(SiteError) as caught:
        log.ask(call)
    assert isinstance(caught.value, error)
    assert busy.url in str(caught.value)
    assert "demo-key" not in str(caught.value)
    assert "demo-key" not in repr(vars(caught.value))
    busy.faults.clear()
    answer = log.ask(call)
    assert (answer.rows, answer.count) == (expected.rows, expected.count)


@pytest.mark.parametrize("status", [403, 404, 429, 500, 502, 503, 504])
def test_http_errors(busy: Sandbox, log: EventLog, status: int) -> None:
    """An HTTP status that is an error is tried once: trying again is the feed's."""
    log.ask(PAGE)
    fault = busy.faults.add("status", status=status)
    with pytest.raises(SiteUnreachable, match=str(status)):
        log.ask(PAGE)
    assert fault.injected == 1


def test_silence(busy: Sandbox, connect: Connect) -> None:
    """A site that does not answer is given up after the timeout, and the next call works."""
    log = connect(busy.url, timeout=0.2)
    busy.faults.add("silent", method="read")
    with pytest.raises(SiteUnreachable, match="timed out"):
        log.ask(PAGE)
    busy.faults.clear()
    assert log.ask(PAGE).rows


def test_nobody_there(connect: Connect) -> None:
    """An address at which nothing listens, or that does not exist, is unreachable."""
    with Sandbox(project=False) as gone:
        url = gone.url
    for address in (url, "http://no-such-host.invalid"):
        log = connect(address)
        with pytest.raises(SiteUnreachable):
            log.page_size()
        with pytest.raises(SiteUnreachable):
            log.ask(PAGE)


def test_a_proxy_that_refuses(scripted: ScriptedSite) -> None:
    """What a proxy on the way says is no answer of the site."""
    proxy = scripted.url.removeprefix("http://")
    where = SiteSettings(
        url="http://no-such-host.invalid",
        script_name="sgevents",
        api_key=Secret("demo-key"),
        http_proxy=proxy,
    )
    with closing(EventLog(where)) as log, pytest.raises(SiteUnreachable, match="501"):
        log.ask(PAGE)


def test_a_wrong_key(busy: Sandbox, connect: Connect) -> None:
    """Wrong credentials name the script and where to look, and not the key."""
    log = connect(busy.url, key="wrong-key")
    with pytest.raises(SiteRefused, match=r"(?s)sgevents.*Scripts page") as caught:
        log.ask(PAGE)
    assert "wrong-key" not in str(caught.value)
    assert caught.value.script_name == "sgevents"


def test_summarize_refused(busy: Sandbox, log: EventLog) -> None:
    """A site may refuse to count and answer everything else."""
    busy.faults.add("api-error", method="summarize", message="no permission")
    with pytest.raises(SiteFault, match="no permission"):
        log.ask(Count(Span(1, 10)))
    assert log.ask(PAGE).rows


def test_a_site_that_echoes_the_key(scripted: ScriptedSite, connect: Connect) -> None:
    """A key in a site's own words, or in an error page, is left out."""
    log = connect(scripted.url)
    scripted.body = b'{"exception": true, "error_code": 102, "message": "demo-key is no key"}'
    with pytest.raises(SiteRefused, match=r"\*\*\* is no key"):
        log.ask(PAGE)
    scripted.status, scripted.body = 403, b"<html>demo-key\n  blocked</html>"
    with pytest.raises(SiteUnreachable, match=r"\*\*\*") as caught:
        log.ask(PAGE)
    assert "demo-key" not in str(caught.value)
    assert "\n" not in caught.value.reason


NO_ANSWERS = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"3",
    b'"text"',
    b"{",
    b"\xff\xfe",
    b'{"results": null}',
    b'{"results": []}',
    b'{"results": {}}',
    b'{"results": {"entities": null}}',
    b'{"results": {"entities": 3}}',
    b'{"results": {"summaries": {}}}',
    b'{"results": {"summaries": {"id": null}}}',
    b'{"results": {"summaries": {"id": "many"}}}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: type(call).__name__)
def test_bodies_that_are_no_answer(scripted: ScriptedSite, call: Call, connect: Connect) -> None:
    """Neither rows nor a number: that is no answer, never an empty log."""
    log = connect(scripted.url)
    for body in NO_ANSWERS:
        scripted.body = body
        with pytest.raises(SiteAnswerError):
            log.ask(call)


@pytest.mark.parametrize(
    "call",
    [
        Page(7, 500, None),
        Newest(5, below=7),
        Since(AT + 2),
        Look((Span(1, 6), Span(8, 9)), 500, 0.0),
        Recent((Span(8, 8),), 500),
        Ids(Span(8, 9), 500),
        Fetch((Span(1, 6),), 500),
    ],
    ids=lambda call: type(call).__name__,
)
def test_rows_that_were_not_asked_for(scripted: ScriptedSite, call: Call, connect: Connect) -> None:
    """An answer to another question, from a cache on the way, is no answer to this one."""
    scripted.rows(ROW)
    with pytest.raises(SiteAnswerError, match="event 7 was not requested"):
        connect(scripted.url).ask(call)


@pytest.mark.parametrize("body", [b'{"exception": true}', b'{"exception": true, "error_code": 1}'])
def test_refusals_without_words(scripted: ScriptedSite, body: bytes, connect: Connect) -> None:
    """A refusal need not say why."""
    log = connect(scripted.url)
    scripted.body = body
    with pytest.raises(SiteFault):
        log.ask(PAGE)


def test_what_came_instead_of_json_is_told(scripted: ScriptedSite, connect: Connect) -> None:
    """A page of HTML with status 200 says what is going on: its words are in the error."""
    log = connect(scripted.url)
    scripted.rows(ROW)
    log.ask(PAGE)
    scripted.headers = {"Content-Type": "text/html"}
    scripted.body = b"<html>Down for maintenance, demo-key</html>"
    for call in CALLS:
        with pytest.raises(SiteAnswerError, match="Down for maintenance") as caught:
            log.ask(call)
        assert "demo-key" not in str(caught.value)


def test_a_site_that_keeps_fractions_of_seconds(scripted: ScriptedSite, connect: Connect) -> None:
    """What came in the second before a moment is later than that second, and may be answered."""
    scripted.rows({**ROW, "created_at": "2026-01-31T12:00:00.734Z"})
    assert [row.id for row in connect(scripted.url).ask(Since(AT + 1)).rows] == [7]
