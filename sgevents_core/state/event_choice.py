"""A choice of events in the journal, as people search for them. Pure."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

import msgspec

from sgevents_core.events import Event
from sgevents_core.scripts import Scripts
from sgevents_core.state.entries import Entry

_TYPE_AND_ID: Final = re.compile(r"\s*([A-Za-z]\w*)[\s:/#]+([0-9]{1,18})\s*", re.ASCII)
"""A record as people write it: `Shot 1234`, `Shot:1234`, `Shot/1234`."""
_FEW_IDS: Final = 1_000
_decode_row: Final = msgspec.json.Decoder(dict[str, Any]).decode


class NamedRecord(NamedTuple):
    """A record as a person named it: by type, id, name, or type and id.

    Args:
        entity_type: Its type; empty if only a text was given, which may be a type or a name.
        entity_id: Its id; None if none was given.
        name: The text, if it is neither a number nor type and id.
    """

    entity_type: str
    entity_id: int | None
    name: str

    @classmethod
    def parse(cls, record_text: str) -> NamedRecord:
        """Return the record that a text names: `Shot 1234`, `1234`, `Shot` or `SH010`."""
        type_and_id = _TYPE_AND_ID.fullmatch(record_text)
        if type_and_id is not None:
            return cls(type_and_id[1], int(type_and_id[2]), "")
        stripped_text = record_text.strip()
        if stripped_text.isascii() and stripped_text.isdecimal() and len(stripped_text) < 19:
            return cls("", int(stripped_text), "")
        return cls("", None, stripped_text)

    def is_linked_by(self, link: object) -> bool:
        """Return whether a link of a row leads to this record."""
        if not isinstance(link, dict):
            return False
        if self.name:
            return link.get("name") == self.name
        return link.get("id") == self.entity_id and self.entity_type in {"", link.get("type")}


class EventChoice(NamedTuple):
    """A choice of events; a field that is None, or False, matches all.

    Args:
        event_type: The event type; `*` in it stands for any characters.
        entity: The record, by type (`Shot`), type and id (`Shot 1234`), id, or name.
        project: The project, by id or name.
        user: The person or script that did it, by id, type and id, or name as the site shows it.
        script: The name of the script that did it.
        created_since: The earliest creation, in seconds since 1970.
        created_until: The latest creation, in seconds since 1970.
        ids: The lowest and the highest id.
        late: Only events that arrived late.
        failed: Only events on which a callback failed at least once.
        failed_plugin: Only events on which a callback of this plugin failed at least once.
    """

    event_type: str | None = None
    entity: str | None = None
    project: str | None = None
    user: str | None = None
    script: str | None = None
    created_since: int | None = None
    created_until: int | None = None
    ids: tuple[int, int] | None = None
    late: bool = False
    failed: bool = False
    failed_plugin: str | None = None

    @property
    def names_few_ids(self) -> bool:
        """Whether it names so few ids that an index finds them faster than a search."""
        return self.ids is not None and self.ids[1] - self.ids[0] < _FEW_IDS

    @property
    def needs_row(self) -> bool:
        """Whether only an event's row shows if it is chosen."""
        row_conditions = (self.entity, self.project, self.user, self.script)
        return any(condition is not None for condition in row_conditions)

    def matches_columns(self, entry: Entry) -> bool:
        """Return whether the values stored beside an entry's row match."""
        return (
            (self.event_type is None or _is_type(entry.event_type, self.event_type))
            and (self.created_since is None or entry.created >= self.created_since)
            and (self.created_until is None or entry.created <= self.created_until)
            and (self.ids is None or self.ids[0] <= entry.event_id <= self.ids[1])
            and (entry.late or not self.late)
        )

    def matches_row(self, row_json: bytes, scripts: Scripts) -> bool:
        """Return whether an event's row matches; a row that cannot be read does not.

        Args:
            row_json: The row as JSON.
            scripts: The names of the site's scripts.
        """
        try:
            row = _read_row(row_json)
        except (ValueError, RecursionError):
            return False
        event = Event(row, scripts)
        return (
            (self.entity is None or _is_about(event, NamedRecord.parse(self.entity)))
            and (self.project is None or _is_in_project(event, NamedRecord.parse(self.project)))
            and (self.user is None or _is_done_by(event, NamedRecord.parse(self.user)))
            and (self.script is None or event.script == self.script)
        )


def type_pattern(event_type: str) -> str:
    """Return the GLOB pattern of an event type in which only `*` is special."""
    return "".join(f"[{character}]" if character in "?[" else character for character in event_type)


def _is_type(event_type: str, chosen_type: str) -> bool:
    if "*" not in chosen_type:
        return event_type == chosen_type
    pattern_parts = map(re.escape, chosen_type.split("*"))
    return re.fullmatch(".*".join(pattern_parts), event_type, re.DOTALL) is not None


def _read_row(row_json: bytes) -> dict[str, Any]:
    try:
        return _decode_row(row_json)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        row = json.loads(row_json)  # lone surrogates too, which sites may send
    return row if isinstance(row, dict) else {}


def _is_about(event: Event, record: NamedRecord) -> bool:
    if record.name:
        return event.entity_type == record.name or record.is_linked_by(event.entity)
    return event.entity_id == record.entity_id and record.entity_type in {"", event.entity_type}


def _is_in_project(event: Event, record: NamedRecord) -> bool:
    return record.is_linked_by(event.project)


def _is_done_by(event: Event, record: NamedRecord) -> bool:
    return record.is_linked_by(event.user) or record.is_linked_by(event.sudo_user)
