"""The consequences of a write: links of a connection, and records that retire with another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sgevents_core.sandbox.connections import CONNECTIONS_BY_TYPE, find_connection_record
from sgevents_core.sandbox.field_changes import FieldChanges, UndoAction
from sgevents_core.sandbox.records import EntityRef, Record
from sgevents_core.sandbox.refused_calls import CRUD_ERROR, failed_write, refused_call
from sgevents_core.sandbox.site_database import SiteDatabase


class WriteConsequences:
    """The consequences of the writes of one transaction.

    Args:
        database: The database.
        changes: Sets fields and writes rows.
        undo_actions: Collects the functions that undo changes.
        delete_record: Retires a record of a type by its id.
    """

    def __init__(
        self,
        database: SiteDatabase,
        changes: FieldChanges,
        undo_actions: list[UndoAction],
        delete_record: Callable[[str, int], object],
    ) -> None:
        self._schema = database.schema
        self._records = database.records
        self._changes = changes
        self._undo_actions = undo_actions
        self._delete_record = delete_record

    def create_connection(self, entity_type: str, stored_values: dict[str, Any]) -> Record:
        """Return the row of a connection, created by the link that it represents.

        Args:
            entity_type: The connection's type.
            stored_values: The values of the create in the site's form.

        Raises:
            RefusedCallError: An end is missing, or both are connected already.
        """
        side, connection = CONNECTIONS_BY_TYPE[entity_type]
        here, there = (
            self._records.live(stored_values.pop(field_name, None))
            for field_name in (connection.here_field, connection.there_field)
        )
        if here is None or there is None:
            raise refused_call(
                "create",
                f"missing '{connection.here_field}' or '{connection.there_field}' attribute",
                CRUD_ERROR,
            )
        if find_connection_record(self._records, connection, here.ref, there.ref) is not None:
            reason = "Validation failed: There is already a connection between the entities."
            raise failed_write("create", entity_type, reason)
        self._set_link(here, side.field_name, there.ref, is_linked=True)
        row = find_connection_record(self._records, connection, here.ref, there.ref)
        assert row is not None  # noqa: S101 - the link has just created it
        fields = self._schema.required_type("create", entity_type).fields
        for field_name, stored_value in stored_values.items():
            self._changes.set_field(row, fields[field_name], stored_value)
        return row

    def set_connection_link(self, row: Record, *, is_linked: bool) -> None:
        """Create or end the link that a row of a connection represents."""
        side, connection = CONNECTIONS_BY_TYPE[row.type]
        here = self._records.find(row.values[connection.here_field])
        if is_linked:
            self._set_connection_retired(row, is_retired=False)
        if here is not None:
            self._set_link(
                here, side.field_name, row.values[connection.there_field], is_linked=is_linked
            )

    def _set_link(
        self, here: Record, field_name: str, there_ref: EntityRef, *, is_linked: bool
    ) -> None:
        link_field = self._schema.required_field("update", here.type, field_name)
        remaining = tuple(ref for ref in here.values.get(field_name) or () if ref != there_ref)
        self._changes.set_field(
            here, link_field, (*remaining, there_ref) if is_linked else remaining
        )

    def retire_dependents(self, record: Record) -> None:
        """Retire the dependents of a record: its connections, its versions, a template's tasks."""
        for row in self._records.connections_of(record.ref):
            if not row.retired:
                self._set_connection_retired(row, is_retired=True)
        for dependent_record in list(self._dependent_records(record)):
            self._delete_record(dependent_record.type, dependent_record.id)

    def revive_connections(self, record: Record) -> None:
        """Revive the connections of a record that are still linked."""
        for row in self._records.connections_of(record.ref):
            if row.retired and self._is_still_linked(row):
                self._set_connection_retired(row, is_retired=False)

    def _is_still_linked(self, row: Record) -> bool:
        side, connection = CONNECTIONS_BY_TYPE[row.type]
        here = self._records.live(row.values[connection.here_field])
        there = self._records.live(row.values[connection.there_field])
        return bool(here and there and there.ref in (here.values.get(side.field_name) or ()))

    def _set_connection_retired(self, row: Record, *, is_retired: bool) -> None:
        was_retired, row.retired = row.retired, is_retired
        self._undo_actions.append(lambda: setattr(row, "retired", was_retired))

    def _dependent_records(self, record: Record) -> Iterator[Record]:
        if record.type == "TaskTemplate":
            yield from self._records_linking_to("Task", "task_template", record)
        elif record.type not in ("Task", "Version"):
            yield from self._records_linking_to("Version", "entity", record)

    def _records_linking_to(
        self, entity_type: str, field_name: str, record: Record
    ) -> Iterator[Record]:
        for linking_record in self._records.of_type(entity_type):
            if linking_record.values.get(field_name) == record.ref:
                yield linking_record
