"""The records of the sandbox site, all but its event log, and the links between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sgevents_core.sandbox.entity_schema import SiteSchema
from sgevents_core.scripts import API_USER

SCRIPT_VERSION_FIELD: Final = "lastname"
"""The field with a script's version, which links show after its name."""

EntityRef = tuple[str, int]
"""A stored link: entity type and id."""


def entity_hash(ref: EntityRef) -> dict[str, Any]:
    """Return a link in the form that clients send."""
    return {"type": ref[0], "id": ref[1]}


class Record:
    """One record: its values by field name, links as `EntityRef` or tuples of `EntityRef`.

    Its `creation_number` gives the order of creation across all types.
    """

    __slots__ = ("creation_number", "id", "link", "retired", "type", "values")

    def __init__(self, entity_type: str, record_id: int, values: dict[str, Any]) -> None:
        self.type = entity_type
        self.id = record_id
        self.values = values
        self.retired = False
        self.creation_number = 0
        self.link: dict[str, Any] = {"id": record_id, "name": None, "type": entity_type}

    @property
    def ref(self) -> EntityRef:
        """The record as a link."""
        return (self.type, self.id)

    @property
    def project_ref(self) -> EntityRef | None:
        """The project that it belongs to; itself, if it is one."""
        return self.ref if self.type == "Project" else self.values.get("project")


class _RecordTable:
    """The records of one entity type; ids ascend and are never used twice."""

    __slots__ = ("last_id", "records_by_id")

    def __init__(self) -> None:
        self.records_by_id: dict[int, Record] = {}
        self.last_id = 0


def _name_component(value: Any) -> Any:
    """Return a value in the form of a composed name: a link as "Task 12"."""
    return f"{value[0]} {value[1]}" if isinstance(value, tuple) and len(value) == 2 else value


class Records:
    """All records by entity type and id, retired ones included."""

    def __init__(self, schema: SiteSchema) -> None:
        self._schema = schema
        self._tables_by_type: dict[str, _RecordTable] = {}
        self._created_count = 0
        self._connections_by_end: dict[EntityRef, list[Record]] = {}

    def _table_of_type(self, entity_type: str) -> _RecordTable:
        return self._tables_by_type.setdefault(entity_type, _RecordTable())

    def add(self, entity_type: str, values: dict[str, Any]) -> Record:
        """Add a record with the next id of its type."""
        table = self._table_of_type(entity_type)
        table.last_id += 1
        record = Record(entity_type, table.last_id, values)
        self._created_count += 1
        record.creation_number = self._created_count
        table.records_by_id[record.id] = record
        self.update_shown_name(record)
        return record

    def discard_record(self, record: Record) -> None:
        """Remove a record whose transaction failed; its id stays used."""
        self._table_of_type(record.type).records_by_id.pop(record.id, None)

    def update_shown_name(self, record: Record) -> None:
        """Update the name that links show, from the record's current values."""
        type_schema = self._schema.required_type("read", record.type)
        shown_name = record.values.get(type_schema.name_field)
        script_version = record.values.get(SCRIPT_VERSION_FIELD)
        if record.type == "Task" and shown_name is None:
            shown_name = "-"
        if script_version and record.type == API_USER:
            shown_name = f"{shown_name} {script_version}"
        elif type_schema.name_template:
            components = {name: _name_component(value) for name, value in record.values.items()}
            shown_name = type_schema.name_template.format_map({**components, "id": record.id})
        record.link["name"] = shown_name

    def add_connection(self, connection: Record, *ends: EntityRef) -> None:
        """Remember a row that connects two records."""
        for end in dict.fromkeys(ends):
            self._connections_by_end.setdefault(end, []).append(connection)

    def connections_of(self, ref: EntityRef) -> list[Record]:
        """Return the rows that connect a record to others, retired ones included."""
        return self._connections_by_end.get(ref, [])

    def find(self, ref: EntityRef) -> Record | None:
        """Return a record, retired or not, or None."""
        table = self._tables_by_type.get(ref[0])
        return table.records_by_id.get(ref[1]) if table else None

    def live(self, ref: EntityRef | None) -> Record | None:
        """Return a record that is not retired, or None."""
        record = self.find(ref) if ref else None
        return None if record is None or record.retired else record

    def link(self, ref: EntityRef | None) -> dict[str, Any] | None:
        """Return a link as the API shows it; None if the record is retired."""
        record = self.live(ref)
        return record.link if record else None

    def of_type(self, entity_type: str, *, retired: bool = False) -> Iterator[Record]:
        """Return the records of a type in id order, either the live or the retired ones."""
        table = self._table_of_type(entity_type)
        return (record for record in table.records_by_id.values() if record.retired is retired)
