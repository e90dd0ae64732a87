"""Event: one row of the site's event log, without the traps of the log.

Nothing here raises on a strange row: what cannot be understood reads as None, empty or False.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, TypeVar, cast, overload

from sgevents_core.moments import moment_of, to_local_time
from sgevents_core.record_types import Link, Meta, RecordAction
from sgevents_core.scripts import Scripts, scripts_on
from sgevents_core.stock_values import stock_field, stock_text, stock_value

RECORD_ACTIONS: Final = frozenset({"New", "Change", "Retirement", "Revival"})
"""What can happen to a record: the last part of `Shotgun_<EntityType>_<action>`."""

CLASSIC_KEYS: Final = (
    "id",
    "event_type",
    "attribute_name",
    "meta",
    "entity",
    "user",
    "project",
    "session_uuid",
    "created_at",
    "type",
)
"""The keys that every event has, even if its row lacks them."""

_DEFAULTS: Final[dict[str, Any]] = {**dict.fromkeys(CLASSIC_KEYS), "type": "EventLogEntry"}
_T = TypeVar("_T")
_UNREAD: Final[Any] = object()
_UNKNOWN: Final = Scripts()
_NO_RECORDS: Final = frozenset({"Reading", "Preferences"})
"""Names in the position of a record type that are not record types."""
_RETIREMENTS: Final = ("entity_retirement", "entity_revival")
_BACK_REFERENCE_KEYS: Final = ("actual_attribute_changed", "original_event_log_entry_id")


class Route(NamedTuple):
    """The four values that most filters compare; see the attributes of `Event`."""

    event_type: str
    attribute: str | None
    entity_type: str | None
    project_id: int | None

    @classmethod
    def read(cls, values: tuple[str, str | None, str | None, int | None]) -> Route:
        """Return the route that `route_of` found, each text as the attributes give it."""
        event_type, attribute, entity_type, project_id = values
        return cls(stock_text(event_type), _text(attribute), _text(entity_type), project_id)


class TypeParts(NamedTuple):
    """An event type split into its parts."""

    domain: str
    """The type up to the first underscore: `Shotgun`, `Toolkit` or a studio's own."""
    entity_type: str | None
    """The record's type in `Shotgun_<EntityType>_<New|Change|Retirement|Revival>`, or None."""
    action: str | None
    """The type after the last underscore; None without an underscore."""


@lru_cache(maxsize=4096)
def type_parts(event_type: str) -> TypeParts:
    """Split `event_type` into its parts; any text with any number of underscores will do."""
    domain, _, rest = event_type.partition("_")
    middle, _, action = rest.rpartition("_")
    is_record = domain == "Shotgun" and bool(middle) and action in RECORD_ACTIONS
    return TypeParts(domain, middle if is_record else None, action or None)


class Event(Mapping[str, Any]):
    """One event, as an immutable mapping with the classic keys and as attributes.

    The mapping and the attributes return copies: changing one does not affect the next callback.
    Their values are those that the stock client gives; `row` is the row as the site sent it.
    `event["created_at"]` is an aware datetime in local time, `event["meta"]` is always a dict.
    """

    __slots__ = ("_created_at", "_meta", "_row", "_scripts")

    def __init__(self, row: Mapping[str, Any], scripts: Scripts | None = None) -> None:
        """Wrap `row`, one EventLogEntry as read; nothing is parsed before it is needed.

        Args:
            row: The row, which is not copied; `created_at` is anything that `moments.moment_of`
                reads.
            scripts: The names of its site's scripts; guessed from the row if left out.
        """
        is_row = type(row) is dict or isinstance(row, Mapping)  # the first is soon asked
        self._row: Mapping[str, Any] = row if is_row else {}
        self._scripts = _UNKNOWN if scripts is None else scripts
        self._meta: dict[str, Any] = _UNREAD
        self._created_at: datetime | None = _UNREAD

    @overload
    def __getitem__(self, key: Literal["id"]) -> int: ...
    @overload
    def __getitem__(self, key: Literal["type", "event_type"]) -> str: ...
    @overload
    def __getitem__(self, key: Literal["attribute_name", "session_uuid"]) -> str | None: ...
    @overload
    def __getitem__(self, key: Literal["entity", "project", "user"]) -> Link | None: ...
    @overload
    def __getitem__(self, key: Literal["meta"]) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, key: Literal["created_at"]) -> datetime | None: ...
    @overload
    def __getitem__(self, key: str) -> Any: ...

    def __getitem__(self, key: str) -> Any:
        if key == "created_at":
            moment = self.created_at
            return self._row.get(key) if moment is None else moment
        if key == "meta":
            return self.meta
        if key in self._row:
            return stock_field(self._row[key])
        return _DEFAULTS[key]

    def __iter__(self) -> Iterator[str]:
        yield from self._row
        for key in CLASSIC_KEYS:
            if key not in self._row:
                yield key

    def __len__(self) -> int:
        return len(self._row) + sum(key not in self._row for key in CLASSIC_KEYS)

    def __contains__(self, key: object) -> bool:
        return key in self._row or key in _DEFAULTS

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[type[Event], tuple[dict[str, Any], Scripts]]:
        known = self._scripts.names
        mine = [link["id"] for link in acting_links(self) if type(link.get("id")) is int]
        return Event, (dict(self._row), Scripts({one: known[one] for one in mine if one in known}))

    def __str__(self) -> str:
        words = ["Event", str(self.id), self.event_type or "(no type)"]
        if self.attribute:
            words.append(self.attribute)
        if self.entity_type:
            words.append(self.entity_type)
        if self.entity_id is not None:
            words.append(str(self.entity_id))
        return " ".join(words)

    def __repr__(self) -> str:
        return f"<{self}>"

    @property
    def row(self) -> dict[str, Any]:
        """The row as it was read, to be stored or sent on."""
        return _copied(dict(self._row))

    @property
    def id(self) -> int:
        """The event's id; 0 if the row has none."""
        return _integer(self._row.get("id")) or 0

    @property
    def event_type(self) -> str:
        """The type, `Shotgun_Task_Change`; empty if the row has none."""
        return _text(self._row.get("event_type")) or ""

    @property
    def domain(self) -> str:
        """The type up to the first underscore: `Shotgun`, `Toolkit` or a studio's own."""
        return type_parts(self.event_type).domain

    @property
    def action(self) -> RecordAction | str | None:
        """The type after the last underscore: `New`, `Change`, `Login`; or None."""
        return type_parts(self.event_type).action

    @property
    def attribute(self) -> str | None:
        """The field or preference that changed, `sg_status_list`; None unless it is a change."""
        name = _text(self._row.get("attribute_name"))
        if name is None and self.action == "Change":
            meta = self._read_meta()
            return _text(meta.get("pref" if _of_preference(meta) else "attribute_name"))
        return name

    @property
    def old_value(self) -> Any:
        """The field's old value; None for multi-entity fields, which have `removed`."""
        meta = self._read_meta()
        return stock_value(meta.get("old" if _of_preference(meta) else "old_value"))

    @property
    def new_value(self) -> Any:
        """The field's new value; None for multi-entity fields, which have `added`."""
        meta = self._read_meta()
        return stock_value(meta.get("new" if _of_preference(meta) else "new_value"))

    @property
    def added(self) -> list[Any]:
        """The entities added to a multi-entity field."""
        return _list(self._read_meta().get("added"))

    @property
    def removed(self) -> list[Any]:
        """The entities removed from a multi-entity field."""
        return _list(self._read_meta().get("removed"))

    @property
    def in_create(self) -> bool:
        """Whether the value was set while the record was created."""
        return self._read_meta().get("in_create") is True

    @property
    def is_transient(self) -> bool:
        """Whether this is the first of the two events of a thumbnail, which is not ready yet."""
        return self._read_meta().get("is_transient") is True

    @property
    def meta(self) -> Meta:
        """The event's details; never None, decoded if the site sent a JSON string.

        Details that only a studio's own events have: `event["meta"]["key"]`.
        """
        meta: Meta = stock_field(self._read_meta())
        return meta

    @property
    def entity(self) -> Link | None:
        """The record as the row links it; None once the record is retired.

        If a record was viewed on a page, this is the page; see `entity_type` and `entity_id`.
        """
        return _link(self._row.get("entity"))

    @property
    def entity_type(self) -> str | None:
        """The record's type, also if it is retired; None if there is no record.

        For `Shotgun_Reading_Change` it is the type of what was read, for `Shotgun_Version_View` and
        similar types that of what was viewed.
        """
        if self._is_view:
            return self._viewed()[0]
        entity = self._row.get("entity")
        linked = _text(entity.get("type")) if isinstance(entity, dict) else None
        return linked or self._entity_type_without_link()

    @property
    def entity_id(self) -> int | None:
        """The record's id, also if it is retired; None if it cannot be known.

        It cannot be known for a back-reference to a retired record, whose `meta` names the other
        record. `original_event_id` leads to the event of the field that was set.
        """
        if self._is_view:
            return self._viewed()[1]
        entity = self._row.get("entity")
        if isinstance(entity, dict):
            linked = entity.get("id")
            if type(linked) is int:
                return linked
        return self._entity_id_without_link()

    @property
    def is_back_reference(self) -> bool:
        """Whether the field changed only because a field of another record was set."""
        return not self._read_meta().keys().isdisjoint(_BACK_REFERENCE_KEYS)

    @property
    def original_event_id(self) -> int | None:
        """For a back-reference, the id of the event of the field that was set."""
        return _integer(self._read_meta().get("original_event_log_entry_id"))

    @property
    def project(self) -> Link | None:
        """The project; None for replies, logins and other things without one."""
        return _link(self._row.get("project"))

    @property
    def project_id(self) -> int | None:
        """The project's id, or None."""
        project = self._row.get("project")
        return _integer(project.get("id")) if isinstance(project, dict) else None

    @property
    def user(self) -> Link | None:
        """Who did it: a HumanUser, an ApiUser (a script) or None."""
        return _link(self._row.get("user"))

    @property
    def script(self) -> str | None:
        """The name of the script that did it, also as another user (sudo); None for a person.

        A site shows scripts as "name version", in `user["name"]`; this is the name alone.
        """
        links = acting_links(self)
        return self._scripts.name_of(links[0]) if links else None

    @property
    def sudo_user(self) -> Link | None:
        """Who is behind `user` if it acted as that user (sudo), otherwise None."""
        return _link(self._read_meta().get("sudo_actual_user"))

    @property
    def session_uuid(self) -> str | None:
        """The session in which it was done, or None."""
        return _text(self._row.get("session_uuid"))

    @property
    def created_at(self) -> datetime | None:
        """When it was done: aware, in local time; None if the row does not say."""
        if self._created_at is _UNREAD:
            moment = moment_of(self._row.get("created_at"))
            self._created_at = None if moment is None else to_local_time(moment)
        return self._created_at

    def _read_meta(self) -> dict[str, Any]:
        """Return the event's own dict of details, which is never handed out."""
        if self._meta is _UNREAD:
            self._meta = _decoded(self._row.get("meta"))
        return self._meta

    @property
    def _is_view(self) -> bool:
        # Not by `domain` and `action`: every filter on an entity asks for this.
        kind = self._row.get("event_type")
        return isinstance(kind, str) and kind.endswith("_View") and kind.startswith("Shotgun_")

    def _viewed(self) -> tuple[str | None, int | None]:
        """Return type and id of the viewed record: the row's own link may be the page."""
        meta, entity = self._read_meta(), self._row.get("entity")
        linked = _text(meta.get("link_entity_type"))
        if linked is not None:
            return linked, _integer(meta.get("link_entity_id"))
        words = self.event_type.split("_")
        named = words[-2] if len(words) > 2 else None
        shown = _text(entity.get("type")) if isinstance(entity, dict) else None
        if shown is None or (shown == "Page" != named):
            return named, None
        return shown, _integer(entity.get("id")) if isinstance(entity, dict) else None

    def _entity_type_without_link(self) -> str | None:
        named = type_parts(self.event_type).entity_type
        if named is not None and named not in _NO_RECORDS:
            return named  # `meta` may name the other record of a back-reference
        described = _text(self._read_meta().get("entity_type"))
        return None if described in _NO_RECORDS else described

    def _entity_id_without_link(self) -> int | None:
        meta = self._read_meta()
        described = _text(meta.get("entity_type", meta.get("class_name")))
        named = type_parts(self.event_type).entity_type
        if self.is_back_reference or described in _NO_RECORDS:
            return None
        if named in _NO_RECORDS and described is None:
            return None
        if named not in {None, *_NO_RECORDS, described} and described is not None:
            return None
        own = meta.get("id") if meta.get("type") in _RETIREMENTS else None
        return _integer(meta.get("entity_id", own))


def route_of(event: Event) -> tuple[str, str | None, str | None, int | None]:
    """Return an event's type, attribute, entity type and project as its row says; see `Route`.

    Nearly every row says all of them in so many words; only the others are looked at more closely.
    """
    row = event._row
    link = row.get("entity")
    linked = link.get("type") if type(link) is dict else None
    project_id = event.project_id
    said = said_route(row.get("event_type"), row.get("attribute_name"), linked, project_id)
    return said or Route(event.event_type, event.attribute, event.entity_type, project_id)


def said_route(
    kind: object, name: object, linked: object, project_id: int | None
) -> tuple[str, str | None, str | None, int | None] | None:
    """Return the route of a row that says its texts in so many words; None for any other.

    Args:
        kind: Its `event_type`.
        name: Its `attribute_name`.
        linked: The type of its `entity`.
        project_id: The id of its `project`.
    """
    if type(kind) is str and type(linked) is str and linked and not kind.endswith("_View"):
        if type(name) is str and name:
            return kind, name, linked, project_id
        if name is None and not kind.endswith("_Change"):
            return kind, None, linked, project_id
    return None


def stock_row_of(event: Event) -> dict[str, Any]:
    """Return an event as the stock client returns its row: a new dict, with `meta` as it came."""
    row = event._row
    values = dict(_DEFAULTS)
    for key in row:
        value = row[key]
        values[key] = value if type(value) is int else stock_field(value)
    if "created_at" in row:
        values["created_at"] = event["created_at"]
    return values


def acting_links(event: Event) -> list[dict[str, Any]]:
    """Return links, not copied, to the scripts behind `event`: its user, or who acts as it."""
    return scripts_on(event._row.get("user"), event._read_meta())


def scripts_of(event: Event) -> Scripts:
    """Return the known scripts of the event's site."""
    return event._scripts


def meta_of(event: Event) -> Mapping[str, Any]:
    """Return the details of `event` themselves, not a copy, for code that only reads them."""
    return event._read_meta()


def _of_preference(meta: Mapping[str, Any]) -> bool:
    """Return whether `meta` describes a preference of the site, which has keys of its own."""
    return "pref" in meta and "type" not in meta


def _decoded(meta: Any) -> dict[str, Any]:
    if isinstance(meta, (str, bytes)):
        try:
            meta = json.loads(meta)
        except (ValueError, RecursionError):
            return {}
    return meta if isinstance(meta, dict) else {}


def _copied(value: _T) -> _T:
    """Return `value` with its dicts and lists copied, at any depth."""
    try:
        return cast("_T", _deep_copied(value))
    except RecursionError:
        return value


def _deep_copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _deep_copied(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_deep_copied(inner) for inner in value]
    return value


def _link(value: Any) -> Link | None:
    return stock_field(value) if isinstance(value, dict) else None


def _list(value: Any) -> list[Any]:
    return stock_value(list(value)) if isinstance(value, (list, tuple)) else []


def _text(value: Any) -> str | None:
    return stock_text(value) if isinstance(value, str) and value else None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
