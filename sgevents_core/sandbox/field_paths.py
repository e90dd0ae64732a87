"""Dotted paths: how to read the value of `entity.Shot.code` from a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any, Final

from sgevents_core.sandbox.computed_fields import COMPUTED_FIELDS
from sgevents_core.sandbox.entity_schema import MASKED, Field
from sgevents_core.sandbox.event_log import EventRow
from sgevents_core.sandbox.records import Record
from sgevents_core.sandbox.refused_calls import refused_call
from sgevents_core.sandbox.site_database import EVENT_LOG, SiteDatabase
from sgevents_core.sandbox.url_fields import shown_url_value

ValueReader = Callable[[Any], Any]

_STORED_FIELDS: Final = frozenset(EventRow.__struct_fields__)
_RECORD_ATTRIBUTES: Final = ("id", "type")


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A parsed path.

    Args:
        entity_type: The type whose field it ends in.
        field: The field it ends in.
        read_value: Row -> value in the site's form; a list of values if `has_many_values`.
        has_many_values: Whether it goes through a field with many links.
    """

    entity_type: str
    field: Field
    read_value: ValueReader
    has_many_values: bool = False


def resolve_path(
    database: SiteDatabase,
    method: str,
    entity_type: str,
    path_text: str,
    *,
    is_returned: bool = False,
) -> FieldPath:
    """Return the path of a name such as "code" or "entity.Shot.sg_sequence.Sequence.code".

    Args:
        database: The database with the schema.
        method: The API method, for messages.
        entity_type: The type at which the path begins.
        path_text: The path.
        is_returned: Whether it is a field to return; its types must then be valid types of its
            links.

    Raises:
        RefusedCallError: It names a type or field that does not exist, or one that is not a link.
    """
    database.schema.required_type(method, entity_type)
    field_path = None
    if isinstance(path_text, str):
        field_path = _resolve_in_type(database, entity_type, path_text, is_returned=is_returned)
    if field_path is None:
        raise refused_call(method, f"{entity_type}.{path_text} doesn't exist.")
    return field_path


def _resolve_in_type(
    database: SiteDatabase, entity_type: str, path_text: str, *, is_returned: bool
) -> FieldPath | None:
    field_name, _, remaining_path = path_text.partition(".")
    type_schema = database.schema.find_type(entity_type)
    field = type_schema.fields.get(field_name) if type_schema else None
    if field is None:
        return None
    if not remaining_path:
        return FieldPath(entity_type, field, _value_reader(database, entity_type, field))
    linked_type, _, remaining_path = remaining_path.partition(".")
    is_valid_type = not is_returned or not field.valid_types or linked_type in field.valid_types
    if not (field.is_link and is_valid_type and remaining_path):
        return None
    linked_path = _resolve_in_type(database, linked_type, remaining_path, is_returned=is_returned)
    if linked_path is None:
        return None
    read_through = _read_through_links if field.is_multi_link else _read_through_link
    read_link = _value_reader(database, entity_type, field)
    has_many_values = field.is_multi_link or linked_path.has_many_values
    read_value = read_through(database, read_link, linked_type, linked_path)
    return FieldPath(linked_path.entity_type, linked_path.field, read_value, has_many_values)


def _value_reader(database: SiteDatabase, entity_type: str, field: Field) -> ValueReader:
    if field.name == "cached_display_name":
        return database.shown_name
    if entity_type == EVENT_LOG:
        return _event_reader(database, field)
    if field.name in _RECORD_ATTRIBUTES:
        return attrgetter(field.name)
    read_stored = _record_reader(database, field)
    return _live_links_only(database, read_stored, field) if field.is_link else read_stored


def _record_reader(database: SiteDatabase, field: Field) -> ValueReader:
    field_name = field.name
    if field.data_type == "image":
        return lambda record: _picture_url(database, record.values.get(field_name))
    if field_name == "last_accessed_by_current_user":
        opened_at = database.project_opened_at
        return lambda record: opened_at.get((record.ref, database.reading_user or ("", 0)))
    if field_name in COMPUTED_FIELDS:
        compute_value = COMPUTED_FIELDS[field_name]
        return lambda record: compute_value(database, record)
    if field.data_type == "password":
        return lambda _record: MASKED
    if field.data_type == "url":
        return lambda record: shown_url_value(database, record, record.values.get(field_name))
    empty_value: Any = () if field.is_multi_link else None

    def read_value(record: Record) -> Any:
        return record.values.get(field_name, empty_value)

    return read_value


def _picture_url(database: SiteDatabase, attachment_id: int | None) -> str | None:
    address = database.stored_files.picture_path(attachment_id)
    return None if address is None else database.site_url + address


def _event_reader(database: SiteDatabase, field: Field) -> ValueReader:
    if field.name == "type":
        return lambda _event_row: EVENT_LOG
    if field.name == "description":
        return lambda event_row: event_description(database, event_row)
    if field.name not in _STORED_FIELDS:
        return lambda _event_row: None
    read_stored = attrgetter(field.name)
    return _live_links_only(database, read_stored, field) if field.is_link else read_stored


def event_description(database: SiteDatabase, event_row: EventRow) -> str:
    """Return the description that a site shows for an event."""
    if event_row.description is not None:
        return event_row.description
    user_name = (database.records.link(event_row.user) or {}).get("name") or "Someone"
    entity_name = (database.records.link(event_row.entity) or {}).get("name") or "a record"
    if event_row.attribute_name:
        return f'{user_name} changed "{event_row.attribute_name}" on "{entity_name}"'
    return f'{user_name}: {event_row.event_type} on "{entity_name}"'


def _live_links_only(database: SiteDatabase, read_stored: ValueReader, field: Field) -> ValueReader:
    live_record = database.records.live
    if field.is_multi_link:
        return lambda row: [ref for ref in read_stored(row) if live_record(ref)]

    def read_value(row: Any) -> Any:
        ref = read_stored(row)
        return ref if ref and live_record(ref) else None

    return read_value


def _read_through_link(
    database: SiteDatabase, read_link: ValueReader, linked_type: str, linked_path: FieldPath
) -> ValueReader:
    def read_value(row: Any) -> Any:
        ref = read_link(row)
        linked_record = database.records.live(ref) if ref and ref[0] == linked_type else None
        if linked_record is None:
            return [] if linked_path.has_many_values else None
        return linked_path.read_value(linked_record)

    return read_value


def _read_through_links(
    database: SiteDatabase, read_link: ValueReader, linked_type: str, linked_path: FieldPath
) -> ValueReader:
    def read_value(row: Any) -> list[Any]:
        records = [database.records.live(ref) for ref in read_link(row) if ref[0] == linked_type]
        values = [linked_path.read_value(record) for record in records if record is not None]
        return list(chain.from_iterable(values)) if linked_path.has_many_values else values

    return read_value
