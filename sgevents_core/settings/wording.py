"""Says in the words of TOML what a value is, and what a type of Python wants instead."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from sgevents_core.settings.secret import Secret
from sgevents_core.settings.spelling import meant_bool, quoted

_WORDS: Final[dict[object, tuple[str, str]]] = {
    bool: ("true or false", "true"),
    int: ("a whole number", "10"),
    float: ("a number", "1.5"),
    str: ("a string", '"..."'),
    Secret: ("a string", '{ env = "NAME" }'),
    Path: ("a path", '"folder/file"'),
    timedelta: ("a duration", '"5m"'),
    datetime: ("a date and time", "2026-01-31T08:00:00Z"),
    date: ("a date", "2026-01-31"),
    time: ("a time", "08:00:00"),
    list: ("a list", "[...]"),
    tuple: ("a list", "[...]"),
    set: ("a list", "[...]"),
    frozenset: ("a list", "[...]"),
    dict: ("a table", "{ ... }"),
}
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


def found(raw: object) -> str:
    """Say what `raw` is, in the words of TOML."""
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, (int, float)):
        return f"the number {raw}"
    if isinstance(raw, str):
        return f"the string {quoted(raw)}"
    return kind_of(raw)


def kind_of(raw: object) -> str:
    """Say of which kind `raw` is, and nothing of the value."""
    if isinstance(raw, Mapping):
        return "a table"
    if isinstance(raw, list):
        return "a list"
    if isinstance(raw, datetime):
        return "a date and time"
    if isinstance(raw, (date, time)):
        return "a date" if isinstance(raw, date) else "a time"
    return "a string" if isinstance(raw, str) else "a number"


def core_of(kind: Any) -> tuple[Any, str]:
    """Return the type inside `kind`, without `| None`, and its own limits in words."""
    limits: list[str] = []
    while True:
        if get_origin(kind) is Annotated:
            limits += [text for meta in kind.__metadata__ for text in _limits(meta)]
            kind = get_args(kind)[0]
            continue
        others = [one for one in _alternatives(kind) if one is not type(None)]
        if len(others) != 1 or others[0] is kind:
            return kind, " and ".join(limits)
        kind = others[0]


def choices(core: Any) -> list[str]:
    """Return the texts that a type allows, where it lists them; else nothing."""
    if get_origin(core) is Literal:
        return [str(one) for one in get_args(core)]
    if isinstance(core, type) and issubclass(core, Enum):
        return [str(one.value) for one in core]
    return []


def expected(kind: Any) -> str:
    """Say what a value of `kind` has to be: `expected a whole number, at least 1`."""
    core, limits = core_of(kind)
    words = [_WORDS.get(get_origin(one) or one, (_name(one), ""))[0] for one in _alternatives(core)]
    return f"expected {' or '.join(words)}{', ' * bool(limits)}{limits}"


def example(kind: Any) -> str:
    """Return what a value of `kind` may look like in TOML."""
    core, _ = core_of(kind)
    names = choices(core)
    if names:
        return quoted(names[0])
    first = next(_alternatives(core))
    return _WORDS.get(get_origin(first) or first, ("", "{ ... }"))[1]


def better(kind: Any, raw: object) -> str:
    """Guess what was meant by `raw`: with quotes or without, else an example."""
    core, _ = core_of(kind)
    if core is bool:
        return meant_bool(raw) or "true or false"
    if isinstance(raw, str) and core in (int, float):
        try:
            return str(msgspec.convert(raw.strip(), kind, strict=False)).lower()
        except msgspec.ValidationError:
            return example(kind)
    if core is str and isinstance(raw, (int, float)):
        return quoted(found(raw).removeprefix("the number "))
    is_list = (get_origin(core) or core) in (list, tuple, set, frozenset)
    return f"[{quoted(raw)}]" if isinstance(raw, str) and is_list else example(kind)


def listed(names: Iterable[str]) -> str:
    """Return names as one text."""
    return ", ".join(names) or "nothing"


def _alternatives(kind: Any) -> Iterator[Any]:
    yield from get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _limits(meta: Any) -> Iterator[str]:
    for name, text in _LIMITS.items():
        limit = getattr(meta, name, None)
        if limit is not None:
            yield text.format(f"{limit:g}" if isinstance(limit, float) else limit)


def _name(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind))
