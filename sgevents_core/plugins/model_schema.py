"""The JSON schema of a plugin's own settings, made from the model that it declares."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sgevents_core.plugins.own_settings import is_pydantic
from sgevents_core.settings.value_kinds import KINDS_BY_TYPE, REFERENCE_SCHEMA, Schema

_SCALARS: Final = frozenset({"string", "integer", "number", "boolean"})


def schema_of(plugin: str, model: Any) -> tuple[Schema, dict[str, Schema]]:
    """Return the schema of `model`, and the `$defs` it refers to, under names unique to the plugin.

    Args:
        plugin: The plugin's name.
        model: The result of its `settings_model`.

    Raises:
        Exception: The model has types that no schema can describe.
    """
    if is_pydantic(model):
        model_schema = model.model_json_schema(ref_template=f"#/$defs/{plugin}.{{model}}")
        definitions = model_schema.pop("$defs", {})
    else:
        model_schemas, definitions = msgspec.json.schema_components(
            [model], schema_hook=_schema_hook, ref_template=f"#/$defs/{plugin}.{{name}}"
        )
        (model_schema,) = model_schemas
        definitions = {
            name: _without_extra_keys(definition) for name, definition in definitions.items()
        }
    unique_definitions = {
        f"{plugin}.{name}": _widened(definition) for name, definition in definitions.items()
    }
    return _widened(model_schema), unique_definitions


def _without_extra_keys(definition: Schema) -> Schema:
    """Return the schema of a table that allows no other keys, since they are refused."""
    return (
        {**definition, "additionalProperties": False} if "properties" in definition else definition
    )


def _schema_hook(python_type: type) -> Schema:
    if python_type not in KINDS_BY_TYPE:
        raise NotImplementedError
    return dict(KINDS_BY_TYPE[python_type].schema)


def _widened(schema: Any) -> Any:
    """Return a schema that also allows references for plain values, and our durations."""
    if isinstance(schema, list):
        return [_widened(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "duration":
        schema = {key: value for key, value in schema.items() if key != "format"}
    if schema.get("type") in _SCALARS or "enum" in schema:
        annotations = {
            key: schema[key] for key in ("default", "title", "description") if key in schema
        }
        value_schema = {key: value for key, value in schema.items() if key not in annotations}
        return {**annotations, "anyOf": [value_schema, REFERENCE_SCHEMA]}
    return {
        key: value if key in {"default", "required"} else _widened_inside(key, value)
        for key, value in schema.items()
    }


def _widened_inside(key: str, value: Any) -> Any:
    if key in {"properties", "$defs"} and isinstance(value, dict):
        return {name: _widened(item) for name, item in value.items()}
    return _widened(value)
