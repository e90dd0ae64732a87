"""Reads one value of the configuration: the kinds that TOML has no type for.

Each reader takes the raw value and returns the checked one, or raises `WrongValueError`. None of
them shows a value that may be a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from sgevents_core.errors import DurationError
from sgevents_core.settings.durations import parse_duration
from sgevents_core.settings.model import Ago, Start
from sgevents_core.settings.references import FORMS, Around, WrongValueError, follow, is_reference
from sgevents_core.settings.secret import IN_CONFIG, Secret
from sgevents_core.settings.spelling import nearest, quoted
from sgevents_core.settings.wording import found, kind_of

_SHELL: Final = re.compile(r"\$\{?([A-Z_][A-Z0-9_]*)\}?")
_LOCAL: Final = re.compile(r"(localhost|127\.|\[::1\])", re.IGNORECASE)
_STARTS: Final = 'start = "now", an id, a date and time with its offset, or "7d"'


def read_duration(raw: object, around: Around) -> float:
    """Return seconds."""
    if isinstance(raw, str):
        try:
            return parse_duration(raw)
        except DurationError as error:
            fix = f"write it like {around.key} = {quoted(_better_duration(raw))}"
            raise WrongValueError(f"{quoted(raw)} is no duration: {error.reason}", fix) from None
    fix = f"write it like {around.key} = {quoted(_better_duration(raw))}"
    raise WrongValueError(f"expected a duration, got {found(raw)}", fix)


def _better_duration(raw: object) -> str:
    """Guess what was meant, a plain number being seconds."""
    guess = re.fullmatch(r"[-+]?\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|[dhms])?", str(raw).strip())
    return f"{guess[1]}{guess[2] or 's'}" if guess else "1h30m"


def read_start(raw: object, around: Around) -> Start:
    """Return where to begin, as `Start` describes it."""
    if isinstance(raw, str):
        return _start_of_text(raw)
    if isinstance(raw, int) and not isinstance(raw, bool):
        if raw < 1:
            raise WrongValueError(f"there is no event {raw}", "1 is the first event of a site")
        return raw
    if isinstance(raw, datetime) and raw.tzinfo:
        return raw
    if isinstance(raw, datetime):
        fix = f"write {around.key} = {raw.isoformat()}Z for UTC, or the offset, as in +02:00"
        raise WrongValueError("the date and time does not say in which time zone", fix)
    if isinstance(raw, date):
        fix = f"write {around.key} = {raw.isoformat()}T00:00:00Z for midnight UTC"
        raise WrongValueError("a date alone does not say in which time zone", fix)
    raise WrongValueError(f"expected a start, got {found(raw)}", f"write {_STARTS}")


def _start_of_text(raw: str) -> Start:
    if raw == "now":
        return "now"
    try:
        return Ago(parse_duration(raw))
    except DurationError as error:
        message = f"{quoted(raw)} is no start: {error.reason}"
    if raw.isdigit() or re.match(r"\d{4}-\d\d-\d\d", raw):
        raise WrongValueError(f"{quoted(raw)} is a string", f"leave out the quotes: {raw}")
    raise WrongValueError(message, f"write {_STARTS}")


def read_text(raw: object, around: Around) -> str:
    """Return a text that is given itself or by a reference; empty if it need not be there."""
    text = _text_of(raw, around)
    if text != text.strip():
        raise WrongValueError("there are spaces at an end", "leave them out")
    return text


def _text_of(raw: object, around: Around) -> str:
    """Return a text, empty if it need not be where the reference to it says."""
    text = _text_or_reference(raw, around)
    return text.reveal() if text.is_there else ""


def _text_or_reference(raw: object, around: Around) -> Secret:
    if isinstance(raw, Mapping):
        return follow(raw, around)
    if not isinstance(raw, str):
        raise WrongValueError(
            f"expected a string, got {kind_of(raw)}", f"write a string, or {FORMS}"
        )
    if not raw.strip():
        raise WrongValueError("it is empty", f"write a string, or {FORMS}")
    variable = _SHELL.fullmatch(raw)
    if variable:
        fix = f'write {around.key} = {{ env = "{variable[1]}" }}'
        raise WrongValueError("environment variables are not filled in here", fix)
    return Secret(raw, IN_CONFIG)


def read_secret(raw: object, around: Around) -> Secret:
    """Return a secret that is given itself or by a reference."""
    secret = _text_or_reference(raw, around)
    if secret.is_there and secret.reveal() != secret.reveal().strip():
        raise WrongValueError(f"there are spaces at an end, in {secret.source}", "leave them out")
    return secret


def read_url(raw: object, around: Around) -> str:
    """Return the site's address without the slash at its end."""
    whole = _text_of(raw, around)
    text = whole.strip()
    if not text:
        return text
    if text != whole:
        around.problem("there are spaces at an end", "leave them out")
    parts = _split(text)
    _check_url(parts)
    if parts.scheme == "http" and not _LOCAL.match(parts.netloc):
        around.warning("the api key will travel unencrypted", f"write {_bare(parts, 'https')}")
    if not parts.path.strip("/"):
        return _bare(parts)
    fix = f"the site is most likely {_bare(parts)}"
    around.warning(f"the url has a path, {parts.path}; the API is looked for below it", fix)
    return f"{_bare(parts)}/{parts.path.strip('/')}/"


def _split(text: str) -> SplitResult:
    fix = "write it like https://HOST"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise WrongValueError("the url cannot be read", fix) from None
    if "://" not in text:
        fix = fix if "@" in text else f"write https://{text}"
        raise WrongValueError("the url has no scheme", fix)
    if not host or port == 0 or re.search(r"\s", text):
        raise WrongValueError("the url names no host", fix)
    return parts


def _check_url(parts: SplitResult) -> None:
    if parts.username is not None:
        fix = "script_name and api_key are what sgevents signs in with"
        raise WrongValueError("the url holds a user or password", fix)
    if parts.scheme not in {"http", "https"}:
        message = f"the scheme {quoted(parts.scheme)} is not that of a site"
        raise WrongValueError(message, f"write {_bare(parts, 'https')}")
    if parts.query or parts.fragment:
        raise WrongValueError("the url goes on after the site's address", f"write {_bare(parts)}")


def _bare(parts: SplitResult, scheme: str = "") -> str:
    return f"{scheme or parts.scheme}://{parts.netloc.lower()}"


def read_proxy(raw: object, around: Around) -> str:
    """Return a proxy as the site's client takes it: `[user:password@]host[:port]`."""
    text = read_text(raw, around).removeprefix("http://").rstrip("/")
    server = text.rpartition("@")[2]
    if text and not re.fullmatch(r"[^:/\s]+(:\d{1,5})?", server):
        raise WrongValueError(
            "the proxy cannot be read", "write it like host:8080 or user:pass@host:80"
        )
    return text


def read_path(raw: object, around: Around) -> Path:
    """Return an absolute path; relative ones start at the configuration file's folder."""
    if not isinstance(raw, str) or not raw.strip() or "\0" in raw:
        raise WrongValueError(f"expected a path, got {found(raw)}", f'write {around.key} = "path"')
    full = around.folder / os.path.expanduser(raw)  # noqa: PTH111 - Path's raises without a home
    return Path(os.path.normpath(full))


def read_file(raw: object, around: Around) -> str:
    """Return the absolute path, as a string, of a file that exists."""
    path = read_path(raw, around)
    try:
        is_file = path.is_file()
    except OSError as error:
        fix = "let the user that runs sgevents read it"
        raise WrongValueError(f"{path} cannot be read: {error.strerror}", fix) from None
    if not is_file:
        fix = "the path is relative to the configuration file"
        raise WrongValueError(f"{path} is not a file", fix)
    return str(path)


def read_version(raw: object, around: Around) -> str:
    """Return a version specifier such as `>=1.2,<2`."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 - seldom used

    if not isinstance(raw, str) or not raw.strip():
        fix = f'write {around.key} = ">=1.2,<2"'
        raise WrongValueError(f"expected a version specifier, got {found(raw)}", fix)
    try:
        return str(SpecifierSet(raw))
    except InvalidSpecifier:
        number = re.fullmatch(r"\s*v?(\d[\w.]*)\s*", raw)
        better = f"=={number[1]}" if number else ">=1.2,<2"
        fix = f"write {around.key} = {quoted(better)}"
        raise WrongValueError(f"{quoted(raw)} is no version specifier", fix) from None


def read_own(raw: object, around: Around) -> dict[str, Any]:
    """Return a plugin's own settings, with a `Secret` wherever a reference stands."""
    if not isinstance(raw, Mapping):
        fix = "write a table below it, [plugins.NAME.settings]"
        raise WrongValueError(f"expected a table, got {found(raw)}", fix)
    return {key: _resolved(value, around, key) for key, value in raw.items()}


def _resolved(raw: Any, around: Around, *inside: str | int) -> Any:
    if is_reference(raw):
        try:
            return follow(raw, around, *inside)
        except WrongValueError as error:
            around.problem(error.message, error.fix, *inside)
            return None
    if isinstance(raw, Mapping):
        return {key: _resolved(value, around, *inside, key) for key, value in raw.items()}
    if isinstance(raw, list):
        return [_resolved(value, around, *inside, at) for at, value in enumerate(raw)]
    return raw


LEVELS: Final = ("debug", "info", "warning", "error", "critical")


def read_levels(raw: object, around: Around) -> dict[str, Any]:
    """Return the log level of each plugin that has its own."""
    if not isinstance(raw, Mapping):
        raise WrongValueError(
            f"expected a table, got {found(raw)}", 'write [log.levels] NAME = "debug"'
        )
    for name, level in raw.items():
        if level not in LEVELS:
            meant = nearest(level, LEVELS) if isinstance(level, str) else None
            fix = f"did you mean {quoted(meant)}?" if meant else f"one of {', '.join(LEVELS)}"
            around.problem(f"expected a level, got {found(level)}", fix, name)
    return dict(raw)


READERS: Final[Mapping[str, Callable[[Any, Around], Any]]] = {
    "duration": read_duration,
    "file": read_file,
    "levels": read_levels,
    "own": read_own,
    "path": read_path,
    "proxy": read_proxy,
    "secret": read_secret,
    "start": read_start,
    "text": read_text,
    "url": read_url,
    "version": read_version,
}
"""Kind of a key, as the model names it -> what reads it."""
