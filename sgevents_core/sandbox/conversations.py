"""Conversations and the activity of a record: `note_thread_contents` and `activity_stream`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from sgevents_core.sandbox.callers import ApiCaller
from sgevents_core.sandbox.event_log import EventRow
from sgevents_core.sandbox.field_paths import resolve_path
from sgevents_core.sandbox.following import JsonObject, required_record
from sgevents_core.sandbox.read_queries import row_projection
from sgevents_core.sandbox.records import EntityRef, Record
from sgevents_core.sandbox.refused_calls import (
    CRUD_ERROR,
    RefusedCallError,
    array_parameter,
    refused_call,
    refused_value,
)
from sgevents_core.sandbox.site_database import SiteDatabase

_DEFAULT_FIELDS: Final = {
    "Note": ("content", "created_at", "created_by"),
    "Attachment": ("created_at", "created_by"),
    "Reply": ("content", "created_at", "user"),
}
_LINK_FIELDS: Final = ("entity", "note_links", "sg_task", "tasks", "task", "version")
_STREAMED_FIELDS: Final = ("sg_status_list", "task_assignees")
"""Fields whose changes appear in the stream of a record."""
_DEFAULT_LIMIT: Final = 25
_LARGEST_LIMIT: Final = 500


def _read_note_thread(
    database: SiteDatabase, _caller: ApiCaller, parameters: JsonObject
) -> list[JsonObject]:
    note_id = parameters.get("note_id")
    note = database.records.live(("Note", note_id)) if isinstance(note_id, int) else None
    if note is None:
        raise RefusedCallError(f"Note: {note_id} not found", CRUD_ERROR)
    more_fields = _requested_fields("note_thread_contents", parameters)
    entries = [note, *_attached_files(database, note), *_note_replies(database, note)]
    entries.sort(key=lambda entry: (str(entry.values.get("created_at")), entry.creation_number))
    return [_thread_entry(database, entry, more_fields.get(entry.type, ())) for entry in entries]


def _requested_fields(method: str, parameters: JsonObject) -> JsonObject:
    """Return the fields requested besides the default ones, by entity type."""
    fields_by_type = parameters.get("entity_fields") or {}
    if not isinstance(fields_by_type, dict):
        raise refused_value(method, "invalid hash 'entity_fields'", fields_by_type)
    return {
        type_name: array_parameter(method, fields_by_type, type_name, str)
        for type_name in fields_by_type
    }


def _attached_files(database: SiteDatabase, note: Record) -> list[Record]:
    attachment_refs = set(note.values.get("attachments") or ())
    return [
        attachment
        for attachment in database.records.of_type("Attachment")
        if attachment.ref in attachment_refs
        or note.ref in (attachment.values.get("attachment_links") or ())
    ]


def _note_replies(database: SiteDatabase, note: Record) -> list[Record]:
    replies = database.records.of_type("Reply")
    return [reply for reply in replies if reply.values.get("entity") == note.ref]


def _thread_entry(database: SiteDatabase, entry: Record, more_fields: Any) -> JsonObject:
    is_reply = entry.type == "Reply"  # a site ignores the fields requested for replies
    fields = (*_DEFAULT_FIELDS[entry.type], *(() if is_reply else more_fields))
    shown_values = row_projection(database, entry.type, fields)(entry)
    if is_reply and shown_values["user"]:
        image_path = resolve_path(database, "read", shown_values["user"]["type"], "image")
        author = database.records.live(entry.values.get("user"))
        shown_values["user"] = {**shown_values["user"], "image": image_path.read_value(author)}
    return shown_values


def _read_activity_stream(
    database: SiteDatabase, caller: ApiCaller, parameters: JsonObject
) -> JsonObject:
    target = required_record(
        database, "activity_stream", {name: parameters.get(name) for name in ("type", "id")}
    )
    limit = _DEFAULT_LIMIT if parameters.get("limit") is None else parameters["limit"]
    if not isinstance(limit, int) or not 0 < limit <= _LARGEST_LIMIT:
        raise refused_value("activity_stream", f"limit must be from 1 to {_LARGEST_LIMIT}", limit)
    all_ids = database.log.visible_id_list(caller.script_name)
    above, below = parameters.get("min_id") or 0, parameters.get("max_id") or 2**62
    if not isinstance(above, int) or not isinstance(below, int):
        raise refused_call("activity_stream", "invalid integer 'min_id' or 'max_id'")
    ids = [event_id for event_id in all_ids if above < event_id < below]
    rows = list(islice(_streamed_rows(database, target, ids), limit))
    more_fields = _requested_fields("activity_stream", parameters)
    is_complete = len(rows) < limit and not above
    earliest_id = rows[-1].id if rows and len(rows) == limit else above + 1
    return {
        "entity_type": target.type,
        "entity_id": target.id,
        "latest_update_id": ids[-1] if ids else 0,
        "earliest_update_id": 0 if is_complete else earliest_id,
        "updates": [_stream_update(database, row, more_fields) for row in rows],
    }


def _streamed_rows(database: SiteDatabase, target: Record, ids: list[int]) -> Iterator[EventRow]:
    """Return the rows in the stream of a record, the newest first."""
    for event_id in reversed(ids):
        row = database.log.row(event_id)
        record = database.records.live(row.entity)
        if record is not None and isinstance(row.meta, dict) and _is_streamed(target, record, row):
            yield row


def _is_streamed(target: Record, record: Record, row: EventRow) -> bool:
    assert isinstance(row.meta, dict)  # noqa: S101 - checked by the caller
    is_about_target = record is target or _links_to(record, target.ref)
    if row.meta.get("type") == "new_entity":
        return is_about_target
    return (
        is_about_target and row.attribute_name in _STREAMED_FIELDS and not row.meta.get("in_create")
    )


def _links_to(record: Record, target_ref: EntityRef) -> bool:
    if target_ref[0] == "Project":
        return record.values.get("project") == target_ref
    values = (record.values.get(field_name) for field_name in _LINK_FIELDS)
    return any(
        value == target_ref or (isinstance(value, tuple) and target_ref in value)
        for value in values
    )


def _stream_update(database: SiteDatabase, row: EventRow, more_fields: JsonObject) -> JsonObject:
    record = database.records.live(row.entity)
    assert record is not None  # noqa: S101 - the rows of a stream have one
    is_creation = isinstance(row.meta, dict) and row.meta.get("type") == "new_entity"
    project = row_projection(database, record.type, tuple(more_fields.get(record.type, ())))
    return {
        "id": row.id,
        "update_type": "create" if is_creation else "update",
        "meta": row.meta,
        "created_at": row.created_at,
        "read": False,
        "primary_entity": {
            **project(record),
            "name": record.link["name"],
            "status": record.values.get("sg_status_list"),
        },
        "created_by": _update_author(database, row.user),
    }


def _update_author(database: SiteDatabase, user_ref: EntityRef | None) -> JsonObject | None:
    author = database.records.live(user_ref)
    if author is None:
        return None
    image_url = resolve_path(database, "read", author.type, "image").read_value(author)
    return {**author.link, "status": author.values.get("sg_status_list"), "image": image_url}


API_METHODS: Final = {
    "note_thread_contents": _read_note_thread,
    "activity_stream": _read_activity_stream,
}
