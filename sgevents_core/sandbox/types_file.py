"""Files with entity types and fields for the sandbox: the standard ones, and a studio's own."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec
import tomli

from sgevents_core.errors import TypesFileError
from sgevents_core.sandbox.data_types import DATA_TYPES
from sgevents_core.sandbox.entity_schema import (
    LINK_TYPES,
    MULTI_LINK_TYPES,
    EntityType,
    Field,
    SiteSchema,
)
from sgevents_core.sandbox.field_builders import default_label, make_entity_type

_NAME_FIELDS: Final = ("code", "name", "title", "content", "subject")
"""The fields that name a record by default."""


class FieldTable(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A field as written in a file; text alone is its `type`."""

    type: str
    label: str | None = None
    links: list[str] = []
    values: list[str] = []
    default: Any = None
    editable: bool = True
    on_create: bool = False
    unique: bool = False
    back: str | None = None
    binds: bool = False


class TypeTable(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An entity type as written in a file; what it omits of an existing type stays."""

    label: str | None = None
    named_by: str | None = None
    shown_as: str | None = None
    new_name: str | None = None
    needs_project: bool | None = None
    fields: dict[str, FieldTable] = {}


Tables = Mapping[str, TypeTable]
"""Entity type -> its table in a file."""


def read_types_file(path: Path) -> Tables:
    """Return the entity types and fields in a file.

    Raises:
        TypesFileError: It cannot be read, or something in it is wrong.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise TypesFileError(file=path, where="", reason=str(error)) from None
    return parse_types_file(text, path)


def parse_types_file(text: str, path: Path) -> Tables:
    """Return the entity types and fields in a text; `path` is used in messages.

    Raises:
        TypesFileError: Something in it is wrong.
    """
    try:
        document = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise TypesFileError(file=path, where="", reason=f"this is not TOML: {error}") from None
    return {type_name: _type_table(path, type_name, table) for type_name, table in document.items()}


def _type_table(path: Path, type_name: str, table: Any) -> TypeTable:
    raw = dict(table) if isinstance(table, dict) else {}
    raw_fields = raw.pop("fields", {})
    if not isinstance(table, dict) or not isinstance(raw_fields, dict):
        raise TypesFileError(file=path, where=f"[{type_name}]: ", reason="a table is expected here")
    type_table: TypeTable = _convert_table(path, f"[{type_name}]: ", raw, TypeTable)
    type_table.fields = {
        field_name: _field_table(path, type_name, field_name, raw_field)
        for field_name, raw_field in raw_fields.items()
    }
    return type_table


def _field_table(path: Path, type_name: str, field_name: str, raw_field: Any) -> FieldTable:
    where = f"{type_name}.{field_name}: "
    raw = {"type": raw_field} if isinstance(raw_field, str) else raw_field
    field_table: FieldTable = _convert_table(path, where, raw, FieldTable)
    if field_table.type not in DATA_TYPES:
        near = difflib.get_close_matches(field_table.type, DATA_TYPES, 1)
        others = f"; known are {', '.join(DATA_TYPES)}"
        suggestion = f"; did you mean '{near[0]}'?" if near else others
        raise TypesFileError(
            file=path, where=where, reason=f"no type '{field_table.type}'{suggestion}"
        )
    return field_table


def _convert_table(path: Path, where: str, raw: Any, struct: type[msgspec.Struct]) -> Any:
    try:
        return msgspec.convert(raw, struct)
    except msgspec.ValidationError as error:
        raise TypesFileError(file=path, where=where, reason=str(error)) from None


@lru_cache(maxsize=1)
def standard_types() -> Tables:
    """Return the standard types and fields that `studio_types` does not have."""
    file_name = "standard.toml"
    text = (files("sgevents_core.sandbox") / file_name).read_text("utf-8")
    return parse_types_file(text, Path(file_name))


def add_types(schema: SiteSchema, tables: Tables, *, replaces_fields: bool) -> None:
    """Add types and fields to a schema.

    Args:
        schema: The schema.
        tables: The content of a file.
        replaces_fields: Whether an existing field is replaced.
    """
    for type_name, table in tables.items():
        type_schema = schema.find_type(type_name) or _create_type(type_name, table)
        changed_values: dict[str, Any] = {
            "label": table.label,
            "name_field": table.named_by,
            "name_template": table.shown_as,
            "default_name_template": table.new_name,
            "needs_project": table.needs_project,
        }
        set_values = {name: value for name, value in changed_values.items() if value is not None}
        type_schema = replace(type_schema, **set_values)
        fields = type_schema.fields
        for field in _declared_fields(table):
            if replaces_fields or field.name not in fields:
                fields[field.name] = _with_known_links(fields.get(field.name), field)
        schema.add_type(type_schema)


def _create_type(type_name: str, table: TypeTable) -> EntityType:
    name_field = next((field_name for field_name in _NAME_FIELDS if field_name in table.fields), "")
    return make_entity_type(type_name, table.label or type_name, name_field)


def _declared_fields(table: TypeTable) -> Iterable[Field]:
    for field_name, field_table in table.fields.items():
        yield Field(
            field_name,
            field_table.type,
            field_table.label or default_label(field_name),
            tuple(field_table.links),
            tuple(field_table.values),
            default=_default_value(field_table),
            editable=field_table.editable,
            back_field=field_table.back,
            editable_on_create=field_table.on_create,
            unique=field_table.unique,
            restricts_types=field_table.binds,
        )


def _default_value(field_table: FieldTable) -> Any:
    if field_table.type in MULTI_LINK_TYPES or field_table.type == "tag_list":
        return ()
    return bool(field_table.default) if field_table.type == "checkbox" else field_table.default


def _with_known_links(known_field: Field | None, field: Field) -> Field:
    """Return a field with the properties that a file, such as one read from a site, cannot have."""
    if (
        known_field is None
        or field.data_type not in LINK_TYPES
        or known_field.data_type != field.data_type
    ):
        return field
    return replace(
        field,
        back_field=field.back_field or known_field.back_field,
        restricts_types=field.restricts_types or known_field.restricts_types,
    )
