"""Dotted paths: how to get the value of `entity.Shot.code` from a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from sgevents_core.sandbox.computed import COMPUTED
from sgevents_core.sandbox.entity_schema import MASKED, Field
from sgevents_core.sandbox.eventlog import EventRow
from sgevents_core.sandbox.records import Record
from sgevents_core.sandbox.refusal import RefusedCallError
from sgevents_core.sandbox.site_database import EVENT_LOG, SiteDatabase
from sgevents_core.sandbox.urls import as_read

Getter = Callable[[Any], Any]

_STORED: Final = frozenset(EventRow.__struct_fields__)
_DIRECT: Final = ("id", "type")


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed path.

    Args:
        entity_type: The type whose field it ends in.
        field: The field it ends in.
        get: Row -> value in the site's form, or a list of such values when `several`.
        several: Whether it goes through a field with many links.
    """

    entity_type: str
    field: Field
    get: Getter
    several: bool = False


def resolve(
    database: SiteDatabase, method: str, entity_type: str, path: str, *, shown: bool = False
) -> Path:
    """Return the path of a name such as "code" or "entity.Shot.sg_sequence.Sequence.code".

    Args:
        database: The database with the schema.
        method: The API method, for messages.
        entity_type: The type at which the path begins.
        path: The path.
        shown: Whether it is a field to return: then its types must be valid types of its links.

    Raises:
        RefusedCallError: It names a type or field that does not exist, or one that is not a link.
    """
    database.schema.get(method, entity_type)
    known = isinstance(path, str)
    found = _resolved(database, entity_type, path, shown=shown) if known else None
    if found is None:
        raise RefusedCallError(f"API {method}() {entity_type}.{path} doesn't exist.")
    return found


def _resolved(database: SiteDatabase, entity_type: str, path: str, *, shown: bool) -> Path | None:
    name, _, rest = path.partition(".")
    kind = database.schema.find(entity_type)
    field = kind.fields.get(name) if kind else None
    if field is None:
        return None
    if not rest:
        return Path(entity_type, field, _getter(database, entity_type, field))
    through, _, rest = rest.partition(".")
    valid = not shown or not field.valid_types or through in field.valid_types
    beyond = _resolved(database, through, rest, shown=shown) if field.links and valid else None
    if beyond is None or not rest:
        return None
    step = _through_many if field.many else _through_one
    get = step(database, _getter(database, entity_type, field), through, beyond)
    return Path(beyond.entity_type, beyond.field, get, field.many or beyond.several)


def _getter(database: SiteDatabase, entity_type: str, field: Field) -> Getter:
    if field.name == "cached_display_name":
        return database.name
    if entity_type == EVENT_LOG:
        return _of_event(database, field)
    stored = attrgetter(field.name) if field.name in _DIRECT else _of_record(database, field)
    return _only_live(database, stored, field) if field.links else stored


def _of_record(database: SiteDatabase, field: Field) -> Getter:
    name = field.name
    if field.data_type == "image":
        return lambda record: _picture(database, record.values.get(name))
    if name == "last_accessed_by_current_user":
        return lambda record: database.accessed.get((record.ref, database.reader or ("", 0)))
    if name in COMPUTED:
        compute = COMPUTED[name]
        return lambda record: compute(database, record)
    if field.data_type == "password":
        return lambda _record: MASKED
    if field.data_type == "url":
        return lambda record: as_read(database, record, record.values.get(name))
    empty: Any = () if field.many else None

    def get(record: Record) -> Any:
        return record.values.get(name, empty)

    return get


def _picture(database: SiteDatabase, picture: int | None) -> str | None:
    address = database.files.picture_address(picture)
    return None if address is None else database.address + address


def _of_event(database: SiteDatabase, field: Field) -> Getter:
    if field.name == "type":
        return lambda _row: EVENT_LOG
    if field.name == "description":
        return lambda row: described(database, row)
    if field.name not in _STORED:
        return lambda _row: None
    stored = attrgetter(field.name)
    return _only_live(database, stored, field) if field.links else stored


def described(database: SiteDatabase, row: EventRow) -> str:
    """Return the sentence a site shows for an event."""
    if row.description is not None:
        return row.description
    user = (database.records.link(row.user) or {}).get("name") or "Someone"
    entity = (database.records.link(row.entity) or {}).get("name") or "a record"
    if row.attribute_name:
        return f'{user} changed "{row.attribute_name}" on "{entity}"'
    return f'{user}: {row.event_type} on "{entity}"'


def _only_live(database: SiteDatabase, stored: Getter, field: Field) -> Getter:
    live = database.records.live
    if field.many:
        return lambda row: [ref for ref in stored(row) if live(ref)]

    def get(row: Any) -> Any:
        ref = stored(row)
        return ref if ref and live(ref) else None

    return get


def _through_one(database: SiteDatabase, first: Getter, through: str, beyond: Path) -> Getter:
    def get(row: Any) -> Any:
        ref = first(row)
        record = database.records.live(ref) if ref and ref[0] == through else None
        if record is None:
            return [] if beyond.several else None
        return beyond.get(record)

    return get


def _through_many(database: SiteDatabase, first: Getter, through: str, beyond: Path) -> Getter:
    def get(row: Any) -> list[Any]:
        records = [database.records.live(ref) for ref in first(row) if ref[0] == through]
        values = [beyond.get(record) for record in records if record is not None]
        return [one for some in values for one in some] if beyond.several else values

    return get
