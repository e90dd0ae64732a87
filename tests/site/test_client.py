"""Asking a site over HTTP: the rows the stock client reads, and a known error for each trouble."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import datetime, timezone
from typing import Any

import msgspec
import pytest
from scripted_site import ScriptedSite, scripted_site
from shotgun_api3.shotgun import Shotgun

from sgevents_core.errors import (
    SiteAnswerError,
    SiteError,
    SiteFault,
    SiteRefused,
    SiteUnreachable,
)
from sgevents_core.sandbox import Sandbox
from sgevents_core.settings import Secret, SiteSettings
from sgevents_core.site.calls import (
    Answer,
    Call,
    Count,
    Fetch,
    Ids,
    Look,
    Newest,
    Page,
    Recent,
    Since,
)
from sgevents_core.site.client import FIELDS, EventLog, Reader
from sgevents_core.site.ranges import Span

ROW = {
    **dict.fromkeys(FIELDS),
    "type": "EventLogEntry",
    "id": 7,
    "event_type": "Shotgun_Shot_New",
    "created_at": "2026-01-31T12:00:00Z",
}
AT = int(datetime(2026, 1, 31, 12, tzinfo=timezone.utc).timestamp())
PAGE = Page(0, 500, None)
CALLS: list[Call] = [
    PAGE,
    Newest(10),
    Since(0),
    Look((Span(1, 3),), 500, 0.0),
    Recent((Span(1, 3),), 500),
    Count(Span(1, 10)),
    Ids(Span(1, 10), 500),
    Fetch((Span(1, 3),), 500),
]


def settings(url: str, key: str = "demo-key", timeout: float = 10.0) -> SiteSettings:
    """The settings of a site."""
    return SiteSettings(
        url=url, script_name="sgevents", api_key=Secret(key, "a test"), timeout=timeout
    )


@pytest.fixture(scope="module")
def site() -> Iterator[Sandbox]:
    """A sandbox with its project and some traffic, for tests that leave it as it is."""
    with Sandbox(events=1200) as running:
        for _ in range(40):
            running.step()
        running.burn(700)
        running.step()
        yield running


Connect = Callable[..., EventLog]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes event logs of an address and closes them at the end."""
    with ExitStack() as stack:

        def connected(url: str, fields: Sequence[str] = (), **options: Any) -> EventLog:
            return stack.enter_context(closing(EventLog(settings(url, **options), fields)))

        yield connected


@pytest.fixture
def log(site: Sandbox, connect: Connect) -> Iterator[EventLog]:
    """The site's event log as the feed reads it."""
    yield connect(site.url)
    site.faults.clear()


@pytest.fixture(scope="module")
def script() -> Iterator[ScriptedSite]:
    """A server for all tests of this module."""
    with scripted_site() as running:
        yield running


@pytest.fixture
def scripted(script: ScriptedSite) -> ScriptedSite:
    """A server that says what a test wants it to."""
    script.forget()
    return script


def as_on_the_wire(value: Any) -> Any:
    """What the stock client returned, its datetimes as the site wrote them."""
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, dict):
        return {key: as_on_the_wire(item) for key, item in value.items()}
    return [as_on_the_wire(item) for item in value] if isinstance(value, list) else value


# The faster decoder


def test_reads_what_the_stock_client_reads(site: Sandbox) -> None:
    """Filters, orders, pages and linked fields: the same records, timestamps left as text."""
    stock = Shotgun(site.url, "sgevents", "demo-key")
    fast = Reader(site.url, "sgevents", "demo-key")
    fields = [*FIELDS, "description", "entity.Shot.code", "user.HumanUser.login", "not_a_field"]
    down: list[Any] = [{"field_name": "id", "direction": "desc"}]
    up: list[Any] = [{"field_name": "id", "direction": "asc"}]
    stamp = datetime(2020, 1, 1, tzinfo=timezone.utc)
    some = site.log.visible_ids()[::7]
    for filters, order, limit in (
        ([], up, 0),
        ([["id", "greater_than", some[3]]], up, 20),
        ([["id", "in", some]], down, 50),
        ([["created_at", "greater_than", stamp]], up, 1),
        ([["id", "between", 1, 30]], up, 500),
        ([{"filter_operator": "any", "filters": [["id", "in", some], ["id", "is", 2]]}], up, 9),
        ([["id", "is", 10**9]], up, 0),
    ):
        expected = stock.find("EventLogEntry", filters, fields, order, limit=limit)
        found = fast.find("EventLogEntry", filters, fields, order, limit=limit)
        assert found == as_on_the_wire(expected)
    count = [{"field": "id", "type": "count"}]
    assert fast.summarize("EventLogEntry", [], count) == stock.summarize("EventLogEntry", [], count)
    assert fast.find_one("Shot", []) == as_on_the_wire(stock.find_one("Shot", []))
    stock.close()
    fast.close()


@pytest.mark.parametrize("name", ["text", "name\\ud83d", "\\ud83d\\ude00", "\\u0000", "ü"])
@pytest.mark.parametrize("number", ["1", "-1.5e3", "99999999999999999999999", "NaN", "1e999"])
def test_reads_whatever_the_stock_client_reads(
    scripted: ScriptedSite, name: str, number: str, connect: Connect
) -> None:
    """Half characters and numbers beyond all bounds come through, and the row can be kept."""
    record = msgspec.json.encode(ROW).decode()[:-1]
    text = f'{record}, "description": "{name}", "size": {number}}}'
    scripted.body = f'{{"results": {{"entities": [{text}]}}}}'.encode()
    log = connect(scripted.url, ["description", "size"])
    (row,) = log.ask(PAGE).rows
    body = msgspec.json.decode(row.body)
    assert (row.id, row.at, row.event_type) == (7, AT, "Shotgun_Shot_New")
    assert {name: body[name] for name in ROW} == ROW
    assert isinstance(body["description"], str)


# Every kind of call


def ids(answer: Answer) -> list[int]:
    """The ids of an answer's rows."""
    return [row.id for row in answer.rows]


def test_pages(site: Sandbox, log: EventLog) -> None:
    """A page holds the rows above an id, ascending, as many as asked for."""
    visible = site.log.visible_ids()
    assert ids(log.ask(Page(0, 500, None))) == visible[:500]
    assert ids(log.ask(Page(visible[700] - 1, 20, visible[700]))) == visible[700:720]
    assert ids(log.ask(Page(visible[-1], 500, None))) == []


def test_rows_are_kept_whole(site: Sandbox, log: EventLog) -> None:
    """A row's body is the whole record as read, its time and type beside it."""
    rows = log.ask(Newest(30)).rows
    records = {record["id"]: record for record in site.event_rows(*ids(Answer(rows)))}
    for row in rows:
        body = msgspec.json.decode(row.body)
        assert set(body) == {*FIELDS, "type"}
        assert body["event_type"] == row.event_type == records[row.id]["event_type"]
        stamp = records[row.id]["created_at"]
        written = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
        assert body["created_at"] == stamp
        assert row.at == written.timestamp()


def test_more_fields_can_be_read(site: Sandbox, connect: Connect) -> None:
    """Fields from the configuration come with every row; one named twice comes once."""
    log = connect(site.url, ["description", "entity.Shot.code", "meta"])
    body = msgspec.json.decode(log.ask(Newest(1)).rows[0].body)
    assert set(body) == {*FIELDS, "type", "description", "entity.Shot.code"}


def test_newest(site: Sandbox, log: EventLog) -> None:
    """The newest rows come first, those below an id if told."""
    visible = site.log.visible_ids()
    assert ids(log.ask(Newest(3))) == visible[:-4:-1]
    assert ids(log.ask(Newest(2, below=visible[10]))) == [visible[9], visible[8]]


def test_since(site: Sandbox, log: EventLog) -> None:
    """The first row since a second, that second included."""
    rows = log.ask(Page(0, 500, None)).rows
    at = rows[300].at
    expected = min(row.id for row in rows if row.at >= at)
    assert ids(log.ask(Since(at))) == [expected]
    assert ids(log.ask(Since(2**32))) == []


@pytest.mark.parametrize("kind", [Look, Recent, Fetch])
def test_rows_of_many_ranges(site: Sandbox, log: EventLog, kind: type) -> None:
    """Single ids and ranges of any number and width are asked for at once."""
    visible = site.log.visible_ids()
    many = tuple(Span(id_, id_) for id_ in visible[0:1400:2])
    wide = (Span(visible[5], visible[9]), Span(visible[50], visible[90]))
    last = visible[-1]
    mixed = (Span(3, 3), *wide, Span(last - 2, last + 100_000))
    for spans in ((Span(4, 4),), many, wide, mixed, (Span(last + 1, last + 3),)):
        options = {"observed": 0.0} if kind is Look else {}
        found = ids(log.ask(kind(spans=spans, limit=500, **options)))
        assert found == [i for i in visible if any(s.first <= i <= s.last for s in spans)][:500]


def test_counts_and_ids(site: Sandbox, log: EventLog) -> None:
    """A range can be counted, and its ids alone read."""
    visible = site.log.visible_ids()
    for span in (Span(1, 10**6), Span(visible[20], visible[29]), Span(10**6, 10**7)):
        inside = [id_ for id_ in visible if span.first <= id_ <= span.last]
        assert log.ask(Count(span)).count == len(inside)
        answer = log.ask(Ids(span, 500))
        assert ids(answer) == inside[:500]
        assert all(row.body == b"" for row in answer.rows)


def test_the_sites_page_size(connect: Connect) -> None:
    """How many rows a site gives at once is asked of it."""
    with Sandbox(project=False, page_size=33) as small:
        log = connect(small.url)
        assert log.page_size() == 33


def test_the_sites_clock(scripted: ScriptedSite, connect: Connect) -> None:
    """The time in an answer's head is passed on; one that is missing or strange is not."""
    log = connect(scripted.url)
    scripted.rows(ROW)
    for header, date in (
        ("Sat, 31 Jan 2026 12:00:05 GMT", AT + 5),
        ("Sat, 31 Jan 2026 13:00:05 +0100", AT + 5),
        ("yesterday", None),
        ("", None),
        ("Sat, 99 Jan 2026 12:00:05 GMT", None),
    ):
        scripted.headers = {"Date": header}
        assert log.ask(PAGE).date == date
    scripted.headers = {}
    assert log.ask(PAGE).date is None


# Trouble


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
    site: Sandbox, log: EventLog, call: Call, fault: dict[str, Any], error: type[SiteError]
) -> None:
    """Whatever goes wrong with whatever is asked: its own error, no secret in it, and it passes."""
    expected = log.ask(call)
    site.faults.add(**fault)
    with pytest.raises(SiteError) as caught:
        log.ask(call)
    assert type(caught.value) is error
    assert site.url in str(caught.value)
    assert "demo-key" not in str(caught.value)
    assert "demo-key" not in repr(vars(caught.value))
    site.faults.clear()
    answer = log.ask(call)
    assert (answer.rows, answer.count) == (expected.rows, expected.count)


@pytest.mark.parametrize("status", [301, 403, 404, 429, 500, 502, 503, 504])
def test_http_errors(site: Sandbox, log: EventLog, status: int) -> None:
    """An HTTP status that is an error is tried once: trying again is the feed's."""
    log.ask(PAGE)
    fault = site.faults.add("status", status=status)
    with pytest.raises(SiteUnreachable, match=str(status)):
        log.ask(PAGE)
    assert fault.injected == 1


def test_silence(site: Sandbox, connect: Connect) -> None:
    """A site that does not answer is given up after the timeout, and the next call works."""
    log = connect(site.url, timeout=0.2)
    site.faults.add("silent", method="read")
    with pytest.raises(SiteUnreachable, match="timed out"):
        log.ask(PAGE)
    site.faults.clear()
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


def test_a_wrong_key(site: Sandbox, connect: Connect) -> None:
    """Wrong credentials name the script and where to look, and not the key."""
    log = connect(site.url, key="wrong-key")
    with pytest.raises(SiteRefused, match=r"(?s)sgevents.*Scripts page") as caught:
        log.ask(PAGE)
    assert "wrong-key" not in str(caught.value)
    assert caught.value.script_name == "sgevents"


def test_summarize_refused(site: Sandbox, log: EventLog) -> None:
    """A site may refuse to count and answer everything else."""
    site.faults.add("api-error", method="summarize", message="no permission")
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


def without(key: str) -> dict[str, Any]:
    """A record in which something is missing."""
    return {name: value for name, value in ROW.items() if name != key}


@pytest.mark.parametrize(
    "rows",
    [
        [{**ROW, "id": 8}, ROW],
        [ROW, ROW],
        [without("id")],
        [without("event_type")],
        [without("created_at")],
        [{**ROW, "created_at": None}],
        [{**ROW, "created_at": "soon"}],
        [{**ROW, "created_at": 1_700_000_000}],
        [{**ROW, "id": "7"}],
        [{**ROW, "id": True}],
        [{**ROW, "id": None}],
        [None],
        ["row"],
        [[]],
        [ROW, None],
    ],
)
def test_rows_that_are_none(scripted: ScriptedSite, rows: list[Any], connect: Connect) -> None:
    """Rows out of order, twice, or without id, type or time: nothing of the page is taken."""
    log = connect(scripted.url)
    scripted.rows(*rows)
    with pytest.raises(SiteAnswerError):
        log.ask(PAGE)


def test_ascending_rows_are_not_descending_ones(scripted: ScriptedSite, connect: Connect) -> None:
    """The newest rows must come in the order asked for."""
    log = connect(scripted.url)
    scripted.rows(ROW, {**ROW, "id": 8})
    assert ids(log.ask(PAGE)) == [7, 8]
    with pytest.raises(SiteAnswerError, match="order"):
        log.ask(Newest(2))


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
        Since(AT + 1),
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
    with pytest.raises(SiteAnswerError, match="event 7 was not asked for"):
        connect(scripted.url).ask(call)


@pytest.mark.parametrize("body", [b'{"exception": true}', b'{"exception": true, "error_code": 1}'])
def test_refusals_without_words(scripted: ScriptedSite, body: bytes, connect: Connect) -> None:
    """A refusal need not say why."""
    log = connect(scripted.url)
    scripted.body = body
    with pytest.raises(SiteFault):
        log.ask(PAGE)
