"""Transactions: writes that become visible together, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final

from sgevents_core.moments import api_timestamp
from sgevents_core.sandbox.callers import ApiCaller
from sgevents_core.sandbox.connections import CONNECTIONS_BY_TYPE
from sgevents_core.sandbox.consequences import WriteConsequences
from sgevents_core.sandbox.entity_schema import EntityType, Field
from sgevents_core.sandbox.event_log import EventRow
from sgevents_core.sandbox.field_changes import FieldChanges
from sgevents_core.sandbox.filled_values import filled_values
from sgevents_core.sandbox.filter_relations import parse_entity_hash
from sgevents_core.sandbox.records import EntityRef, Record
from sgevents_core.sandbox.refused_calls import (
    CRUD_ERROR,
    RefusedCallError,
    refused_call,
    ruby_text,
)
from sgevents_core.sandbox.required_values import check_unique_values
from sgevents_core.sandbox.site_database import EVENT_LOG, SiteDatabase
from sgevents_core.sandbox.task_schedule import reschedule_task
from sgevents_core.sandbox.task_templates import apply_template
from sgevents_core.sandbox.workdays import workday_facts
from sgevents_core.sandbox.written_values import stored_values
from sgevents_core.scripts import API_USER, LOGS

UPDATE_MODES: Final = ("set", "add", "remove")
EVENT_LINKS: Final = ("entity", "project", "user")
AUTHORSHIP_FIELDS: Final[tuple[str, ...]] = ("created_at", "created_by", "updated_at", "updated_by")


class Transaction:
    """Writes that become visible together: ids are handed out at once, rows appear at the commit.

    Records change at once (only the log's rows wait for the commit); rolling back restores them and
    leaves the ids used up.

    Args:
        database: The database.
        caller: The caller of the writes.
        row_time: The time of its rows, if it is not the site's clock.
    """

    def __init__(
        self, database: SiteDatabase, caller: ApiCaller, row_time: datetime | None = None
    ) -> None:
        self.database = database
        self.caller = caller
        self._fixed_time = row_time and api_timestamp(row_time)
        self.event_rows: list[EventRow] = []
        self.is_open = True
        self._undo_actions: list[Callable[[], object]] = []
        self._rewind_count = database.log.rewind_count
        self._changes = FieldChanges(database, self._write_change_event, self._undo_actions)
        self._consequences = WriteConsequences(
            database, self._changes, self._undo_actions, self.delete
        )

    @property
    def ids(self) -> list[int]:
        """The ids of its rows in the event log."""
        return [row.id for row in self.event_rows]

    def commit(self) -> list[int]:
        """Make its rows visible; return their ids. Do nothing if it has ended.

        If the log was rewound meanwhile, its rows are gone.
        """
        with self.database.lock:
            if self.is_open and self._rewind_count == self.database.log.rewind_count:
                self.database.log.commit(self.event_rows)
            self.is_open = False
            return self.ids

    def roll_back(self) -> list[int]:
        """Undo it; return the ids that are used up. Do nothing if it has ended."""
        with self.database.lock:
            if self.is_open:
                for undo_action in reversed(self._undo_actions):
                    undo_action()
            self.is_open = False
            return self.ids

    def event(self, event_type: str | None, **fields: Any) -> EventRow:
        """Write one row to the event log.

        Args:
            event_type: Its type; any text.
            fields: Other fields of `EventRow`; by default, user and session are the caller's.
                Links may also be as on the wire, `{"type": ..., "id": ...}`.
        """
        for field_name, value in fields.items():
            if field_name in EVENT_LINKS and isinstance(value, dict):
                fields[field_name] = parse_entity_hash("create", value)
        with self.database.lock:
            event_id, timestamp = self.database.log.hand_out_id(self._current_timestamp())
            fields.setdefault("user", self.caller.user_ref)
            fields.setdefault("session_uuid", self.caller.session_uuid)
            row = EventRow(id=event_id, event_type=event_type, created_at=timestamp, **fields)
            if self.caller.actual_user_ref and isinstance(row.meta, dict):
                actual_user = self.database.records.link(self.caller.actual_user_ref)
                row.meta["sudo_actual_user"] = actual_user
            self.event_rows.append(row)
            return row

    def _write_change_event(self, event_type: str | None, **fields: Any) -> EventRow:
        """Write the row of a change, unless the script's writes do not appear in the log.

        What a script does as another user is logged in any case, as on a site.
        """
        script = self.database.records.find(self.caller.user_ref) if self.caller.user_ref else None
        is_unlogged = script is not None and script.type == API_USER and not script.values.get(LOGS)
        if is_unlogged and self.caller.actual_user_ref is None:
            now = self._current_timestamp()
            return EventRow(id=0, event_type=event_type, created_at=now, **fields)
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
            if entity_type != EVENT_LOG:
                return self.create_record(entity_type, values)
            stored = self._stored_values("create", entity_type, values)
            return self.event(stored.pop("event_type", None), **stored)

    def create_record(self, entity_type: str, values: Mapping[str, Any]) -> Record:
        """Create a record of any type but a row of the event log.

        Raises:
            RefusedCallError: A field or value is not valid.
        """
        with self.database.lock:
            stored = self._stored_values("create", entity_type, values)
            if entity_type in CONNECTIONS_BY_TYPE:
                connecting_row = self._consequences.create_connection(entity_type, stored)
                self._set_authorship(connecting_row, "created", "updated")
                return connecting_row
            type_schema = self.database.schema.required_type("create", entity_type)
            check_unique_values("create", self.database.records, type_schema, stored, None)
            stored.update(self._rescheduled_dates({}, type_schema, stored))
            creator_ref, now = self.caller.user_ref, self._current_timestamp()
            filled = filled_values(type_schema, stored, creator_ref, now)
            record = self._add_record(type_schema, stored)
            record.values.update(filled)
            self._set_authorship(record, "created", "updated")
            self._changes.log_record_change(record, "New", "new_entity")
            authorship = {name: stored.pop(name) for name in AUTHORSHIP_FIELDS if name in stored}
            fields = type_schema.fields
            defaults = {name: field.default for name, field in fields.items() if field.default}
            for field_name, value in {**defaults, **stored}.items():
                self._changes.set_field(record, fields[field_name], value, in_create=True)
            record.values.update(authorship)
            self._apply_template(record, None)
            return record

    def _add_record(self, type_schema: EntityType, stored: dict[str, Any]) -> Record:
        """Add a record with its name and project, which all rows that follow include."""
        defaults = {name: field.default for name, field in type_schema.fields.items()}
        named = {
            name: stored[name] for name in (type_schema.name_field, "project") if name in stored
        }
        record = self.database.records.add(type_schema.name, {**defaults, **named})
        self._undo_actions.append(lambda: self.database.records.discard_record(record))
        self._set_default_name(record, type_schema, stored)
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
            record = self._required_live_record(entity_type, entity_id)
            type_schema = self.database.schema.required_type("update", entity_type)
            fields = type_schema.fields
            stored = self._stored_values("update", entity_type, values)
            check_unique_values("update", self.database.records, type_schema, stored, record)
            if stored.get("image", 0) is None:
                stored["filmstrip_image"] = None  # it depends on the image
            stored.update(self._rescheduled_dates(record.values, type_schema, stored))
            template_before = record.values.get("task_template")
            for field_name, value in stored.items():
                mode = (modes or {}).get(field_name, "set")
                merged = _merge_links(record, fields[field_name], value, mode)
                self._changes.set_field(record, fields[field_name], merged)
            self._apply_template(record, template_before)
            self._set_authorship(record, "updated")
            return record

    def _rescheduled_dates(
        self, values_before: Mapping[str, Any], type_schema: EntityType, stored: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the dates of a task after some of them are written."""
        if type_schema.name != "Task":
            return {}
        project_ref = stored.get("project", values_before.get("project"))
        scopes = (project_ref, None) if project_ref else (None,)
        database = self.database

        def is_workday(day: date) -> bool:
            return bool(workday_facts(database, day, scopes)["working"])

        return reschedule_task(values_before, stored, is_workday)

    def _apply_template(self, record: Record, ref_before: EntityRef | None) -> None:
        """Create the tasks of a template that has just been set."""
        template_ref = record.values.get("task_template")
        if template_ref is None or template_ref == ref_before or record.type == "Task":
            return
        apply_template(self.database.records, record, template_ref, self.create_record)

    def _set_default_name(
        self, record: Record, type_schema: EntityType, stored: dict[str, Any]
    ) -> None:
        """Set the name of a record that is created without one, if its type has a default."""
        name_field = type_schema.name_field
        default_name = None if name_field in stored else type_schema.default_name(record.id)
        if default_name is not None:
            stored[name_field] = record.values[name_field] = default_name
            self.database.records.update_shown_name(record)

    def _stored_values(
        self, method: str, entity_type: str, given_values: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the values of a write in the site's form; a file gets its Attachment."""
        stored = stored_values(self.database, method, entity_type, dict(given_values))
        fields = self.database.schema.required_type(method, entity_type).fields
        for field_name, value in stored.items():
            if value and fields[field_name].data_type == "url" and entity_type != "Attachment":
                attachment = self.create_record("Attachment", {"display_name": value["name"]})
                value.update(type=attachment.type, id=attachment.id)
                file_field = self.database.schema.required_field(method, "Attachment", "this_file")
                self._changes.set_field(attachment, file_field, value)
        return stored

    def set_picture(
        self,
        record: Record,
        field_name: str,
        picture_id: int,
        *,
        is_placeholder: bool | None = None,
    ) -> None:
        """Set a thumbnail, as only an upload can.

        Args:
            record: The record.
            field_name: "image" or "filmstrip_image".
            picture_id: The id of the picture.
            is_placeholder: Whether a placeholder is still shown; None for first yes, then no.
        """
        field = self.database.schema.required_field("update", record.type, field_name)
        with self.database.lock:
            for is_shown in (True, False) if is_placeholder is None else (is_placeholder,):
                self._changes.set_thumbnail(record, field, picture_id, is_placeholder=is_shown)
            self._set_authorship(record, "updated")

    def set_url(self, record: Record, field_name: str, value: dict[str, Any]) -> None:
        """Set the file of a field, as an upload does.

        Raises:
            RefusedCallError: The field does not exist, or is not a field for files.
        """
        field = self.database.schema.required_field("update", record.type, field_name)
        if field.data_type != "url":
            reason = f"{record.type}.{field_name} is not a field for files"
            raise RefusedCallError(reason, CRUD_ERROR)
        with self.database.lock:
            self._changes.set_field(record, field, value)
            self._set_authorship(record, "updated")

    def delete(self, entity_type: str, entity_id: int) -> bool:
        """Retire a record; return whether it was not retired before.

        Raises:
            RefusedCallError: It does not exist.
        """
        with self.database.lock:
            record = self._required_record("delete", entity_type, entity_id)
            if entity_type == "Reply" and record.values.get("entity") is None:
                failure = f"CRUD ERROR #6: Delete failed for [Reply with id={entity_id}]"
                reason = "undefined method 'reflect_on_association' for class NilClass"
                raise refused_call("delete", f"{failure}: {reason}", CRUD_ERROR)
            return self._set_retired(record, is_retired=True)

    def revive(self, entity_type: str, entity_id: int) -> bool:
        """Revive a retired record; return whether it was retired.

        Raises:
            RefusedCallError: It does not exist.
        """
        with self.database.lock:
            record = self._required_record("revive", entity_type, entity_id)
            return self._set_retired(record, is_retired=False)

    def _set_retired(self, record: Record, *, is_retired: bool) -> bool:
        if record.retired is is_retired:
            return False
        if record.type in CONNECTIONS_BY_TYPE:
            self._consequences.set_connection_link(record, is_linked=not is_retired)
            return True
        record.retired = is_retired
        self._undo_actions.append(lambda: setattr(record, "retired", not is_retired))
        now, change_kind = self._current_timestamp(), "retirement" if is_retired else "revival"
        meta: dict[str, Any] = {
            "class_name": record.type,
            "display_name": record.link["name"],
            "id": record.id,
        }
        if is_retired:
            meta["retirement_date"] = now.replace("T", " ").replace("Z", " UTC")
        action, meta_type = change_kind.title(), f"entity_{change_kind}"
        self._changes.log_record_change(record, action, meta_type, **meta)
        if is_retired:
            self._changes.log_retirement_date(record, now)
            self._consequences.retire_dependents(record)
        else:
            self._consequences.revive_connections(record)
        return True

    def _required_record(self, method: str, entity_type: str, entity_id: int) -> Record:
        self.database.schema.required_type(method, entity_type)
        subject = f"Entity of type [{entity_type}] with id={ruby_text(entity_id)}"
        if entity_type == EVENT_LOG:
            reason = f"CRUD ERROR #4.1: {subject}: rows of the event log cannot be changed."
            raise refused_call(method, reason, CRUD_ERROR)
        record = self.database.records.find((entity_type, entity_id))
        if record is None:
            raise refused_call(method, f"{subject} does not exist.", CRUD_ERROR)
        return record

    def _required_live_record(self, entity_type: str, entity_id: int) -> Record:
        record = self._required_record("update", entity_type, entity_id)
        if record.retired:
            subject = f"Entity of type [{entity_type}] with id={entity_id}"
            raise refused_call("update", f"{subject} is retired.", CRUD_ERROR)
        return record

    def _current_timestamp(self) -> str:
        return self._fixed_time or api_timestamp(self.database.clock())

    def _set_authorship(self, record: Record, *kinds: str) -> None:
        for kind in kinds:
            record.values[f"{kind}_at"] = self._current_timestamp()
            record.values[f"{kind}_by"] = self.caller.user_ref


def _merge_links(record: Record, field: Field, value: Any, mode: str) -> Any:
    if mode not in UPDATE_MODES:
        raise refused_call(
            "update",
            f"invalid/missing string 'multi_entity_update_mode': {ruby_text(mode)}\n"
            f"Valid modes: {ruby_text(list(UPDATE_MODES))}",
        )
    if not field.is_multi_link or mode == "set":
        return value
    current_refs = record.values.get(field.name) or ()
    if mode == "add":
        return tuple(dict.fromkeys((*current_refs, *value)))
    return tuple(ref for ref in current_refs if ref not in value)
