"""The types of values in rows of the event log: links to records, and the details of an event."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict


class Link(TypedDict):
    """A record as a row links to it."""

    type: str
    id: int
    name: str


class Meta(TypedDict, total=False):
    """The details of an event; which of them there are depends on the event's type."""

    type: str
    attribute_name: str
    entity_type: str
    entity_id: int
    field_data_type: str
    old_value: Any
    new_value: Any
    added: list[Any]
    removed: list[Any]
    in_create: bool
    is_transient: bool
    actual_attribute_changed: str
    original_event_log_entry_id: int
    sudo_actual_user: Link
    retirement_date: Any
    display_name: str
    class_name: str
    link_entity_type: str
    link_entity_id: int
    pref: str
    old: Any
    new: Any
    changes: Any


RecordAction: TypeAlias = Literal["New", "Change", "Retirement", "Revival"]
"""What can happen to a record."""
