"""Rows of the event log: ids and times that ascend, links, `meta`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final, TypedDict

from sgevents_core.events import Event
from sgevents_core.moments import api_timestamp, meta_timestamp
from sgevents_core.scripts import API_USER, Scripts
from sgevents_core.testing.links import Link, link_to

DEFAULT_TIME: Final = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
DEFAULT_SESSION: Final = "5f1c7a52-8c4e-4f0e-9d6b-3a1b2c3d4e5f"


class EventOptions(TypedDict, total=False):
    """The optional details of any event."""

    id: int
    """The event's id; by default the next free one."""
    at: datetime
    """When it happened, an aware datetime; by default a second after the previous event."""
    user: Link | None
    """Who did it: a person, a script, or None; by default the builder's person."""
    project: Link | None
    """The project; by default the builder's, or None if the site has none."""
    session_uuid: str | None
    sudo: Link
    """The user who acts as `user`."""
    retired: bool
    """Whether the record is retired by now: the row then has no link to it."""
    text_meta: bool
    """Whether the site sends `meta` as JSON text, which is rare."""
    meta: Mapping[str, Any]
    """Additions to `meta`, or replacements of its values."""
    fields: Mapping[str, Any]
    """Additional fields of the row, as requested by `[feed] fields`."""


class RowBuilder:
    """Builds rows and links to records; its subclass decides what happened.

    Args:
        first_id: The id of the first event.
        at: When it happened; an aware datetime.
        project: The project of the records; a new one if left out.
        user: The user of the events; a new person if left out.
    """

    def __init__(
        self,
        *,
        first_id: int = 1,
        at: datetime = DEFAULT_TIME,
        project: Link | None = None,
        user: Link | None = None,
    ) -> None:
        self._next_id = first_id
        self._next_time = at
        self._last_record_id = 100
        self._scripts = Scripts()
        self.project: Link = project or {"type": "Project", "id": 65, "name": "Fox and Heron"}
        self.user: Link = user or self.person("Ada Park", 11)

    # Records and people

    def record(
        self, entity_type: str, entity_id: int | None = None, name: str | None = None
    ) -> dict[str, Any]:
        """Return a link to a record: the one with this id, or a new one each time."""
        if entity_id is None:
            self._last_record_id += 1
            entity_id = self._last_record_id
        record_link: dict[str, Any] = {"type": entity_type, "id": entity_id}
        return link_to({**record_link, "name": name} if name else record_link)

    def person(self, name: str = "Ada Park", entity_id: int | None = None) -> dict[str, Any]:
        """Return a link to a person."""
        return self.record("HumanUser", entity_id, name)

    def script(
        self, name: str, entity_id: int | None = None, version: str = "1.0"
    ) -> dict[str, Any]:
        """Return a link to a script, an ApiUser, named as a site does: "name version"."""
        link = self.record(API_USER, entity_id, f"{name} {version}" if version else name)
        self._scripts.merge({link["id"]: name})
        return link

    # Building a row

    def _link(self, record: str | Link) -> dict[str, Any]:
        return self.record(record) if isinstance(record, str) else link_to(record)

    def _record_event(
        self,
        record: str | Link,
        action: str,
        meta_type: str,
        options: EventOptions,
        *,
        described: bool = False,
    ) -> Event:
        link = self._link(record)
        meta = {"type": meta_type, "entity_type": link["type"], "entity_id": link["id"]}
        if described:
            meta.update(class_name=link["type"], display_name=link["name"], id=link["id"])
        if action == "Retirement":
            meta["retirement_date"] = meta_timestamp(options.get("at", self._next_time))
        return self._build_event(f"Shotgun_{link['type']}_{action}", meta, options, link)

    def _field_event(
        self,
        record: str | Link,
        attribute: str,
        data_type: str,
        values: Mapping[str, Any],
        *,
        in_create: bool,
        options: EventOptions,
    ) -> Event:
        link = self._link(record)
        entity_keys = {"entity_type": link["type"], "entity_id": link["id"]}
        meta = attribute_change(attribute, data_type, {**entity_keys, **values})
        meta.update({"in_create": True} if in_create else {})
        event_type = f"Shotgun_{link['type']}_Change"
        return self._build_event(event_type, meta, options, link, attribute=attribute)

    def _event_without_project(
        self,
        event_type: str,
        meta: Mapping[str, Any] | None,
        options: EventOptions,
        record: Link | None = None,
    ) -> Event:
        options.setdefault("project", None)
        return self._build_event(event_type, meta, options, record)

    def _build_event(
        self,
        event_type: str,
        meta: Mapping[str, Any] | None,
        options: EventOptions,
        record: str | Link | None,
        *,
        attribute: str | None = None,
    ) -> Event:
        link = None if record is None else self._link(record)
        project = options.get("project", self._project_of(link))
        user = options.get("user", self.user)
        return Event(
            {
                "type": "EventLogEntry",
                "id": self._take_id(options.get("id")),
                "event_type": event_type,
                "attribute_name": attribute,
                "meta": _row_meta(meta, options),
                "entity": None if options.get("retired") else link,
                "project": link_to(project) if project else None,
                "user": link_to(user) if user else None,
                "session_uuid": options.get("session_uuid", _session_of(user)),
                "created_at": self._take_time(options.get("at")),
                **options.get("fields", {}),
            },
            self._scripts,
        )

    def _project_of(self, link: Link | None) -> Link | None:
        """Return the project of a record: replies have none, and a project is its own."""
        if link is not None and link["type"] == "Project":
            return link
        return None if link is not None and link["type"] == "Reply" else self.project

    def _take_id(self, requested: int | None) -> int:
        chosen = self._next_id if requested is None else requested
        self._next_id = max(self._next_id, chosen + 1)
        return chosen

    def _take_time(self, requested: datetime | None) -> str:
        chosen = self._next_time if requested is None else requested.astimezone(timezone.utc)
        self._next_time = max(self._next_time, chosen) + timedelta(seconds=1)
        return api_timestamp(chosen)


def _session_of(user: Link | None) -> str | None:
    """Return the session of the web interface; a script has none unless it passes one on."""
    return None if user is not None and user["type"] == API_USER else DEFAULT_SESSION


def attribute_change(attribute: str, data_type: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `meta` of a changed field, including `values`."""
    return {
        "type": "attribute_change",
        "attribute_name": attribute,
        "field_data_type": data_type,
        **values,
    }


def _row_meta(meta: Mapping[str, Any] | None, options: EventOptions) -> dict[str, Any] | str | None:
    """Return `meta` in the row's form: a dict, the same as text, or None."""
    additional_meta = options.get("meta", {})
    sudo_meta = {"sudo_actual_user": link_to(options["sudo"])} if "sudo" in options else {}
    if meta is None and not additional_meta and not sudo_meta:
        return None
    full_meta = {**(meta or {}), **sudo_meta, **additional_meta}
    return json.dumps(full_meta) if options.get("text_meta") else full_meta
