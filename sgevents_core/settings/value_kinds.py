"""Kinds of values that TOML has no type for: how each is read, and its schema for editors.

The model names them as annotated types. A kind reads the raw value and returns the checked one, or
raises `InvalidValueError`. No message shows a value that may be a secret.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import SplitResult, urlsplit

from sgevents_core.errors import DurationError
from sgevents_core.settings.diagnostics import InvalidValueError, ReadingContext
from sgevents_core.settings.durations import format_duration, parse_duration
from sgevents_core.settings.references import REFERENCE_FORMS, is_reference, resolve_reference
from sgevents_core.settings.secret import CONFIG_SOURCE, Secret
from sgevents_core.settings.spelling import describe, kind_of, toml_string
from sgevents_core.settings.starts import Ago, Start

Schema: TypeAlias = dict[str, Any]

REFERENCE_SCHEMA: Final[Schema] = {"$ref": "#/$defs/reference"}
"""The schema of a reference to a value stored elsewhere."""

_SHELL_VARIABLE: Final = re.compile(r"\$\{?([A-Z_][A-Z0-9_]*)\}?")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.")
_LOCAL_HOST: Final = re.compile(r"(localhost|127\.|\[::1\])", re.IGNORECASE)
_EXAMPLE_PATH: Final = '"folder/file"'
_EXAMPLE_VERSION: Final = '">=1.2,<2"'
_START_FORMS: Final = 'start = "now", an id, a date and time with its offset, or "7d"'


@dataclass(frozen=True, slots=True, eq=False)  # so that it has a hash, which unions ask for
class ValueKind:
    """One kind of value, named in the `Annotated` type of a key."""

    read: Callable[[Any, ReadingContext], Any]
    """Returns the checked value, or raises `InvalidValueError`."""
    schema: Schema
    example: str = '"..."'
    """An example of a value in TOML."""
    type_words: str = "a string"
    """The noun for it, after "expected"."""
    to_toml: Callable[[Any], Any] = lambda value: value
    """Returns a checked value as the file spells it."""


def duration_kind(minimum_seconds: float = 0.0, maximum_seconds: float = math.inf) -> ValueKind:
    """Return the kind of durations between two limits, which are floats of seconds."""

    def read_duration(raw_value: object, context: ReadingContext) -> float:
        seconds = _read_duration(raw_value, context)
        if seconds < minimum_seconds:
            minimum = format_duration(minimum_seconds)
            fix = f"write {context.assignment(toml_string(minimum))} or more"
            message = f"{format_duration(seconds)} is too short, the minimum is {minimum}"
            raise InvalidValueError(message, fix)
        if seconds > maximum_seconds:
            maximum = format_duration(maximum_seconds)
            fix = f"write {context.assignment(toml_string(maximum))} or less"
            message = f"{format_duration(seconds)} is too long, the maximum is {maximum}"
            raise InvalidValueError(message, fix)
        return seconds

    duration_pattern = "^([0-9]+(\\.[0-9]+)?(ms|[dhms]))+$"
    return ValueKind(
        read_duration,
        {"type": "string", "pattern": duration_pattern},
        '"5m"',
        to_toml=format_duration,
    )


_GATHERING: Final = duration_kind(0.001, 1)
"""How long quick calls may be gathered."""


def _read_note(raw_value: object, context: ReadingContext) -> float:
    """Return for how many seconds quick calls are gathered; 0 for not at all."""
    return 0.0 if raw_value == "call" else float(_GATHERING.read(raw_value, context))


def _read_duration(raw_value: object, context: ReadingContext) -> float:
    """Return seconds."""
    fix = f"write it like {context.assignment(toml_string(_better_duration(raw_value)))}"
    if not isinstance(raw_value, str):
        raise InvalidValueError(f"expected a duration, got {describe(raw_value)}", fix)
    try:
        return parse_duration(raw_value)
    except DurationError as error:
        message = f"{toml_string(raw_value)} is not a duration: {error.reason}"
        raise InvalidValueError(message, fix) from None


def _better_duration(raw_value: object) -> str:
    """Suggest the duration that was intended, reading a plain number as seconds."""
    match = re.fullmatch(r"[-+]?\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|[dhms])?", str(raw_value).strip())
    return f"{match[1]}{match[2] or 's'}" if match else "1h30m"


def _read_start(raw_value: object, context: ReadingContext) -> Start:
    """Return where to begin, as `Start` describes it."""
    if isinstance(raw_value, str):
        return _parse_start(raw_value)
    if isinstance(raw_value, int) and not isinstance(raw_value, bool):
        if raw_value < 1:
            raise InvalidValueError(
                f"there is no event {raw_value}", "1 is the first event of a site"
            )
        return raw_value
    if isinstance(raw_value, datetime) and raw_value.tzinfo:
        return raw_value
    if isinstance(raw_value, datetime):
        fix = (
            f"write {context.assignment(raw_value.isoformat())}Z for UTC, or the "
            "offset, as in +02:00"
        )
        raise InvalidValueError("the date and time does not say in which time zone", fix)
    if isinstance(raw_value, date):
        fix = f"write {context.assignment(raw_value.isoformat())}T00:00:00Z for midnight UTC"
        raise InvalidValueError("a date alone does not say in which time zone", fix)
    raise InvalidValueError(f"expected a start, got {describe(raw_value)}", f"write {_START_FORMS}")


def _parse_start(raw_value: str) -> Start:
    if raw_value == "now":
        return "now"
    try:
        return Ago(parse_duration(raw_value))
    except DurationError as error:
        message = f"{toml_string(raw_value)} is not a start: {error.reason}"
    if raw_value.isdigit() or re.match(r"\d{4}-\d\d-\d\d", raw_value):
        raise InvalidValueError(
            f"{toml_string(raw_value)} is a string", f"leave out the quotes: {raw_value}"
        )
    raise InvalidValueError(message, f"write {_START_FORMS}")


def _read_text(raw_value: object, context: ReadingContext) -> str:
    """Return a string given directly or by a reference; empty if its target is optional."""
    plain_text = _text_or_empty(raw_value, context)
    if plain_text != plain_text.strip():
        raise InvalidValueError("there are spaces at an end", "leave them out")
    return plain_text


def _text_or_empty(raw_value: object, context: ReadingContext) -> str:
    """Return a string; empty if a reference's target is missing but optional."""
    plain_text = _text_or_reference(raw_value, context)
    return plain_text.reveal() if plain_text.is_there else ""


def _text_or_reference(raw_value: object, context: ReadingContext) -> Secret:
    if isinstance(raw_value, Mapping):
        return resolve_reference(raw_value, context)
    if not isinstance(raw_value, str):
        raise InvalidValueError(
            f"expected a string, got {kind_of(raw_value)}", f"write a string, or {REFERENCE_FORMS}"
        )
    if not raw_value.strip():
        raise InvalidValueError("it is empty", f"write a string, or {REFERENCE_FORMS}")
    variable_match = _SHELL_VARIABLE.fullmatch(raw_value)
    if variable_match:
        fix = f"write {context.assignment(f'{{ env = {toml_string(variable_match[1])} }}')}"
        raise InvalidValueError("environment variables are not filled in here", fix)
    return Secret(raw_value, CONFIG_SOURCE)


def _read_secret(raw_value: object, context: ReadingContext) -> Secret:
    """Return a secret given directly or by a reference."""
    secret_value = _text_or_reference(raw_value, context)
    if secret_value.is_there and secret_value.reveal() != secret_value.reveal().strip():
        raise InvalidValueError(
            f"there are spaces at an end, in {secret_value.source}", "leave them out"
        )
    return secret_value


def _read_secret_list(raw_value: object, context: ReadingContext) -> tuple[Secret, ...]:
    """Return addresses, each given directly or by a reference."""
    example = '[{ env = "NAME" }]'
    fix = f"write {context.assignment(example)}"
    if not isinstance(raw_value, list):
        raise InvalidValueError(f"expected a list of strings, got {kind_of(raw_value)}", fix)
    if not raw_value:
        raise InvalidValueError("it is empty", fix)
    addresses = []
    for index, member in enumerate(raw_value):
        try:
            address = _read_secret(member, replace(context, key_path=(*context.key_path, index)))
        except InvalidValueError as error:
            context.add_problem(error.message, error.fix, index)
            continue
        if address.is_there and not _SCHEME.match(address.reveal()):
            message = "it is no address: nothing like mailto:// or slack:// is in front"
            context.add_problem(message, "write it as the service's page at Apprise says", index)
        addresses.append(address)
    return tuple(addresses)


def _read_site_url(raw_value: object, context: ReadingContext) -> str:
    """Return the site's address without the slash at its end."""
    given_text = _text_or_empty(raw_value, context)
    plain_text = given_text.strip()
    if not plain_text:
        return plain_text
    if plain_text != given_text:
        context.add_problem("there are spaces at an end", "leave them out")
    parts = _split_url(plain_text)
    _check_url(parts)
    if parts.scheme == "http" and not _LOCAL_HOST.match(parts.netloc):
        context.add_warning(
            "the api key will travel unencrypted", f"write {_base_url(parts, 'https')}"
        )
    if not parts.path.strip("/"):
        return _base_url(parts)
    fix = f"the site is most likely {_base_url(parts)}"
    context.add_warning(f"the url has a path, {parts.path}; the API is looked for below it", fix)
    return f"{_base_url(parts)}/{parts.path.strip('/')}/"


def _split_url(plain_text: str) -> SplitResult:
    fix = "write it like https://HOST"
    try:
        url_parts = urlsplit(plain_text)
        host_name, port_number = url_parts.hostname, url_parts.port
    except ValueError:
        raise InvalidValueError("the url cannot be read", fix) from None
    if "://" not in plain_text:
        fix = fix if "@" in plain_text else f"write https://{plain_text}"
        raise InvalidValueError("the url has no scheme", fix)
    if not host_name or port_number == 0 or re.search(r"\s", plain_text):
        raise InvalidValueError("the url names no host", fix)
    return url_parts


def _check_url(url_parts: SplitResult) -> None:
    if url_parts.username is not None:
        fix = "script_name and api_key are what sgevents signs in with"
        raise InvalidValueError("the url holds a user or password", fix)
    if url_parts.scheme not in {"http", "https"}:
        message = f"the scheme {toml_string(url_parts.scheme)} is not that of a site"
        raise InvalidValueError(message, f"write {_base_url(url_parts, 'https')}")
    if url_parts.query or url_parts.fragment:
        raise InvalidValueError(
            "the url continues after the site's address", f"write {_base_url(url_parts)}"
        )


def _base_url(url_parts: SplitResult, url_scheme: str = "") -> str:
    return f"{url_scheme or url_parts.scheme}://{url_parts.netloc.lower()}"


def _read_proxy_address(raw_value: object, context: ReadingContext) -> str:
    """Return a proxy as the site's client takes it: `[user:password@]host[:port]`."""
    plain_text = _read_text(raw_value, context).removeprefix("http://").rstrip("/")
    proxy_server = plain_text.rpartition("@")[2]
    if plain_text and not re.fullmatch(r"[^:/\s]+(:\d{1,5})?", proxy_server):
        raise InvalidValueError(
            "the proxy cannot be read", "write it like host:8080 or user:pass@host:80"
        )
    return plain_text


def _read_path(raw_value: object, context: ReadingContext) -> Path:
    """Return an absolute path; relative ones start at the configuration file's folder."""
    if not isinstance(raw_value, str) or not raw_value.strip() or "\0" in raw_value:
        fix = f"write {context.assignment(_EXAMPLE_PATH)}"
        raise InvalidValueError(f"expected a path, got {describe(raw_value)}", fix)
    return _full_path(raw_value, context)


def _full_path(raw_value: str, context: ReadingContext) -> Path:
    joined_path = context.base_folder / os.path.expanduser(raw_value)  # noqa: PTH111 - Path's raises without a home
    return Path(os.path.normpath(joined_path))


def _read_existing_file(raw_value: object, context: ReadingContext) -> str:
    """Return the absolute path, as a string, of a file that exists."""
    full_path = _read_path(raw_value, context)
    try:
        is_file = full_path.is_file()
    except OSError as error:
        fix = "let the user that runs sgevents read it"
        raise InvalidValueError(f"{full_path} cannot be read: {error.strerror}", fix) from None
    if not is_file:
        fix = "the path is relative to the configuration file"
        raise InvalidValueError(f"{full_path} is not a file", fix)
    return str(full_path)


def _read_version(raw_value: object, context: ReadingContext) -> str:
    """Return a version specifier such as `>=1.2,<2`."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 - seldom used

    if not isinstance(raw_value, str) or not raw_value.strip():
        fix = f"write {context.assignment(_EXAMPLE_VERSION)}"
        raise InvalidValueError(f"expected a version specifier, got {describe(raw_value)}", fix)
    try:
        return str(SpecifierSet(raw_value))
    except InvalidSpecifier:
        version_match = re.fullmatch(r"\s*v?(\d[\w.]*)\s*", raw_value)
        better_text = toml_string(f"=={version_match[1]}") if version_match else _EXAMPLE_VERSION
        fix = f"write {context.assignment(better_text)}"
        raise InvalidValueError(
            f"{toml_string(raw_value)} is not a version specifier", fix
        ) from None


def _read_own_settings(raw_value: object, context: ReadingContext) -> dict[str, Any]:
    """Return a plugin's own settings, with a `Secret` in place of each reference."""
    if not isinstance(raw_value, Mapping):
        fix = "write a table below it, [plugins.NAME.settings]"
        raise InvalidValueError(f"expected a table, got {describe(raw_value)}", fix)
    return {key: _resolve_references(value, context, key) for key, value in raw_value.items()}


def _resolve_references(raw_value: Any, context: ReadingContext, *inner_path: str | int) -> Any:
    if is_reference(raw_value):
        try:
            return resolve_reference(raw_value, context, *inner_path)
        except InvalidValueError as error:
            context.add_problem(error.message, error.fix, *inner_path)
            return None
    if isinstance(raw_value, Mapping):
        return {
            key: _resolve_references(value, context, *inner_path, key)
            for key, value in raw_value.items()
        }
    if isinstance(raw_value, list):
        return [
            _resolve_references(value, context, *inner_path, index)
            for index, value in enumerate(raw_value)
        ]
    return raw_value


def _read_password_hashes(raw_value: object, context: ReadingContext) -> dict[str, Secret]:
    """Return the hash of each user's password, given directly or by a reference."""
    if not isinstance(raw_value, Mapping):
        fix = 'write a table, [console.access.users], and NAME = "HASH" for each user'
        raise InvalidValueError(f"expected a table, got {describe(raw_value)}", fix)
    return {
        name: password_hash
        for name, value in raw_value.items()
        if (password_hash := _password_hash(value, context, name)) is not None
    }


def _password_hash(raw_value: Any, context: ReadingContext, name: str) -> Secret | None:
    fix = "make one with `sgevents console --hash-password`"
    try:
        secret = (
            resolve_reference(raw_value, context, name)
            if is_reference(raw_value)
            else Secret(str(raw_value), CONFIG_SOURCE)
        )
    except InvalidValueError as error:
        context.add_problem(error.message, error.fix, name)
        return None
    if secret.is_there and not secret.reveal().startswith("$argon2"):
        context.add_problem("this is not the hash of a password", fix, name)
        return None
    return secret


def _read_secret_of_plugin(raw_value: object, context: ReadingContext) -> Secret:
    """Return a secret of a plugin, any text; its reference has been followed before."""
    if isinstance(raw_value, Secret):
        return raw_value
    if isinstance(raw_value, str):
        return Secret(raw_value, CONFIG_SOURCE)
    raise InvalidValueError(
        f"expected a string, got {kind_of(raw_value)}", f"write a string, or {REFERENCE_FORMS}"
    )


def _read_path_of_plugin(raw_value: object, context: ReadingContext) -> Path:
    """Return an absolute path; an empty one is the configuration file's folder."""
    if not isinstance(raw_value, str):
        fix = f"write {context.assignment(_EXAMPLE_PATH)}"
        raise InvalidValueError(f"expected a path, got {describe(raw_value)}", fix)
    return _full_path(raw_value, context)


def _read_timedelta(raw_value: object, context: ReadingContext) -> timedelta:
    return timedelta(seconds=_read_duration(raw_value, context))


_TEXT_SCHEMA: Final[Schema] = {"type": "string", "minLength": 1}
_REFERABLE_SCHEMA: Final[Schema] = {"anyOf": [_TEXT_SCHEMA, REFERENCE_SCHEMA]}
_URL_SCHEMA: Final[Schema] = {
    "anyOf": [{"type": "string", "pattern": "^https?://"}, REFERENCE_SCHEMA]
}
_START_SCHEMA: Final[Schema] = {"anyOf": [_TEXT_SCHEMA, {"type": "integer", "minimum": 1}]}

StartSetting: TypeAlias = Annotated[Start, ValueKind(_read_start, _START_SCHEMA)]
ReferableText: TypeAlias = Annotated[str, ValueKind(_read_text, _REFERABLE_SCHEMA)]
"""A string that may be given by a reference, like the next three."""
SecretText: TypeAlias = Annotated[
    Secret, ValueKind(_read_secret, _REFERABLE_SCHEMA, '{ env = "SGEVENTS_API_KEY" }')
]
SecretList: TypeAlias = Annotated[
    tuple[Secret, ...],
    ValueKind(
        _read_secret_list,
        {"type": "array", "items": _REFERABLE_SCHEMA, "minItems": 1},
        '[{ env = "SGEVENTS_ALERT_URL" }]',
        "a list of strings",
    ),
]
"""Addresses, each of which is a secret."""
SiteUrl: TypeAlias = Annotated[
    str, ValueKind(_read_site_url, _URL_SCHEMA, '"https://YOUR-SITE.shotgrid.autodesk.com"')
]
ProxySetting: TypeAlias = Annotated[str, ValueKind(_read_proxy_address, _REFERABLE_SCHEMA)]
NoteSetting: TypeAlias = Annotated[
    float,
    ValueKind(
        _read_note,
        {"anyOf": [{"const": "call"}, _GATHERING.schema]},
        '"call"',
        to_toml=lambda seconds: format_duration(seconds) if seconds else "call",
    ),
]
PathSetting: TypeAlias = Annotated[Path, ValueKind(_read_path, _TEXT_SCHEMA, to_toml=str)]
ExistingFile: TypeAlias = Annotated[str, ValueKind(_read_existing_file, _TEXT_SCHEMA)]
VersionSpecifier: TypeAlias = Annotated[str, ValueKind(_read_version, _TEXT_SCHEMA)]
OwnSettings: TypeAlias = Annotated[
    dict[str, Any], ValueKind(_read_own_settings, {"type": "object"})
]
"""A plugin's own settings, with a `Secret` wherever a reference stands."""
PasswordHashes: TypeAlias = Annotated[
    dict[str, Secret],
    ValueKind(
        _read_password_hashes,
        {"type": "object", "additionalProperties": _REFERABLE_SCHEMA},
        "{ anna = HASH }",
    ),
]

KINDS_BY_TYPE: Final[Mapping[object, ValueKind]] = {
    Secret: ValueKind(_read_secret_of_plugin, {"type": "string"}, '{ env = "NAME" }'),
    Path: ValueKind(_read_path_of_plugin, {"type": "string"}, _EXAMPLE_PATH, "a path"),
    timedelta: ValueKind(_read_timedelta, {"type": "string"}, '"5m"', "a duration"),
}
"""Types in the models of plugins -> their kinds."""
