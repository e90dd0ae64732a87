"""Functions that make fields and entity types for the sandbox's schema."""

from __future__ import annotations

from typing import Any, Final

from sgevents_core.sandbox.entity_schema import EntityType, Field

STATUS_NAMES: Final = {
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

RESTRICTED_LINKS: Final = ("project", "task_template", "episode")
"""Links that accept only their own types, in any entity type."""

USER_TYPES: Final = ("HumanUser", "ApiUser", "ClientUser")


def default_label(field_name: str) -> str:
    """Return the display name of a field that has no other."""
    return field_name.removeprefix("sg_").replace("_", " ").title()


def plain_fields(data_type: str, *field_names: str, **options: Any) -> list[Field]:
    """Return fields of one data type that are not links."""
    return [
        Field(field_name, data_type, default_label(field_name), **options)
        for field_name in field_names
    ]


def text_fields(*field_names: str) -> list[Field]:
    """Return text fields."""
    return plain_fields("text", *field_names)


def status_field(default: str) -> list[Field]:
    """Return the field `sg_status_list`."""
    return plain_fields(
        "status_list", "sg_status_list", default=default, valid_values=tuple(STATUS_NAMES)
    )


def link_field(field_name: str, *valid_types: str, **options: Any) -> list[Field]:
    """Return a field that links to one record; `back_field` lists this one in turn."""
    options["restricts_types"] = field_name in RESTRICTED_LINKS
    return [Field(field_name, "entity", default_label(field_name), valid_types, **options)]


def multi_link_field(field_name: str, *valid_types: str, **options: Any) -> list[Field]:
    """Return a field that links to several records; `back_field` lists this one in turn."""
    label = options.pop("label", default_label(field_name))
    return [Field(field_name, "multi_entity", label, valid_types, default=(), **options)]


def _authorship_fields() -> list[Field]:
    def set_by_site(name: str, data_type: str, label: str, *valid_types: str) -> Field:
        return Field(name, data_type, label, valid_types, editable=False, editable_on_create=True)

    return [
        set_by_site("created_at", "date_time", "Date Created"),
        set_by_site("updated_at", "date_time", "Date Updated"),
        set_by_site("created_by", "entity", "Created by", *USER_TYPES),
        set_by_site("updated_by", "entity", "Updated by", *USER_TYPES),
    ]


def make_entity_type(
    type_name: str, label: str, name_field: str, *lists: list[Field]
) -> EntityType:
    """Return an entity type with the fields that all types have: id, type, image, stamps, tags."""
    common_fields = [
        Field("id", "number", "Id", editable=False),
        Field("type", "entity_type", "Type", editable=False),
        Field("cached_display_name", "text", "Cached Display Name"),
        Field("image", "image", "Thumbnail"),
        Field("filmstrip_image", "image", "Filmstrip Thumbnail"),
        *_authorship_fields(),
        *multi_link_field("tags", "Tag"),
        Field("tag_list", "tag_list", "Tag List", default=()),
    ]
    all_fields = [*common_fields, *(field for fields in lists for field in fields)]
    return EntityType(type_name, label, name_field, {field.name: field for field in all_fields})
