"""Describing what a callback raised, in bounded time and size: its text is a plugin's code."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Final, NamedTuple, TypeVar, cast

from sgevents_core.calling.outcome import ErrorFacts, RaisedElsewhere, RaisedError
from sgevents_core.calling.policy import facts_of
from sgevents_core.classic import calls as classic_calls
from sgevents_core.errors import CallbackTimeout
from sgevents_core.observe import forks, invoking
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins import signatures

MOST_TEXT: Final = 16_384
"""The most characters kept of a traceback; longer ones lose their middle."""
MOST_ERROR: Final = 500
MOST_FRAMES: Final = 40
PATIENCE: Final = 1.0
"""Seconds that inspecting an error may take, since it runs the plugin's code."""
_SEARCHED_LENGTH: Final = 16 * MOST_TEXT
"""Characters at either end of a text that are searched for secrets; far more than are kept."""
IMPATIENCE: Final = 0.05
"""Seconds for an error of a type that took too long before."""
MOST_HANGING: Final = 20
"""The most threads that may hang in errors; then no further error is inspected."""
_MAX_SLOW_TYPES: Final = 1000
_OMISSION: Final = "\n… {} characters left out …\n"
_slow_types: Final[set[str]] = set()
"""Types of errors that took too long to inspect."""
_hanging_threads: Final[list[threading.Thread]] = []
_CALLING_FILES: Final = frozenset(
    str(module.__file__) for module in (invoking, signatures, classic_calls)
)
_T = TypeVar("_T")


class Described(NamedTuple):
    """An error as one line and as a traceback, both safe to keep."""

    line: str
    traceback: str


def describe(error: BaseException, redact: Redactor) -> Described:
    """Return an exception as one line and as a traceback, both safe to keep.

    Args:
        error: What was raised; printing it may fail or take for ever.
        redact: Removes secrets from a text.
    """
    elsewhere = _raised_elsewhere(error)
    if elsewhere is not None:
        return Described(redact(elsewhere.line), redact(elsewhere.traceback))
    return inspect_error(
        error, lambda: _describe_fully(error, redact), lambda: _describe_briefly(error, redact)
    )


def raised_error(error: BaseException, redact: Redactor) -> RaisedError:
    """Return an exception as a plain value, safe to keep.

    Args:
        error: What was raised; inspecting it may fail or take for ever.
        redact: Removes secrets from a text.
    """
    elsewhere = _raised_elsewhere(error)
    if elsewhere is not None:
        return elsewhere
    line, text = describe(error, redact)
    facts = inspect_error(error, lambda: facts_of(error, time.time()), ErrorFacts)
    return RaisedError(_type_name(error), line, text, facts)


def _raised_elsewhere(error: BaseException) -> RaisedError | None:
    """Return the description of an error of another process; without running an error's code."""
    if not issubclass(type(error), RaisedElsewhere):  # isinstance would ask its __class__
        return None
    return cast("RaisedElsewhere", error).error


def inspect_error(
    error: BaseException, inspect: Callable[[], _T], fall_back: Callable[[], _T]
) -> _T:
    """Return the result of `inspect` for an error, or that of `fall_back` if it takes too long.

    It runs in its own thread, since any attribute of an error may be a plugin's code. An error of a
    type that took too long before is given almost no time.

    Args:
        error: The error.
        inspect: Inspects the error.
        fall_back: Called instead; does not use the error's own code.
    """
    type_name = _type_name(error)
    _hanging_threads[:] = [thread for thread in _hanging_threads if thread.is_alive()]
    if len(_hanging_threads) >= MOST_HANGING:
        return fall_back()
    results: SimpleQueue[_T | None] = SimpleQueue()
    thread = threading.Thread(
        target=_inspect, args=(inspect, results), name="looks at an error", daemon=True
    )
    try:
        thread.start()
        result = results.get(timeout=IMPATIENCE if type_name in _slow_types else PATIENCE)
    except (RuntimeError, MemoryError):  # too many threads already
        return fall_back()
    except Empty:
        _hanging_threads.append(thread)
        if len(_slow_types) < _MAX_SLOW_TYPES:
            _slow_types.add(type_name)
        return fall_back()
    return fall_back() if result is None else result


def _inspect(inspect: Callable[[], _T], results: SimpleQueue[_T | None]) -> None:
    generation, result = forks.fork_generation[0], None
    with suppress(BaseException):  # described without the plugin's code
        result = inspect()
    if forks.fork_generation[0] != generation:
        forks.end_child()
    results.put(result)


def _describe_fully(error: BaseException, redact: Redactor) -> Described:
    type_name = _type_name(error)
    try:
        message = _shorten_for_search(str(error))
        line = f"{type_name}: {message}" if message else type_name
    except BaseException:  # __str__ is a plugin's code too
        line = f"{type_name}: (it cannot be printed)"
    try:
        frames = traceback.format_exception(
            type(error), error, _plugin_traceback(error.__traceback__), limit=-MOST_FRAMES
        )
        text = "".join(_shorten_for_search(part) for part in frames)
        if isinstance(error, CallbackTimeout):  # never raised: its stack is another thread's
            text = f"{error.stack}{text}"
    except BaseException:  # as above
        text = line
    return _redacted(line, text, redact)


def _describe_briefly(error: BaseException, redact: Redactor) -> Described:
    """Describe an error without running its code: its type, and where it was raised."""
    line = f"{_type_name(error)}: (it could not be printed within {PATIENCE:.0f} s)"
    trace = _plugin_traceback(_TRACEBACK_OF(error))
    stack = traceback.StackSummary.extract(
        traceback.walk_tb(trace), limit=-MOST_FRAMES, lookup_lines=False
    )
    frames = "".join(f'  File "{f.filename}", line {f.lineno}, in {f.name}\n' for f in stack)
    return _redacted(line, f"Traceback (most recent call last):\n{frames}{line}\n", redact)


def _redacted(line: str, text: str, redact: Redactor) -> Described:
    safe_words = redact(_shorten_for_search(line))[:MOST_TEXT].split()
    short = _shorten(redact(_shorten_for_search(text)), MOST_TEXT, _OMISSION)
    return Described(_shorten(" ".join(safe_words), MOST_ERROR, " … "), short)


_NAME_OF: Final[Any] = type.__dict__["__qualname__"].__get__
_TRACEBACK_OF: Final[Any] = BaseException.__dict__["__traceback__"].__get__


def _type_name(error: BaseException) -> str:
    """Return the real name of an error's type, whatever its class pretends."""
    return str(_NAME_OF(type(error)))


def _plugin_traceback(trace: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the plugin's first frame on."""
    while trace is not None and trace.tb_next is not None and _is_of_the_call(trace):
        trace = trace.tb_next
    return trace


def _is_of_the_call(trace: TracebackType) -> bool:
    """Return whether the frame is one of those by which a callback is called."""
    return trace.tb_frame.f_code.co_filename in _CALLING_FILES


def _shorten_for_search(text: str) -> str:
    """Return the beginning and end of a text that is too long to search for secrets."""
    return _shorten(text, 2 * _SEARCHED_LENGTH, _OMISSION)


def _shorten(text: str, max_length: int, omission: str) -> str:
    """Return a text, cut to its beginning and end if it is too long."""
    if len(text) <= max_length:
        return text
    middle = omission.format(len(text) - max_length)
    return f"{text[: max_length // 2]}{middle}{text[-max_length // 2 :]}"
