"""Setting a field: the record, the record at the other end of a link, and the rows written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sgevents_core.moments import logged_stamp, moment_of
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
        write_event: Writes a row: `event(event_type, **fields)`.
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
        for ref, is_added in [
            *((ref, False) for ref in removed_refs),
            *((ref, True) for ref in added_refs),
        ]:
            link_change = _LinkChange(record, field, change_row)
            self._update_back_reference(ref, link_change, is_added=is_added)
            self._update_connection(ref, link_change, is_added=is_added)

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
        return self._write_event(
            event_type, meta=meta, entity=record.ref, project=_project_ref(record)
        )

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
            attachment_id: The id of the picture.
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
        return {
            **record.link,
            "valid": "valid",
            **({"status": status_code} if status_code else {}),
        }

    def _logged_links(self, refs: list[EntityRef]) -> list[dict[str, Any]]:
        return [logged_link for logged_link in map(self._logged_link, refs) if logged_link]

    def _update_back_reference(
        self, ref: EntityRef, link_change: _LinkChange, *, is_added: bool
    ) -> None:
        """Change the field of the linked record that lists the link, if it has one."""
        linked_record = self._records.find(ref)
        back_field = self._schema.required_type("update", ref[0]).fields.get(
            link_change.field.back_field or ""
        )
        if linked_record is None or back_field is None:
            return
        origin_ref = link_change.record.ref
        old_value = linked_record.values.get(back_field.name)
        if back_field.is_multi_link:
            remaining_refs = tuple(
                listed_ref for listed_ref in old_value or () if listed_ref != origin_ref
            )
            new_value: Any = (*remaining_refs, origin_ref) if is_added else remaining_refs
        else:
            new_value = origin_ref if is_added else None
            self._leave_former_list(linked_record, link_change, old_value, new_value)
        self._store_value(linked_record, back_field.name, new_value)
        self._log_back_reference(linked_record, back_field, link_change, old_value, new_value)

    def _update_connection(
        self, ref: EntityRef, link_change: _LinkChange, *, is_added: bool
    ) -> None:
        """Create or retire the row that represents a link."""
        connection = CONNECTIONS_BY_FIELD.get((link_change.record.type, link_change.field.name))
        if connection is None:
            return
        origin_ref = link_change.record.ref
        row = find_connection_record(self._records, connection, origin_ref, ref)
        if is_added and row is None:
            self._create_connection(
                connection, {connection.here_field: origin_ref, connection.there_field: ref}
            )
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
                self.set_field(
                    row,
                    fields[field_name],
                    row.values[field_name],
                    in_create=True,
                )

    def _leave_former_list(
        self,
        linked_record: Record,
        link_change: _LinkChange,
        old_ref: EntityRef | None,
        new_ref: EntityRef | None,
    ) -> None:
        """Remove a record with a single link from the list of the record it linked to before."""
        former = self._records.find(old_ref) if old_ref and new_ref and old_ref != new_ref else None
        if former is not None:
            listed_refs = former.values.get(link_change.field.name, ())
            remaining_refs = tuple(
                listed_ref for listed_ref in listed_refs if listed_ref != linked_record.ref
            )
            self._store_value(former, link_change.field.name, remaining_refs)
            self._log_back_reference(
                former, link_change.field, link_change, listed_refs, remaining_refs
            )

    def _log_back_reference(
        self,
        linked_record: Record,
        back_field: Field,
        link_change: _LinkChange,
        old_value: Any,
        new_value: Any,
    ) -> None:
        """Write the row of a back-reference: its meta names the record of the original change."""
        meta = {
            **self._change_meta(link_change.record, back_field, old_value, new_value),
            "field_data_type": link_change.field.data_type,
            "actual_attribute_changed": f"{link_change.record.type}.{link_change.field.name}",
            "original_event_log_entry_id": link_change.row.id,
        }
        if isinstance(link_change.row.meta, dict) and link_change.row.meta.get("in_create"):
            meta["in_create"] = True
        self._log_field_change(linked_record, back_field.name, meta)

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
            project=_project_ref(record),
        )


def _logged_timestamp(timestamp: str | None) -> str | None:
    """Return a timestamp in the form of values in a row."""
    moment = moment_of(timestamp)
    return timestamp if moment is None else logged_stamp(moment)


def _project_ref(record: Record) -> EntityRef | None:
    return record.ref if record.type == "Project" else record.values.get("project")


def _link_difference(
    field: Field, old_value: Any, added_refs: Any
) -> tuple[list[EntityRef], list[EntityRef]]:
    """Return the links removed and the links added."""
    if not field.is_link:
        return [], []
    refs_before = list(old_value or ()) if field.is_multi_link else [old_value] if old_value else []
    refs_after = (
        list(added_refs or ()) if field.is_multi_link else [added_refs] if added_refs else []
    )
    return (
        [ref for ref in refs_before if ref not in refs_after],
        [ref for ref in refs_after if ref not in refs_before],
    )
