"""The consequences of a write: links of a connection, and what retires along with a record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sgevents_core.sandbox.changes import Changes, Undo
from sgevents_core.sandbox.connections import SIDES, connecting
from sgevents_core.sandbox.records import Record, Ref
from sgevents_core.sandbox.refusal import CRUD, RefusedCallError
from sgevents_core.sandbox.site_database import SiteDatabase


class Consequences:
    """The consequences of the writes of one transaction.

    Args:
        database: The database.
        changes: Sets fields and writes rows.
        undo: Collects the functions that undo changes.
        delete: Retires a record of a type by its id.
    """

    def __init__(
        self,
        database: SiteDatabase,
        changes: Changes,
        undo: list[Undo],
        delete: Callable[[str, int], object],
    ) -> None:
        self._schema = database.schema
        self._records = database.records
        self._changes = changes
        self._undo = undo
        self._delete = delete

    def connection(self, entity_type: str, kept: dict[str, Any]) -> Record:
        """Return the row of a connection, created by the link that it represents.

        Args:
            entity_type: The connection's type.
            kept: The values of the create in the site's form.

        Raises:
            RefusedCallError: An end is missing, or both are connected already.
        """
        side, one = SIDES[entity_type]
        here, there = (self._records.live(kept.pop(name, None)) for name in (one.here, one.there))
        if here is None or there is None:
            raise RefusedCallError(
                f"API create() missing '{one.here}' or '{one.there}' attribute", CRUD
            )
        if connecting(self._records, one, here.ref, there.ref) is not None:
            raise RefusedCallError(
                f"API create() CRUD ERROR #5: Create failed for [{entity_type}]: Validation "
                "failed: There is already a connection between the entities.",
                CRUD,
            )
        self._link(here, side.field, there.ref, linked=True)
        row = connecting(self._records, one, here.ref, there.ref)
        assert row is not None  # noqa: S101 - the link has just created it
        fields = self._schema.get("create", entity_type).fields
        for name, value in kept.items():
            self._changes.set(row, fields[name], value)
        return row

    def relink(self, row: Record, *, linked: bool) -> None:
        """Create or end the link that a row of a connection represents."""
        side, one = SIDES[row.type]
        here = self._records.find(row.values[one.here])
        if linked:
            self._set_retired(row, retired=False)
        if here is not None:
            self._link(here, side.field, row.values[one.there], linked=linked)

    def _link(self, here: Record, name: str, there: Ref, *, linked: bool) -> None:
        field = self._schema.field("update", here.type, name)
        rest = tuple(ref for ref in here.values.get(name) or () if ref != there)
        self._changes.set(here, field, (*rest, there) if linked else rest)

    def of_retirement(self, record: Record) -> None:
        """Retire what depends on a record: its connections, its versions, a template's tasks."""
        for row in self._records.connected(record.ref):
            if not row.retired:
                self._set_retired(row, retired=True)
        for owned in list(self._owned(record)):
            self._delete(owned.type, owned.id)

    def of_revival(self, record: Record) -> None:
        """Bring back the connections of a record that are still linked."""
        for row in self._records.connected(record.ref):
            if row.retired and self._is_linked(row):
                self._set_retired(row, retired=False)

    def _is_linked(self, row: Record) -> bool:
        side, one = SIDES[row.type]
        here = self._records.live(row.values[one.here])
        there = self._records.live(row.values[one.there])
        return bool(here and there and there.ref in (here.values.get(side.field) or ()))

    def _set_retired(self, row: Record, *, retired: bool) -> None:
        before, row.retired = row.retired, retired
        self._undo.append(lambda: setattr(row, "retired", before))

    def _owned(self, record: Record) -> Iterator[Record]:
        if record.type == "TaskTemplate":
            yield from self._linking("Task", "task_template", record)
        elif record.type not in ("Task", "Version"):
            yield from self._linking("Version", "entity", record)

    def _linking(self, entity_type: str, field: str, record: Record) -> Iterator[Record]:
        for other in self._records.of_type(entity_type):
            if other.values.get(field) == record.ref:
                yield other
