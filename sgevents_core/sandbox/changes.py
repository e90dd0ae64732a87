"""Setting a field: the record, the record at the other end of a link, and the rows written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sgevents_core.moments import logged_stamp, moment_of
from sgevents_core.sandbox.connections import BEHIND, Connection, connecting
from sgevents_core.sandbox.entity_schema import MASKED, Field
from sgevents_core.sandbox.eventlog import EventRow
from sgevents_core.sandbox.records import Record, Ref
from sgevents_core.sandbox.site_database import SiteDatabase

Undo = Callable[[], object]


@dataclass(frozen=True, slots=True)
class _Origin:
    """The origin of a change at the other end of a link."""

    record: Record
    field: Field
    row: EventRow


class Changes:
    """The changes of one transaction.

    Args:
        database: The database that is changed.
        event: Writes a row: `event(event_type, **fields)`.
        undo: Collects the functions that undo changes.
    """

    def __init__(
        self, database: SiteDatabase, event: Callable[..., EventRow], undo: list[Undo]
    ) -> None:
        self._records = database.records
        self._schema = database.schema
        self._event = event
        self._undo = undo

    def set(self, record: Record, field: Field, value: Any, *, in_create: bool = False) -> None:
        """Set one field; write no row if nothing changes.

        Args:
            record: The record.
            field: The field.
            value: The value in the site's form.
            in_create: Whether the record is being created. Empty and unticked values then write no
                row.
        """
        old = record.values.get(field.name)
        if in_create:
            old = () if field.many else None
        unset = value is None or value == () or (value is False and in_create)
        if old == value or (in_create and unset):
            return
        self._store(record, field.name, value)
        gone, new = _difference(field, old, value)
        meta = self._meta(record, field, old, value)
        meta.update({"in_create": True} if in_create else {})
        row = self._change_event(record, field.name, meta)
        for ref, added in [*((ref, False) for ref in gone), *((ref, True) for ref in new)]:
            origin = _Origin(record, field, row)
            self._other_end(ref, origin, added=added)
            self._connect(ref, origin, added=added)

    def record_event(self, record: Record, action: str, kind: str, **more: Any) -> EventRow:
        """Write the row of a record created, retired or revived."""
        meta = {"type": kind, "entity_type": record.type, "entity_id": record.id, **more}
        name = f"Shotgun_{record.type}_{action}"
        return self._event(name, meta=meta, entity=record.ref, project=_project(record))

    def retired_at(self, record: Record, stamp: str) -> None:
        """Write the second row of a retirement: a change of a field that no schema has."""
        meta = {
            "type": "attribute_change",
            "attribute_name": "retirement_date",
            "entity_type": record.type,
            "entity_id": record.id,
            "field_data_type": "date_time",
            "old_value": None,
            "new_value": _logged(stamp),
        }
        self._change_event(record, "retirement_date", meta)

    def picture(self, record: Record, field: Field, picture: int, *, transient: bool) -> None:
        """Set a thumbnail, or write its row again.

        Args:
            record: The record.
            field: The field.
            picture: The id of the picture.
            transient: Whether a placeholder is still shown for it.
        """
        meta = self._meta(record, field, record.values.get(field.name), picture)
        self._store(record, field.name, picture)
        self._change_event(record, field.name, {**meta, "is_transient": transient})

    def _meta(self, record: Record, field: Field, old: Any, value: Any) -> dict[str, Any]:
        meta: dict[str, Any] = {
            "type": "attribute_change",
            "attribute_name": field.name,
            "entity_type": record.type,
            "entity_id": record.id,
            "field_data_type": field.data_type,
        }
        return {**meta, **self._before_and_after(field, old, value)}

    def _before_and_after(self, field: Field, old: Any, value: Any) -> dict[str, Any]:
        if field.many:
            gone, new = _difference(field, old, value)
            return {"added": self._links(new), "removed": self._links(gone)}
        if field.data_type == "password":
            old, value = old and MASKED, value and MASKED
        if field.links:
            old, value = self._link(old), self._link(value)
        if field.data_type == "date_time":
            old, value = _logged(old), _logged(value)
        return {"old_value": old, "new_value": value}

    def _link(self, ref: Ref | None) -> dict[str, Any] | None:
        record = self._records.find(ref) if ref else None
        if record is None:
            return None
        status = record.values.get("sg_status_list")
        return {**record.link, "valid": "valid", **({"status": status} if status else {})}

    def _links(self, refs: list[Ref]) -> list[dict[str, Any]]:
        return [link for link in map(self._link, refs) if link]

    def _other_end(self, ref: Ref, origin: _Origin, *, added: bool) -> None:
        """Change the field of the linked record that lists the link, if it has one."""
        other = self._records.find(ref)
        back = self._schema.get("update", ref[0]).fields.get(origin.field.back or "")
        if other is None or back is None:
            return
        here = origin.record.ref
        old = other.values.get(back.name)
        if back.many:
            rest = tuple(some for some in old or () if some != here)
            value: Any = (*rest, here) if added else rest
        else:
            value = here if added else None
            self._leave(other, origin, old, value)
        self._store(other, back.name, value)
        self._back_row(other, back, origin, old, value)

    def _connect(self, ref: Ref, origin: _Origin, *, added: bool) -> None:
        """Create or retire the row that represents a link."""
        one = BEHIND.get((origin.record.type, origin.field.name))
        if one is None:
            return
        here = origin.record.ref
        row = connecting(self._records, one, here, ref)
        if added and row is None:
            self._connection(one, {one.here: here, one.there: ref})
        elif row is not None and not added:
            row.retired = True
            self._undo.append(lambda: setattr(row, "retired", False))
            if one.logged:
                self.record_event(row, "Retirement", "entity_retirement")

    def _connection(self, one: Connection, ends: dict[str, Ref]) -> None:
        fields = self._schema.get("create", one.entity_type).fields
        defaults = {name: field.default for name, field in fields.items()}
        row = self._records.add(one.entity_type, {**defaults, **ends})
        self._records.connect(row, *ends.values())
        self._undo.append(lambda: self._records.drop(row))
        if one.logged:
            self.record_event(row, "New", "new_entity")
            for name in ("task", "dependent_task"):
                self.set(row, fields[name], row.values[name], in_create=True)

    def _leave(self, other: Record, origin: _Origin, old: Ref | None, new: Ref | None) -> None:
        """Remove a record with a single link from the list of the record it linked to before."""
        former = self._records.find(old) if old and new and old != new else None
        if former is not None:
            listed = former.values.get(origin.field.name, ())
            left = tuple(ref for ref in listed if ref != other.ref)
            self._store(former, origin.field.name, left)
            self._back_row(former, origin.field, origin, listed, left)

    def _back_row(self, other: Record, back: Field, origin: _Origin, old: Any, value: Any) -> None:
        """Write the row of a back-reference: its meta names the record of the original change."""
        meta = {
            **self._meta(origin.record, back, old, value),
            "field_data_type": origin.field.data_type,
            "actual_attribute_changed": f"{origin.record.type}.{origin.field.name}",
            "original_event_log_entry_id": origin.row.id,
        }
        if isinstance(origin.row.meta, dict) and origin.row.meta.get("in_create"):
            meta["in_create"] = True
        self._change_event(other, back.name, meta)

    def _store(self, record: Record, name: str, value: Any) -> None:
        values, records = record.values, self._records
        before = values.get(name)

        def undo() -> None:
            values[name] = before
            records.rename(record)

        self._undo.append(undo)
        values[name] = value
        records.rename(record)

    def _change_event(self, record: Record, name: str, meta: dict[str, Any]) -> EventRow:
        return self._event(
            f"Shotgun_{record.type}_Change",
            attribute_name=name,
            meta=meta,
            entity=record.ref,
            project=_project(record),
        )


def _logged(stamp: str | None) -> str | None:
    """Return a timestamp in the form of values in a row."""
    moment = moment_of(stamp)
    return stamp if moment is None else logged_stamp(moment)


def _project(record: Record) -> Ref | None:
    return record.ref if record.type == "Project" else record.values.get("project")


def _difference(field: Field, old: Any, new: Any) -> tuple[list[Ref], list[Ref]]:
    """Return the links removed and the links added."""
    if not field.links:
        return [], []
    before = list(old or ()) if field.many else [old] if old else []
    after = list(new or ()) if field.many else [new] if new else []
    return (
        [ref for ref in before if ref not in after],
        [ref for ref in after if ref not in before],
    )
