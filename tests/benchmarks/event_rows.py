"""Rows as a busy site logs them: a day of twenty kinds of events, over and over.

A row's body is written when somebody asks for it, so that a million rows take no memory.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, Final, NamedTuple

BEGIN: Final = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=2)
"""When the first row was created, ten of them every second: a weekend ago."""
_ENTITIES: Final = 2000
"""The records of each type that the rows are about, one after another."""


class Kind(NamedTuple):
    """A kind of event: its type, the field that changed, and the field's new value."""

    event_type: str
    attribute: str | None = None
    new_value: object = None


KINDS: Final = (
    Kind("Shotgun_Task_Change", "sg_status_list", "ip"),
    Kind("Shotgun_Task_Change", "start_date", "2026-02-01"),
    Kind("Shotgun_Version_New"),
    Kind("Shotgun_Version_Change", "sg_status_list", "rev"),
    Kind("Shotgun_Reading_Change", "read_by_current_user", "read"),
    Kind("Shotgun_Task_Change", "duration", 2400),
    Kind("Shotgun_PublishedFile_New"),
    Kind("Shotgun_PublishedFile_Change", "path", {"link_type": "local", "name": "plate.exr"}),
    Kind("Shotgun_Shot_Change", "sg_cut_in", 1001),
    Kind("Shotgun_Note_New"),
    Kind("Shotgun_Task_Change", "sg_status_list", "rev"),
    Kind("Shotgun_Version_Change", "description", "first pass, see notes on the edges"),
    Kind("Shotgun_Note_Change", "sg_status_list", "opn"),
    Kind("Shotgun_Version_Change", "sg_uploaded_movie_frame_rate", 24.0),
    Kind("Shotgun_Asset_Change", "sg_status_list", "fin"),
    Kind("Shotgun_Attachment_View"),
    Kind("Shotgun_Task_Change", "due_date", "2026-02-14"),
    Kind("Shotgun_Shot_Change", "sg_status_list", "ip"),
    Kind("Shotgun_Reply_New"),
    Kind("Shotgun_User_Login"),
)
"""The kinds of events in the order in which they occur."""


def encode_row(number: int, id_: int) -> bytes:
    """Return a row as the site writes it.

    Args:
        number: Its number in the log, from 0, which decides the kind of event.
        id_: Its id.
    """
    entity = number // len(KINDS) % _ENTITIES + 1
    project = 65 + number // len(KINDS) % 2
    moment = _moment(number // 10)
    return _TEMPLATES[number % len(KINDS)] % (id_, entity, entity, entity, project, moment)


@lru_cache(maxsize=64)
def _moment(seconds: int) -> bytes:
    return (BEGIN + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ").encode()


def _template(event_kind: Kind) -> bytes:
    """Return the body of a row with places for the id, the entity, the project and the moment."""
    body = json.dumps({"id": "<id>", **_fields(event_kind)}).replace("%", "%%")
    for placeholder in ('"<id>"', '"<entity>"', '"<project>"'):
        body = body.replace(placeholder, "%d")
    return body.replace("<number>", "%03d").replace("<moment>", "%b").encode()


def _fields(event_kind: Kind) -> dict[str, Any]:
    type_name = event_kind.event_type.split("_")[1]
    meta: dict[str, Any] = {"type": "new_entity", "entity_type": type_name, "entity_id": "<entity>"}
    if event_kind.attribute is not None:
        meta |= {"type": "attribute_change", "attribute_name": event_kind.attribute}
        meta |= {"old_value": None, "new_value": event_kind.new_value, "field_data_type": "text"}
    return {
        "meta": meta,
        "entity": {"type": type_name, "id": "<entity>", "name": f"sq010_sh<number>_{type_name}"},
        "project": {"type": "Project", "id": "<project>", "name": "The Long Way Home"},
        "user": {"type": "HumanUser", "id": 24, "name": "Ada Example"},
        "type": "EventLogEntry",
        "event_type": event_kind.event_type,
        "attribute_name": event_kind.attribute,
        "session_uuid": "6c4b0e5e-4b5e-11f0-9c9a-0242ac110002",
        "created_at": "<moment>",
    }


_TEMPLATES: Final = tuple(map(_template, KINDS))


class Log(Sequence[int]):
    """The ids of an event log, ascending.

    Args:
        row_count: How many rows there are; more may be added.
        gap_every: Leave out every such id; 0 for none.
        hole: Leave out so many ids in the middle.
    """

    def __init__(self, rows: int, *, gap_every: int = 0, hole: int = 0) -> None:
        self.row_count = rows
        self._gap_every = gap_every
        self._hole_from, self._hole = rows // 2, hole

    def __len__(self) -> int:
        return self.row_count

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < self.row_count:
            raise IndexError(number)
        gaps = number // (self._gap_every - 1) if self._gap_every else 0
        return number + 1 + gaps + (self._hole if number >= self._hole_from else 0)

    def numbers_between(self, first: int, last: int) -> range:
        """Return the numbers of the rows whose ids are at least `first` and at most `last`."""
        return range(bisect_left(self, first), bisect_right(self, last))

    def body(self, number: int) -> bytes:
        """Return the body of a row."""
        return encode_row(number, self[number])
