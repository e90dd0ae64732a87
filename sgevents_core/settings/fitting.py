"""Fits a table of the configuration to a dataclass or a msgspec Struct, collecting every problem.

No message shows a text that came from a reference: it may be a secret.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args, get_origin
from typing import get_type_hints as hints_of

import msgspec

from sgevents_core.errors import DurationError, SecretMissingError
from sgevents_core.settings.durations import parse_duration
from sgevents_core.settings.locate import Where
from sgevents_core.settings.secret import IN_CONFIG, Secret
from sgevents_core.settings.spelling import nearest
from sgevents_core.settings.wording import (
    better,
    choices,
    core_of,
    example,
    expected,
    found,
    kind_of,
    listed,
)

_LISTS: Final[dict[object, type]] = {list: list, set: set, frozenset: frozenset}
_ANYTHING: Final = (Any, object)


class Wrong(NamedTuple):
    """One thing to put right in a table: where in it, what is wrong, what helps."""

    where: Where
    message: str
    fix: str


class Key(NamedTuple):
    """One key that a model knows."""

    name: str
    """As it is written in the table."""
    attribute: str
    kind: Any
    """Its type, with annotations."""
    required: bool


def is_table_model(kind: object) -> bool:
    """Whether `kind` is a class that `Fitter` can make of a table."""
    is_struct = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    return is_struct or (isinstance(kind, type) and dataclasses.is_dataclass(kind))


def keys_of(model: Any) -> list[Key]:
    """Return the keys that `model`, a dataclass or Struct with type hints, knows."""
    if issubclass(model, msgspec.Struct):
        return [
            Key(one.encode_name, one.name, one.type, one.required)
            for one in msgspec.structs.fields(model)
        ]
    hints = hints_of(model, include_extras=True)
    return [
        Key(one.name, one.name, hints[one.name], _is_required(one))
        for one in dataclasses.fields(model)
        if one.init
    ]


class Fitter:
    """Makes values of the types that a model wants; what is wrong is collected in `wrong`.

    Args:
        folder: Where relative paths start.
    """

    def __init__(self, folder: Path) -> None:
        self.wrong: list[Wrong] = []
        self._folder = folder

    def table(self, model: Any, raw: Mapping[str, Any], where: Where = ()) -> Any:
        """Return the table `raw` as an instance of `model`; None if something is wrong with it."""
        before = len(self.wrong)
        values: dict[str, Any] = {}
        known = keys_of(model)
        for key in known:
            if key.name in raw:
                values[key.attribute] = self._value(key.kind, raw[key.name], (*where, key.name))
            elif key.required:
                fix = f"add {key.name} = {example(key.kind)}"
                self._note((*where, key.name), "it is missing", fix)
        self._unknown(raw, [key.name for key in known], where)
        if len(self.wrong) > before:
            return None
        try:
            return model(**values)
        except (ValueError, TypeError) as error:  # what a model's __post_init__ has against it
            message = str(error) or type(error).__name__
            self._note(where, message, "correct the values in this table")
            return None

    def _unknown(self, raw: Mapping[str, Any], known: list[str], where: Where) -> None:
        for name in raw:
            if name not in known:
                meant = nearest(name, known)
                fix = f"did you mean {meant}?" if meant else f"the plugin knows {listed(known)}"
                self._note((*where, name), "there is no such key", fix)

    def _note(self, where: Where, message: str, fix: str) -> None:
        self.wrong.append(Wrong(where, message, fix))

    def _value(self, kind: Any, raw: Any, where: Where) -> Any:
        """Return `raw` as `kind`, or note what is wrong."""
        core, limits = core_of(kind)
        if core in _ANYTHING:
            return raw
        if core is Secret:
            return self._secret(raw, where)
        if is_table_model(core) and isinstance(raw, Mapping):
            return self.table(core, raw, where)
        if not limits and self._is_list(core, raw):
            return self._list(core, raw, where)
        if not limits and self._is_dict(core, raw):
            inner = get_args(core)[1]
            return {name: self._value(inner, one, (*where, name)) for name, one in raw.items()}
        return self._plain(kind, core, raw, where)

    def _secret(self, raw: Any, where: Where) -> Any:
        if isinstance(raw, Secret):
            return raw
        if isinstance(raw, str):
            return Secret(raw, IN_CONFIG)
        self._note(where, f"expected a string, got {kind_of(raw)}", 'write "..." or a reference')
        return None

    def _is_list(self, core: Any, raw: Any) -> bool:
        inner = get_args(core)
        is_tuple = get_origin(core) is tuple and len(inner) == 2 and inner[1] is ...
        return isinstance(raw, list) and bool(inner) and (is_tuple or get_origin(core) in _LISTS)

    def _is_dict(self, core: Any, raw: Any) -> bool:
        return isinstance(raw, dict) and get_origin(core) is dict and get_args(core)[0] is str

    def _list(self, core: Any, raw: list[Any], where: Where) -> Any:
        inner = get_args(core)[0]
        before = len(self.wrong)
        values = [self._value(inner, one, (*where, at)) for at, one in enumerate(raw)]
        if len(self.wrong) > before:
            return None
        return _LISTS.get(get_origin(core), tuple)(values)

    def _plain(self, kind: Any, core: Any, raw: Any, where: Where) -> Any:
        """Return a value that has no parts with a place of their own."""
        referred = raw if isinstance(raw, Secret) else None
        try:
            text = revealed(raw)
            if core is timedelta and isinstance(text, str):
                return timedelta(seconds=parse_duration(text))
            if core is Path and isinstance(text, str):
                return self._path(text)
            return msgspec.convert(text, kind, strict=referred is None, dec_hook=self._converted)
        except SecretMissingError:
            source = referred.source if referred else "a text that it refers to"
            self._note(where, f"{source} is not there", "put it there, or write the value itself")
        except DurationError as error:
            message = error.reason if referred is None else f"the text of {referred.source} is none"
            self._note(where, f"expected a duration: {message}", f'write {where[-1]} = "1h30m"')
        except msgspec.ValidationError as error:
            self._unfit(kind, core, raw, where, str(error))
        return None

    def _unfit(self, kind: Any, core: Any, raw: Any, where: Where, message: str) -> None:
        key = str(where[-1])
        if isinstance(raw, Secret):
            message = f"{expected(kind)}, and {raw.source} holds something else"
            self._note(where, message, "correct the text there")
            return
        names = choices(core)
        if names:
            meant = nearest(raw, names) if isinstance(raw, str) else None
            fix = f'did you mean "{meant}"?' if meant else f"one of {listed(names)}"
            self._note(where, f"expected one of {listed(names)}, got {found(raw)}", fix)
            return
        inside = message.partition(" - at `$")[2].rstrip("`")
        place = f" (at {inside.lstrip('.')})" if inside else ""
        told = f"{expected(kind)}, got {found(raw)}{place}"
        self._note(where, told, f"write {key} = {better(kind, raw)}")

    def _path(self, text: str) -> Path:
        expanded = os.path.expanduser(text)  # noqa: PTH111 - Path's raises without a home
        return Path(os.path.normpath(self._folder / expanded))

    def _converted(self, kind: type, value: Any) -> Any:
        """Make what msgspec has no type for, inside of unions and other parts it reads as one."""
        if kind is Secret and isinstance(value, str):
            return Secret(value, IN_CONFIG)
        if kind is Path and isinstance(value, str):
            return self._path(value)
        raise ValueError(f"no {kind.__name__} can be made of {kind_of(value)}")


def revealed(raw: Any) -> Any:
    """Return `raw` with the text in place of every Secret, however deep.

    Raises:
        SecretMissingError: One of them was not found.
    """
    if isinstance(raw, Secret):
        return raw.reveal()
    if isinstance(raw, Mapping):
        return {name: revealed(one) for name, one in raw.items()}
    if isinstance(raw, list):
        return [revealed(one) for one in raw]
    return raw


def _is_required(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing
