"""Values that a site fills in when a record is created: authors, dates, names, uuids."""

from __future__ import annotations

import uuid
from typing import Any, Final

from sgevents_core.sandbox.entity_schema import EntityType
from sgevents_core.sandbox.records import EntityRef

_AUTHORED_TYPES: Final = ("Version", "Note", "Reply")
"""Types whose `user` is the creator of the record, unless somebody else is named."""


def filled_values(
    type_schema: EntityType, stored_values: dict[str, Any], creator_ref: EntityRef | None, now: str
) -> dict[str, Any]:
    """Return the values that are not logged; add those that are logged to `stored_values`.

    Args:
        type_schema: The type of the record.
        stored_values: The values of the create in the site's form.
        creator_ref: The creator.
        now: The time in the API's form.
    """
    if type_schema.name in _AUTHORED_TYPES:
        stored_values.setdefault("user", creator_ref)
    if type_schema.name == "TimeLog":
        stored_values.setdefault("date", now[:10])
    if type_schema.name == "HumanUser":
        stored_values.update(_person_names(stored_values))
    return {"uuid": str(uuid.uuid4())} if "uuid" in type_schema.fields else {}


def _person_names(stored_values: dict[str, Any]) -> dict[str, Any]:
    """Return the name of a person composed from its parts, or the parts of the name."""
    if stored_values.get("name") is None:
        name_parts = [
            stored_values[name_field]
            for name_field in ("firstname", "lastname")
            if stored_values.get(name_field)
        ]
        return {"name": " ".join(name_parts)} if name_parts else {}
    if stored_values.get("firstname") or stored_values.get("lastname"):
        return {}
    first_name, _, last_name = stored_values["name"].partition(" ")
    return {"firstname": first_name, **({"lastname": last_name} if last_name else {})}
