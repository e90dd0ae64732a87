"""The rules for which failures are transient, decided only here.

No library is imported for this. An error is judged by what it carries (an HTTP status, an `errno`,
a database code), by the names of its class and base classes, and by its cause. All of these may run
a plugin's code, so the caller limits the time it may take.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from typing import Any, Final, NamedTuple

from sgevents_core.calling.error_links import (
    MISSING,
    arguments_of,
    as_list,
    as_text,
    cause_of,
    cause_or_context,
    is_error,
    linked_errors,
    read_attribute,
    read_item,
    wrapped_errors,
)
from sgevents_core.calling.transient_names import (
    AMQP_CODES,
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
_HTTP_ATTRIBUTES: Final = ("headers", "response", "request", "request_info", "url")
"""Attributes that show that a number called just `code` or `status` is an HTTP status."""


class TransientFailure(NamedTuple):
    """A transient failure; `wait_seconds` is the wait that a server requested, if any."""

    wait_seconds: float | None = None


def transient_failure(error: BaseException, current_time: float) -> TransientFailure | None:
    """Return a Passing if a failure is transient; None if a retry would fail in the same way.

    Args:
        error: The exception.
        current_time: The time, in seconds since 1970, for answers that name a date.
    """
    all_errors = list(islice(linked_errors(error), MAX_LINKED_ERRORS))
    if any(
        _CERTIFICATE_ERRORS & {name for _, name in class_names_of(linked_error)}
        for linked_error in all_errors
    ):
        return None
    return _judge_error(error, current_time, {})


def answered_wait(error: BaseException, current_time: float) -> float | None:
    """Return how many seconds the answer behind an error asks to wait; None if it does not say.

    Args:
        error: The exception, or one that was raised from it.
        current_time: The time, in seconds since 1970, for answers that name a date.
    """
    for linked_error in islice(linked_errors(error), MAX_LINKED_ERRORS):
        wait_seconds = _requested_wait(linked_error, current_time)
        if wait_seconds is not None:
            return wait_seconds
    return None


def class_names_of(error: BaseException) -> list[tuple[str, str]]:
    """Return the package and name of an error's class and of its base classes, in order."""
    classes = type.__dict__["__mro__"].__get__(type(error))
    return [
        (str(error_class.__module__).partition(".")[0], error_class.__name__)
        for error_class in classes
    ]


def _judge_error(
    error: BaseException, current_time: float, seen_ids: dict[int, None]
) -> TransientFailure | None:
    """Judge one error by its own type and attributes, otherwise by its cause."""
    if id(error) in seen_ids or len(seen_ids) >= MAX_LINKED_ERRORS:
        return None
    seen_ids[id(error)] = None
    class_names = class_names_of(error)
    if any(name == "BaseExceptionGroup" for _, name in class_names):
        return _judge_group(error, current_time, seen_ids)
    verdict = _own_verdict(error, class_names)
    if verdict is not None:
        return TransientFailure(_requested_wait(error, current_time)) if verdict else None
    for linked_error in [*wrapped_errors(error), *cause_or_context(error, class_names)]:
        linked_failure = _judge_error(linked_error, current_time, seen_ids)
        if linked_failure is not None:
            return linked_failure
    return None


def _judge_group(
    group: BaseException, current_time: float, seen_ids: dict[int, None]
) -> TransientFailure | None:
    """Judge an exception group: transient if all its errors are, with their longest wait."""
    members = [
        member for member in as_list(read_attribute(group, "exceptions")) if is_error(member)
    ]
    judged_members = [_judge_error(member, current_time, seen_ids) for member in members]
    transient_members = [member for member in judged_members if member is not None]
    if not members or len(transient_members) < len(judged_members):
        return None
    return TransientFailure(
        max(
            (
                member.wait_seconds
                for member in transient_members
                if member.wait_seconds is not None
            ),
            default=None,
        )
    )


def _own_verdict(error: BaseException, class_names: list[tuple[str, str]]) -> bool | None:
    """Return whether an error's own attributes mark it transient; None if they do not tell."""
    if ("sgevents_core", "Retry") in class_names:
        return True
    if ("sgevents_core", "SiteError") in class_names:
        return read_attribute(error, "transient") is True
    for verdict_of in (
        _aws_verdict,
        _grpc_verdict,
        _smtp_verdict,
        _amqp_verdict,
        _database_verdict,
    ):
        verdict = verdict_of(error, class_names)
        if verdict is not None:
            return verdict
    status = _http_status(error)
    if status is not None:
        return status >= 500 or status in RETRYABLE_STATUSES
    if _own_wait(error) is not None:
        return True
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
    error_number = read_attribute(error, "errno")
    if type(error_number) is not int:
        return None
    if ("builtins", "OSError") not in class_names:
        return True if error_number in NETWORK_ERRNOS else None
    return error_number in NETWORK_ERRNOS or error_number in BUSY_ERRNOS


# HTTP


def _http_status(error: BaseException) -> int | None:
    """Return the HTTP status, 400 or above, of an error."""
    response = read_attribute(error, "response")
    for candidate in (
        *(read_attribute(error, name) for name in ("errcode", "status_code", "response_code")),
        *(read_attribute(response, name) for name in ("status_code", "status")),
        read_attribute(read_attribute(error, "resp"), "status"),
        read_item(read_item(response, "ResponseMetadata"), "HTTPStatusCode"),
    ):
        if _is_http_status(candidate):
            return int.__index__(candidate)
    if any(read_attribute(error, name, MISSING) is not MISSING for name in _HTTP_ATTRIBUTES):
        for candidate in (read_attribute(error, "status"), read_attribute(error, "code")):
            if _is_http_status(candidate):
                return int.__index__(candidate)
    return None


def _is_http_status(candidate: Any) -> bool:
    number = issubclass(type(candidate), int) and type(candidate) is not bool
    return number and 400 <= int.__index__(candidate) <= 599


def _requested_wait(error: BaseException, current_time: float) -> float | None:
    """Return how many seconds the answer's `Retry-After` asks to wait."""
    own_wait = _own_wait(error)
    if own_wait is not None:
        return bounded_wait(own_wait)
    response = read_attribute(error, "response")
    header_sets = (
        *(read_attribute(error, name) for name in ("headers", "hdrs", "resp")),
        read_attribute(response, "headers"),
        read_item(read_item(response, "ResponseMetadata"), "HTTPHeaders"),
    )
    for header_fields in header_sets:
        header_text = _retry_after_header(header_fields)
        if header_text is not None:
            return retry_after_seconds(header_text, current_time)
    return None


def _own_wait(error: BaseException) -> float | None:
    """Return the seconds in an error's own `retry_after`, as clients of chats keep them."""
    own_wait = read_attribute(error, "retry_after")
    if type(own_wait) is timedelta:
        return own_wait.total_seconds()
    return float(own_wait) if type(own_wait) in (int, float) else None


def _retry_after_header(headers: Any) -> str | None:
    try:
        for key, value in islice(headers.items(), MAX_HEADERS):
            if as_text(key).lower() == "retry-after":
                return as_text(value)[:100]
    except BaseException:  # no headers, or unreadable ones
        return None
    return None


# Services


def _aws_verdict(error: BaseException, class_names: list[tuple[str, str]]) -> bool | None:
    code = read_item(read_item(read_attribute(error, "response"), "Error"), "Code")
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
    refused_recipients = read_attribute(error, "recipients")
    if type(refused_recipients) is dict and refused_recipients:
        reply_codes = [read_item(reply, 0) for reply in refused_recipients.values()]
        return all(
            type(reply_code) is int and 400 <= reply_code < 500 for reply_code in reply_codes
        )
    for reply_code in (read_attribute(error, "smtp_code"), read_attribute(error, "code")):
        if type(reply_code) is int and 400 <= reply_code <= 599:
            return reply_code < 500
    return None


def _amqp_verdict(error: BaseException, class_names: list[tuple[str, str]]) -> bool | None:
    """Judge the reply code with which a message broker closes a connection or channel."""
    reply_code = read_attribute(error, "reply_code")
    return reply_code in AMQP_CODES if type(reply_code) is int and reply_code >= 300 else None


def _database_verdict(error: BaseException, class_names: list[tuple[str, str]]) -> bool | None:
    """Judge a database error: unavailable, full or locked is transient, a wrong query is not."""
    name_set = {name for _, name in class_names}
    first_argument = read_item(arguments_of(error), 0)
    if any(package.startswith("sqlite") for package, _ in class_names):
        return _is_locked(error, str(first_argument)) if "Error" in name_set else None
    is_driver = bool(name_set & _DRIVER_ERRORS)
    for sql_state in (
        read_attribute(error, "sqlstate"),
        read_attribute(error, "pgcode"),
        first_argument if is_driver else None,
    ):
        if _is_sqlstate(sql_state):
            return str(sql_state).startswith(SQLSTATE_PREFIXES)
    for error_number in (read_attribute(error, "errno"), first_argument) if is_driver else ():
        if type(error_number) is int and error_number >= 0:
            return error_number in MYSQL_CODES
    if (
        read_attribute(error, "orig") is None
        and cause_of(error) is None
        and "OperationalError" in name_set
    ):
        return True
    return None  # it wraps another, which is judged instead, or is a programming error


def _is_sqlstate(value: Any) -> bool:
    return type(value) is str and len(value) == 5 and value.isalnum() and value == value.upper()


def _is_locked(error: BaseException, text: str) -> bool:
    error_name = read_attribute(error, "sqlite_errorname")
    if isinstance(error_name, str):
        return error_name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
    return text.endswith("is locked")  # Python 3.10 offers nothing better


_SERVICE_VERDICTS: Final = (
    _aws_verdict,
    _grpc_verdict,
    _smtp_verdict,
    _amqp_verdict,
    _database_verdict,
)
