"""Values of a write, checked against the schema and converted to the site's form."""

from __future__ import annotations

from typing import Any

from sgevents_core.sandbox.datatypes import HASH, ValuePlace, known
from sgevents_core.sandbox.records import Ref
from sgevents_core.sandbox.refusal import RefusedCallError, shown
from sgevents_core.sandbox.relations import entity_hash
from sgevents_core.sandbox.site_database import SiteDatabase
from sgevents_core.sandbox.urls import written


def kept_values(
    database: SiteDatabase, method: str, entity_type: str, values: dict[str, Any]
) -> dict[str, Any]:
    """Return the values of a write in the site's form: links as `Ref`.

    Args:
        database: The database with the schema and the linked records.
        method: The API method that writes, for messages.
        entity_type: The type written.
        values: Field name -> value as on the wire.

    Raises:
        RefusedCallError: A field does not exist or is read only, or a value is not valid.
    """
    kept = {}
    for name, value in values.items():
        field = database.schema.field(method, entity_type, name)
        if name == "cached_display_name":
            continue  # accepted and dropped: it mirrors another field
        if not field.editable and not (field.on_create and method == "create"):
            why = "is editable on create only." if field.on_create else "is read only."
            raise RefusedCallError(f"API {method}() {entity_type}.{name} {why}")
        kept[name] = _kept(database, ValuePlace(method, entity_type, field), value)
    return kept


def _kept(database: SiteDatabase, place: ValuePlace, value: Any) -> Any:
    if place.field.many:
        return _many(database, place, value)
    if place.field.links:
        return None if value is None else _ref(database, place, value)
    return (
        written(database, place, value) if place.field.data_type == "url" else known(place, value)
    )


def _many(database: SiteDatabase, place: ValuePlace, value: Any) -> tuple[Ref, ...]:
    if not isinstance(value, (list, tuple)):
        place.wrong_class("[Array, Hash]", value)
    for one in value:
        if not isinstance(one, dict):
            raise RefusedCallError(
                f"API {place.method}() invalid/missing entity hash: {shown(one)}"
            )
    return tuple(dict.fromkeys(_ref(database, place, one) for one in value))


def _ref(database: SiteDatabase, place: ValuePlace, value: Any) -> Ref:
    if not isinstance(value, dict):
        place.wrong_class(HASH, value)
    ref = entity_hash(place.method, value)
    database.schema.get(place.method, ref[0])
    valid, field = place.field.valid_types, place.field
    if field.binding and ref[0] not in valid:
        if field.many:
            raise place.failed("Value is not legal.")
        raise place.failed(f"{valid[0]} expected, got {ref[0]}")
    if database.records.live(ref) is None:
        raise place.failed("Value is not legal.")
    return ref
