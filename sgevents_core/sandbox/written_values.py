"""Values of a write, checked against the schema and converted to the site's form."""

from __future__ import annotations

from typing import Any

from sgevents_core.sandbox.data_types import HASH_CLASSES, ValueContext, stored_form
from sgevents_core.sandbox.filter_relations import parse_entity_hash
from sgevents_core.sandbox.records import EntityRef
from sgevents_core.sandbox.refused_calls import refused_call, refused_value
from sgevents_core.sandbox.site_database import SiteDatabase
from sgevents_core.sandbox.url_fields import stored_url_value


def stored_values(
    database: SiteDatabase, method: str, entity_type: str, values: dict[str, Any]
) -> dict[str, Any]:
    """Return the values of a write in the site's form: links as `EntityRef`.

    Args:
        database: The database with the schema and the linked records.
        method: The API method that writes, for messages.
        entity_type: The type of the record.
        values: Field name -> value as on the wire.

    Raises:
        RefusedCallError: A field does not exist or is read only, or a value is not valid.
    """
    stored = {}
    for field_name, value in values.items():
        field = database.schema.required_field(method, entity_type, field_name)
        if field_name == "cached_display_name":
            continue  # accepted and dropped: it mirrors another field
        if not field.editable and not (field.editable_on_create and method == "create"):
            reason = "is editable on create only" if field.editable_on_create else "is read only"
            raise refused_call(method, f"{entity_type}.{field_name} {reason}.")
        context = ValueContext(method, entity_type, field)
        stored[field_name] = _stored_value(database, context, value)
    return stored


def _stored_value(database: SiteDatabase, context: ValueContext, value: Any) -> Any:
    if context.field.is_multi_link:
        return _linked_refs(database, context, value)
    if context.field.is_link:
        return None if value is None else _linked_ref(database, context, value)
    if context.field.data_type == "url":
        return stored_url_value(database, context, value)
    return stored_form(context, value)


def _linked_refs(
    database: SiteDatabase, context: ValueContext, value: Any
) -> tuple[EntityRef, ...]:
    if not isinstance(value, (list, tuple)):
        context.refuse_class("[Array, Hash]", value)
    for item in value:
        if not isinstance(item, dict):
            raise refused_value(context.method, "invalid/missing entity hash", item)
    return tuple(dict.fromkeys(_linked_ref(database, context, item) for item in value))


def _linked_ref(database: SiteDatabase, context: ValueContext, value: Any) -> EntityRef:
    if not isinstance(value, dict):
        context.refuse_class(HASH_CLASSES, value)
    ref = parse_entity_hash(context.method, value)
    database.schema.required_type(context.method, ref[0])
    valid_types, field = context.field.valid_types, context.field
    if field.accepts_valid_types_only and ref[0] not in valid_types:
        if field.is_multi_link:
            raise context.field_refusal("Value is not legal.")
        raise context.field_refusal(f"{valid_types[0]} expected, got {ref[0]}")
    if database.records.live(ref) is None:
        raise context.field_refusal("Value is not legal.")
    return ref
