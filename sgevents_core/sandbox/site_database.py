"""The contents of the sandbox site: schema, records, event log, and the lock that guards them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sgevents_core.sandbox.entity_schema import Schema
from sgevents_core.sandbox.eventlog import EventRow, SandboxEventLog
from sgevents_core.sandbox.records import Record, Records, Ref
from sgevents_core.sandbox.stored_files import Files
from sgevents_core.sandbox.studio import entity_types
from sgevents_core.sandbox.types_file import add_types, standard_types

EVENT_LOG: Final = "EventLogEntry"

Row = Record | EventRow


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows a query looks at: their ids in ascending order, and access to each."""

    ids: list[int]
    get: Callable[[int], Row]


class SiteDatabase:
    """Records and event log together. Hold `lock` to read or write.

    Args:
        clock: The site's clock.

    Attributes: address: Where the site listens, for the URLs of its files: "http://127.0.0.1:8020".
    reader: The present caller, for fields that differ for each person. following: Person -> what
    they follow, in order. work_days: Day and project, person or None for all -> an exception to the
    working week. accessed: Project and person -> when they last opened it. hidden_fields: Type,
    field and project in which it does not show. deleted_fields: Type and name of fields that were
    deleted: their names stay taken.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.schema = Schema(entity_types())
        add_types(self.schema, standard_types(), over=True)
        self.records = Records(self.schema)
        self.log = SandboxEventLog()
        self.files = Files()
        self.address = ""
        self.reader: Ref | None = None
        self.following: dict[Ref, dict[Ref, None]] = {}
        self.work_days: dict[tuple[str, Ref | None], dict[str, Any]] = {}
        self.accessed: dict[tuple[Ref, Ref], str] = {}
        self.hidden_fields: set[tuple[str, str, int]] = set()
        self.deleted_fields: set[tuple[str, str]] = set()

    def rows(self, entity_type: str, *, retired: bool = False, script: str | None = None) -> Rows:
        """Return the rows of an entity type that are visible to a script."""
        if entity_type == EVENT_LOG:
            return Rows([] if retired else self.log.view(script), self.log.row)
        found: Iterable[Record] = self.records.of_type(entity_type, retired=retired)
        by_id: dict[int, Row] = {record.id: record for record in found}
        return Rows(list(by_id), by_id.__getitem__)

    def name(self, row: Row) -> Any:
        """Return the name that people see for a row."""
        return row.event_type if isinstance(row, EventRow) else row.link["name"]
