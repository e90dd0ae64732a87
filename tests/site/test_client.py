"""Asking a site over HTTP: the rows that the stock client reads, for every kind of call."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import msgspec
import pytest
from scripted_site import ScriptedSite
from shotgun_api3.shotgun import Shotgun
from site_records import AT, ROW, Connect

from sgevents_core.calling.connection import CountingShotgun
from sgevents_core.calling.journal_events import event_of
from sgevents_core.sandbox import Sandbox
from sgevents_core.site.client import EventLog
from sgevents_core.site.log_reader import FIELDS, LogClient
from sgevents_core.site.questions import (
    Answer,
    Count,
    Fetch,
    Ids,
    Look,
    Newest,
    Page,
    Recent,
    Since,
)
from sgevents_core.site.ranges import Span


def as_on_the_wire(value: Any) -> Any:
    """What the stock client returned, its datetimes as the site wrote them."""
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, dict):
        return {key: as_on_the_wire(item) for key, item in value.items()}
    return [as_on_the_wire(item) for item in value] if isinstance(value, list) else value


# The faster decoder


def records_in(found: list[Any]) -> list[Any]:
    """The records that a reader found, decoded."""
    return [msgspec.json.decode(record) for record in found]


def test_reads_what_the_stock_client_reads(busy: Sandbox) -> None:
    """Filters, orders, pages and linked fields: the same records, left as JSON.

    What plugins' connections get is the same to the last value.
    """
    stock = Shotgun(busy.url, "sgevents", "demo-key")
    fast = LogClient(busy.url, "sgevents", "demo-key")
    guarded = CountingShotgun(busy.url, "sgevents", "demo-key")
    fields = [*FIELDS, "description", "entity.Shot.code", "user.HumanUser.login", "not_a_field"]
    down: list[Any] = [{"field_name": "id", "direction": "desc"}]
    up: list[Any] = [{"field_name": "id", "direction": "asc"}]
    stamp = datetime(2020, 1, 1, tzinfo=timezone.utc)
    some = busy.log.visible_ids()[::7]
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
        assert records_in(found) == as_on_the_wire(expected)
        assert guarded.find("EventLogEntry", filters, fields, order, limit=limit) == expected
    count = [{"field": "id", "type": "count"}]
    assert fast.summarize("EventLogEntry", [], count) == stock.summarize("EventLogEntry", [], count)
    assert fast.find_one("Shot", []) == as_on_the_wire(stock.find_one("Shot", []))
    stock.close()
    fast.close()
    guarded.close()


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
    (row,) = log.ask(Newest(20)).rows
    body = event_of(row.body).row
    assert (row.id, row.at, row.event_type) == (7, AT, "Shotgun_Shot_New")
    assert {name: body[name] for name in ROW} == ROW
    assert isinstance(body["description"], str)


# Every kind of call


def ids(answer: Answer) -> list[int]:
    """The ids of an answer's rows."""
    return [row.id for row in answer.rows]


def test_pages(busy: Sandbox, log: EventLog) -> None:
    """A page holds the rows above an id, ascending, as many as asked for."""
    visible = busy.log.visible_ids()
    assert ids(log.ask(Page(0, 500, None))) == visible[:500]
    assert ids(log.ask(Page(visible[700] - 1, 20, visible[700]))) == visible[700:720]
    assert ids(log.ask(Page(visible[-1], 500, None))) == []


def test_rows_are_kept_whole(busy: Sandbox, log: EventLog) -> None:
    """A row's body is the whole record as read, its time and type beside it."""
    rows = log.ask(Newest(30)).rows
    records = {record["id"]: record for record in busy.event_rows(*ids(Answer(rows)))}
    for row in rows:
        body = msgspec.json.decode(row.body)
        assert set(body) == {*FIELDS, "type"}
        assert body["event_type"] == row.event_type == records[row.id]["event_type"]
        stamp = records[row.id]["created_at"]
        written = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
        assert body["created_at"] == stamp
        assert row.at == written.timestamp()


def test_more_fields_can_be_read(busy: Sandbox, connect: Connect) -> None:
    """Fields from the configuration come with every row; one named twice comes once."""
    log = connect(busy.url, ["description", "entity.Shot.code", "meta"])
    body = msgspec.json.decode(log.ask(Newest(1)).rows[0].body)
    assert set(body) == {*FIELDS, "type", "description", "entity.Shot.code"}


def test_newest(busy: Sandbox, log: EventLog) -> None:
    """The newest rows come first, those below an id if told."""
    visible = busy.log.visible_ids()
    assert ids(log.ask(Newest(3))) == visible[:-4:-1]
    assert ids(log.ask(Newest(2, below=visible[10]))) == [visible[9], visible[8]]


def test_since(busy: Sandbox, log: EventLog) -> None:
    """The first row since a second, that second included."""
    rows = log.ask(Page(0, 500, None)).rows
    at = rows[300].at
    expected = min(row.id for row in rows if row.at >= at)
    assert ids(log.ask(Since(at))) == [expected]
    assert ids(log.ask(Since(2**32))) == []


@pytest.mark.parametrize("kind", [Look, Recent, Fetch])
def test_rows_of_many_ranges(busy: Sandbox, log: EventLog, kind: type) -> None:
    """Single ids and ranges of any number and width are asked for at once."""
    visible = busy.log.visible_ids()
    many = tuple(Span(id_, id_) for id_ in visible[0:1400:2])
    wide = (Span(visible[5], visible[9]), Span(visible[50], visible[90]))
    last = visible[-1]
    mixed = (Span(3, 3), *wide, Span(last - 2, last + 100_000))
    for spans in ((Span(4, 4),), many, wide, mixed, (Span(last + 1, last + 3),)):
        options = {"observed": 0.0} if kind is Look else {}
        found = ids(log.ask(kind(spans=spans, limit=500, **options)))
        assert found == [i for i in visible if any(s.first <= i <= s.last for s in spans)][:500]


def test_counts_and_ids(busy: Sandbox, log: EventLog) -> None:
    """A range can be counted, and its ids alone read."""
    visible = busy.log.visible_ids()
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
        assert log.ask(Newest(20)).date == date
    scripted.headers = {}
    assert log.ask(Newest(20)).date is None
