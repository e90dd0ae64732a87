"""What a callback sees of a row is what the stock client's `find` gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scripted_site import ScriptedSite, scripted_site
from shotgun_api3.shotgun import Shotgun
from site_records import ROW, Connect, settings

from sgevents_core.calling.journal_events import event_of
from sgevents_core.events import Event, route_of
from sgevents_core.sandbox import Sandbox
from sgevents_core.site.bodies import encoded
from sgevents_core.site.client import EventLog
from sgevents_core.site.log_reader import FIELDS
from sgevents_core.site.questions import Fetch, Page
from sgevents_core.site.ranges import Span
from sgevents_core.state.strands import strands_of

MORE_FIELDS: Final = ("description", "sg_due", "sg_file", "sg_links", "entity.Shot.code")

stamps = st.datetimes(datetime(1975, 1, 1), datetime(2037, 1, 1)).map(
    lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ")
)
texts = (
    st.text('aZz<&;lt \\"é\n', max_size=6)
    | stamps
    | stamps.map(str.lower)
    | st.sampled_from(
        [
            "2026-02-30T12:00:00Z",
            "0000-01-31T12:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:00:60Z",
            "2026-01-31 12:00:00 UTC",
            "2026-01-31T12:00:00+",
            "a &lt; b",
            "&&lt;lt;",
        ]
    )
)
scalars = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(-9, 9) | texts
links = st.fixed_dictionaries(
    {"type": st.sampled_from(["Shot", "Task", "Page"]), "id": st.integers(1, 9), "name": texts},
    optional={"valid": texts},
)
files = st.fixed_dictionaries(
    {"link_type": st.sampled_from(["local", "upload", "web"]), "name": texts},
    optional={
        "url": texts,
        "local_path_linux": texts | st.none(),
        "local_path_mac": texts,
        "local_path_windows": texts,
    },
)
values = st.recursive(
    scalars | links | files,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
details = (
    st.dictionaries(
        st.sampled_from(
            [
                *("type", "entity_type", "entity_id", "old_value", "new_value", "link_type"),
                *("link_entity_type", "link_entity_id"),
            ]
        ),
        values | st.just("Shot") | st.just(860),
        max_size=4,
    )
    | files
)
users = links | links.map(lambda link: {**link, "type": "ApiUser"})
rows = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from(
            ["Shotgun_Task_Change", "Shotgun_Shot_Retirement", "Shotgun_Version_View", "Own_&lt;"]
        )
        | texts,
        "attribute_name": st.none() | texts,
        "meta": details | st.none(),
        "entity": links | st.none(),
        "user": users | st.none(),
        "project": links | st.none(),
        "session_uuid": st.none() | texts,
        "created_at": stamps,
        "description": values,
        "sg_due": values,
        "sg_file": files | values,
        "sg_links": st.lists(links, max_size=3) | values,
        "entity.Shot.code": scalars,
    }
)


class Both:
    """The stock client and the feed's reader, asking the same site."""

    def __init__(self, site: ScriptedSite) -> None:
        self.site = site
        self.stock = Shotgun(site.url, "sgevents", "demo-key")
        self.log = EventLog(settings(site.url), MORE_FIELDS)

    def read(self, record: dict[str, Any], *, ascii_only: bool) -> tuple[dict[str, Any], bytes]:
        """What the stock client finds, and what the journal keeps."""
        text = json.dumps(record, ensure_ascii=ascii_only)
        self.site.body = f'{{"results": {{"entities": [{text}]}}}}'.encode()
        (found,) = self.stock.find("EventLogEntry", [], [*FIELDS, *MORE_FIELDS], limit=20)
        (row,) = self.log.ask(Page(6, 20, None)).rows
        assert row.strands == strands_of(record)
        assert row.route in {None, route_of(Event(record))}
        return dict(found), row.body


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    """Both readers of one site."""
    with scripted_site() as site:
        readers = Both(site)
        yield readers
        readers.stock.close()
        readers.log.close()


def seen(event: Event) -> dict[str, Any]:
    """What a callback sees; None for details that the row does not have."""
    return {**event, "meta": event["meta"] or None}


def check(event: Event, found: dict[str, Any]) -> None:
    """Mapping and attributes show what the stock client found."""
    assert seen(event) == {**found, "meta": found["meta"] or None}
    if isinstance(found["event_type"], str):
        assert event.event_type == found["event_type"]
    for name in ("entity", "project", "user"):
        assert getattr(event, name) == found[name]
    meta = found["meta"] or {}
    if "pref" not in meta:
        assert (event.old_value, event.new_value) == (meta.get("old_value"), meta.get("new_value"))


@given(row=rows, ascii_only=st.booleans())
@example(row={**ROW, "description": "2026-01-31T12:00:00Z"}, ascii_only=True)
def test_callbacks_see_what_the_stock_client_finds(
    both: Both, row: dict[str, Any], ascii_only: bool
) -> None:
    """Datetimes, links, files and texts are the stock client's, also of rows stored transformed."""
    record = {**ROW, **dict.fromkeys(MORE_FIELDS), **row}
    found, body = both.read(record, ascii_only=ascii_only)
    assert json.loads(body) == record
    check(event_of(body), found)
    check(event_of(stored_before(record)), found)


def stored_before(record: dict[str, Any]) -> bytes:
    """The body that earlier versions stored: after the client's changes, except datetimes."""
    client: Any = Shotgun("http://127.0.0.1:1", "sgevents", "demo-key", connect=False)
    return encoded(client._parse_records([json.loads(json.dumps(record))])[0])


def test_usual_rows_are_stored_as_they_came(busy: Sandbox, connect: Connect) -> None:
    """Byte by byte: nothing is decoded and encoded again."""
    log = connect(busy.url)
    sent: list[bytes] = []
    real = log._reader._client._http_request

    def listen(*args: Any, **kwargs: Any) -> Any:
        answer = real(*args, **kwargs)
        sent.append(answer[2])
        return answer

    log._reader._client._http_request = listen  # type: ignore[method-assign]  # to read what came
    rows = log.ask(Fetch((Span(1, 400),), 500)).rows
    assert len(rows) > 300
    assert all(row.body in sent[-1] for row in rows)
