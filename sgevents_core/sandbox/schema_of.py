"""A site's own schema as a types file: from the answer of `schema_read`, and as TOML text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from sgevents_core.sandbox.datatypes import DATA_TYPES
from sgevents_core.sandbox.fields import entity_type, label_of
from sgevents_core.sandbox.site_database import EVENT_LOG
from sgevents_core.sandbox.types_file import FieldTable, Tables, TypeTable
from sgevents_core.settings.spelling import BARE_KEY_PATTERN

_EVERYWHERE: Final = frozenset(entity_type("", "", "").fields)
_OPAQUE: Final = "serializable"
"""Replaces a data type that the sandbox does not know."""


def tables_of(schema: Mapping[str, Mapping[str, Any]]) -> Tables:
    """Return the tables of an answer of `schema_read`, without common fields and the event log."""
    return {
        name: TypeTable(
            fields={
                field: _field(field, told)
                for field, told in sorted(fields.items())
                if field not in _EVERYWHERE
            }
        )
        for name, fields in sorted(schema.items())
        if name != EVENT_LOG
    }


def _field(name: str, told: Mapping[str, Any]) -> FieldTable:
    properties = told.get("properties") or {}
    label, data_type = _value(told, "name"), _value(told, "data_type")
    default = _value(properties, "default_value")
    return FieldTable(
        type=data_type if data_type in DATA_TYPES else _OPAQUE,
        label=None if label == label_of(name) else label,
        links=_texts(_value(properties, "valid_types")),
        values=_texts(_value(properties, "valid_values")),
        default=default if isinstance(default, (str, int, float)) else None,
        editable=_value(told, "editable") is not False,
        unique=_value(told, "unique") is True,
    )


def _value(told: Mapping[str, Any], name: str) -> Any:
    part = told.get(name)
    return part.get("value") if isinstance(part, dict) else None


def _texts(values: Any) -> list[str]:
    return [value for value in values or () if isinstance(value, str)]


def written_types(tables: Tables) -> str:
    """Return tables as the text of a types file."""
    return "\n".join(line for name, table in tables.items() for line in _lines(name, table))


def _lines(name: str, table: TypeTable) -> Iterator[str]:
    told = msgspec.to_builtins(table)
    fields = told.pop("fields", {})
    if told:
        yield f"[{_key(name)}]"
        yield from (f"{key} = {_toml(value)}" for key, value in told.items())
    yield f"[{_key(name)}.fields]"
    for field, about in fields.items():
        alone = about.keys() == {"type"}
        yield f"{_key(field)} = {_toml(about['type'] if alone else about)}"
    yield ""


def _key(text: str) -> str:
    return text if BARE_KEY_PATTERN.fullmatch(text) else _toml(text)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{_key(key)} = {_toml(some)}" for key, some in value.items() if some is not None)
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        return f'"{"".join(map(_character, value))}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def _character(one: str) -> str:
    """Return a character as a TOML string has it: printable, whatever it is."""
    if one in '"\\':
        return f"\\{one}"
    return one if one.isprintable() else f"\\U{ord(one):08x}"
