"""What a site fills in when a record is created: authors, dates, names of people, uuids."""

from __future__ import annotations

import uuid
from typing import Any, Final

from sgevents_core.sandbox.entity_schema import EntityType
from sgevents_core.sandbox.records import Ref

_AUTHORED: Final = ("Version", "Note", "Reply")
"""Types whose `user` is the creator of the record, unless somebody else is named."""


def filled_in(kind: EntityType, kept: dict[str, Any], user: Ref | None, now: str) -> dict[str, Any]:
    """Return what is filled in without a row; add what has a row to `kept`.

    Args:
        kind: The type of the record.
        kept: The values of the create in the site's form.
        user: The creator.
        now: The time in the API's form.
    """
    if kind.name in _AUTHORED:
        kept.setdefault("user", user)
    if kind.name == "TimeLog":
        kept.setdefault("date", now[:10])
    if kind.name == "HumanUser":
        kept.update(_names_of_a_person(kept))
    return {"uuid": str(uuid.uuid4())} if "uuid" in kind.fields else {}


def _names_of_a_person(kept: dict[str, Any]) -> dict[str, Any]:
    """Return the name of a person from its parts, or the parts of a name given alone."""
    if kept.get("name") is None:
        parts = [kept[name] for name in ("firstname", "lastname") if kept.get(name)]
        return {"name": " ".join(parts)} if parts else {}
    if kept.get("firstname") or kept.get("lastname"):
        return {}
    first, _, last = kept["name"].partition(" ")
    return {"firstname": first, **({"lastname": last} if last else {})}
