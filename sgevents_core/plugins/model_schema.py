"""The JSON schema of a plugin's own settings, made from the model that it declares."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sgevents_core.plugins.own_settings import is_pydantic
from sgevents_core.settings.kinds import KINDS_BY_TYPE, REFERENCE_SCHEMA, Schema

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
        whole = model.model_json_schema(ref_template=f"#/$defs/{plugin}.{{model}}")
        parts = whole.pop("$defs", {})
    else:
        made, parts = msgspec.json.schema_components(
            [model], schema_hook=_hook, ref_template=f"#/$defs/{plugin}.{{name}}"
        )
        (whole,) = made
        parts = {name: _closed(part) for name, part in parts.items()}
    found = {f"{plugin}.{name}": _widened(part) for name, part in parts.items()}
    return _widened(whole), found


def _closed(part: Schema) -> Schema:
    """Return the schema of a table that allows no other keys, since they are refused."""
    return {**part, "additionalProperties": False} if "properties" in part else part


def _hook(kind: type) -> Schema:
    if kind not in KINDS_BY_TYPE:
        raise NotImplementedError
    return dict(KINDS_BY_TYPE[kind].schema)


def _widened(schema: Any) -> Any:
    """Return a schema that also allows references for plain values, and our durations."""
    if isinstance(schema, list):
        return [_widened(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "duration":
        schema = {key: value for key, value in schema.items() if key != "format"}
    if schema.get("type") in _SCALARS or "enum" in schema:
        about = {key: schema[key] for key in ("default", "title", "description") if key in schema}
        plain = {key: value for key, value in schema.items() if key not in about}
        return {**about, "anyOf": [plain, REFERENCE_SCHEMA]}
    return {
        key: value if key in {"default", "required"} else _inside(key, value)
        for key, value in schema.items()
    }


def _inside(key: str, value: Any) -> Any:
    if key in {"properties", "$defs"} and isinstance(value, dict):
        return {name: _widened(one) for name, one in value.items()}
    return _widened(value)
