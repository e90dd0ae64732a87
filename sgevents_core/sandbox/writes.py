"""Transactions: writes that show together, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final

from sgevents_core.moments import stamp_of
from sgevents_core.sandbox.callers import SignedIn
from sgevents_core.sandbox.changes import Changes
from sgevents_core.sandbox.connections import SIDES
from sgevents_core.sandbox.consequences import Consequences
from sgevents_core.sandbox.demands import check_unique
from sgevents_core.sandbox.entity_schema import EntityType, Field
from sgevents_core.sandbox.eventlog import EventRow
from sgevents_core.sandbox.filling import filled_in
from sgevents_core.sandbox.records import Record, Ref
from sgevents_core.sandbox.refusal import CRUD, RefusedCallError, shown
from sgevents_core.sandbox.schedule import rescheduled
from sgevents_core.sandbox.site_database import EVENT_LOG, SiteDatabase
from sgevents_core.sandbox.templates import apply_template
from sgevents_core.sandbox.values import kept_values
from sgevents_core.sandbox.workdays import works_on
from sgevents_core.scripts import API_USER, LOGS

MODES: Final = ("set", "add", "remove")
STAMPS: Final = ("created_at", "created_by", "updated_at", "updated_by")


class Transaction:
    """Writes that become visible together: ids are handed out at once, rows appear at the commit.

    Records change at once (only the log's rows wait for the commit); rolling back restores them and
    leaves the ids used up.

    Args:
        database: The database.
        caller: The caller of the writes.
        at: The time of its rows, if it is not the site's clock.
    """

    def __init__(
        self, database: SiteDatabase, caller: SignedIn, at: datetime | None = None
    ) -> None:
        self.database = database
        self.caller = caller
        self._at = at and stamp_of(at)
        self.rows: list[EventRow] = []
        self.open = True
        self._undo: list[Callable[[], object]] = []
        self._era = database.log.era
        self._changes = Changes(database, self._told, self._undo)
        self._consequences = Consequences(database, self._changes, self._undo, self.delete)

    @property
    def ids(self) -> list[int]:
        """The ids of the event log that it was given."""
        return [row.id for row in self.rows]

    def commit(self) -> list[int]:
        """Make its rows visible; return their ids. Do nothing if it has ended.

        If the log was rewound meanwhile, its rows are gone.
        """
        with self.database.lock:
            if self.open and self._era == self.database.log.era:
                self.database.log.commit(self.rows)
            self.open = False
            return self.ids

    def roll_back(self) -> list[int]:
        """Undo it; return the ids that are used up. Do nothing if it has ended."""
        with self.database.lock:
            if self.open:
                for undo in reversed(self._undo):
                    undo()
            self.open = False
            return self.ids

    def event(self, event_type: str | None, **fields: Any) -> EventRow:
        """Write one row to the event log.

        Args:
            event_type: Its type; any text.
            fields: Other fields of `EventRow`; user and session are the caller's unless given.
        """
        with self.database.lock:
            event_id, stamp = self.database.log.hand_out(self._now())
            fields.setdefault("user", self.caller.user)
            fields.setdefault("session_uuid", self.caller.session_uuid)
            row = EventRow(id=event_id, event_type=event_type, created_at=stamp, **fields)
            if self.caller.actual_user and isinstance(row.meta, dict):
                row.meta["sudo_actual_user"] = self.database.records.link(self.caller.actual_user)
            self.rows.append(row)
            return row

    def _told(self, event_type: str | None, **fields: Any) -> EventRow:
        """Write the row of a change, unless the script's writes do not appear in the log.

        What it does as another user is logged in any case, as on a site.
        """
        script = self.database.records.find(self.caller.user) if self.caller.user else None
        hushed = script is not None and script.type == API_USER and not script.values.get(LOGS)
        if hushed and self.caller.actual_user is None:
            return EventRow(id=0, event_type=event_type, created_at=self._now(), **fields)
        return self.event(event_type, **fields)

    def create(self, entity_type: str, values: Mapping[str, Any]) -> Record | EventRow:
        """Create a record, or a row of the event log.

        Args:
            entity_type: Its type.
            values: Field name -> value as on the wire.

        Raises:
            RefusedCallError: A field or value is not valid.
        """
        with self.database.lock:
            kept = self._kept("create", entity_type, values)
            if entity_type == EVENT_LOG:
                return self.event(kept.pop("event_type", None), **kept)
            if entity_type in SIDES:
                row = self._consequences.connection(entity_type, kept)
                self._stamp(row, "created", "updated")
                return row
            kind = self.database.schema.get("create", entity_type)
            defaults = {name: field.default for name, field in kind.fields.items()}
            check_unique("create", self.database.records, kind, kept, None)
            kept.update(self._schedule({}, kind, kept))
            filled = filled_in(kind, kept, self.caller.user, self._now())
            # Name and project first: all rows that follow include them.
            first = {name: kept[name] for name in (kind.naming, "project") if name in kept}
            record = self.database.records.add(entity_type, {**defaults, **first})
            self._name(record, kind, kept)
            record.values.update(filled)
            self._undo.append(lambda: self.database.records.drop(record))
            self._stamp(record, "created", "updated")
            self._changes.record_event(record, "New", "new_entity")
            told = {name: default for name, default in defaults.items() if default}
            authored: dict[str, Any] = {name: kept.pop(name) for name in STAMPS if name in kept}
            for name, value in {**told, **kept}.items():
                self._changes.set(record, kind.fields[name], value, in_create=True)
            record.values.update(authored)
            self._apply_template(record, None)
            return record

    def update(
        self,
        entity_type: str,
        entity_id: int,
        values: Mapping[str, Any],
        modes: Mapping[str, str] | None = None,
    ) -> Record:
        """Set fields of a record.

        Args:
            entity_type: Its type.
            entity_id: Its id.
            values: Field name -> value as on the wire.
            modes: Multi-entity field -> "set", "add" or "remove".

        Raises:
            RefusedCallError: It does not exist, is retired, or a value is not valid.
        """
        with self.database.lock:
            record = self._live(entity_type, entity_id)
            kind = self.database.schema.get("update", entity_type)
            fields, kept = kind.fields, self._kept("update", entity_type, values)
            check_unique("update", self.database.records, kind, kept, record)
            if kept.get("image", 0) is None:
                kept["filmstrip_image"] = None  # it depends on the image
            kept.update(self._schedule(record.values, kind, kept))
            template = record.values.get("task_template")
            for name, value in kept.items():
                mode = (modes or {}).get(name, "set")
                merged = _merged(record, fields[name], value, mode)
                self._changes.set(record, fields[name], merged)
            self._apply_template(record, template)
            self._stamp(record, "updated")
            return record

    def _schedule(
        self, before: Mapping[str, Any], kind: EntityType, kept: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the dates of a task after some of them are written."""
        if kind.name != "Task":
            return {}
        project = kept.get("project", before.get("project"))
        scopes = (project, None) if project else (None,)
        database = self.database

        def works(day: date) -> bool:
            return bool(works_on(database, day, scopes)["working"])

        return rescheduled(before, kept, works)

    def _apply_template(self, record: Record, before: Ref | None) -> None:
        """Create the tasks of a template that has just been set."""
        template = record.values.get("task_template")
        if template is None or template == before or record.type == "Task":
            return

        def create(entity_type: str, values: Mapping[str, Any]) -> Record:
            made = self.create(entity_type, values)
            assert isinstance(made, Record)  # noqa: S101 - no row of the event log is made here
            return made

        apply_template(self.database.records, record, template, create)

    def _name(self, record: Record, kind: EntityType, kept: dict[str, Any]) -> None:
        """Make up the name of a record that is created without one."""
        name = None if kind.naming in kept else kind.made_up_name(record.id)
        if name is not None:
            kept[kind.naming] = record.values[kind.naming] = name
            self.database.records.rename(record)

    def _kept(self, method: str, entity_type: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a write in the site's form; a file gets its Attachment."""
        kept = kept_values(self.database, method, entity_type, dict(values))
        fields = self.database.schema.get(method, entity_type).fields
        for name, value in kept.items():
            if value and fields[name].data_type == "url" and entity_type != "Attachment":
                made = self.create("Attachment", {"display_name": value["name"]})
                assert isinstance(made, Record)  # noqa: S101 - no row of the log is made here
                value.update(type=made.type, id=made.id)
                self._changes.set(
                    made, self.database.schema.field(method, made.type, "this_file"), value
                )
        return kept

    def set_picture(
        self, record: Record, name: str, picture: int, *, transient: bool | None = None
    ) -> None:
        """Set a thumbnail, as only an upload can.

        Args:
            record: The record.
            name: "image" or "filmstrip_image".
            picture: The id of the picture.
            transient: Whether a placeholder is still shown; None for both, one after the other.
        """
        field = self.database.schema.field("update", record.type, name)
        with self.database.lock:
            for now in (True, False) if transient is None else (transient,):
                self._changes.picture(record, field, picture, transient=now)
            self._stamp(record, "updated")

    def set_url(self, record: Record, name: str, value: dict[str, Any]) -> None:
        """Set the file of a field, as an upload does.

        Raises:
            RefusedCallError: The field does not exist, or is not a field for files.
        """
        field = self.database.schema.field("update", record.type, name)
        if field.data_type != "url":
            raise RefusedCallError(f"{record.type}.{name} is no field for files", CRUD)
        with self.database.lock:
            self._changes.set(record, field, value)
            self._stamp(record, "updated")

    def delete(self, entity_type: str, entity_id: int) -> bool:
        """Retire a record; return whether it was not retired before.

        Raises:
            RefusedCallError: It does not exist.
        """
        with self.database.lock:
            record = self._existing("delete", entity_type, entity_id)
            if entity_type == "Reply" and record.values.get("entity") is None:
                raise RefusedCallError(
                    f"API delete() CRUD ERROR #6: Delete failed for [Reply with id={entity_id}]: "
                    "undefined method 'reflect_on_association' for class NilClass",
                    CRUD,
                )
            return self._retire(record, retired=True)

    def revive(self, entity_type: str, entity_id: int) -> bool:
        """Revive a retired record; return whether it was retired.

        Raises:
            RefusedCallError: It does not exist.
        """
        with self.database.lock:
            return self._retire(self._existing("revive", entity_type, entity_id), retired=False)

    def _retire(self, record: Record, *, retired: bool) -> bool:
        if record.retired is retired:
            return False
        if record.type in SIDES:
            self._consequences.relink(record, linked=not retired)
            return True
        record.retired = retired
        self._undo.append(lambda: setattr(record, "retired", not retired))
        now, kind = self._now(), "retirement" if retired else "revival"
        meta: dict[str, Any] = {
            "class_name": record.type,
            "display_name": record.link["name"],
            "id": record.id,
        }
        if retired:
            meta["retirement_date"] = now.replace("T", " ").replace("Z", " UTC")
        self._changes.record_event(record, kind.title(), f"entity_{kind}", **meta)
        if retired:
            self._changes.retired_at(record, now)
            self._consequences.of_retirement(record)
        else:
            self._consequences.of_revival(record)
        return True

    def _existing(self, method: str, entity_type: str, entity_id: int) -> Record:
        self.database.schema.get(method, entity_type)
        what = f"Entity of type [{entity_type}] with id={shown(entity_id)}"
        if entity_type == EVENT_LOG:
            raise RefusedCallError(
                f"API {method}() CRUD ERROR #4.1: {what}: rows of the event log stay as they are.",
                CRUD,
            )
        record = self.database.records.find((entity_type, entity_id))
        if record is None:
            raise RefusedCallError(f"API {method}() {what} does not exist.", CRUD)
        return record

    def _live(self, entity_type: str, entity_id: int) -> Record:
        record = self._existing("update", entity_type, entity_id)
        if record.retired:
            what = f"Entity of type [{entity_type}] with id={entity_id}"
            raise RefusedCallError(f"API update() {what} is retired.", CRUD)
        return record

    def _now(self) -> str:
        return self._at or stamp_of(self.database.clock())

    def _stamp(self, record: Record, *kinds: str) -> None:
        for kind in kinds:
            record.values[f"{kind}_at"] = self._now()
            record.values[f"{kind}_by"] = self.caller.user


def _merged(record: Record, field: Field, value: Any, mode: str) -> Any:
    if mode not in MODES:
        raise RefusedCallError(
            f"API update() invalid/missing string 'multi_entity_update_mode': {shown(mode)}\n"
            f"Valid modes: {shown(list(MODES))}"
        )
    if not field.many or mode == "set":
        return value
    old = record.values.get(field.name) or ()
    if mode == "add":
        return tuple(dict.fromkeys((*old, *value)))
    return tuple(ref for ref in old if ref not in value)
