"""Rows of the event log: ids and times that ascend, links, `meta`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final, TypedDict

from sgevents_core.events import Event
from sgevents_core.moments import logged_stamp, stamp_of
from sgevents_core.scripts import API_USER, Scripts
from sgevents_core.testing.links import Link, link_to

NOON: Final = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
SESSION: Final = "5f1c7a52-8c4e-4f0e-9d6b-3a1b2c3d4e5f"


class About(TypedDict, total=False):
    """The optional details of any event."""

    id: int
    """The event's id; by default the next free one."""
    at: datetime
    """When it happened, an aware datetime; by default a second after the event before."""
    user: Link | None
    """Who did it: a person, a script, or None; by default the builder's person."""
    project: Link | None
    """The project; by default the builder's, or None if the site has none."""
    session_uuid: str | None
    sudo: Link
    """Who is behind `user`, acting as that user."""
    retired: bool
    """Whether the record is retired by now: the row then has no link to it."""
    text_meta: bool
    """Whether the site sends `meta` as JSON text, as it seldom does."""
    meta: Mapping[str, Any]
    """Additions to `meta`, or replacements of its values."""
    fields: Mapping[str, Any]
    """Additional fields of the row, as `[feed] fields` asks for them."""


class RowBuilder:
    """A builder of rows and links to records; it does not decide what happened.

    Args:
        first_id: The id of the first event.
        at: When it happened; an aware datetime.
        project: The project that records are in; a new one if left out.
        user: Who does it; a new person if left out.
    """

    def __init__(
        self,
        *,
        first_id: int = 1,
        at: datetime = NOON,
        project: Link | None = None,
        user: Link | None = None,
    ) -> None:
        self._next_id = first_id
        self._at = at
        self._records = 100
        self._scripts = Scripts()
        self.project: Link = project or {"type": "Project", "id": 65, "name": "Fox and Heron"}
        self.user: Link = user or self.person("Ada Park", 11)

    # Records and people

    def record(
        self, entity_type: str, entity_id: int | None = None, name: str | None = None
    ) -> dict[str, Any]:
        """Return a link to a record: the one with this id, or a new one each time."""
        if entity_id is None:
            self._records += 1
            entity_id = self._records
        found: dict[str, Any] = {"type": entity_type, "id": entity_id}
        return link_to({**found, "name": name} if name else found)

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

    # How a row is put together

    def _link(self, record: str | Link) -> dict[str, Any]:
        return self.record(record) if isinstance(record, str) else link_to(record)

    def _happened(
        self, record: str | Link, action: str, kind: str, about: About, *, described: bool = False
    ) -> Event:
        link = self._link(record)
        meta = {"type": kind, "entity_type": link["type"], "entity_id": link["id"]}
        if described:
            meta.update(class_name=link["type"], display_name=link["name"], id=link["id"])
        if action == "Retirement":
            meta["retirement_date"] = logged_stamp(about.get("at", self._at))
        return self._row(f"Shotgun_{link['type']}_{action}", meta, about, link)

    def _changed(
        self,
        record: str | Link,
        attribute: str,
        data_type: str,
        values: Mapping[str, Any],
        *,
        in_create: bool,
        about: About,
    ) -> Event:
        link = self._link(record)
        itself = {"entity_type": link["type"], "entity_id": link["id"]}
        meta = attribute_change(attribute, data_type, {**itself, **values})
        meta.update({"in_create": True} if in_create else {})
        event_type = f"Shotgun_{link['type']}_Change"
        return self._row(event_type, meta, about, link, attribute=attribute)

    def _without_project(
        self,
        event_type: str,
        meta: Mapping[str, Any] | None,
        about: About,
        record: Link | None = None,
    ) -> Event:
        about.setdefault("project", None)
        return self._row(event_type, meta, about, record)

    def _row(
        self,
        event_type: str,
        meta: Mapping[str, Any] | None,
        about: About,
        record: str | Link | None,
        *,
        attribute: str | None = None,
    ) -> Event:
        link = None if record is None else self._link(record)
        project = about.get("project", self._project_of(link))
        user = about.get("user", self.user)
        return Event(
            {
                "type": "EventLogEntry",
                "id": self._take_id(about.get("id")),
                "event_type": event_type,
                "attribute_name": attribute,
                "meta": _meta(meta, about),
                "entity": None if about.get("retired") else link,
                "project": link_to(project) if project else None,
                "user": link_to(user) if user else None,
                "session_uuid": about.get("session_uuid", _session_of(user)),
                "created_at": self._take_time(about.get("at")),
                **about.get("fields", {}),
            },
            self._scripts,
        )

    def _project_of(self, link: Link | None) -> Link | None:
        """Return the project of a record: replies have none, and a project is its own."""
        if link is not None and link["type"] == "Project":
            return link
        return None if link is not None and link["type"] == "Reply" else self.project

    def _take_id(self, wanted: int | None) -> int:
        taken = self._next_id if wanted is None else wanted
        self._next_id = max(self._next_id, taken + 1)
        return taken

    def _take_time(self, wanted: datetime | None) -> str:
        taken = self._at if wanted is None else wanted.astimezone(timezone.utc)
        self._at = max(self._at, taken) + timedelta(seconds=1)
        return stamp_of(taken)


def _session_of(user: Link | None) -> str | None:
    """Return the session of the web interface; a script has none unless it passes one on."""
    return None if user is not None and user["type"] == API_USER else SESSION


def attribute_change(attribute: str, data_type: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `meta` of a changed field, including `values`."""
    return {
        "type": "attribute_change",
        "attribute_name": attribute,
        "field_data_type": data_type,
        **values,
    }


def _meta(meta: Mapping[str, Any] | None, about: About) -> dict[str, Any] | str | None:
    """Return `meta` in the row's form: a dict, the same as text, or None."""
    more = about.get("meta", {})
    sudo = {"sudo_actual_user": link_to(about["sudo"])} if "sudo" in about else {}
    if meta is None and not more and not sudo:
        return None
    whole = {**(meta or {}), **sudo, **more}
    return json.dumps(whole) if about.get("text_meta") else whole
