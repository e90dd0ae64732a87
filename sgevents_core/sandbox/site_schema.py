"""A site's own schema as a types file: from the answer of `schema_read`, and as TOML text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from sgevents_core.sandbox.data_types import DATA_TYPES
from sgevents_core.sandbox.field_builders import default_label, make_entity_type
from sgevents_core.sandbox.site_database import EVENT_LOG
from sgevents_core.sandbox.types_file import FieldTable, Tables, TypeTable
from sgevents_core.settings.spelling import BARE_KEY_PATTERN

_COMMON_FIELDS: Final = frozenset(make_entity_type("", "", "").fields)
_FALLBACK_TYPE: Final = "serializable"
"""Replaces a data type that the sandbox does not know."""


def schema_tables(site_schema: Mapping[str, Mapping[str, Any]]) -> Tables:
    """Return the tables of an answer of `schema_read`, without common fields and the event log."""
    return {
        type_name: TypeTable(
            fields={
                field_name: _field_table(field_name, described)
                for field_name, described in sorted(schema_fields.items())
                if field_name not in _COMMON_FIELDS
            }
        )
        for type_name, schema_fields in sorted(site_schema.items())
        if type_name != EVENT_LOG
    }


def _field_table(field_name: str, described: Mapping[str, Any]) -> FieldTable:
    properties = described.get("properties") or {}
    label, data_type = (_property_value(described, "name"), _property_value(described, "data_type"))
    default_value = _property_value(properties, "default_value")
    return FieldTable(
        type=data_type if data_type in DATA_TYPES else _FALLBACK_TYPE,
        label=None if label == default_label(field_name) else label,
        links=_text_values(_property_value(properties, "valid_types")),
        values=_text_values(_property_value(properties, "valid_values")),
        default=default_value if isinstance(default_value, (str, int, float)) else None,
        editable=_property_value(described, "editable") is not False,
        unique=_property_value(described, "unique") is True,
    )


def _property_value(described: Mapping[str, Any], property_name: str) -> Any:
    entry = described.get(property_name)
    return entry.get("value") if isinstance(entry, dict) else None


def _text_values(properties: Any) -> list[str]:
    return [text_value for text_value in properties or () if isinstance(text_value, str)]


def types_file_text(tables: Tables) -> str:
    """Return tables as the text of a types file."""
    return "\n".join(
        line for type_name, table in tables.items() for line in _table_lines(type_name, table)
    )


def _table_lines(type_name: str, table: TypeTable) -> Iterator[str]:
    options = msgspec.to_builtins(table)
    field_tables = options.pop("fields", {})
    if options:
        yield f"[{_toml_key(type_name)}]"
        yield from (f"{key} = {_toml_value(value)}" for key, value in options.items())
    yield f"[{_toml_key(type_name)}.fields]"
    for field_name, options_of_field in field_tables.items():
        is_type_only = options_of_field.keys() == {"type"}
        value = options_of_field["type"] if is_type_only else options_of_field
        yield f"{_toml_key(field_name)} = {_toml_value(value)}"
    yield ""


def _toml_key(key_text: str) -> str:
    return key_text if BARE_KEY_PATTERN.fullmatch(key_text) else _toml_value(key_text)


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (
            f"{_toml_key(key)} = {_toml_value(nested)}"
            for key, nested in value.items()
            if nested is not None
        )
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml_value, value))}]"
    if isinstance(value, str):
        return f'"{"".join(map(_toml_character, value))}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def _toml_character(character: str) -> str:
    """Return a character escaped for a TOML string, so that it is always printable."""
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08x}"
