"""The errors behind an error, and the attributes that errors carry.

Reading them may run a plugin's code: an attribute that cannot be read counts as missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sgevents_core.calling.transient_names import BUG_CLASSES, MAX_LINKED_ERRORS

MISSING: Final = object()
"""What `read_attribute` can return for an attribute that is missing."""
_WRAPPING_ATTRIBUTES: Final = ("reason", "orig", "os_error")
"""Attributes in which libraries keep the error that theirs wraps."""


def cause_or_context(
    error: BaseException, class_names: list[tuple[str, str]]
) -> list[BaseException]:
    """Return the error's cause or context, unless that is a programming error."""
    cause, context = cause_of(error), context_of(error)
    if cause is not None:
        return [cause]
    if context is None or any(
        name in BUG_CLASSES for package, name in class_names if package == "builtins"
    ):
        return []
    return [context]


def wrapped_errors(error: BaseException) -> list[BaseException]:
    """Return the errors that an error wraps."""
    candidates = [
        *(read_attribute(error, name) for name in _WRAPPING_ATTRIBUTES),
        *arguments_of(error)[:MAX_LINKED_ERRORS],
    ]
    return [candidate for candidate in candidates if is_error(candidate)]


def linked_errors(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it wraps or was raised from, each once."""
    seen_ids, waiting_errors = {id(error)}, [error]
    while waiting_errors:
        linked_error = waiting_errors.pop()
        yield linked_error
        for next_error in (
            *wrapped_errors(linked_error),
            cause_of(linked_error),
            context_of(linked_error),
        ):
            if next_error is not None and id(next_error) not in seen_ids:
                seen_ids.add(id(next_error))
                waiting_errors.append(next_error)


def cause_of(error: BaseException) -> BaseException | None:
    """Return an error's cause; None if it has none."""
    cause = BaseException.__dict__["__cause__"].__get__(error)
    return cause if is_error(cause) else None


def context_of(error: BaseException) -> BaseException | None:
    """Return the error that was being handled when an error was raised; None without one."""
    if BaseException.__dict__["__suppress_context__"].__get__(error):
        return None
    context = BaseException.__dict__["__context__"].__get__(error)
    return context if is_error(context) else None


def arguments_of(error: BaseException) -> tuple[Any, ...]:
    """Return an error's arguments."""
    return tuple(BaseException.__dict__["args"].__get__(error))


def read_attribute(value: Any, name: str, otherwise: Any = None) -> Any:
    """Return an attribute of a value, or `otherwise` if it is missing or cannot be read."""
    try:
        return getattr(value, name, otherwise)
    except BaseException:  # a property is a plugin's code
        return otherwise


def read_item(value: Any, key: Any) -> Any:
    """Return an item of a dict, list or tuple; None for anything else."""
    value_type = type(value)
    if value_type is dict:
        return value.get(key)
    return (
        value[key]
        if value_type in (list, tuple) and type(key) is int and len(value) > key
        else None
    )


def as_list(value: Any) -> list[Any]:
    """Return a list or tuple as a list, shortened; an empty one for anything else."""
    return list(value[:MAX_LINKED_ERRORS]) if type(value) in (list, tuple) else []


def is_error(value: Any) -> bool:
    """Return whether a value is an exception, without asking it."""
    return issubclass(type(value), BaseException)


def as_text(value: Any) -> str:
    """Return text or bytes as text."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
