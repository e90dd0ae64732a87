"""One odd row costs itself: it is taken with what can be said of it, or set aside by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from odd_site import OddSite, odd_site, text_of
from running_feed import Running
from scripted_site import ScriptedSite
from site_records import AT, ROW, Connect

from sgevents_core.calling.journal_events import event_of
from sgevents_core.errors import SiteAnswerError
from sgevents_core.reading.id_standing import explain_missing_id
from sgevents_core.site import backlog, sizes, trouble
from sgevents_core.site import feed as feed_module
from sgevents_core.site import follower as gaps
from sgevents_core.site.notices import EventSetAside
from sgevents_core.site.questions import Fetch, Ids, Look, Newest, Page, Since
from sgevents_core.site.ranges import Span

PAGE = Page(1, 500, None)


def with_field(name: str, text: str) -> str:
    """The text of row 12 with a field of any text."""
    record = {**ROW, "id": 12}
    record.pop(name, None)
    return f'{json.dumps(record)[:-1]}, "{name}": {text}}}'


def nested(depth: int) -> str:
    """A list in a list, so many times."""
    return "[" * depth + "1" + "]" * depth


TAKEN = {
    "no time": with_field("created_at", "null"),
    "a time that is none": with_field("created_at", '"soon"'),
    "a time of another kind": with_field("created_at", "1700000000"),
    "a time in a list": with_field("created_at", '["2026-01-31T12:00:00Z"]'),
    "a time too large": with_field("created_at", '"99999-01-31T12:00:00Z"'),
    "the first year": with_field("created_at", '"0001-01-01T00:00:00Z"'),
    "the last year": with_field("created_at", '"9999-12-31T23:59:59Z"'),
    "nothing but an id": '{"id": 12}',
    "no type": with_field("event_type", "null"),
    "a type of another kind": with_field("event_type", '{"a": [1]}'),
    "deep": with_field("meta", nested(1_100)),
    "very deep": with_field("meta", nested(100_000)),
    "as deep as the feed can read": with_field("meta", nested(900)),
    "deep objects": with_field("meta", '{"a":' * 1_100 + "1" + "}" * 1_100),
    "brackets in a text": with_field("meta", json.dumps({"new_value": "[{" * 1_000 + '"'})),
    "a long integer": with_field("meta", f'{{"new_value": {"9" * 4_400}}}'),
    "a long negative integer": with_field("meta", f'{{"new_value": -{"9" * 4_400}}}'),
    "beyond 64 bits": with_field("entity", f'{{"type": "Shot", "id": {2**70}}}'),
    "half a character": with_field("meta", '{"new_value": "\\ud83d"}'),
    "half a character as a key": with_field("meta", '{"\\udc00": 1}'),
    "half a character in a type": with_field("event_type", '"Studio_\\ud83d"'),
    "NUL": with_field("event_type", '"Studio_\\u0000"'),
    "raw control characters": with_field("session_uuid", '"a\tb\n\x01"'),
    "bytes that are no UTF-8": with_field("session_uuid", '"\udcff\udcfe"'),
    "NaN": with_field("meta", '{"new_value": NaN}'),
    "Infinity": with_field("meta", '{"new_value": [Infinity, -Infinity]}'),
    "a float too large": with_field("meta", '{"new_value": 1e999}'),
    "meta of another kind": with_field("meta", "[1, 2]"),
    "meta that is a number": with_field("meta", "7"),
    "a user that is a text": with_field("user", '"anna"'),
    "an entity that is a list": with_field("entity", '[{"type": "Shot"}]'),
    "an entity without id": with_field("entity", '{"type": 5, "id": "x"}'),
    "a project that is true": with_field("project", "true"),
    "a megabyte": with_field("meta", json.dumps({"new_value": "x" * 1_000_000})),
    "keys twice": with_field("event_type", '"Studio_A", "event_type": "Studio_B"'),
    "fields nobody asked for": with_field("no such field", "{}"),
}
"""Texts of row 12 that can be taken."""

SET_ASIDE = {
    "2**63": (with_field("id", str(2**63)), "9223372036854775808"),
    "a long id": (with_field("id", "9" * 4_400), '"999'),
    "2**63 - 1": (with_field("id", str(2**63 - 1)), "9223372036854775807"),
    "2**53": (with_field("id", str(2**53)), "9007199254740992"),
    "negative": (with_field("id", "-12"), "-12"),
    "zero": (with_field("id", "0"), "0"),
    "a truth": (with_field("id", "true"), "true"),
    "a float": (with_field("id", "12.0"), "12.0"),
    "a text": (with_field("id", '"12"'), '"12"'),
    "null": (with_field("id", "null"), "null (Shotgun_Shot_New, 2026"),
    "no id": ('{"type": "EventLogEntry"}', "null"),
    "no record": ("null", "null"),
    "a record that is a text": ('"\\u001b[31mrow"', r'"\u001b[31mrow"'),
    "a record that is a list": ("[]", "[]"),
}
"""Rows that cannot be taken, and how the name begins under which they are on record."""


def body(*texts: str) -> bytes:
    """An answer with rows of these texts."""
    joined = f'{{"results": {{"entities": [{", ".join(texts)}]}}}}'
    return joined.encode("utf-8", "surrogateescape")


# What the client makes of them


@pytest.mark.parametrize("kind", TAKEN)
def test_taken_with_what_can_be_said_of_it(
    scripted: ScriptedSite, connect: Connect, kind: str
) -> None:
    """The row is there beside its neighbours, and what the journal keeps can be read again."""
    scripted.body = body(text_of(11), TAKEN[kind], text_of(13))
    answer = connect(scripted.url).ask(PAGE)
    assert [row.id for row in answer.rows] == [11, 12, 13]
    assert answer.odd == ()
    event = event_of(answer.rows[1].body)
    assert event.id == 12
    json.loads(answer.rows[1].body)
    answer.rows[1].event_type.encode()


@pytest.mark.parametrize("kind", SET_ASIDE)
def test_set_aside_by_name(scripted: ScriptedSite, connect: Connect, kind: str) -> None:
    """Its neighbours are taken; it has a name, the same each time, and a reason."""
    text, name = SET_ASIDE[kind]
    scripted.body = body(text_of(11), text, text_of(13))
    log = connect(scripted.url)
    answer = log.ask(PAGE)
    assert [row.id for row in answer.rows] == [11, 13]
    (odd,) = answer.odd
    assert odd.name.startswith(name)
    assert len(odd.name) <= 200
    assert odd.name.isascii()
    assert odd.name.isprintable()
    assert odd.reason
    assert log.ask(PAGE).odd == answer.odd


def test_a_time_that_is_none_is_told(scripted: ScriptedSite, connect: Connect) -> None:
    """Whoever goes by times knows that the row has none of its own."""
    scripted.body = body(text_of(11), TAKEN["no time"])
    rows = connect(scripted.url).ask(PAGE).rows
    assert [(row.at, row.dated) for row in rows] == [(AT, True), (0, False)]


@pytest.mark.parametrize(
    ("ids", "taken"), [((12, 11, 13), [11, 12, 13]), ((11, 11, 12, 12), [11, 12])]
)
def test_twice_or_out_of_place(
    scripted: ScriptedSite, connect: Connect, ids: tuple[int, ...], taken: list[int]
) -> None:
    """Each id is taken once, in the order of ids; a lower one beside those asked for is left."""
    scripted.body = body(*(text_of(id_) for id_ in ids), text_of(1))
    assert [row.id for row in connect(scripted.url).ask(PAGE).rows] == taken


def test_full_pages_keep_the_order(scripted: ScriptedSite, connect: Connect) -> None:
    """A site that keeps no order may have left rows out of a full page: that is no answer."""
    log = connect(scripted.url)
    ids = list(range(20, 0, -1))
    scripted.body = body(*(text_of(id_) for id_ in ids))
    with pytest.raises(SiteAnswerError, match="order"):
        log.ask(Page(0, 20, None))
    scripted.body = body(*(text_of(id_) for id_ in reversed(ids)))
    with pytest.raises(SiteAnswerError, match="order"):
        log.ask(Newest(20))
    assert len(log.ask(Page(0, 20, None)).rows) == 20


def test_a_full_page_stays_full_without_its_odd_rows(
    scripted: ScriptedSite, connect: Connect
) -> None:
    """It says nothing of the ids above its last row, however few rows of it can be taken."""
    scripted.body = body(text_of(11), "null", text_of(13), "null")
    log = connect(scripted.url)
    spans = (Span(1, 30),)
    assert log.ask(Page(1, 4, None)).reach == 13
    assert log.ask(Look(spans, 4, 0.0)).reach == 13
    assert log.ask(Fetch(spans, 4)).reach == 13
    assert log.ask(Ids(spans[0], 4)).reach == 13
    assert log.ask(Look(spans, 5, 0.0)).reach is None


def test_a_full_page_of_nothing_else_is_no_answer(scripted: ScriptedSite, connect: Connect) -> None:
    """It says nothing at all; an empty page would mean that there are no rows."""
    scripted.body = body("null", "null")
    log = connect(scripted.url)
    with pytest.raises(SiteAnswerError, match="none of the 2 rows"):
        log.ask(Page(1, 2, None))
    assert log.ask(Page(1, 3, None)).rows == ()


@pytest.mark.parametrize("call", [Newest(1), Since(AT)], ids=["newest", "since"])
def test_the_one_row_wanted_may_be_odd(
    scripted: ScriptedSite, connect: Connect, call: Newest | Since
) -> None:
    """The one behind it is taken, so that a start does not begin at nothing."""
    scripted.body = body(with_field("id", str(2**63)), text_of(12), text_of(11))
    if isinstance(call, Since):
        scripted.body = body("null", text_of(12), text_of(13))
    assert [row.id for row in connect(scripted.url).ask(call).rows] == [12]
    assert scripted.asked[-1]["params"][1]["paging"]["entities_per_page"] == 10


# What the feed makes of them

Odd = Callable[..., Running]


@pytest.fixture
def odd() -> Iterator[OddSite]:
    """A site that sends any text."""
    with odd_site() as running:
        running.rows = {id_: text_of(id_) for id_ in range(1, 6)}
        yield running


def plain(odd: OddSite, id_: int) -> int:
    """Add a row that is not odd; return its id."""
    odd.rows[id_] = text_of(id_)
    return id_


def follow(site: Any, folder: Path, **feed: Any) -> Running:
    """A feed of a site."""
    return Running(site, folder, **feed)


@pytest.mark.parametrize("page_size", [2, 500])
def test_the_log_goes_on(odd: OddSite, tmp_path: Path, page_size: int) -> None:
    """With all of them in one log, every row that has an id is taken, in order and once.

    Those that have none are on record, once each, however often they come again.
    """
    ids = iter(range(10, 500))
    for text in TAKEN.values():
        id_ = next(ids)
        odd.rows[id_] = text.replace('"id": 12', f'"id": {id_}', 1)
        odd.rows[id_] = odd.rows[id_].encode("utf-8", "replace").decode()
        plain(odd, next(ids))
    taken = sorted(odd.rows)
    for text, _ in SET_ASIDE.values():
        odd.rows[next(ids)] = text
        taken.append(plain(odd, next(ids)))
    running = follow(odd, tmp_path, page_size=page_size, backlog_timeout=0.3)
    try:
        running.until(lambda: sorted(running.ids()) == taken)
        odd.rows[1000] = with_field("id", str(2**63 + 5))
        odd.rows[600] = text_of(600)
        running.until(lambda: 600 in running.ids())
        running.until(lambda: len(running.reader.set_aside_events()) == len(SET_ASIDE))
    finally:
        running.close()
    told = [notice for notice in running.notices if isinstance(notice, EventSetAside)]
    assert len(told) == len(SET_ASIDE)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing wait long."""
    monkeypatch.setattr(trouble, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(trouble, "LONGEST_WAIT", 0.02)
    monkeypatch.setattr(feed_module, "QUICK_WAIT", 0.01)
    monkeypatch.setattr(sizes, "LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(sizes, "CALLS_PER_MINUTE", 6000.0)
    monkeypatch.setattr(backlog, "LONGEST_PUT_OFF", 0.02)
    monkeypatch.setattr(backlog, "FIRST_LOOK", 0.02)
    monkeypatch.setattr(gaps, "FIRST_LOOK", 0.02)


def test_a_row_that_the_site_cannot_give(odd: OddSite, tmp_path: Path, soon: None) -> None:
    """It is on record under its id while the rest goes on; once it is taken, nothing is aside."""
    for id_ in range(6, 40):
        plain(odd, id_)
    odd.fails = lambda found, params: 6 in found and params["return_fields"] != ["id"]
    running = follow(odd, tmp_path)
    try:
        running.until(lambda: len(running.ids()) == 38)
        running.until(running.reader.set_aside_events)
        assert [(one.event, one.where) for one in running.reader.set_aside_events()] == [
            ("6", "site")
        ]
        assert "set aside" in explain_missing_id(tmp_path, 6)
        odd.fails = lambda *_: False
        running.until(lambda: 6 in running.ids())
        running.until(lambda: not running.reader.set_aside_events())
    finally:
        running.close()


def test_a_site_that_refuses_long_lists(odd: OddSite, tmp_path: Path, soon: None) -> None:
    """A late row among hundreds of gaps is found, where no more than fifty ids may be named."""
    for id_ in range(7, 600, 2):
        plain(odd, id_)
    odd.fails = lambda _, params: len(ids_in(params)) > 50
    running = follow(odd, tmp_path)
    try:
        running.until(lambda: 599 in running.ids())
        plain(odd, 300)
        running.until(lambda: 300 in running.ids())
    finally:
        running.close()
    assert max(len(ids_in(params)) for params in odd.asked) > 50


def ids_in(params: Mapping[str, Any]) -> list[int]:
    """The ids that a question names one by one."""
    return [
        id_
        for one in params["filters"]["conditions"]
        for id_ in (one["values"] if one.get("relation") == "in" else [])
    ]
