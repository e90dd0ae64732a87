"""The contents of the sandbox site: schema, records, event log, and the lock that guards them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sgevents_core.sandbox.entity_schema import SiteSchema
from sgevents_core.sandbox.event_log import EventRow, SandboxEventLog
from sgevents_core.sandbox.records import EntityRef, Record, Records
from sgevents_core.sandbox.stored_files import StoredFiles
from sgevents_core.sandbox.studio_types import studio_types
from sgevents_core.sandbox.types_file import add_types, standard_types

EVENT_LOG: Final = "EventLogEntry"

SiteRow = Record | EventRow


@dataclass(frozen=True, slots=True)
class VisibleRows:
    """The rows a query looks at: their ids in ascending order, and access to each."""

    ids: list[int]
    read_row: Callable[[int], SiteRow]


class SiteDatabase:
    """Records and event log together. Hold `lock` to read or write.

    Args:
        clock: The site's clock.

    Attributes:
        site_url: Where the site listens, for the URLs of its files: "http://127.0.0.1:8020".
        reading_user: The current caller, for fields that differ for each person.
        followed_by_person: Person -> what they follow, in order.
        workday_exceptions: Day and scope (project, person, None for all) -> an exception to the
            working week.
        project_opened_at: Project and person -> when they last opened it.
        hidden_fields: Type, field and project in which the field is not shown.
        deleted_fields: Type and name of deleted fields, whose names stay taken.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.schema = SiteSchema(studio_types())
        add_types(self.schema, standard_types(), replaces_fields=True)
        self.records = Records(self.schema)
        self.log = SandboxEventLog()
        self.stored_files = StoredFiles()
        self.site_url = ""
        self.reading_user: EntityRef | None = None
        self.followed_by_person: dict[EntityRef, dict[EntityRef, None]] = {}
        self.workday_exceptions: dict[tuple[str, EntityRef | None], dict[str, Any]] = {}
        self.project_opened_at: dict[tuple[EntityRef, EntityRef], str] = {}
        self.hidden_fields: set[tuple[str, str, int]] = set()
        self.deleted_fields: set[tuple[str, str]] = set()

    def visible_rows(
        self, entity_type: str, *, retired_only: bool = False, script_name: str | None = None
    ) -> VisibleRows:
        """Return the rows of an entity type that are visible to a script."""
        if entity_type == EVENT_LOG:
            visible_ids = [] if retired_only else self.log.visible_id_list(script_name)
            return VisibleRows(visible_ids, self.log.row)
        matching_records: Iterable[Record] = self.records.of_type(entity_type, retired=retired_only)
        records_by_id: dict[int, SiteRow] = {record.id: record for record in matching_records}
        return VisibleRows(list(records_by_id), records_by_id.__getitem__)

    def shown_name(self, row: SiteRow) -> Any:
        """Return the name that people see for a row."""
        return row.event_type if isinstance(row, EventRow) else row.link["name"]
