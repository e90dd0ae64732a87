"""The records of the sandbox site, all but its event log, and the links between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sgevents_core.sandbox.entity_schema import Schema
from sgevents_core.scripts import API_USER

VERSION: Final = "lastname"
"""The field with a script's version, which links show after its name."""

Ref = tuple[str, int]
"""A stored link: entity type and id."""


class Record:
    """One record: its values by field name, links as `Ref` or tuples of `Ref`.

    Its `serial` gives the order of creation across all types.
    """

    __slots__ = ("id", "link", "retired", "serial", "type", "values")

    def __init__(self, entity_type: str, record_id: int, values: dict[str, Any]) -> None:
        self.type = entity_type
        self.id = record_id
        self.values = values
        self.retired = False
        self.serial = 0
        self.link: dict[str, Any] = {"id": record_id, "name": None, "type": entity_type}

    @property
    def ref(self) -> Ref:
        """The record as a link."""
        return (self.type, self.id)


class _Table:
    """The records of one entity type; ids ascend and are never used twice."""

    __slots__ = ("by_id", "last_id")

    def __init__(self) -> None:
        self.by_id: dict[int, Record] = {}
        self.last_id = 0


def _in_name(value: Any) -> Any:
    """Return a value in the form of a composed name: a link as "Task 12"."""
    return f"{value[0]} {value[1]}" if isinstance(value, tuple) and len(value) == 2 else value


class Records:
    """All records by entity type and id, retired ones included."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._tables: dict[str, _Table] = {}
        self._made = 0
        self._connected: dict[Ref, list[Record]] = {}

    def _table(self, entity_type: str) -> _Table:
        return self._tables.setdefault(entity_type, _Table())

    def add(self, entity_type: str, values: dict[str, Any]) -> Record:
        """Add a record with the next id of its type."""
        table = self._table(entity_type)
        table.last_id += 1
        record = Record(entity_type, table.last_id, values)
        self._made += 1
        record.serial = self._made
        table.by_id[record.id] = record
        self.rename(record)
        return record

    def drop(self, record: Record) -> None:
        """Remove a record whose transaction failed; its id stays used."""
        self._table(record.type).by_id.pop(record.id, None)

    def rename(self, record: Record) -> None:
        """Update the name that links show, from the record's present values."""
        kind = self._schema.get("read", record.type)
        name = record.values.get(kind.naming)
        version = record.values.get(VERSION) if record.type == API_USER else None
        if record.type == "Task" and name is None:
            name = "-"
        if version:
            name = f"{name} {version}"
        elif kind.shown_as:
            values = {name: _in_name(value) for name, value in record.values.items()}
            name = kind.shown_as.format_map({**values, "id": record.id})
        record.link["name"] = name

    def connect(self, row: Record, *ends: Ref) -> None:
        """Note a row that connects two records."""
        for end in dict.fromkeys(ends):
            self._connected.setdefault(end, []).append(row)

    def connected(self, ref: Ref) -> list[Record]:
        """Return the rows that connect a record to others, retired ones included."""
        return self._connected.get(ref, [])

    def find(self, ref: Ref) -> Record | None:
        """Return a record, retired or not, or None."""
        table = self._tables.get(ref[0])
        return table.by_id.get(ref[1]) if table else None

    def live(self, ref: Ref | None) -> Record | None:
        """Return a record that is not retired, or None."""
        record = self.find(ref) if ref else None
        return None if record is None or record.retired else record

    def link(self, ref: Ref | None) -> dict[str, Any] | None:
        """Return a link as the API shows it, None if the record is retired."""
        record = self.live(ref)
        return record.link if record else None

    def of_type(self, entity_type: str, *, retired: bool = False) -> Iterator[Record]:
        """Return the records of a type in id order, either the live or the retired ones."""
        table = self._table(entity_type)
        return (record for record in table.by_id.values() if record.retired is retired)
