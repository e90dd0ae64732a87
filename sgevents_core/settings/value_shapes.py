"""Describe in TOML's terms the values that the type of a key allows."""

from __future__ import annotations

import types
from collections.abc import Iterator
from datetime import date, datetime, time
from enum import Enum
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

import msgspec

from sgevents_core.settings.spelling import intended_bool, toml_literal, toml_string
from sgevents_core.settings.value_kinds import KINDS_BY_TYPE, ValueKind

_TYPE_WORDS: Final[dict[object, tuple[str, str]]] = {
    bool: ("true or false", "true"),
    int: ("a whole number", "10"),
    float: ("a number", "1.5"),
    str: ("a string", '"..."'),
    datetime: ("a date and time", "2026-01-31T08:00:00Z"),
    date: ("a date", "2026-01-31"),
    time: ("a time", "08:00:00"),
    dict: ("a table", "{ ... }"),
}
_LIST_TYPES: Final = frozenset({list, tuple, set, frozenset})
_LIMIT_WORDS: Final = {
    "ge": "at least {}",
    "gt": "above {}",
    "le": "at most {}",
    "lt": "below {}",
    "multiple_of": "a multiple of {}",
    "min_length": "of at least {} in length",
    "max_length": "of at most {} in length",
    "pattern": "that fits {}",
}


class ValueShape(NamedTuple):
    """A type without `| None` and annotations, and the content of the annotations."""

    annotated_type: Any
    """The whole annotated type."""
    core_type: Any
    is_optional: bool
    value_kind: ValueKind | None
    """Reads its values, for types that msgspec does not read."""
    meta_annotations: tuple[msgspec.Meta, ...]

    @property
    def limits(self) -> str:
        """The limits from the annotations, in words; empty if there are none."""
        return " and ".join(text for meta in self.meta_annotations for text in _limit_texts(meta))

    @property
    def description(self) -> str:
        """The meaning of the key; empty if the model has no description."""
        return next((meta.description for meta in self.meta_annotations if meta.description), "")


def shape_of(annotated_type: Any) -> ValueShape:
    """Return a description of the values that the type of a key allows."""
    annotations: list[Any] = []
    core_type, is_optional = annotated_type, False
    while True:
        if get_origin(core_type) is Annotated:
            annotations += core_type.__metadata__
            core_type = get_args(core_type)[0]
            continue
        other_types = [type_ for type_ in _alternatives(core_type) if type_ is not type(None)]
        if len(other_types) != 1 or other_types[0] is core_type:
            break
        core_type, is_optional = other_types[0], True
    value_kinds = (note for note in annotations if isinstance(note, ValueKind))
    meta_annotations = tuple(note for note in annotations if isinstance(note, msgspec.Meta))
    value_kind = next(value_kinds, KINDS_BY_TYPE.get(core_type))
    return ValueShape(annotated_type, core_type, is_optional, value_kind, meta_annotations)


def allowed_choices(core_type: Any) -> list[str | int]:
    """Return the values that a type allows, where it lists them; else nothing."""
    if get_origin(core_type) is Literal:
        return list(get_args(core_type))
    if isinstance(core_type, type) and issubclass(core_type, Enum):
        return [member.value for member in core_type]
    return []


def expected_text(shape: ValueShape) -> str:
    """Return the values that are expected: `expected a whole number, at least 1`."""
    type_words = " or ".join(_words_for_type(type_)[0] for type_ in _alternatives(shape.core_type))
    return f"expected {type_words}, {shape.limits}".removesuffix(", ")


def example_value(shape: ValueShape, default: object = None) -> str:
    """Return a sample value in TOML: the default or an example, if there is one."""
    if shape.value_kind is not None:
        return shape.value_kind.example
    if default and isinstance(default, str | int | float):
        return toml_literal(default)
    for example in (example for meta in shape.meta_annotations for example in meta.examples or ()):
        return toml_literal(example)
    for choice in allowed_choices(shape.core_type):
        return toml_literal(choice)
    return _words_for_type(next(_alternatives(shape.core_type)))[1]


def corrected_value(shape: ValueShape, raw_value: object, default: object = None) -> str:
    """Suggest a correction of `raw_value`: with or without quotes, otherwise an example."""
    core_type = shape.core_type
    if core_type is bool:
        return intended_bool(raw_value) or "true or false"
    if isinstance(raw_value, str) and core_type in (int, float):
        try:
            return toml_literal(msgspec.convert(raw_value.strip(), core_type, strict=False))
        except msgspec.ValidationError:
            return example_value(shape, default)
    if core_type is str and isinstance(raw_value, int | float):
        return toml_string(toml_literal(raw_value))
    is_list_type = (get_origin(core_type) or core_type) in _LIST_TYPES
    return (
        f"[{toml_string(raw_value)}]"
        if isinstance(raw_value, str) and is_list_type
        else example_value(shape, default)
    )


def _alternatives(core_type: Any) -> Iterator[Any]:
    yield from (
        get_args(core_type) if get_origin(core_type) in (Union, types.UnionType) else (core_type,)
    )


def _words_for_type(core_type: Any) -> tuple[str, str]:
    """Return the words for a type, and an example of it."""
    origin, type_arguments = get_origin(core_type) or core_type, get_args(core_type)
    if origin in _LIST_TYPES:
        holds_strings = bool(type_arguments) and shape_of(type_arguments[0]).core_type is str
        return ("a list of strings", '["..."]') if holds_strings else ("a list", "[...]")
    if core_type in KINDS_BY_TYPE:
        return KINDS_BY_TYPE[core_type].type_words, KINDS_BY_TYPE[core_type].example
    return _TYPE_WORDS.get(origin, (str(getattr(core_type, "__name__", core_type)), "{ ... }"))


def _limit_texts(meta: msgspec.Meta) -> Iterator[str]:
    limits_by_name = {name: getattr(meta, name) for name in _LIMIT_WORDS}
    if meta.ge is not None and meta.le is not None:
        yield f"from {limits_by_name.pop('ge'):g} to {limits_by_name.pop('le'):g}"
    if meta.min_length == 1:
        del limits_by_name["min_length"]
        yield "not empty"
    for name, limit_value in limits_by_name.items():
        if limit_value is not None:
            yield _LIMIT_WORDS[name].format(
                f"{limit_value:g}" if isinstance(limit_value, float) else limit_value
            )
