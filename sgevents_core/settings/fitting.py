"""Fits a table of the configuration to a dataclass or a msgspec Struct, collecting every problem.

The tables of sgevents and those of plugins are fitted alike. No message shows a text that came from
a reference: it may be a secret.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, get_args, get_origin
from typing import get_type_hints as hints_of

import msgspec

from sgevents_core.errors import SecretMissingError
from sgevents_core.settings.diagnostics import Diagnostics, InvalidValueError, Reading, setting
from sgevents_core.settings.kinds import KINDS_OF_TYPES
from sgevents_core.settings.locate import Where
from sgevents_core.settings.secret import Secret
from sgevents_core.settings.shapes import Shape, better, choices, example, expected, shape_of
from sgevents_core.settings.spelling import described, kind_of, listed, nearest, written

UnknownFix: TypeAlias = Callable[[str, object, list[str], Where], str]
"""Makes the fix for an unknown key of the key, its value, the known keys and the table."""

_LISTS: Final[dict[object, type]] = {list: list, tuple: tuple, set: set, frozenset: frozenset}
_ANYTHING: Final = (Any, object)


class Key(NamedTuple):
    """One key that a model knows."""

    name: str
    """As it is written in the table."""
    attribute: str
    shape: Shape
    required: bool
    default: Any
    """None where there is none, or where it is made anew each time."""


def is_table_model(model: object) -> bool:
    """Return whether `model` is a class that `Fitter` can make of a table."""
    is_struct = isinstance(model, type) and issubclass(model, msgspec.Struct)
    return is_struct or (isinstance(model, type) and dataclasses.is_dataclass(model))


@lru_cache(maxsize=128)  # finding type hints takes longer than all the rest of fitting
def keys_of(model: Any) -> tuple[Key, ...]:
    """Return the keys that `model`, a dataclass or Struct with type hints, knows."""
    return tuple(_found_keys(model))


def _found_keys(model: Any) -> Iterator[Key]:
    if issubclass(model, msgspec.Struct):
        for field in msgspec.structs.fields(model):
            shape, default = shape_of(field.type), _shown(field.default)
            yield Key(field.encode_name, field.name, shape, field.required, default)
        return
    hints = hints_of(model, include_extras=True)
    for given in (field for field in dataclasses.fields(model) if field.init):
        shape, default = shape_of(hints[given.name]), _shown(given.default)
        yield Key(given.name, given.name, shape, _is_required(given), default)


def unknown_key_fix(name: str, known: Iterable[str]) -> str:
    """Return what helps against a key that a plugin's model does not know."""
    meant = nearest(name, known)
    return f"did you mean {meant}?" if meant else f"the plugin knows {listed(known)}"


class Fitter:
    """Makes values of the types that a model wants.

    Args:
        folder: Where relative paths start.
        diagnostics: Takes what is wrong.
        needs_texts: Whether it is a problem if a text is not where a reference says.
        unknown_fix: What helps against an unknown key; None for what it is with plugins.
    """

    def __init__(
        self,
        folder: Path,
        diagnostics: Diagnostics,
        *,
        needs_texts: bool = True,
        unknown_fix: UnknownFix | None = None,
    ) -> None:
        self._folder = folder
        self._diagnostics = diagnostics
        self._needs_texts = needs_texts
        self._unknown_fix = unknown_fix

    def table(self, model: Any, raw: Mapping[str, Any], where: Where = ()) -> Any:
        """Return the table `raw` as an instance of `model`; None if something is wrong with it."""
        before = len(self._diagnostics.problems)
        values = self.values(model, raw, where)
        if len(self._diagnostics.problems) > before:
            return None
        try:
            return model(**values)
        except (ValueError, TypeError) as error:  # raised by a model's __post_init__
            message = str(error) or type(error).__name__
            self._diagnostics.problem(where, message, "correct the values in this table")
            return None

    def values(self, model: Any, raw: Mapping[str, Any], where: Where) -> dict[str, Any]:
        """Return the valid values in the table `raw` by the attributes of `model`."""
        values: dict[str, Any] = {}
        known = keys_of(model)
        for key in known:
            place = (*where, key.name)
            if key.name in raw:
                before = len(self._diagnostics.problems)
                value = self._value(key.shape, raw[key.name], place, key.default)
                if len(self._diagnostics.problems) == before:
                    values[key.attribute] = value
            elif key.required:
                fix = f"add {key.name} = {example(key.shape)}"
                self._diagnostics.problem(place, "it is missing", fix)
        self.check_names(raw, [key.name for key in known], where)
        return values

    def check_names(self, raw: Mapping[str, Any], known: Iterable[str], where: Where) -> None:
        """Record every key of the table `raw` that is not `known`."""
        names = list(known)
        for name, value in raw.items():
            if name not in names:
                message = f"there is no such {'table' if _is_table(value) else 'key'}"
                fix = (
                    self._unknown_fix(name, value, names, where)
                    if self._unknown_fix
                    else unknown_key_fix(name, names)
                )
                self._diagnostics.problem((*where, name), message, fix)

    def _value(self, shape: Shape, raw: Any, where: Where, default: object = None) -> Any:
        """Return `raw` as `shape` wants it, or record what is wrong."""
        core = shape.core
        if core in _ANYTHING or (raw is None and shape.is_optional):
            return raw
        if isinstance(raw, Secret) and core is not Secret:
            return self._referred(shape, raw, where)
        if is_table_model(core) and isinstance(raw, Mapping):
            return self.table(core, raw, where)
        if isinstance(raw, list) and _has_equal_members(shape):
            return self._list(core, raw, where)
        if isinstance(raw, Mapping) and _has_named_members(shape):
            inner = shape_of(get_args(core)[1])
            return {name: self._value(inner, raw[name], (*where, name)) for name in raw}
        return self._single(shape, raw, where, default)

    def _single(self, shape: Shape, raw: Any, where: Where, default: object) -> Any:
        try:
            return self._read(shape, raw, where, default)
        except InvalidValueError as error:
            self._diagnostics.problem(where, error.message, error.fix)
            return None

    def _list(self, core: Any, raw: list[Any], where: Where) -> Any:
        inner = shape_of(get_args(core)[0])
        before = len(self._diagnostics.problems)
        values = [self._value(inner, member, (*where, index)) for index, member in enumerate(raw)]
        if len(self._diagnostics.problems) > before:
            return None
        return _LISTS[get_origin(core)](values)

    def _referred(self, shape: Shape, raw: Secret, where: Where) -> Any:
        """Return the text of a reference as `shape` wants it, a number in it being a number."""
        try:
            return self._read(shape, raw.reveal(), where, strict=False)
        except SecretMissingError:
            fix = "put it there, or write the value itself"
            self._diagnostics.problem(where, f"{raw.source} is not there", fix)
        except InvalidValueError:
            message = f"{expected(shape)}, and {raw.source} holds something else"
            self._diagnostics.problem(where, message, "correct the text there")
        return None

    def _read(
        self,
        shape: Shape,
        raw: Any,
        where: Where,
        default: object = None,
        *,
        strict: bool = True,
    ) -> Any:
        """Return a value that has no parts with a place of their own."""
        reading = Reading(where, self._folder, self._diagnostics, self._needs_texts)
        if shape.kind is not None:
            return shape.kind.read(raw, reading)

        def converted(inner: type, value: Any) -> Any:
            """Make what msgspec has no type for, within what it reads as a whole."""
            kind = KINDS_OF_TYPES.get(inner)
            if kind is None:
                raise ValueError(f"no {inner.__name__} can be made of {kind_of(value)}")
            return kind.read(value, reading)

        try:
            text = revealed(raw)
            return msgspec.convert(text, shape.annotated, strict=strict, dec_hook=converted)
        except SecretMissingError:
            message = "a text that it refers to is not there"
            fix = "put it there, or write the value itself"
        except msgspec.ValidationError:
            message, fix = _unfit(shape, raw, where, default)
        raise InvalidValueError(message, fix)


def _unfit(shape: Shape, raw: Any, where: Where, default: object) -> tuple[str, str]:
    """Return what is wrong with a value that does not have the type of its key, and the fix."""
    allowed = choices(shape.core)
    if not allowed:
        fix = f"write {setting(where, better(shape, raw, default))}"
        return f"{expected(shape)}, got {described(raw)}", fix
    names = listed(written(choice) for choice in allowed)
    meant = nearest(raw, map(str, allowed)) if isinstance(raw, str) else None
    fix = f"did you mean {written(meant)}?" if meant else f"one of {names}"
    return f"expected one of {names}, got {described(raw)}", fix


def revealed(raw: Any) -> Any:
    """Return `raw` with the text in place of every Secret, however deep.

    Raises:
        SecretMissingError: One of them was not found.
    """
    if isinstance(raw, Secret):
        return raw.reveal()
    if isinstance(raw, Mapping):
        return {name: revealed(value) for name, value in raw.items()}
    if isinstance(raw, list):
        return [revealed(value) for value in raw]
    return raw


def _is_table(value: object) -> bool:
    """Return whether `value` is written as `[table]` or `[[table]]`."""
    return isinstance(value, Mapping) or (
        isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)
    )


def _has_equal_members(shape: Shape) -> bool:
    """Return whether a type is a list, a set or a tuple of any length, of one type.

    One with limits is left to msgspec as a whole.
    """
    origin, inner = get_origin(shape.core), get_args(shape.core)
    if origin is tuple and (len(inner) != 2 or inner[1] is not ...):
        return False
    return origin in _LISTS and bool(inner) and not shape.limits


def _has_named_members(shape: Shape) -> bool:
    """Return whether a type is a mapping from text that is not read as a whole."""
    if shape.kind is not None or shape.limits or get_origin(shape.core) is not dict:
        return False
    return get_args(shape.core)[0] is str


def _shown(default: Any) -> Any:
    return None if default is msgspec.NODEFAULT or default is dataclasses.MISSING else default


def _is_required(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing
