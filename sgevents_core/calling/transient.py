"""The rules for which failures are transient, decided only here.

No library is imported for this. An error is judged by what it carries (an HTTP status, an `errno`,
a database code), by the names of its class and base classes, and by its cause. All of these may run
a plugin's code, so the caller limits the time it may take.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from sgevents_core.calling.transient_names import (
    BUG_CLASSES,
    BUSY_ERRNOS,
    GRPC_CODES,
    MAX_LINKED_ERRORS,
    MYSQL_CODES,
    NETWORK_ERRNOS,
    PERMANENT_CLASSES,
    RETRYABLE_STATUSES,
    SQLSTATE_PREFIXES,
    THROTTLING_CODES,
    TRANSIENT_CLASSES,
)
from sgevents_core.moments import bounded_wait, retry_after_seconds

MAX_HEADERS: Final = 200

_CERTIFICATE_ERRORS: Final = frozenset({"CertificateError", "SSLCertVerificationError"})
_DRIVER_ERRORS: Final = frozenset(
    {"DatabaseError", "InterfaceError", "InternalError", "OperationalError"}
)
"""PEP 249's names for database errors that are not the query's fault."""
_WRAPPING_ATTRIBUTES: Final = ("reason", "orig", "os_error")
"""Attributes in which libraries keep the error that theirs wraps."""
_HTTP_ATTRIBUTES: Final = ("headers", "response", "request", "request_info", "url")
"""Attributes that show that a number called just `code` or `status` is an HTTP status."""


class TransientFailure(NamedTuple):
    """A transient failure; `after` is how many seconds an answer asked to wait, if it did."""

    after: float | None = None


def transient_failure(error: BaseException, now: float) -> TransientFailure | None:
    """Return a Passing if a failure is transient; None if a retry would fail in the same way.

    Args:
        error: What was raised.
        now: The time, in seconds since 1970, for answers that name a date.
    """
    linked = list(islice(linked_errors(error), MAX_LINKED_ERRORS))
    if any(_CERTIFICATE_ERRORS & {name for _, name in class_names_of(one)} for one in linked):
        return None
    return _judge_error(error, now, {})


def class_names_of(error: BaseException) -> list[tuple[str, str]]:
    """Return the package and name of an error's class and of its base classes, in order."""
    classes = type.__dict__["__mro__"].__get__(type(error))
    return [(str(one.__module__).partition(".")[0], one.__name__) for one in classes]


def _judge_error(
    error: BaseException, now: float, seen_ids: dict[int, None]
) -> TransientFailure | None:
    """Judge one error by what it says itself, otherwise by its cause."""
    if id(error) in seen_ids or len(seen_ids) >= MAX_LINKED_ERRORS:
        return None
    seen_ids[id(error)] = None
    class_names = class_names_of(error)
    if any(name == "BaseExceptionGroup" for _, name in class_names):
        return _judge_group(error, now, seen_ids)
    verdict = _own_verdict(error, class_names)
    if verdict is not None:
        return TransientFailure(_requested_wait(error, now)) if verdict else None
    for link in [*_wrapped_errors(error), *_cause_or_context(error, class_names)]:
        transient = _judge_error(link, now, seen_ids)
        if transient is not None:
            return transient
    return None


def _judge_group(
    group: BaseException, now: float, seen_ids: dict[int, None]
) -> TransientFailure | None:
    """Judge a group: transient if each of its errors is, with the longest of their waits."""
    members = [one for one in _as_list(_read_attribute(group, "exceptions")) if _is_error(one)]
    judged = [_judge_error(one, now, seen_ids) for one in members]
    passed = [one for one in judged if one is not None]
    if not members or len(passed) < len(judged):
        return None
    return TransientFailure(
        max((one.after for one in passed if one.after is not None), default=None)
    )


def _own_verdict(error: BaseException, class_names: list[tuple[str, str]]) -> bool | None:
    """Return whether an error itself says that it is transient; None if it does not say."""
    if ("sgevents_core", "Retry") in class_names:
        return True
    if ("sgevents_core", "SiteError") in class_names:
        return _read_attribute(error, "transient") is True
    for verdict_of in (_aws_verdict, _grpc_verdict, _smtp_verdict, _database_verdict):
        verdict = verdict_of(error, class_names)
        if verdict is not None:
            return verdict
    status = _http_status(error)
    if status is not None:
        return status >= 500 or status in RETRYABLE_STATUSES
    named = _verdict_by_name(class_names)
    return _verdict_by_errno(error, class_names) if named is None else named


def _verdict_by_name(class_names: list[tuple[str, str]]) -> bool | None:
    """Return whether the nearest class known by name is transient; None if none is known."""
    for package, name in class_names:
        if name in PERMANENT_CLASSES or f"{package}.{name}" in PERMANENT_CLASSES:
            return False
        if name in TRANSIENT_CLASSES or f"{package}.{name}" in TRANSIENT_CLASSES:
            return True
    return None


def _verdict_by_errno(error: BaseException, class_names: list[tuple[str, str]]) -> bool | None:
    """Return whether an operating system's error number is transient; None if it has none."""
    number = _read_attribute(error, "errno")
    if type(number) is not int:
        return None
    if ("builtins", "OSError") not in class_names:
        return True if number in NETWORK_ERRNOS else None
    return number in NETWORK_ERRNOS or number in BUSY_ERRNOS


# HTTP


def _http_status(error: BaseException) -> int | None:
    """Return the HTTP status, 400 or above, of an error."""
    response = _read_attribute(error, "response")
    for candidate in (
        *(_read_attribute(error, name) for name in ("errcode", "status_code", "response_code")),
        *(_read_attribute(response, name) for name in ("status_code", "status")),
        _read_attribute(_read_attribute(error, "resp"), "status"),
        _read_item(_read_item(response, "ResponseMetadata"), "HTTPStatusCode"),
    ):
        if _is_http_status(candidate):
            return int.__index__(candidate)
    if any(_read_attribute(error, name, _MISSING) is not _MISSING for name in _HTTP_ATTRIBUTES):
        for candidate in (_read_attribute(error, "status"), _read_attribute(error, "code")):
            if _is_http_status(candidate):
                return int.__index__(candidate)
    return None


def _is_http_status(candidate: Any) -> bool:
    number = issubclass(type(candidate), int) and type(candidate) is not bool
    return number and 400 <= int.__index__(candidate) <= 599


def _requested_wait(error: BaseException, now: float) -> float | None:
    """Return how many seconds the answer's `Retry-After` asks to wait."""
    own = _read_attribute(error, "retry_after")
    if type(own) in (int, float):
        return bounded_wait(float(own))
    response = _read_attribute(error, "response")
    headers = (
        *(_read_attribute(error, name) for name in ("headers", "hdrs", "resp")),
        _read_attribute(response, "headers"),
        _read_item(_read_item(response, "ResponseMetadata"), "HTTPHeaders"),
    )
    for one in headers:
        text = _retry_after_header(one)
        if text is not None:
            return retry_after_seconds(text, now)
    return None


def _retry_after_header(headers: Any) -> str | None:
    try:
        for key, value in islice(headers.items(), MAX_HEADERS):
            if _as_text(key).lower() == "retry-after":
                return _as_text(value)[:100]
    except BaseException:  # no headers, or unreadable ones
        return None
    return None


# Services


def _aws_verdict(error: BaseException, class_names: list[tuple[str, str]]) -> bool | None:
    code = _read_item(_read_item(_read_attribute(error, "response"), "Error"), "Code")
    return True if isinstance(code, str) and code in THROTTLING_CODES else None


def _grpc_verdict(error: BaseException, class_names: list[tuple[str, str]]) -> bool | None:
    if not any(name.endswith("RpcError") for _, name in class_names):
        return None
    try:
        return error.code().name in GRPC_CODES  # type: ignore[attr-defined]  # judged by its attributes
    except BaseException:  # it does not say
        return None


def _smtp_verdict(error: BaseException, class_names: list[tuple[str, str]]) -> bool | None:
    """Judge a mail server's reply: 4xx is transient, 5xx permanent."""
    if not any(name.startswith("SMTP") for _, name in class_names):
        return None
    refused = _read_attribute(error, "recipients")
    if type(refused) is dict and refused:
        replies = [_read_item(reply, 0) for reply in refused.values()]
        return all(type(one) is int and 400 <= one < 500 for one in replies)
    for code in (_read_attribute(error, "smtp_code"), _read_attribute(error, "code")):
        if type(code) is int and 400 <= code <= 599:
            return code < 500
    return None


def _database_verdict(error: BaseException, class_names: list[tuple[str, str]]) -> bool | None:
    """Judge a database error: unavailable, full or locked is transient, a wrong query is not."""
    names = {name for _, name in class_names}
    first = _read_item(_arguments_of(error), 0)
    if any(package.startswith("sqlite") for package, _ in class_names):
        return _is_locked(error, str(first)) if "Error" in names else None
    is_driver = bool(names & _DRIVER_ERRORS)
    for state in (
        _read_attribute(error, "sqlstate"),
        _read_attribute(error, "pgcode"),
        first if is_driver else None,
    ):
        if _is_sqlstate(state):
            return str(state).startswith(SQLSTATE_PREFIXES)
    for number in (_read_attribute(error, "errno"), first) if is_driver else ():
        if type(number) is int and number >= 0:
            return number in MYSQL_CODES
    if (
        _read_attribute(error, "orig") is None
        and _cause_of(error) is None
        and "OperationalError" in names
    ):
        return True
    return None  # it wraps another, which is judged instead, or is a programming error


def _is_sqlstate(value: Any) -> bool:
    return type(value) is str and len(value) == 5 and value.isalnum() and value == value.upper()


def _is_locked(error: BaseException, text: str) -> bool:
    name = _read_attribute(error, "sqlite_errorname")
    if isinstance(name, str):
        return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
    return text.endswith("is locked")  # Python 3.10 offers nothing better


# The causes of an error


def _cause_or_context(
    error: BaseException, class_names: list[tuple[str, str]]
) -> list[BaseException]:
    """Return the error's cause or context, unless that is a programming error."""
    cause, context = _cause_of(error), _context_of(error)
    if cause is not None:
        return [cause]
    if context is None or any(
        name in BUG_CLASSES for package, name in class_names if package == "builtins"
    ):
        return []
    return [context]


def _wrapped_errors(error: BaseException) -> list[BaseException]:
    """Return the errors that an error wraps."""
    candidates = [
        *(_read_attribute(error, name) for name in _WRAPPING_ATTRIBUTES),
        *_arguments_of(error)[:MAX_LINKED_ERRORS],
    ]
    return [one for one in candidates if _is_error(one)]


def linked_errors(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it wraps or was raised from, each once."""
    seen_ids, waiting = {id(error)}, [error]
    while waiting:
        one = waiting.pop()
        yield one
        for link in (*_wrapped_errors(one), _cause_of(one), _context_of(one)):
            if link is not None and id(link) not in seen_ids:
                seen_ids.add(id(link))
                waiting.append(link)


def _cause_of(error: BaseException) -> BaseException | None:
    cause = BaseException.__dict__["__cause__"].__get__(error)
    return cause if _is_error(cause) else None


def _context_of(error: BaseException) -> BaseException | None:
    if BaseException.__dict__["__suppress_context__"].__get__(error):
        return None
    context = BaseException.__dict__["__context__"].__get__(error)
    return context if _is_error(context) else None


def _arguments_of(error: BaseException) -> tuple[Any, ...]:
    return tuple(BaseException.__dict__["args"].__get__(error))


# Reading attributes that may run a plugin's code

_MISSING: Final = object()


def _read_attribute(value: Any, name: str, otherwise: Any = None) -> Any:
    try:
        return getattr(value, name, otherwise)
    except BaseException:  # a property is a plugin's code
        return otherwise


def _read_item(value: Any, key: Any) -> Any:
    """Return an item of a dict, list or tuple; None for anything else."""
    kind = type(value)
    if kind is dict:
        return value.get(key)
    return value[key] if kind in (list, tuple) and type(key) is int and len(value) > key else None


def _as_list(value: Any) -> list[Any]:
    return list(value[:MAX_LINKED_ERRORS]) if type(value) in (list, tuple) else []


def _is_error(value: Any) -> bool:
    return issubclass(type(value), BaseException)


def _as_text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
