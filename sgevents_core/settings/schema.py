"""A JSON schema of the configuration file, by which editors complete and check it.

It is wider than what `check` accepts: rules between keys are not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import FieldInfo, fields

from sgevents_core.settings.durations import format_duration
from sgevents_core.settings.loading import SECTIONS
from sgevents_core.settings.meanings import MEANINGS
from sgevents_core.settings.reader import key_kind

Schema: TypeAlias = dict[str, Any]

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
        for form, text in (
            ("env", "The name of an environment variable."),
            ("file", "The path of a file that holds it."),
            ("credential", "The name of a systemd credential."),
        )
    ],
}
_TEXT: Final[Schema] = {"type": "string", "minLength": 1}
REFERENCE: Final[Schema] = {"$ref": "#/$defs/reference"}
"""What stands for a value that is elsewhere."""
_KINDS: Final[Mapping[str, Schema]] = {
    "duration": {"type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?(ms|[dhms]))+$"},
    "file": _TEXT,
    "levels": {"type": "object", "additionalProperties": {"$ref": "#/$defs/level"}},
    "own": {"type": "object"},
    "path": _TEXT,
    "proxy": {"anyOf": [_TEXT, REFERENCE]},
    "secret": {"anyOf": [_TEXT, REFERENCE]},
    "start": {"anyOf": [_TEXT, {"type": "integer", "minimum": 1}]},
    "text": {"anyOf": [_TEXT, REFERENCE]},
    "url": {"anyOf": [{"type": "string", "pattern": "^https?://"}, REFERENCE]},
    "version": _TEXT,
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
    level = msgspec.json.schema(next(_types_of("log", "level")))
    return {
        "$schema": DIALECT,
        "title": "sgevents.toml",
        "type": "object",
        "properties": tables,
        "required": ["site"],
        "additionalProperties": False,
        "$defs": {"reference": _REFERENCE, "level": level, **parts},
    }


def _section(name: str, model: type[msgspec.Struct]) -> Schema:
    about = " ".join((model.__doc__ or "").split())
    table = {**_table(name, model), "description": about}
    if name == "groups":
        return {"type": "array", "items": table}
    return {"type": "object", "additionalProperties": table} if name in _NAMED else table


def _table(section: str, model: type[msgspec.Struct]) -> Schema:
    known = fields(model)
    return {
        "type": "object",
        "properties": {key.name: _key(section, key) for key in known},
        "required": [key.name for key in known if key.required],
        "additionalProperties": False,
    }


def _key(section: str, key: FieldInfo) -> Schema:
    kind = key_kind(key)
    schema = dict(_KINDS[kind]) if kind else _plain(key)
    schema["description"] = MEANINGS[section][key.name]
    default = key.default
    if isinstance(default, (str, int, float, Path)) and (section, key.name) not in _NO_DEFAULT:
        schema["default"] = str(default) if isinstance(default, Path) else default
        if kind == "duration" and isinstance(default, float):
            schema["default"] = format_duration(default)
    return schema


def _plain(key: FieldInfo) -> Schema:
    """Return what msgspec says of a type, without null, which TOML does not have."""
    schema = msgspec.json.schema(key.type)
    others = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    return others[0] if len(others) == 1 else schema


def _with_settings(table: Schema, settings: Schema) -> Schema:
    about = table["properties"]["settings"]["description"]
    own = settings if "$ref" in settings else {"description": about, **settings}
    return {**table, "properties": {**table["properties"], "settings": own}}


def _types_of(section: str, name: str) -> Iterator[Any]:
    yield from (key.type for key in fields(SECTIONS[section]) if key.name == name)
