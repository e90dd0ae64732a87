"""What the type of a key allows, said in the words of TOML."""

from __future__ import annotations

import types
from collections.abc import Iterator
from datetime import date, datetime, time
from enum import Enum
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

import msgspec

from sgevents_core.settings.kinds import KINDS_OF_TYPES, Kind
from sgevents_core.settings.spelling import meant_bool, quoted, written

_WORDS: Final[dict[object, tuple[str, str]]] = {
    bool: ("true or false", "true"),
    int: ("a whole number", "10"),
    float: ("a number", "1.5"),
    str: ("a string", '"..."'),
    datetime: ("a date and time", "2026-01-31T08:00:00Z"),
    date: ("a date", "2026-01-31"),
    time: ("a time", "08:00:00"),
    dict: ("a table", "{ ... }"),
}
_LISTS: Final = frozenset({list, tuple, set, frozenset})
_LIMITS: Final = {
    "ge": "at least {}",
    "gt": "above {}",
    "le": "at most {}",
    "lt": "below {}",
    "multiple_of": "a multiple of {}",
    "min_length": "of at least {} in length",
    "max_length": "of at most {} in length",
    "pattern": "that fits {}",
}


class Shape(NamedTuple):
    """A type without `| None` and without annotations, and what the annotations say."""

    annotated: Any
    """The type itself, with all that."""
    core: Any
    is_optional: bool
    kind: Kind | None
    """How its values are read, where msgspec does not do it."""
    metas: tuple[msgspec.Meta, ...]

    @property
    def limits(self) -> str:
        """What the annotations limit, in words; empty where they limit nothing."""
        return " and ".join(text for meta in self.metas for text in _limits(meta))

    @property
    def description(self) -> str:
        """What the key means; empty where the model does not say."""
        return next((meta.description for meta in self.metas if meta.description), "")


def shape_of(annotated: Any) -> Shape:
    """Return what the type of a key allows."""
    notes: list[Any] = []
    core, is_optional = annotated, False
    while True:
        if get_origin(core) is Annotated:
            notes += core.__metadata__
            core = get_args(core)[0]
            continue
        others = [type_ for type_ in _alternatives(core) if type_ is not type(None)]
        if len(others) != 1 or others[0] is core:
            break
        core, is_optional = others[0], True
    kinds = (note for note in notes if isinstance(note, Kind))
    metas = tuple(note for note in notes if isinstance(note, msgspec.Meta))
    kind = next(kinds, KINDS_OF_TYPES.get(core))
    return Shape(annotated, core, is_optional, kind, metas)


def choices(core: Any) -> list[str | int]:
    """Return the values that a type allows, where it lists them; else nothing."""
    if get_origin(core) is Literal:
        return list(get_args(core))
    if isinstance(core, type) and issubclass(core, Enum):
        return [member.value for member in core]
    return []


def expected(shape: Shape) -> str:
    """Say what a value has to be: `expected a whole number, at least 1`."""
    words = " or ".join(_words(type_)[0] for type_ in _alternatives(shape.core))
    return f"expected {words}, {shape.limits}".removesuffix(", ")


def example(shape: Shape, default: object = None) -> str:
    """Return what a value may look like in TOML: the default, if there is one to show."""
    if shape.kind is not None:
        return shape.kind.example
    if default and isinstance(default, str | int | float):
        return written(default)
    for choice in choices(shape.core):
        return written(choice)
    return _words(next(_alternatives(shape.core)))[1]


def better(shape: Shape, raw: object, default: object = None) -> str:
    """Guess what was meant by `raw`: with quotes or without, else an example."""
    core = shape.core
    if core is bool:
        return meant_bool(raw) or "true or false"
    if isinstance(raw, str) and core in (int, float):
        try:
            return written(msgspec.convert(raw.strip(), core, strict=False))
        except msgspec.ValidationError:
            return example(shape, default)
    if core is str and isinstance(raw, int | float):
        return quoted(written(raw))
    is_list = (get_origin(core) or core) in _LISTS
    return f"[{quoted(raw)}]" if isinstance(raw, str) and is_list else example(shape, default)


def _alternatives(core: Any) -> Iterator[Any]:
    yield from get_args(core) if get_origin(core) in (Union, types.UnionType) else (core,)


def _words(core: Any) -> tuple[str, str]:
    """Return the words for a type, and an example of it."""
    origin, inner = get_origin(core) or core, get_args(core)
    if origin in _LISTS:
        of_texts = bool(inner) and shape_of(inner[0]).core is str
        return ("a list of strings", '["..."]') if of_texts else ("a list", "[...]")
    if core in KINDS_OF_TYPES:
        return KINDS_OF_TYPES[core].words, KINDS_OF_TYPES[core].example
    return _WORDS.get(origin, (str(getattr(core, "__name__", core)), "{ ... }"))


def _limits(meta: msgspec.Meta) -> Iterator[str]:
    limits = {name: getattr(meta, name) for name in _LIMITS}
    if meta.ge is not None and meta.le is not None:
        yield f"from {limits.pop('ge'):g} to {limits.pop('le'):g}"
    if meta.min_length == 1:
        del limits["min_length"]
        yield "not empty"
    for name, limit in limits.items():
        if limit is not None:
            yield _LIMITS[name].format(f"{limit:g}" if isinstance(limit, float) else limit)
