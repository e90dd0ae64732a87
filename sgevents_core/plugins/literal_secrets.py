"""Find the values that a plugin's settings model declares secret, so that none is shown.

A reference (`{ env = "NAME" }`) is recognisable as a secret in the file. A literal secret is plain
text there; only the model shows what it is, by the type of a field: `Secret`, or a class whose
instances have `get_secret_value`, like pydantic's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, get_args

import msgspec

from sgevents_core.settings import Secret
from sgevents_core.settings.fitting import is_table_model, model_keys_of

_MAX_DEPTH: Final = 8
"""The levels of models and lists to look into; settings are not nested deeper."""


def secret_texts_by_model(
    model: Any, table: Mapping[str, Any], levels: int = _MAX_DEPTH
) -> Iterator[str]:
    """Yield the texts in `table` at the fields of `model` that hold secrets.

    It works before the table is validated, so that no error about it can show a secret.

    Args:
        model: A dataclass, msgspec Struct or pydantic model.
        table: Its values in the configuration file.
        levels: The number of levels to look into.
    """
    for field_names, field_type in _model_fields(model):
        for field_name in field_names:
            if field_name in table:
                yield from _texts_by_type(field_type, table[field_name], levels)


def secret_texts_in(value: Any, levels: int = _MAX_DEPTH) -> Iterator[str]:
    """Yield the texts of all secrets in an instance of a model.

    Args:
        value: The instance, or a part of it.
        levels: The number of levels to look into.
    """
    if isinstance(value, Secret):
        if value.is_there:
            yield value.reveal()
    elif callable(getattr(type(value), "get_secret_value", None)):
        yield from _text_of(value.get_secret_value())
    elif levels:
        for inner_value in _inner_values(value):
            yield from secret_texts_in(inner_value, levels - 1)


def _texts_by_type(field_type: Any, raw_value: Any, levels: int) -> Iterator[str]:
    if _is_secret(field_type, levels):
        yield from _all_texts(raw_value)
    elif levels:
        for model in _models_in(field_type):
            for table in [raw_value, *_inner_values(raw_value)]:
                if isinstance(table, Mapping):
                    yield from secret_texts_by_model(model, table, levels - 1)


def _model_fields(model: Any) -> Iterator[tuple[list[str], Any]]:
    """Yield the names under which a table may hold each field, and the field's type."""
    model_fields = getattr(model, "model_fields", None)
    if isinstance(model_fields, Mapping):
        for field_name, pydantic_field in model_fields.items():
            field_alias = getattr(pydantic_field, "alias", None)
            field_names = [
                field_name,
                field_alias,
                *_alias_choices(getattr(pydantic_field, "validation_alias", None)),
            ]
            yield (
                [name for name in field_names if isinstance(name, str)],
                getattr(pydantic_field, "annotation", None),
            )
    elif is_table_model(model):
        for model_key in model_keys_of(model):
            yield [model_key.name], model_key.shape.annotated_type


def _alias_choices(field_alias: Any) -> Iterable[Any]:
    """Return the names in a pydantic alias, which may be one or several."""
    alias_choices = getattr(field_alias, "choices", None)
    return alias_choices if isinstance(alias_choices, list) else [field_alias]


def _is_secret(field_type: Any, levels: int) -> bool:
    """Return whether a type is a secret, or a union or container of secrets."""
    if field_type is Secret or callable(getattr(field_type, "get_secret_value", None)):
        return True
    return bool(levels) and any(
        _is_secret(inner_type, levels - 1) for inner_type in get_args(field_type)
    )


def _models_in(field_type: Any) -> Iterator[Any]:
    if is_table_model(field_type) or isinstance(getattr(field_type, "model_fields", None), Mapping):
        yield field_type
    for inner_type in get_args(field_type):
        yield from _models_in(inner_type)


def _inner_values(value: Any) -> Iterable[Any]:
    """Return the values in a mapping, a list or a model's instance; none for anything else."""
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, msgspec.Struct):
        return [getattr(value, field_name) for field_name in value.__struct_fields__]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    if isinstance(getattr(type(value), "model_fields", None), Mapping):
        return list(vars(value).values())
    return ()


def _all_texts(raw_value: Any) -> Iterator[str]:
    """Yield every string in the value that the configuration file gives for a secret."""
    yield from _text_of(raw_value)
    if not isinstance(raw_value, str):
        for inner_value in _inner_values(raw_value):
            yield from _all_texts(inner_value)


def _text_of(raw_value: Any) -> Iterator[str]:
    if isinstance(raw_value, Secret):
        yield from secret_texts_in(raw_value)
    elif isinstance(raw_value, bytes):
        yield raw_value.decode("utf-8", "replace")
    elif isinstance(raw_value, str | int) and not isinstance(raw_value, bool):
        yield str(raw_value)
