"""Finding the values that a plugin's settings model declares secret, so that none is shown.

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

_DEEPEST: Final = 8
"""The levels of models and lists to look into; settings are not nested deeper."""


def texts_by_model(model: Any, table: Mapping[str, Any], depth: int = _DEEPEST) -> Iterator[str]:
    """Yield the texts in `table` at the fields of `model` that hold secrets.

    It works before the table is validated, so that no error about it can show a secret.

    Args:
        model: A dataclass, msgspec Struct or pydantic model.
        table: Its values in the configuration file.
        depth: The number of levels to look into.
    """
    for names, kind in _fields(model):
        for name in names:
            if name in table:
                yield from _by_kind(kind, table[name], depth)


def texts_in_value(value: Any, depth: int = _DEEPEST) -> Iterator[str]:
    """Yield the texts of all secrets in an instance of a model.

    Args:
        value: The instance, or a part of it.
        depth: The number of levels to look into.
    """
    if isinstance(value, Secret):
        if value.is_there:
            yield value.reveal()
    elif callable(getattr(type(value), "get_secret_value", None)):
        yield from _text_of(value.get_secret_value())
    elif depth:
        for inner in _parts(value):
            yield from texts_in_value(inner, depth - 1)


def _by_kind(kind: Any, raw: Any, depth: int) -> Iterator[str]:
    if _is_secret(kind, depth):
        yield from _texts(raw)
    elif depth:
        for model in _models_in(kind):
            for table in [raw, *_parts(raw)]:
                if isinstance(table, Mapping):
                    yield from texts_by_model(model, table, depth - 1)


def _fields(model: Any) -> Iterator[tuple[list[str], Any]]:
    """Yield the names under which a table may hold each field, and the field's type."""
    known = getattr(model, "model_fields", None)
    if isinstance(known, Mapping):
        for name, field in known.items():
            alias = getattr(field, "alias", None)
            names = [name, alias, *_choices(getattr(field, "validation_alias", None))]
            yield [one for one in names if isinstance(one, str)], getattr(field, "annotation", None)
    elif is_table_model(model):
        for key in model_keys_of(model):
            yield [key.name], key.shape.annotated_type


def _choices(alias: Any) -> Iterable[Any]:
    """Return the names in a pydantic alias, which may be one or several."""
    choices = getattr(alias, "choices", None)
    return choices if isinstance(choices, list) else [alias]


def _is_secret(kind: Any, depth: int) -> bool:
    """Return whether a type is a secret, or a union or container of secrets."""
    if kind is Secret or callable(getattr(kind, "get_secret_value", None)):
        return True
    return bool(depth) and any(_is_secret(inner, depth - 1) for inner in get_args(kind))


def _models_in(kind: Any) -> Iterator[Any]:
    if is_table_model(kind) or isinstance(getattr(kind, "model_fields", None), Mapping):
        yield kind
    for inner in get_args(kind):
        yield from _models_in(inner)


def _parts(value: Any) -> Iterable[Any]:
    """Return the values in a mapping, a list or a model's instance; none for anything else."""
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, msgspec.Struct):
        return [getattr(value, name) for name in value.__struct_fields__]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    if isinstance(getattr(type(value), "model_fields", None), Mapping):
        return list(vars(value).values())
    return ()


def _texts(raw: Any) -> Iterator[str]:
    """Yield every text in a value that the file has for a secret."""
    yield from _text_of(raw)
    if not isinstance(raw, str):
        for inner in _parts(raw):
            yield from _texts(inner)


def _text_of(raw: Any) -> Iterator[str]:
    if isinstance(raw, Secret):
        yield from texts_in_value(raw)
    elif isinstance(raw, bytes):
        yield raw.decode("utf-8", "replace")
    elif isinstance(raw, str | int) and not isinstance(raw, bool):
        yield str(raw)
