"""The kinds of values that TOML has no type for: how each is read, and its schema for editors.

The model names them as annotated types. A kind reads the raw value and returns the checked one, or
raises `InvalidValueError`. No message shows a value that may be a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import SplitResult, urlsplit

from sgevents_core.errors import DurationError
from sgevents_core.settings.diagnostics import InvalidValueError, Reading
from sgevents_core.settings.durations import format_duration, parse_duration
from sgevents_core.settings.references import FORMS, follow, is_reference
from sgevents_core.settings.secret import IN_CONFIG, Secret
from sgevents_core.settings.spelling import described, kind_of, quoted
from sgevents_core.settings.starts import Ago, Start

Schema: TypeAlias = dict[str, Any]

REFERENCE: Final[Schema] = {"$ref": "#/$defs/reference"}
"""The schema of what stands for a value that is elsewhere."""

_SHELL: Final = re.compile(r"\$\{?([A-Z_][A-Z0-9_]*)\}?")
_LOCAL: Final = re.compile(r"(localhost|127\.|\[::1\])", re.IGNORECASE)
_EXAMPLE_PATH: Final = '"folder/file"'
_EXAMPLE_VERSION: Final = '">=1.2,<2"'
_STARTS: Final = 'start = "now", an id, a date and time with its offset, or "7d"'


@dataclass(frozen=True, slots=True, eq=False)  # so that it has a hash, which unions ask for
class Kind:
    """One kind of values; stands in the `Annotated` type of a key."""

    read: Callable[[Any, Reading], Any]
    """Returns the checked value, or raises `InvalidValueError`."""
    schema: Schema
    example: str = '"..."'
    """What a value may look like in TOML."""
    words: str = "a string"
    """What it is, after "expected"."""
    written: Callable[[Any], Any] = lambda value: value
    """Returns a checked value as it stands in the file."""


def duration(least: float = 0.0) -> Kind:
    """Return the kind of durations of at least `least` seconds, which are floats of seconds."""

    def read(raw: object, reading: Reading) -> float:
        seconds = _read_duration(raw, reading)
        if seconds < least:
            message = f"{format_duration(seconds)} is too short, the least is "
            fix = f"write {reading.setting(quoted(format_duration(least)))} or more"
            raise InvalidValueError(message + format_duration(least), fix)
        return seconds

    pattern = "^([0-9]+(\\.[0-9]+)?(ms|[dhms]))+$"
    return Kind(read, {"type": "string", "pattern": pattern}, '"5m"', written=format_duration)


def _read_duration(raw: object, reading: Reading) -> float:
    """Return seconds."""
    fix = f"write it like {reading.setting(quoted(_better_duration(raw)))}"
    if not isinstance(raw, str):
        raise InvalidValueError(f"expected a duration, got {described(raw)}", fix)
    try:
        return parse_duration(raw)
    except DurationError as error:
        message = f"{quoted(raw)} is not a duration: {error.reason}"
        raise InvalidValueError(message, fix) from None


def _better_duration(raw: object) -> str:
    """Guess what was meant, a plain number being seconds."""
    guess = re.fullmatch(r"[-+]?\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|[dhms])?", str(raw).strip())
    return f"{guess[1]}{guess[2] or 's'}" if guess else "1h30m"


def _read_start(raw: object, reading: Reading) -> Start:
    """Return where to begin, as `Start` describes it."""
    if isinstance(raw, str):
        return _start_of_text(raw)
    if isinstance(raw, int) and not isinstance(raw, bool):
        if raw < 1:
            raise InvalidValueError(f"there is no event {raw}", "1 is the first event of a site")
        return raw
    if isinstance(raw, datetime) and raw.tzinfo:
        return raw
    if isinstance(raw, datetime):
        fix = f"write {reading.setting(raw.isoformat())}Z for UTC, or the offset, as in +02:00"
        raise InvalidValueError("the date and time does not say in which time zone", fix)
    if isinstance(raw, date):
        fix = f"write {reading.setting(raw.isoformat())}T00:00:00Z for midnight UTC"
        raise InvalidValueError("a date alone does not say in which time zone", fix)
    raise InvalidValueError(f"expected a start, got {described(raw)}", f"write {_STARTS}")


def _start_of_text(raw: str) -> Start:
    if raw == "now":
        return "now"
    try:
        return Ago(parse_duration(raw))
    except DurationError as error:
        message = f"{quoted(raw)} is not a start: {error.reason}"
    if raw.isdigit() or re.match(r"\d{4}-\d\d-\d\d", raw):
        raise InvalidValueError(f"{quoted(raw)} is a string", f"leave out the quotes: {raw}")
    raise InvalidValueError(message, f"write {_STARTS}")


def _read_text(raw: object, reading: Reading) -> str:
    """Return a text that is given itself or by a reference; empty if it need not be there."""
    text = _text_of(raw, reading)
    if text != text.strip():
        raise InvalidValueError("there are spaces at an end", "leave them out")
    return text


def _text_of(raw: object, reading: Reading) -> str:
    """Return a text, empty if it need not be where the reference to it says."""
    text = _text_or_reference(raw, reading)
    return text.reveal() if text.is_there else ""


def _text_or_reference(raw: object, reading: Reading) -> Secret:
    if isinstance(raw, Mapping):
        return follow(raw, reading)
    if not isinstance(raw, str):
        raise InvalidValueError(
            f"expected a string, got {kind_of(raw)}", f"write a string, or {FORMS}"
        )
    if not raw.strip():
        raise InvalidValueError("it is empty", f"write a string, or {FORMS}")
    variable = _SHELL.fullmatch(raw)
    if variable:
        fix = f"write {reading.setting(f'{{ env = {quoted(variable[1])} }}')}"
        raise InvalidValueError("environment variables are not filled in here", fix)
    return Secret(raw, IN_CONFIG)


def _read_secret(raw: object, reading: Reading) -> Secret:
    """Return a secret that is given itself or by a reference."""
    secret = _text_or_reference(raw, reading)
    if secret.is_there and secret.reveal() != secret.reveal().strip():
        raise InvalidValueError(f"there are spaces at an end, in {secret.source}", "leave them out")
    return secret


def _read_url(raw: object, reading: Reading) -> str:
    """Return the site's address without the slash at its end."""
    whole = _text_of(raw, reading)
    text = whole.strip()
    if not text:
        return text
    if text != whole:
        reading.problem("there are spaces at an end", "leave them out")
    parts = _split(text)
    _check_url(parts)
    if parts.scheme == "http" and not _LOCAL.match(parts.netloc):
        reading.warning("the api key will travel unencrypted", f"write {_bare(parts, 'https')}")
    if not parts.path.strip("/"):
        return _bare(parts)
    fix = f"the site is most likely {_bare(parts)}"
    reading.warning(f"the url has a path, {parts.path}; the API is looked for below it", fix)
    return f"{_bare(parts)}/{parts.path.strip('/')}/"


def _split(text: str) -> SplitResult:
    fix = "write it like https://HOST"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InvalidValueError("the url cannot be read", fix) from None
    if "://" not in text:
        fix = fix if "@" in text else f"write https://{text}"
        raise InvalidValueError("the url has no scheme", fix)
    if not host or port == 0 or re.search(r"\s", text):
        raise InvalidValueError("the url names no host", fix)
    return parts


def _check_url(parts: SplitResult) -> None:
    if parts.username is not None:
        fix = "script_name and api_key are what sgevents signs in with"
        raise InvalidValueError("the url holds a user or password", fix)
    if parts.scheme not in {"http", "https"}:
        message = f"the scheme {quoted(parts.scheme)} is not that of a site"
        raise InvalidValueError(message, f"write {_bare(parts, 'https')}")
    if parts.query or parts.fragment:
        raise InvalidValueError("the url goes on after the site's address", f"write {_bare(parts)}")


def _bare(parts: SplitResult, scheme: str = "") -> str:
    return f"{scheme or parts.scheme}://{parts.netloc.lower()}"


def _read_proxy(raw: object, reading: Reading) -> str:
    """Return a proxy as the site's client takes it: `[user:password@]host[:port]`."""
    text = _read_text(raw, reading).removeprefix("http://").rstrip("/")
    server = text.rpartition("@")[2]
    if text and not re.fullmatch(r"[^:/\s]+(:\d{1,5})?", server):
        raise InvalidValueError(
            "the proxy cannot be read", "write it like host:8080 or user:pass@host:80"
        )
    return text


def _read_path(raw: object, reading: Reading) -> Path:
    """Return an absolute path; relative ones start at the configuration file's folder."""
    if not isinstance(raw, str) or not raw.strip() or "\0" in raw:
        fix = f"write {reading.setting(_EXAMPLE_PATH)}"
        raise InvalidValueError(f"expected a path, got {described(raw)}", fix)
    return _full_path(raw, reading)


def _full_path(raw: str, reading: Reading) -> Path:
    full = reading.folder / os.path.expanduser(raw)  # noqa: PTH111 - Path's raises without a home
    return Path(os.path.normpath(full))


def _read_file(raw: object, reading: Reading) -> str:
    """Return the absolute path, as a string, of a file that exists."""
    path = _read_path(raw, reading)
    try:
        is_file = path.is_file()
    except OSError as error:
        fix = "let the user that runs sgevents read it"
        raise InvalidValueError(f"{path} cannot be read: {error.strerror}", fix) from None
    if not is_file:
        fix = "the path is relative to the configuration file"
        raise InvalidValueError(f"{path} is not a file", fix)
    return str(path)


def _read_version(raw: object, reading: Reading) -> str:
    """Return a version specifier such as `>=1.2,<2`."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 - seldom used

    if not isinstance(raw, str) or not raw.strip():
        fix = f"write {reading.setting(_EXAMPLE_VERSION)}"
        raise InvalidValueError(f"expected a version specifier, got {described(raw)}", fix)
    try:
        return str(SpecifierSet(raw))
    except InvalidSpecifier:
        number = re.fullmatch(r"\s*v?(\d[\w.]*)\s*", raw)
        better = quoted(f"=={number[1]}") if number else _EXAMPLE_VERSION
        fix = f"write {reading.setting(better)}"
        raise InvalidValueError(f"{quoted(raw)} is not a version specifier", fix) from None


def _read_own(raw: object, reading: Reading) -> dict[str, Any]:
    """Return a plugin's own settings, with a `Secret` wherever a reference stands."""
    if not isinstance(raw, Mapping):
        fix = "write a table below it, [plugins.NAME.settings]"
        raise InvalidValueError(f"expected a table, got {described(raw)}", fix)
    return {key: _resolved(value, reading, key) for key, value in raw.items()}


def _resolved(raw: Any, reading: Reading, *inside: str | int) -> Any:
    if is_reference(raw):
        try:
            return follow(raw, reading, *inside)
        except InvalidValueError as error:
            reading.problem(error.message, error.fix, *inside)
            return None
    if isinstance(raw, Mapping):
        return {key: _resolved(value, reading, *inside, key) for key, value in raw.items()}
    if isinstance(raw, list):
        return [_resolved(value, reading, *inside, index) for index, value in enumerate(raw)]
    return raw


def _read_secret_of_plugin(raw: object, reading: Reading) -> Secret:
    """Return a secret of a plugin, any text; its reference has been followed before."""
    if isinstance(raw, Secret):
        return raw
    if isinstance(raw, str):
        return Secret(raw, IN_CONFIG)
    raise InvalidValueError(f"expected a string, got {kind_of(raw)}", f"write a string, or {FORMS}")


def _read_path_of_plugin(raw: object, reading: Reading) -> Path:
    """Return an absolute path; an empty one is the configuration file's folder."""
    if not isinstance(raw, str):
        fix = f"write {reading.setting(_EXAMPLE_PATH)}"
        raise InvalidValueError(f"expected a path, got {described(raw)}", fix)
    return _full_path(raw, reading)


def _read_timedelta(raw: object, reading: Reading) -> timedelta:
    return timedelta(seconds=_read_duration(raw, reading))


_TEXT: Final[Schema] = {"type": "string", "minLength": 1}
_REFERABLE: Final[Schema] = {"anyOf": [_TEXT, REFERENCE]}
_URL: Final[Schema] = {"anyOf": [{"type": "string", "pattern": "^https?://"}, REFERENCE]}
_START: Final[Schema] = {"anyOf": [_TEXT, {"type": "integer", "minimum": 1}]}

AnyStart: TypeAlias = Annotated[Start, Kind(_read_start, _START)]
Text: TypeAlias = Annotated[str, Kind(_read_text, _REFERABLE)]
"""A text that may be given by a reference, as the next three may."""
SecretText: TypeAlias = Annotated[
    Secret, Kind(_read_secret, _REFERABLE, '{ env = "SGEVENTS_API_KEY" }')
]
Url: TypeAlias = Annotated[str, Kind(_read_url, _URL, '"https://YOUR-SITE.shotgrid.autodesk.com"')]
Proxy: TypeAlias = Annotated[str, Kind(_read_proxy, _REFERABLE)]
AnyPath: TypeAlias = Annotated[Path, Kind(_read_path, _TEXT, written=str)]
ExistingFile: TypeAlias = Annotated[str, Kind(_read_file, _TEXT)]
Version: TypeAlias = Annotated[str, Kind(_read_version, _TEXT)]
OwnSettings: TypeAlias = Annotated[dict[str, Any], Kind(_read_own, {"type": "object"})]
"""A plugin's own settings, with a `Secret` wherever a reference stands."""

KINDS_OF_TYPES: Final[Mapping[object, Kind]] = {
    Secret: Kind(_read_secret_of_plugin, {"type": "string"}, '{ env = "NAME" }'),
    Path: Kind(_read_path_of_plugin, {"type": "string"}, _EXAMPLE_PATH, "a path"),
    timedelta: Kind(_read_timedelta, {"type": "string"}, '"5m"', "a duration"),
}
"""Types in the models of plugins -> their kinds."""
