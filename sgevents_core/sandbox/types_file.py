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
from sgevents_core.sandbox.datatypes import DATA_TYPES
from sgevents_core.sandbox.entity_schema import LINKS, MANY, EntityType, Field, Schema
from sgevents_core.sandbox.fields import entity_type, label_of

_NAMING: Final = ("code", "name", "title", "content", "subject")
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


def read_types(path: Path) -> Tables:
    """Return the entity types and fields in a file.

    Raises:
        TypesFileError: It cannot be read, or something in it is wrong.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise TypesFileError(file=path, where="", reason=str(error)) from None
    return parsed_types(text, path)


def parsed_types(text: str, path: Path) -> Tables:
    """Return the entity types and fields in a text; `path` is used in messages.

    Raises:
        TypesFileError: Something in it is wrong.
    """
    try:
        document = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise TypesFileError(file=path, where="", reason=f"this is not TOML: {error}") from None
    return {name: _type_table(path, name, table) for name, table in document.items()}


def _type_table(path: Path, name: str, table: Any) -> TypeTable:
    raw = dict(table) if isinstance(table, dict) else {}
    fields = raw.pop("fields", {})
    if not isinstance(table, dict) or not isinstance(fields, dict):
        raise TypesFileError(file=path, where=f"[{name}]: ", reason="a table is wanted here")
    made: TypeTable = _converted(path, f"[{name}]: ", raw, TypeTable)
    made.fields = {field: _field_table(path, name, field, some) for field, some in fields.items()}
    return made


def _field_table(path: Path, entity: str, name: str, table: Any) -> FieldTable:
    where = f"{entity}.{name}: "
    raw = {"type": table} if isinstance(table, str) else table
    made: FieldTable = _converted(path, where, raw, FieldTable)
    if made.type not in DATA_TYPES:
        near = difflib.get_close_matches(made.type, DATA_TYPES, 1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(DATA_TYPES)}"
        raise TypesFileError(file=path, where=where, reason=f"no type '{made.type}'{hint}")
    return made


def _converted(path: Path, where: str, raw: Any, kind: type[msgspec.Struct]) -> Any:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise TypesFileError(file=path, where=where, reason=str(error)) from None


@lru_cache(maxsize=1)
def standard_types() -> Tables:
    """Return the standard types and fields that `studio` does not have."""
    name = "standard.toml"
    text = (files("sgevents_core.sandbox") / name).read_text("utf-8")
    return parsed_types(text, Path(name))


def add_types(schema: Schema, tables: Tables, *, over: bool) -> None:
    """Add types and fields to a schema.

    Args:
        schema: The schema.
        tables: The content of a file.
        over: Whether an existing field is replaced.
    """
    for name, table in tables.items():
        kind = schema.find(name) or _new_type(name, table)
        told: dict[str, Any] = {
            "label": table.label,
            "naming": table.named_by,
            "shown_as": table.shown_as,
            "new_name": table.new_name,
            "needs_project": table.needs_project,
        }
        kind = replace(kind, **{key: value for key, value in told.items() if value is not None})
        for field in _fields(table):
            if over or field.name not in kind.fields:
                kind.fields[field.name] = _like(kind.fields.get(field.name), field)
        schema.add(kind)


def _new_type(name: str, table: TypeTable) -> EntityType:
    naming = next((field for field in _NAMING if field in table.fields), "")
    return entity_type(name, table.label or name, naming)


def _fields(table: TypeTable) -> Iterable[Field]:
    for name, told in table.fields.items():
        yield Field(
            name,
            told.type,
            told.label or label_of(name),
            tuple(told.links),
            tuple(told.values),
            default=_default(told),
            editable=told.editable,
            back=told.back,
            on_create=told.on_create,
            unique=told.unique,
            binds=told.binds,
        )


def _default(told: FieldTable) -> Any:
    if told.type in MANY or told.type == "tag_list":
        return ()
    return bool(told.default) if told.type == "checkbox" else told.default


def _like(known: Field | None, field: Field) -> Field:
    """Return a field with the properties that a file, such as one read from a site, cannot have."""
    if known is None or field.data_type not in LINKS or known.data_type != field.data_type:
        return field
    return replace(field, back=field.back or known.back, binds=field.binds or known.binds)
