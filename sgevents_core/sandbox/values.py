"""Values of a write, checked against the schema and turned into what the site keeps."""

from __future__ import annotations

from typing import Any

from sgevents_core.sandbox.database import Database
from sgevents_core.sandbox.records import Ref
from sgevents_core.sandbox.refusal import CRUD, RefusedCallError, shown
from sgevents_core.sandbox.relations import entity_hash
from sgevents_core.sandbox.schema import Field, scalar


def kept_values(
    database: Database, method: str, entity_type: str, values: dict[str, Any]
) -> dict[str, Any]:
    """Return the values of a write as the site keeps them: links as `Ref`.

    Args:
        database: Where the schema and the linked records are looked up.
        method: The API method that writes, for messages.
        entity_type: What is written.
        values: Field name -> value as on the wire.

    Raises:
        RefusedCallError: A field does not exist or is read only, or a value does not fit.
    """
    kept = {}
    for name, value in values.items():
        field = database.schema.field(method, entity_type, name)
        if not field.editable:
            raise RefusedCallError(f"API {method}() {entity_type}.{name} is read only")
        kept[name] = _kept(database, method, entity_type, field, value)
    return kept


def _kept(database: Database, method: str, entity_type: str, field: Field, value: Any) -> Any:
    if field.many:
        return _many(database, method, entity_type, field, value)
    if field.links:
        return None if value is None else _ref(database, method, entity_type, field, value)
    kept = scalar(method, entity_type, field, value)
    if field.valid_values and kept is not None and kept not in field.valid_values:
        raise _illegal(method, entity_type, field)
    return kept


def _many(
    database: Database, method: str, entity_type: str, field: Field, value: Any
) -> tuple[Ref, ...]:
    if not isinstance(value, (list, tuple)):
        raise RefusedCallError(
            f"API {method}() {entity_type}.{field.name} expected [Array, Hash] data type(s) "
            f"but got {type(value).__name__}: {shown(value)}"
        )
    refs = (_ref(database, method, entity_type, field, one) for one in value)
    return tuple(dict.fromkeys(refs))


def _ref(database: Database, method: str, entity_type: str, field: Field, value: Any) -> Ref:
    ref = entity_hash(method, value)
    database.schema.get(method, ref[0])
    wrong_type = bool(field.valid_types) and ref[0] not in field.valid_types
    if wrong_type or database.records.live(ref) is None:
        raise _illegal(method, entity_type, field)
    return ref


def _illegal(method: str, entity_type: str, field: Field) -> RefusedCallError:
    where = f"{method.title()} failed for [{entity_type}.{field.name}]"
    return RefusedCallError(f"API {method}() CRUD ERROR #5: {where}: Value is not legal.", CRUD)
