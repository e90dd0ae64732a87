"""Conversations and the activity of a record: `note_thread_contents` and `activity_stream`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from sgevents_core.sandbox.attention import Call, existing
from sgevents_core.sandbox.callers import SignedIn
from sgevents_core.sandbox.eventlog import EventRow
from sgevents_core.sandbox.paths import resolve
from sgevents_core.sandbox.queries import projection
from sgevents_core.sandbox.records import Record, Ref
from sgevents_core.sandbox.refusal import CRUD, RefusedCallError, listed, shown
from sgevents_core.sandbox.site_database import SiteDatabase

_USUAL: Final = {
    "Note": ("content", "created_at", "created_by"),
    "Attachment": ("created_at", "created_by"),
    "Reply": ("content", "created_at", "user"),
}
_LINKS: Final = ("entity", "note_links", "sg_task", "tasks", "task", "version")
_TOLD: Final = ("sg_status_list", "task_assignees")
"""Fields whose changes appear in the stream of a record."""
_USUAL_LIMIT: Final = 25
_LARGEST: Final = 500


def _thread(database: SiteDatabase, _caller: SignedIn, call: Call) -> list[Call]:
    number = call.get("note_id")
    note = database.records.live(("Note", number)) if isinstance(number, int) else None
    if note is None:
        raise RefusedCallError(f"Note: {number} not found", CRUD)
    more = _more("note_thread_contents", call)
    parts = [note, *_attached(database, note), *_replies(database, note)]
    parts.sort(key=lambda part: (str(part.values.get("created_at")), part.serial))
    return [_part(database, part, more.get(part.type, ())) for part in parts]


def _more(method: str, call: Call) -> Call:
    """Return the fields asked for besides the usual ones, by entity type."""
    told = call.get("entity_fields") or {}
    if not isinstance(told, dict):
        raise RefusedCallError(f"API {method}() invalid hash 'entity_fields': {shown(told)}")
    return {name: listed(method, told, name, str) for name in told}


def _attached(database: SiteDatabase, note: Record) -> list[Record]:
    listed = set(note.values.get("attachments") or ())
    return [
        file
        for file in database.records.of_type("Attachment")
        if file.ref in listed or note.ref in (file.values.get("attachment_links") or ())
    ]


def _replies(database: SiteDatabase, note: Record) -> list[Record]:
    replies = database.records.of_type("Reply")
    return [reply for reply in replies if reply.values.get("entity") == note.ref]


def _part(database: SiteDatabase, part: Record, more: Any) -> Call:
    wider = () if part.type == "Reply" else tuple(more)  # as on a site, which ignores those
    told = projection(database, part.type, (*_USUAL[part.type], *wider))(part)
    if part.type == "Reply" and told["user"]:
        image = resolve(database, "read", told["user"]["type"], "image").get
        author = database.records.live(part.values.get("user"))
        told["user"] = {**told["user"], "image": image(author)}
    return told


def _stream(database: SiteDatabase, caller: SignedIn, call: Call) -> Call:
    target = existing(
        database, "activity_stream", {name: call.get(name) for name in ("type", "id")}
    )
    limit = _USUAL_LIMIT if call.get("limit") is None else call["limit"]
    if not isinstance(limit, int) or not 0 < limit <= _LARGEST:
        raise RefusedCallError(
            f"API activity_stream() limit must be from 1 to {_LARGEST}: {shown(limit)}"
        )
    ids = database.log.view(caller.script)
    above, below = call.get("min_id") or 0, call.get("max_id") or 2**62
    if not isinstance(above, int) or not isinstance(below, int):
        raise RefusedCallError("API activity_stream() invalid integer 'min_id' or 'max_id'")
    window = [some for some in ids if above < some < below]
    found = list(islice(_updates(database, target, window), limit))
    more = _more("activity_stream", call)
    ran_out = len(found) < limit and not above
    lowest = found[-1].id if found and len(found) == limit else above + 1
    return {
        "entity_type": target.type,
        "entity_id": target.id,
        "latest_update_id": window[-1] if window else 0,
        "earliest_update_id": 0 if ran_out else lowest,
        "updates": [_update(database, row, more) for row in found],
    }


def _updates(database: SiteDatabase, target: Record, ids: list[int]) -> Iterator[EventRow]:
    """Return the rows in the stream of a record, the newest first."""
    for number in reversed(ids):
        row = database.log.row(number)
        record = database.records.live(row.entity)
        if record is not None and isinstance(row.meta, dict) and _is_told(target, record, row):
            yield row


def _is_told(target: Record, record: Record, row: EventRow) -> bool:
    assert isinstance(row.meta, dict)  # noqa: S101 - asked before
    concerns = record is target or _leads(record, target.ref)
    if row.meta.get("type") == "new_entity":
        return concerns
    return concerns and row.attribute_name in _TOLD and not row.meta.get("in_create")


def _leads(record: Record, ref: Ref) -> bool:
    if ref[0] == "Project":
        return record.values.get("project") == ref
    values = (record.values.get(name) for name in _LINKS)
    return any(value == ref or (isinstance(value, tuple) and ref in value) for value in values)


def _update(database: SiteDatabase, row: EventRow, more: Call) -> Call:
    record = database.records.live(row.entity)
    assert record is not None  # noqa: S101 - the rows of a stream have one
    created = isinstance(row.meta, dict) and row.meta.get("type") == "new_entity"
    return {
        "id": row.id,
        "update_type": "create" if created else "update",
        "meta": row.meta,
        "created_at": row.created_at,
        "read": False,
        "primary_entity": {
            **projection(database, record.type, tuple(more.get(record.type, ())))(record),
            "name": record.link["name"],
            "status": record.values.get("sg_status_list"),
        },
        "created_by": _author(database, row.user),
    }


def _author(database: SiteDatabase, user: Ref | None) -> Call | None:
    author = database.records.live(user)
    if author is None:
        return None
    image = resolve(database, "read", author.type, "image").get(author)
    return {**author.link, "status": author.values.get("sg_status_list"), "image": image}


METHODS: Final = {"note_thread_contents": _thread, "activity_stream": _stream}
