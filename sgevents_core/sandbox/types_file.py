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
"""Fields that name a record, if a file does not say which."""


class FieldTable(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A field as it stands in a file; text alone is its `type`."""

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
    """An entity type as it stands in a file; what is left out of one that exists stays."""

    label: str | None = None
    named_by: str | None = None
    shown_as: str | None = None
    new_name: str | None = None
    needs_project: bool | None = None
    fields: dict[str, FieldTable] = {}


Tables = Mapping[str, TypeTable]
"""Entity type -> what a file says about it."""


def read_types_file(file_path: Path) -> Tables:
    """Return the entity types and fields in a file.

    Raises:
        TypesFileError: It cannot be read, or something in it is wrong.
    """
    try:
        file_text = file_path.read_text("utf-8")
    except (OSError, UnicodeError) as read_error:
        raise TypesFileError(file=file_path, where="", reason=str(read_error)) from None
    return parse_types_file(file_text, file_path)


def parse_types_file(file_text: str, file_path: Path) -> Tables:
    """Return the entity types and fields in a text; `file_path` is used in messages.

    Raises:
        TypesFileError: Something in it is wrong.
    """
    try:
        toml_document = tomli.loads(file_text)
    except tomli.TOMLDecodeError as read_error:
        raise TypesFileError(
            file=file_path, where="", reason=f"this is not TOML: {read_error}"
        ) from None
    return {
        type_name: _type_table(file_path, type_name, table)
        for type_name, table in toml_document.items()
    }


def _type_table(file_path: Path, type_name: str, table: Any) -> TypeTable:
    raw_table = dict(table) if isinstance(table, dict) else {}
    raw_fields = raw_table.pop("fields", {})
    if not isinstance(table, dict) or not isinstance(raw_fields, dict):
        raise TypesFileError(
            file=file_path, where=f"[{type_name}]: ", reason="a table is wanted here"
        )
    converted_table: TypeTable = _convert_table(file_path, f"[{type_name}]: ", raw_table, TypeTable)
    converted_table.fields = {
        field_name: _field_table(file_path, type_name, field_name, field_table)
        for field_name, field_table in raw_fields.items()
    }
    return converted_table


def _field_table(file_path: Path, type_name: str, field_name: str, raw_field: Any) -> FieldTable:
    error_location = f"{type_name}.{field_name}: "
    raw_table = {"type": raw_field} if isinstance(raw_field, str) else raw_field
    converted_table: FieldTable = _convert_table(file_path, error_location, raw_table, FieldTable)
    if converted_table.type not in DATA_TYPES:
        close_matches = difflib.get_close_matches(converted_table.type, DATA_TYPES, 1)
        suggestion = (
            f"; did you mean '{close_matches[0]}'?"
            if close_matches
            else f"; known are {', '.join(DATA_TYPES)}"
        )
        raise TypesFileError(
            file=file_path,
            where=error_location,
            reason=f"no type '{converted_table.type}'{suggestion}",
        )
    return converted_table


def _convert_table(
    file_path: Path, error_location: str, raw_table: Any, struct_class: type[msgspec.Struct]
) -> Any:
    try:
        return msgspec.convert(raw_table, struct_class)
    except msgspec.ValidationError as read_error:
        raise TypesFileError(file=file_path, where=error_location, reason=str(read_error)) from None


@lru_cache(maxsize=1)
def standard_types() -> Tables:
    """Return the standard types and fields that `studio_types` does not have."""
    file_name = "standard.toml"
    file_text = (files("sgevents_core.sandbox") / file_name).read_text("utf-8")
    return parse_types_file(file_text, Path(file_name))


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
        type_schema = replace(
            type_schema,
            **{
                attribute_name: attribute_value
                for attribute_name, attribute_value in changed_values.items()
                if attribute_value is not None
            },
        )
        for declared_field in _declared_fields(table):
            if replaces_fields or declared_field.name not in type_schema.fields:
                type_schema.fields[declared_field.name] = _with_known_links(
                    type_schema.fields.get(declared_field.name), declared_field
                )
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


def _with_known_links(known_field: Field | None, declared_field: Field) -> Field:
    """Return a field with the properties that a file, such as one read from a site, cannot have."""
    if (
        known_field is None
        or declared_field.data_type not in LINK_TYPES
        or known_field.data_type != declared_field.data_type
    ):
        return declared_field
    return replace(
        declared_field,
        back_field=declared_field.back_field or known_field.back_field,
        restricts_types=declared_field.restricts_types or known_field.restricts_types,
    )
