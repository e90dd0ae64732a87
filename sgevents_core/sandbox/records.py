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


class _RecordTable:
    """The records of one entity type; ids ascend and are never used twice."""

    __slots__ = ("last_id", "records_by_id")

    def __init__(self) -> None:
        self.records_by_id: dict[int, Record] = {}
        self.last_id = 0


def _name_component(component: Any) -> Any:
    """Return a value in the form of a composed name: a link as "Task 12"."""
    return (
        f"{component[0]} {component[1]}"
        if isinstance(component, tuple) and len(component) == 2
        else component
    )


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
        record_table = self._table_of_type(entity_type)
        record_table.last_id += 1
        record = Record(entity_type, record_table.last_id, values)
        self._created_count += 1
        record.creation_number = self._created_count
        record_table.records_by_id[record.id] = record
        self.update_shown_name(record)
        return record

    def discard_record(self, record: Record) -> None:
        """Remove a record whose transaction failed; its id stays used."""
        self._table_of_type(record.type).records_by_id.pop(record.id, None)

    def update_shown_name(self, record: Record) -> None:
        """Update the name that links show, from the record's present values."""
        type_schema = self._schema.required_type("read", record.type)
        shown_name = record.values.get(type_schema.name_field)
        script_version = (
            record.values.get(SCRIPT_VERSION_FIELD) if record.type == API_USER else None
        )
        if record.type == "Task" and shown_name is None:
            shown_name = "-"
        if script_version:
            shown_name = f"{shown_name} {script_version}"
        elif type_schema.name_template:
            named_values = {
                shown_name: _name_component(component)
                for shown_name, component in record.values.items()
            }
            shown_name = type_schema.name_template.format_map({**named_values, "id": record.id})
        record.link["name"] = shown_name

    def add_connection(self, connection: Record, *connected_refs: EntityRef) -> None:
        """Note a row that connects two records."""
        for connected_ref in dict.fromkeys(connected_refs):
            self._connections_by_end.setdefault(connected_ref, []).append(connection)

    def connections_of(self, entity_ref: EntityRef) -> list[Record]:
        """Return the rows that connect a record to others, retired ones included."""
        return self._connections_by_end.get(entity_ref, [])

    def find(self, entity_ref: EntityRef) -> Record | None:
        """Return a record, retired or not, or None."""
        record_table = self._tables_by_type.get(entity_ref[0])
        return record_table.records_by_id.get(entity_ref[1]) if record_table else None

    def live(self, entity_ref: EntityRef | None) -> Record | None:
        """Return a record that is not retired, or None."""
        record = self.find(entity_ref) if entity_ref else None
        return None if record is None or record.retired else record

    def link(self, entity_ref: EntityRef | None) -> dict[str, Any] | None:
        """Return a link as the API shows it, None if the record is retired."""
        record = self.live(entity_ref)
        return record.link if record else None

    def of_type(self, entity_type: str, *, retired: bool = False) -> Iterator[Record]:
        """Return the records of a type in id order, either the live or the retired ones."""
        record_table = self._table_of_type(entity_type)
        return (
            record for record in record_table.records_by_id.values() if record.retired is retired
        )
