"""The rules for which failures are transient, decided only here.

No library is imported for this. An error is judged by what it carries (an HTTP status, an `errno`,
a database code), by the names of its class and base classes, and by its cause. All of these may run
a plugin's code, so the caller limits the time it may take.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from sgevents_core.calling.passing_names import (
    BUGS,
    BUSY,
    GRPC,
    LASTING,
    MOST_LINKS,
    MYSQL,
    NETWORK,
    PASSING,
    SOON,
    SQLSTATES,
    THROTTLED,
)
from sgevents_core.moments import bounded_wait, retry_after_seconds

MOST_HEADERS: Final = 200

_UNTRUSTED: Final = frozenset({"CertificateError", "SSLCertVerificationError"})
_OF_DRIVERS: Final = frozenset(
    {"DatabaseError", "InterfaceError", "InternalError", "OperationalError"}
)
"""PEP 249's names for database errors that are not the query's fault."""
_PARTS: Final = ("reason", "orig", "os_error")
"""Attributes in which libraries keep the error that theirs wraps."""
_OF_HTTP: Final = ("headers", "response", "request", "request_info", "url")
"""Attributes that show that a number called just `code` or `status` is an HTTP status."""


class Passing(NamedTuple):
    """A transient failure; `after` is how many seconds an answer asked to wait, if it did."""

    after: float | None = None


def passing(error: BaseException, now: float) -> Passing | None:
    """Return a Passing if a failure is transient; None if a retry would fail in the same way.

    Args:
        error: What was raised.
        now: The time, in seconds since 1970, for answers that name a date.
    """
    linked = list(islice(behind(error), MOST_LINKS))
    if any(_UNTRUSTED & {name for _, name in kinds_of(one)} for one in linked):
        return None
    return _judged(error, now, {})


def kinds_of(error: BaseException) -> list[tuple[str, str]]:
    """Return the package and name of an error's class and of its base classes, in order."""
    classes = type.__dict__["__mro__"].__get__(type(error))
    return [(str(one.__module__).partition(".")[0], one.__name__) for one in classes]


def _judged(error: BaseException, now: float, seen: dict[int, None]) -> Passing | None:
    """Judge one error by what it says itself, otherwise by its cause."""
    if id(error) in seen or len(seen) >= MOST_LINKS:
        return None
    seen[id(error)] = None
    kinds = kinds_of(error)
    if any(name == "BaseExceptionGroup" for _, name in kinds):
        return _all_of(error, now, seen)
    said = _said(error, kinds)
    if said is not None:
        return Passing(_asked_wait(error, now)) if said else None
    for link in [*_parts(error), *_comes_from(error, kinds)]:
        found = _judged(link, now, seen)
        if found is not None:
            return found
    return None


def _all_of(group: BaseException, now: float, seen: dict[int, None]) -> Passing | None:
    """Judge a group: transient if each of its errors is, with the longest of their waits."""
    members = [one for one in _listed(_read(group, "exceptions")) if _is_error(one)]
    found = [_judged(one, now, seen) for one in members]
    passed = [one for one in found if one is not None]
    if not members or len(passed) < len(found):
        return None
    return Passing(max((one.after for one in passed if one.after is not None), default=None))


def _said(error: BaseException, kinds: list[tuple[str, str]]) -> bool | None:
    """Return whether an error itself says that it is transient; None if it does not say."""
    if ("sgevents_core", "Retry") in kinds:
        return True
    if ("sgevents_core", "SiteError") in kinds:
        return _read(error, "transient") is True
    for says in (_aws, _grpc, _smtp, _database):
        said = says(error, kinds)
        if said is not None:
            return said
    status = _status(error)
    if status is not None:
        return status >= 500 or status in SOON
    named = _named(kinds)
    return _by_number(error, kinds) if named is None else named


def _named(kinds: list[tuple[str, str]]) -> bool | None:
    """Return whether the nearest class known by name is transient; None if none is known."""
    for package, name in kinds:
        if name in LASTING or f"{package}.{name}" in LASTING:
            return False
        if name in PASSING or f"{package}.{name}" in PASSING:
            return True
    return None


def _by_number(error: BaseException, kinds: list[tuple[str, str]]) -> bool | None:
    """Return whether an operating system's error number is transient; None if it has none."""
    number = _read(error, "errno")
    if type(number) is not int:
        return None
    if ("builtins", "OSError") not in kinds:
        return True if number in NETWORK else None
    return number in NETWORK or number in BUSY


# HTTP


def _status(error: BaseException) -> int | None:
    """Return the HTTP status, 400 or above, of an error."""
    response = _read(error, "response")
    for found in (
        *(_read(error, name) for name in ("errcode", "status_code", "response_code")),
        *(_read(response, name) for name in ("status_code", "status")),
        _read(_read(error, "resp"), "status"),
        _item(_item(response, "ResponseMetadata"), "HTTPStatusCode"),
    ):
        if _is_status(found):
            return int.__index__(found)
    if any(_read(error, name, _MISSING) is not _MISSING for name in _OF_HTTP):
        for found in (_read(error, "status"), _read(error, "code")):
            if _is_status(found):
                return int.__index__(found)
    return None


def _is_status(found: Any) -> bool:
    number = issubclass(type(found), int) and type(found) is not bool
    return number and 400 <= int.__index__(found) <= 599


def _asked_wait(error: BaseException, now: float) -> float | None:
    """Return how many seconds the answer's `Retry-After` asks to wait."""
    own = _read(error, "retry_after")
    if type(own) in (int, float):
        return bounded_wait(float(own))
    response = _read(error, "response")
    headers = (
        *(_read(error, name) for name in ("headers", "hdrs", "resp")),
        _read(response, "headers"),
        _item(_item(response, "ResponseMetadata"), "HTTPHeaders"),
    )
    for one in headers:
        text = _header(one)
        if text is not None:
            return retry_after_seconds(text, now)
    return None


def _header(headers: Any) -> str | None:
    try:
        for key, value in islice(headers.items(), MOST_HEADERS):
            if _text(key).lower() == "retry-after":
                return _text(value)[:100]
    except BaseException:  # no headers, or unreadable ones
        return None
    return None


# Services


def _aws(error: BaseException, kinds: list[tuple[str, str]]) -> bool | None:
    code = _item(_item(_read(error, "response"), "Error"), "Code")
    return True if isinstance(code, str) and code in THROTTLED else None


def _grpc(error: BaseException, kinds: list[tuple[str, str]]) -> bool | None:
    if not any(name.endswith("RpcError") for _, name in kinds):
        return None
    try:
        return error.code().name in GRPC  # type: ignore[attr-defined]  # judged by its attributes
    except BaseException:  # it does not say
        return None


def _smtp(error: BaseException, kinds: list[tuple[str, str]]) -> bool | None:
    """Judge a mail server's reply: 4xx is transient, 5xx permanent."""
    if not any(name.startswith("SMTP") for _, name in kinds):
        return None
    refused = _read(error, "recipients")
    if type(refused) is dict and refused:
        replies = [_item(reply, 0) for reply in refused.values()]
        return all(type(one) is int and 400 <= one < 500 for one in replies)
    for code in (_read(error, "smtp_code"), _read(error, "code")):
        if type(code) is int and 400 <= code <= 599:
            return code < 500
    return None


def _database(error: BaseException, kinds: list[tuple[str, str]]) -> bool | None:
    """Judge a database error: unavailable, full or locked is transient, a wrong query is not."""
    names = {name for _, name in kinds}
    first = _item(_args(error), 0)
    if any(package.startswith("sqlite") for package, _ in kinds):
        return _is_locked(error, str(first)) if "Error" in names else None
    is_driver = bool(names & _OF_DRIVERS)
    for state in (_read(error, "sqlstate"), _read(error, "pgcode"), first if is_driver else None):
        if _is_sqlstate(state):
            return str(state).startswith(SQLSTATES)
    for number in (_read(error, "errno"), first) if is_driver else ():
        if type(number) is int and number >= 0:
            return number in MYSQL
    if _read(error, "orig") is None and _cause(error) is None and "OperationalError" in names:
        return True
    return None  # it wraps another, which is judged instead, or is a programming error


def _is_sqlstate(value: Any) -> bool:
    return type(value) is str and len(value) == 5 and value.isalnum() and value == value.upper()


def _is_locked(error: BaseException, text: str) -> bool:
    name = _read(error, "sqlite_errorname")
    if isinstance(name, str):
        return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
    return text.endswith("is locked")  # Python 3.10 offers nothing better


# The causes of an error


def _comes_from(error: BaseException, kinds: list[tuple[str, str]]) -> list[BaseException]:
    """Return the error's cause or context, unless that is a programming error."""
    cause, context = _cause(error), _context(error)
    if cause is not None:
        return [cause]
    if context is None or any(name in BUGS for package, name in kinds if package == "builtins"):
        return []
    return [context]


def _parts(error: BaseException) -> list[BaseException]:
    """Return the errors that an error wraps."""
    found = [*(_read(error, name) for name in _PARTS), *_args(error)[:MOST_LINKS]]
    return [one for one in found if _is_error(one)]


def behind(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it wraps or was raised from, each once."""
    seen, waiting = {id(error)}, [error]
    while waiting:
        one = waiting.pop()
        yield one
        for link in (*_parts(one), _cause(one), _context(one)):
            if link is not None and id(link) not in seen:
                seen.add(id(link))
                waiting.append(link)


def _cause(error: BaseException) -> BaseException | None:
    found = BaseException.__dict__["__cause__"].__get__(error)
    return found if _is_error(found) else None


def _context(error: BaseException) -> BaseException | None:
    if BaseException.__dict__["__suppress_context__"].__get__(error):
        return None
    found = BaseException.__dict__["__context__"].__get__(error)
    return found if _is_error(found) else None


def _args(error: BaseException) -> tuple[Any, ...]:
    return tuple(BaseException.__dict__["args"].__get__(error))


# Reading attributes that may run a plugin's code

_MISSING: Final = object()


def _read(value: Any, name: str, otherwise: Any = None) -> Any:
    try:
        return getattr(value, name, otherwise)
    except BaseException:  # a property is a plugin's code
        return otherwise


def _item(value: Any, key: Any) -> Any:
    """Return an item of a dict, list or tuple; None for anything else."""
    kind = type(value)
    if kind is dict:
        return value.get(key)
    return value[key] if kind in (list, tuple) and type(key) is int and len(value) > key else None


def _listed(value: Any) -> list[Any]:
    return list(value[:MOST_LINKS]) if type(value) in (list, tuple) else []


def _is_error(value: Any) -> bool:
    return issubclass(type(value), BaseException)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
