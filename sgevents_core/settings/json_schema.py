"""A JSON schema of the configuration file, by which editors complete and check it.

It is wider than what `check` accepts: rules between keys are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, get_args, get_origin

import msgspec

from sgevents_core.settings.config_file import SECTION_MODELS
from sgevents_core.settings.fitting import ModelKey, model_keys_of
from sgevents_core.settings.references import REFERENCE_KEYS
from sgevents_core.settings.value_kinds import Schema, ValueKind
from sgevents_core.settings.value_shapes import ValueShape, shape_of

SCHEMA_DIALECT: Final = "http://json-schema.org/draft-07/schema#"
_NAMED_TABLES: Final = {"hosts", "lanes", "plugins"}
_LISTED_TABLES: Final = {"groups", "classic.paths", "alerts"}
_COMPUTED_DEFAULTS: Final = {("feed", "idle_interval")}
"""Keys whose default is calculated."""
_REFERENCE_SCHEMA: Final[Schema] = {
    "description": "Where the value is, instead of the value.",
    "type": "object",
    "oneOf": [
        {
            "properties": {reference_form: {"type": "string", "minLength": 1, "description": text}},
            "required": [reference_form],
            "additionalProperties": False,
        }
        for reference_form, text in REFERENCE_KEYS.items()
    ],
}


def config_schema(
    plugin_schemas: Mapping[str, Schema], definitions: Mapping[str, Schema]
) -> Schema:
    """Return the schema of a whole configuration file.

    Args:
        plugin_schemas: Plugin -> schema of its own settings, for those that declare a model.
        definitions: The definitions that those schemas refer to in `$defs`.
    """
    table_schemas = _nested_schemas(
        {name: _section_schema(name, model) for name, model in SECTION_MODELS.items()}
    )
    plugin_table = table_schemas["plugins"]["additionalProperties"]
    table_schemas["plugins"]["properties"] = {
        name: _with_settings(plugin_table, schema) for name, schema in plugin_schemas.items()
    }
    return {
        "$schema": SCHEMA_DIALECT,
        "title": "sgevents.toml",
        "type": "object",
        "properties": table_schemas,
        "required": ["site"],
        "additionalProperties": False,
        "$defs": {"reference": _REFERENCE_SCHEMA, **definitions},
    }


def _nested_schemas(schemas: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return schemas by name, those of tables inside a table among its properties."""
    top_schemas = {name: schema for name, schema in schemas.items() if "." not in name}
    for name, schema in schemas.items():
        outer_name, _, inner_name = name.partition(".")
        if inner_name:
            properties = top_schemas[outer_name]["properties"]
            plain_schema = properties.get(inner_name)
            properties[inner_name] = _either_schema(plain_schema, schema)
    return top_schemas


def _either_schema(plain_schema: Schema | None, table_schema: Schema) -> Schema:
    """Return the schema of a key that may be a table, or a plain value too."""
    if plain_schema is None:
        return table_schema
    description = plain_schema["description"]
    return {"description": description, "anyOf": [plain_schema, table_schema]}


def _section_schema(name: str, model: type[msgspec.Struct]) -> Schema:
    description_text = " ".join((model.__doc__ or "").split())
    schema = {**_table_schema(name, model), "description": description_text}
    if name in _LISTED_TABLES:
        return {"type": "array", "items": schema, "description": description_text}
    return {"type": "object", "additionalProperties": schema} if name in _NAMED_TABLES else schema


def _table_schema(section_name: str, model: type[msgspec.Struct]) -> Schema:
    model_keys = model_keys_of(model)
    return {
        "type": "object",
        "properties": {key.name: _key_schema(section_name, key) for key in model_keys},
        "required": [key.name for key in model_keys if key.required],
        "additionalProperties": False,
    }


def _key_schema(section_name: str, key: ModelKey) -> Schema:
    shape = key.shape
    value_schema = dict(shape.value_kind.schema) if shape.value_kind else _plain_schema(shape)
    value_schema["description"] = shape.description
    if key.default is not None and (section_name, key.name) not in _COMPUTED_DEFAULTS:
        value_schema["default"] = (
            shape.value_kind.to_toml(key.default) if shape.value_kind else key.default
        )
    return value_schema


def _plain_schema(shape: ValueShape) -> Schema:
    """Return msgspec's schema of a type, without null, which TOML does not have."""
    member_kind = _kind_of_members(shape)
    if member_kind is not None:
        return {"type": "array", "items": dict(member_kind.schema)}
    value_schema = msgspec.json.schema(shape.annotated_type)
    branches = [branch for branch in value_schema.get("anyOf", []) if branch != {"type": "null"}]
    return branches[0] if len(branches) == 1 else value_schema


def _kind_of_members(shape: ValueShape) -> ValueKind | None:
    """Return the kind of a list's members, if they are of a kind that msgspec does not read."""
    members = get_args(shape.core_type) if get_origin(shape.core_type) in {list, tuple} else ()
    return shape_of(members[0]).value_kind if members else None


def _with_settings(table_schema: Schema, schema: Schema) -> Schema:
    description_text = table_schema["properties"]["settings"]["description"]
    own_schema = schema if "$ref" in schema else {"description": description_text, **schema}
    return {**table_schema, "properties": {**table_schema["properties"], "settings": own_schema}}
