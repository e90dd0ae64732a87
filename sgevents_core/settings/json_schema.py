"""A JSON schema of the configuration file, by which editors complete and check it.

It is wider than what `check` accepts: rules between keys are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from sgevents_core.settings.config_file import SECTIONS
from sgevents_core.settings.fitting import Key, keys_of
from sgevents_core.settings.kinds import Schema
from sgevents_core.settings.references import REFERENCE_KEYS
from sgevents_core.settings.shapes import Shape

DIALECT: Final = "http://json-schema.org/draft-07/schema#"
_NAMED: Final = {"lanes", "plugins"}
_NO_DEFAULT: Final = {("feed", "idle_interval")}
"""Keys whose default is calculated."""
_REFERENCE: Final[Schema] = {
    "description": "Where the value is, instead of the value.",
    "type": "object",
    "oneOf": [
        {
            "properties": {form: {"type": "string", "minLength": 1, "description": text}},
            "required": [form],
            "additionalProperties": False,
        }
        for form, text in REFERENCE_KEYS.items()
    ],
}


def config_schema(plugins: Mapping[str, Schema], parts: Mapping[str, Schema]) -> Schema:
    """Return the schema of a whole configuration file.

    Args:
        plugins: Plugin -> schema of its own settings, for those that declare a model.
        parts: What those schemas refer to in `$defs`.
    """
    tables = {name: _section(name, model) for name, model in SECTIONS.items()}
    own = tables["plugins"]["additionalProperties"]
    tables["plugins"]["properties"] = {
        name: _with_settings(own, schema) for name, schema in plugins.items()
    }
    return {
        "$schema": DIALECT,
        "title": "sgevents.toml",
        "type": "object",
        "properties": tables,
        "required": ["site"],
        "additionalProperties": False,
        "$defs": {"reference": _REFERENCE, **parts},
    }


def _section(name: str, model: type[msgspec.Struct]) -> Schema:
    about = " ".join((model.__doc__ or "").split())
    table = {**_table(name, model), "description": about}
    if name == "groups":
        return {"type": "array", "items": table}
    return {"type": "object", "additionalProperties": table} if name in _NAMED else table


def _table(section: str, model: type[msgspec.Struct]) -> Schema:
    known = keys_of(model)
    return {
        "type": "object",
        "properties": {key.name: _key(section, key) for key in known},
        "required": [key.name for key in known if key.required],
        "additionalProperties": False,
    }


def _key(section: str, key: Key) -> Schema:
    shape = key.shape
    schema = dict(shape.kind.schema) if shape.kind else _plain(shape)
    schema["description"] = shape.description
    if key.default is not None and (section, key.name) not in _NO_DEFAULT:
        schema["default"] = shape.kind.written(key.default) if shape.kind else key.default
    return schema


def _plain(shape: Shape) -> Schema:
    """Return what msgspec says of a type, without null, which TOML does not have."""
    schema = msgspec.json.schema(shape.annotated)
    others = [branch for branch in schema.get("anyOf", []) if branch != {"type": "null"}]
    return others[0] if len(others) == 1 else schema


def _with_settings(table: Schema, settings: Schema) -> Schema:
    about = table["properties"]["settings"]["description"]
    own = settings if "$ref" in settings else {"description": about, **settings}
    return {**table, "properties": {**table["properties"], "settings": own}}
