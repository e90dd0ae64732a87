"""Turns the tables of a configuration file into settings, collecting every problem on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, cast, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo, fields

from sgevents_core.errors import Problem
from sgevents_core.settings.durations import format_duration
from sgevents_core.settings.locate import Locator, Where
from sgevents_core.settings.references import Around, WrongValueError
from sgevents_core.settings.secret import Secret
from sgevents_core.settings.spelling import dotted, meant_bool, nearest, quoted
from sgevents_core.settings.values import READERS
from sgevents_core.settings.wording import found

S = TypeVar("S", bound=msgspec.Struct)
_STAND_INS: Final = {"secret": Secret(None)}
_WORDS: Final = {
    int: ("a whole number", "10"),
    bool: ("true or false", "true"),
    str: ("a string", '"..."'),
    tuple: ("a list of strings", '["..."]'),
}


class Reader:
    """Reads tables of one file; the problems and warnings so far are its attributes."""

    def __init__(self, file: Path, text: str, *, folder: Path, secrets: bool) -> None:
        """Read for `file`, whose text is `text`, with paths relative to `folder`.

        `secrets` says whether a secret that is not where it should be is a problem.
        """
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._wrong: set[Where] = set()
        self._file = file
        self._lines = Locator(text)
        self._folder = folder
        self._secrets = secrets

    def problem(self, where: Where, message: str, fix: str) -> None:
        """Note that the value at `where` cannot be used."""
        self._wrong.add(where)
        self.problems.append(self._noted(where, message, fix))

    def warning(self, where: Where, message: str, fix: str) -> None:
        """Note that the value at `where` is allowed but hardly meant."""
        self.warnings.append(self._noted(where, message, fix))

    def right(self, *places: Where) -> bool:
        """Tell whether nothing has been found wrong at any of `places`."""
        return self._wrong.isdisjoint(places)

    def _noted(self, where: Where, message: str, fix: str) -> Problem:
        return Problem(self._file, self._lines.line(where), dotted(where), message, fix)

    def table(self, raw: object, where: Where, example: str) -> Mapping[str, Any]:
        """Return `raw` if it is a table, else note that and return an empty one."""
        if isinstance(raw, Mapping):
            return raw
        self.problem(where, f"expected a table, got {found(raw)}", f"write {example}")
        return {}

    def struct(
        self, model: type[S], raw: Mapping[str, Any], where: Where, *, secrets: bool = True
    ) -> S:
        """Return the table `raw` as `model`; what is wrong or missing is noted and stood in for.

        Unknown keys are not this method's business. With `secrets=False` missing ones are fine.
        """
        values: dict[str, Any] = {}
        for key in fields(model):
            place = (*where, key.name)
            if key.name in raw:
                self._value(key, raw[key.name], place, values, secrets)
            elif key.required:
                self.problem(place, "it is missing", f"add {key.name} = {_example(key)}")
            if key.required:
                values.setdefault(key.name, _STAND_INS.get(key_kind(key), ""))
        return model(**values)

    def _value(
        self, key: FieldInfo, raw: object, where: Where, values: dict[str, Any], secrets: bool
    ) -> None:
        """Put the value of `key` into `values` if it is right."""
        around = Around(
            key=key.name,
            folder=self._folder,
            secrets=self._secrets and secrets,
            problem=lambda message, fix, *inside: self.problem((*where, *inside), message, fix),
            warning=lambda message, fix, *inside: self.warning((*where, *inside), message, fix),
        )
        read = READERS.get(key_kind(key))
        try:
            value = read(raw, around) if read else _convert(key, raw)
            _check_limits(key, value)
        except WrongValueError as error:
            self.problem(where, error.message, error.fix)
        else:
            values[key.name] = value


def key_kind(key: FieldInfo) -> str:
    """Return the kind of value that the model says a key takes; empty where its type says it."""
    for meta in getattr(key.type, "__metadata__", ()):
        if meta.extra:
            return str(meta.extra["kind"])
    return ""


def _convert(key: FieldInfo, raw: object) -> Any:
    try:
        return msgspec.convert(raw, key.type)
    except msgspec.ValidationError:
        raise WrongValueError(*_what_is_wrong(key, raw)) from None


def _what_is_wrong(key: FieldInfo, raw: object) -> tuple[str, str]:
    core, limits = _core(key.type)
    if get_origin(core) is Literal:
        names = get_args(core)
        meant = nearest(raw, names) if isinstance(raw, str) else None
        fix = f"did you mean {quoted(meant)}?" if meant else f"one of {_quoted_all(names)}"
        return f"expected one of {_quoted_all(names)}, got {found(raw)}", fix
    words, _ = _WORDS[get_origin(core) or core]
    return f"expected {words}{limits}, got {found(raw)}", f"write {key.name} = {_better(key, raw)}"


def _core(kind: Any) -> tuple[Any, str]:
    """Return the plain type inside `kind`, without None, and its limits in words."""
    limits = ""
    while get_origin(kind) is Annotated or type(None) in get_args(kind):
        if get_origin(kind) is Annotated:
            limits = "".join(_limits(meta) for meta in kind.__metadata__)
        kind = get_args(kind)[0]
    return kind, limits


def _limits(meta: msgspec.Meta) -> str:
    if meta.ge is not None and meta.le is not None:
        return f" from {meta.ge:g} to {meta.le:g}"
    return f" of at least {meta.ge:g}" if meta.ge is not None else ""


def _better(key: FieldInfo, raw: object) -> str:
    """Guess what was meant: the text in the quotes, else the default."""
    core, _ = _core(key.type)
    if core is bool:
        return meant_bool(raw) or "true or false"
    if isinstance(raw, str) and core is int:
        try:
            return str(msgspec.convert(raw.strip(), key.type, strict=False)).lower()
        except msgspec.ValidationError:
            return _example(key)
    return f'["{raw}"]' if isinstance(raw, str) and get_origin(core) is tuple else _example(key)


def _example(key: FieldInfo) -> str:
    if key_kind(key) == "url":
        return '"https://YOUR-SITE.shotgrid.autodesk.com"'
    if key_kind(key) == "secret":
        return '{ env = "SGEVENTS_API_KEY" }'
    core, _ = _core(key.type)
    if isinstance(key.default, (int, str)) and key.default != "":
        return str(key.default).lower() if core is not str else quoted(str(key.default))
    return _WORDS.get(get_origin(core) or core, ("", '"..."'))[1]


def _check_limits(key: FieldInfo, value: object) -> None:
    """Hold a duration above its least; other limits are held by the conversion."""
    if key_kind(key) != "duration" or not isinstance(value, float):
        return
    for meta in cast(Any, key.type).__metadata__:
        if meta.ge is not None and value < meta.ge:
            least = format_duration(meta.ge)
            message = f"{format_duration(value)} is too short, the least is {least}"
            raise WrongValueError(message, f'write {key.name} = "{least}" or more')


def _quoted_all(names: Iterable[str]) -> str:
    return ", ".join(quoted(name) for name in names)
