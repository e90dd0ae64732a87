"""Conversations and the activity of a record: `note_thread_contents` and `activity_stream`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from sgevents_core.sandbox.callers import ApiCaller
from sgevents_core.sandbox.event_log import EventRow
from sgevents_core.sandbox.field_paths import resolve_path
from sgevents_core.sandbox.following import Parameters, required_record
from sgevents_core.sandbox.read_queries import row_projection
from sgevents_core.sandbox.records import EntityRef, Record
from sgevents_core.sandbox.refused_calls import (
    CRUD_ERROR,
    RefusedCallError,
    array_parameter,
    refused_call,
    ruby_text,
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
    database: SiteDatabase, _caller: ApiCaller, parameters: Parameters
) -> list[Parameters]:
    note_id = parameters.get("note_id")
    note = database.records.live(("Note", note_id)) if isinstance(note_id, int) else None
    if note is None:
        raise RefusedCallError(f"Note: {note_id} not found", CRUD_ERROR)
    requested_fields = _requested_fields("note_thread_contents", parameters)
    entries = [
        note,
        *_attached_files(database, note),
        *_note_replies(database, note),
    ]
    entries.sort(
        key=lambda entry: (
            str(entry.values.get("created_at")),
            entry.creation_number,
        )
    )
    return [
        _thread_entry(database, entry, requested_fields.get(entry.type, ())) for entry in entries
    ]


def _requested_fields(method: str, parameters: Parameters) -> Parameters:
    """Return the fields asked for besides the usual ones, by entity type."""
    fields_by_type = parameters.get("entity_fields") or {}
    if not isinstance(fields_by_type, dict):
        raise refused_call(method, f"invalid hash 'entity_fields': {ruby_text(fields_by_type)}")
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


def _thread_entry(database: SiteDatabase, entry: Record, requested_fields: Any) -> Parameters:
    additional_fields = (
        () if entry.type == "Reply" else tuple(requested_fields)
    )  # as on a site, which ignores those
    shown_values = row_projection(
        database, entry.type, (*_DEFAULT_FIELDS[entry.type], *additional_fields)
    )(entry)
    if entry.type == "Reply" and shown_values["user"]:
        read_image = resolve_path(
            database, "read", shown_values["user"]["type"], "image"
        ).read_value
        author = database.records.live(entry.values.get("user"))
        shown_values["user"] = {**shown_values["user"], "image": read_image(author)}
    return shown_values


def _read_activity_stream(
    database: SiteDatabase, caller: ApiCaller, parameters: Parameters
) -> Parameters:
    target = required_record(
        database,
        "activity_stream",
        {parameter_name: parameters.get(parameter_name) for parameter_name in ("type", "id")},
    )
    update_limit = _DEFAULT_LIMIT if parameters.get("limit") is None else parameters["limit"]
    if not isinstance(update_limit, int) or not 0 < update_limit <= _LARGEST_LIMIT:
        raise refused_call(
            "activity_stream",
            f"limit must be from 1 to {_LARGEST_LIMIT}: {ruby_text(update_limit)}",
        )
    visible_ids = database.log.visible_id_list(caller.script_name)
    lowest_excluded, highest_excluded = (
        parameters.get("min_id") or 0,
        parameters.get("max_id") or 2**62,
    )
    if not isinstance(lowest_excluded, int) or not isinstance(highest_excluded, int):
        raise refused_call("activity_stream", "invalid integer 'min_id' or 'max_id'")
    window_ids = [
        event_id for event_id in visible_ids if lowest_excluded < event_id < highest_excluded
    ]
    found_rows = list(islice(_streamed_rows(database, target, window_ids), update_limit))
    requested_fields = _requested_fields("activity_stream", parameters)
    is_complete = len(found_rows) < update_limit and not lowest_excluded
    earliest_id = (
        found_rows[-1].id if found_rows and len(found_rows) == update_limit else lowest_excluded + 1
    )
    return {
        "entity_type": target.type,
        "entity_id": target.id,
        "latest_update_id": window_ids[-1] if window_ids else 0,
        "earliest_update_id": 0 if is_complete else earliest_id,
        "updates": [
            _stream_update(database, event_row, requested_fields) for event_row in found_rows
        ],
    }


def _streamed_rows(
    database: SiteDatabase, target: Record, window_ids: list[int]
) -> Iterator[EventRow]:
    """Return the rows in the stream of a record, the newest first."""
    for event_id in reversed(window_ids):
        event_row = database.log.row(event_id)
        record = database.records.live(event_row.entity)
        if (
            record is not None
            and isinstance(event_row.meta, dict)
            and _is_streamed(target, record, event_row)
        ):
            yield event_row


def _is_streamed(target: Record, record: Record, event_row: EventRow) -> bool:
    assert isinstance(event_row.meta, dict)  # noqa: S101 - asked before
    concerns_target = record is target or _links_to(record, target.ref)
    if event_row.meta.get("type") == "new_entity":
        return concerns_target
    return (
        concerns_target
        and event_row.attribute_name in _STREAMED_FIELDS
        and not event_row.meta.get("in_create")
    )


def _links_to(record: Record, target_ref: EntityRef) -> bool:
    if target_ref[0] == "Project":
        return record.values.get("project") == target_ref
    link_values = (record.values.get(field_name) for field_name in _LINK_FIELDS)
    return any(
        link_value == target_ref or (isinstance(link_value, tuple) and target_ref in link_value)
        for link_value in link_values
    )


def _stream_update(
    database: SiteDatabase, event_row: EventRow, requested_fields: Parameters
) -> Parameters:
    record = database.records.live(event_row.entity)
    assert record is not None  # noqa: S101 - the rows of a stream have one
    is_creation = isinstance(event_row.meta, dict) and event_row.meta.get("type") == "new_entity"
    return {
        "id": event_row.id,
        "update_type": "create" if is_creation else "update",
        "meta": event_row.meta,
        "created_at": event_row.created_at,
        "read": False,
        "primary_entity": {
            **row_projection(database, record.type, tuple(requested_fields.get(record.type, ())))(
                record
            ),
            "name": record.link["name"],
            "status": record.values.get("sg_status_list"),
        },
        "created_by": _update_author(database, event_row.user),
    }


def _update_author(database: SiteDatabase, user_ref: EntityRef | None) -> Parameters | None:
    author = database.records.live(user_ref)
    if author is None:
        return None
    image_url = resolve_path(database, "read", author.type, "image").read_value(author)
    return {
        **author.link,
        "status": author.values.get("sg_status_list"),
        "image": image_url,
    }


API_METHODS: Final = {
    "note_thread_contents": _read_note_thread,
    "activity_stream": _read_activity_stream,
}
