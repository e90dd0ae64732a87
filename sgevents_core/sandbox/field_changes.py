"""Changing fields: the record, the record at the other end of a link, and the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sgevents_core.moments import meta_timestamp, moment_of
from sgevents_core.sandbox.connections import (
    CONNECTIONS_BY_FIELD,
    Connection,
    find_connection_record,
)
from sgevents_core.sandbox.entity_schema import MASKED, Field
from sgevents_core.sandbox.event_log import EventRow
from sgevents_core.sandbox.records import EntityRef, Record
from sgevents_core.sandbox.site_database import SiteDatabase

UndoAction = Callable[[], object]


@dataclass(frozen=True, slots=True)
class _LinkChange:
    """The origin of a change at the other end of a link."""

    record: Record
    field: Field
    row: EventRow


class FieldChanges:
    """The changes of one transaction.

    Args:
        database: The database that is changed.
        write_event: Writes a row to the log: `write_event(event_type, **fields)`.
        undo_actions: Collects the functions that undo changes.
    """

    def __init__(
        self,
        database: SiteDatabase,
        write_event: Callable[..., EventRow],
        undo_actions: list[UndoAction],
    ) -> None:
        self._records = database.records
        self._schema = database.schema
        self._write_event = write_event
        self._undo_actions = undo_actions

    def set_field(
        self, record: Record, field: Field, new_value: Any, *, in_create: bool = False
    ) -> None:
        """Set one field; write no row if nothing changes.

        Args:
            record: The record.
            field: The field.
            new_value: The value in the site's form.
            in_create: Whether the record is being created. Empty and unticked values then write no
                row.
        """
        old_value = record.values.get(field.name)
        if in_create:
            old_value = () if field.is_multi_link else None
        unset = new_value is None or new_value == () or (new_value is False and in_create)
        if old_value == new_value or (in_create and unset):
            return
        self._store_value(record, field.name, new_value)
        removed_refs, added_refs = _link_difference(field, old_value, new_value)
        meta = self._change_meta(record, field, old_value, new_value)
        meta.update({"in_create": True} if in_create else {})
        change_row = self._log_field_change(record, field.name, meta)
        change = _LinkChange(record, field, change_row)
        changed_links = [(ref, False) for ref in removed_refs] + [(ref, True) for ref in added_refs]
        for ref, is_added in changed_links:
            self._update_back_reference(ref, change, is_added=is_added)
            self._update_connection(ref, change, is_added=is_added)

    def log_record_change(
        self, record: Record, event_action: str, meta_type: str, **meta_values: Any
    ) -> EventRow:
        """Write the row of a record created, retired or revived."""
        meta = {
            "type": meta_type,
            "entity_type": record.type,
            "entity_id": record.id,
            **meta_values,
        }
        event_type = f"Shotgun_{record.type}_{event_action}"
        project_ref = record.project_ref
        return self._write_event(event_type, meta=meta, entity=record.ref, project=project_ref)

    def log_retirement_date(self, record: Record, timestamp: str) -> None:
        """Write the second row of a retirement: a change of a field that no schema has."""
        meta = {
            "type": "attribute_change",
            "attribute_name": "retirement_date",
            "entity_type": record.type,
            "entity_id": record.id,
            "field_data_type": "date_time",
            "old_value": None,
            "new_value": _logged_timestamp(timestamp),
        }
        self._log_field_change(record, "retirement_date", meta)

    def set_thumbnail(
        self, record: Record, field: Field, attachment_id: int, *, is_placeholder: bool
    ) -> None:
        """Set a thumbnail, or write its row again.

        Args:
            record: The record.
            field: The field.
            attachment_id: The picture's Attachment.
            is_placeholder: Whether a placeholder is still shown for it.
        """
        meta = self._change_meta(record, field, record.values.get(field.name), attachment_id)
        self._store_value(record, field.name, attachment_id)
        self._log_field_change(record, field.name, {**meta, "is_transient": is_placeholder})

    def _change_meta(
        self, record: Record, field: Field, old_value: Any, new_value: Any
    ) -> dict[str, Any]:
        meta: dict[str, Any] = {
            "type": "attribute_change",
            "attribute_name": field.name,
            "entity_type": record.type,
            "entity_id": record.id,
            "field_data_type": field.data_type,
        }
        return {**meta, **self._changed_values(field, old_value, new_value)}

    def _changed_values(self, field: Field, old_value: Any, new_value: Any) -> dict[str, Any]:
        if field.is_multi_link:
            removed_refs, added_refs = _link_difference(field, old_value, new_value)
            return {
                "added": self._logged_links(added_refs),
                "removed": self._logged_links(removed_refs),
            }
        if field.data_type == "password":
            old_value, new_value = old_value and MASKED, new_value and MASKED
        if field.is_link:
            old_value, new_value = self._logged_link(old_value), self._logged_link(new_value)
        if field.data_type == "date_time":
            old_value, new_value = _logged_timestamp(old_value), _logged_timestamp(new_value)
        return {"old_value": old_value, "new_value": new_value}

    def _logged_link(self, ref: EntityRef | None) -> dict[str, Any] | None:
        record = self._records.find(ref) if ref else None
        if record is None:
            return None
        status_code = record.values.get("sg_status_list")
        status = {"status": status_code} if status_code else {}
        return {**record.link, "valid": "valid", **status}

    def _logged_links(self, refs: list[EntityRef]) -> list[dict[str, Any]]:
        return [logged_link for logged_link in map(self._logged_link, refs) if logged_link]

    def _update_back_reference(
        self, ref: EntityRef, change: _LinkChange, *, is_added: bool
    ) -> None:
        """Change the field of the linked record that lists the link, if it has one."""
        linked = self._records.find(ref)
        linked_fields = self._schema.required_type("update", ref[0]).fields
        back_field = linked_fields.get(change.field.back_field or "")
        if linked is None or back_field is None:
            return
        origin_ref = change.record.ref
        old_value = linked.values.get(back_field.name)
        if back_field.is_multi_link:
            remaining = tuple(other_ref for other_ref in old_value or () if other_ref != origin_ref)
            new_value: Any = (*remaining, origin_ref) if is_added else remaining
        else:
            new_value = origin_ref if is_added else None
            self._leave_former_list(linked, change, old_value, new_value)
        self._store_value(linked, back_field.name, new_value)
        self._log_back_reference(linked, back_field, change, old_value, new_value)

    def _update_connection(self, ref: EntityRef, change: _LinkChange, *, is_added: bool) -> None:
        """Create or retire the row that represents a link."""
        connection = CONNECTIONS_BY_FIELD.get((change.record.type, change.field.name))
        if connection is None:
            return
        origin_ref = change.record.ref
        row = find_connection_record(self._records, connection, origin_ref, ref)
        if is_added and row is None:
            ends = {connection.here_field: origin_ref, connection.there_field: ref}
            self._create_connection(connection, ends)
        elif row is not None and not is_added:
            row.retired = True
            self._undo_actions.append(lambda: setattr(row, "retired", False))
            if connection.is_logged:
                self.log_record_change(row, "Retirement", "entity_retirement")

    def _create_connection(self, connection: Connection, end_refs: dict[str, EntityRef]) -> None:
        fields = self._schema.required_type("create", connection.entity_type).fields
        defaults = {field_name: field.default for field_name, field in fields.items()}
        row = self._records.add(connection.entity_type, {**defaults, **end_refs})
        self._records.add_connection(row, *end_refs.values())
        self._undo_actions.append(lambda: self._records.discard_record(row))
        if connection.is_logged:
            self.log_record_change(row, "New", "new_entity")
            for field_name in ("task", "dependent_task"):
                self.set_field(row, fields[field_name], row.values[field_name], in_create=True)

    def _leave_former_list(
        self,
        linked: Record,
        change: _LinkChange,
        old_ref: EntityRef | None,
        new_ref: EntityRef | None,
    ) -> None:
        """Remove a record with a single link from the list of the record it linked to before."""
        former = self._records.find(old_ref) if old_ref and new_ref and old_ref != new_ref else None
        if former is not None:
            refs_before = former.values.get(change.field.name, ())
            remaining = tuple(other_ref for other_ref in refs_before if other_ref != linked.ref)
            self._store_value(former, change.field.name, remaining)
            self._log_back_reference(former, change.field, change, refs_before, remaining)

    def _log_back_reference(
        self, linked: Record, back_field: Field, change: _LinkChange, old_value: Any, new_value: Any
    ) -> None:
        """Write the row of a back-reference: its meta names the record of the original change."""
        meta = {
            **self._change_meta(change.record, back_field, old_value, new_value),
            "field_data_type": change.field.data_type,
            "actual_attribute_changed": f"{change.record.type}.{change.field.name}",
            "original_event_log_entry_id": change.row.id,
        }
        if isinstance(change.row.meta, dict) and change.row.meta.get("in_create"):
            meta["in_create"] = True
        self._log_field_change(linked, back_field.name, meta)

    def _store_value(self, record: Record, field_name: str, new_value: Any) -> None:
        values, records = record.values, self._records
        previous_value = values.get(field_name)

        def restore_value() -> None:
            values[field_name] = previous_value
            records.update_shown_name(record)

        self._undo_actions.append(restore_value)
        values[field_name] = new_value
        records.update_shown_name(record)

    def _log_field_change(self, record: Record, field_name: str, meta: dict[str, Any]) -> EventRow:
        return self._write_event(
            f"Shotgun_{record.type}_Change",
            attribute_name=field_name,
            meta=meta,
            entity=record.ref,
            project=record.project_ref,
        )


def _logged_timestamp(timestamp: str | None) -> str | None:
    """Return a timestamp in the form of values in a row."""
    moment = moment_of(timestamp)
    return timestamp if moment is None else meta_timestamp(moment)


def _link_difference(
    field: Field, old_value: Any, new_value: Any
) -> tuple[list[EntityRef], list[EntityRef]]:
    """Return the links removed and the links added."""
    if not field.is_link:
        return [], []
    if not field.is_multi_link:
        old_value, new_value = [old_value] if old_value else [], [new_value] if new_value else []
    refs_before, refs_after = list(old_value or ()), list(new_value or ())
    removed_refs = [ref for ref in refs_before if ref not in refs_after]
    return removed_refs, [ref for ref in refs_after if ref not in refs_before]
