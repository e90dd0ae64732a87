"""Makers of fields and entity types, in the terms of the sandbox's schema."""

from __future__ import annotations

from typing import Any, Final

from sgevents_core.sandbox.entity_schema import EntityType, Field

STATUSES: Final = {
    "wtg": "Waiting to Start",
    "rdy": "Ready to Start",
    "ip": "In Progress",
    "hld": "On Hold",
    "rev": "Pending Review",
    "apr": "Approved",
    "fin": "Final",
    "cmpt": "Complete",
    "omt": "Omit",
    "opn": "Open",
    "clsd": "Closed",
    "vwd": "Viewed",
    "na": "N/A",
    "act": "Active",
    "dis": "Disabled",
}
"""Status codes of the site and their display names."""

BINDING: Final = ("project", "task_template", "episode")
"""Links that accept only their own types, in any entity type."""

USERS: Final = ("HumanUser", "ApiUser", "ClientUser")


def label_of(name: str) -> str:
    """Return the display name of a field that has no other."""
    return name.removeprefix("sg_").replace("_", " ").title()


def plain(data_type: str, *names: str, **options: Any) -> list[Field]:
    """Return fields of one data type that are not links."""
    return [Field(name, data_type, label_of(name), **options) for name in names]


def text(*names: str) -> list[Field]:
    """Return text fields."""
    return plain("text", *names)


def status(default: str) -> list[Field]:
    """Return the field `sg_status_list`."""
    return plain("status_list", "sg_status_list", default=default, valid_values=tuple(STATUSES))


def link(name: str, *types: str, back: str | None = None) -> list[Field]:
    """Return a field that links to one record."""
    return [Field(name, "entity", label_of(name), types, back=back, binds=name in BINDING)]


def links(name: str, *types: str, back: str | None = None) -> list[Field]:
    """Return a field that links to several records."""
    return [Field(name, "multi_entity", label_of(name), types, default=(), back=back)]


def _stamps() -> list[Field]:
    return [
        Field("created_at", "date_time", "Date Created", editable=False, on_create=True),
        Field("updated_at", "date_time", "Date Updated", editable=False, on_create=True),
        Field("created_by", "entity", "Created by", USERS, editable=False, on_create=True),
        Field("updated_by", "entity", "Updated by", USERS, editable=False, on_create=True),
    ]


def entity_type(name: str, label: str, naming: str, *fields: list[Field]) -> EntityType:
    """Return an entity type with the fields that all types have: id, type, image, stamps, tags."""
    everywhere = [
        Field("id", "number", "Id", editable=False),
        Field("type", "entity_type", "Type", editable=False),
        Field("cached_display_name", "text", "Cached Display Name"),
        Field("image", "image", "Thumbnail"),
        Field("filmstrip_image", "image", "Filmstrip Thumbnail"),
        *_stamps(),
        *links("tags", "Tag"),
        Field("tag_list", "tag_list", "Tag List", default=()),
    ]
    everything = [*everywhere, *(field for some in fields for field in some)]
    return EntityType(name, label, naming, {field.name: field for field in everything})
