"""Describe errors from callbacks in bounded time and size: formatting one runs plugin code."""

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
from sgevents_core.calling.policy import FailureRule, facts_of
from sgevents_core.classic import calls as classic_calls
from sgevents_core.errors import CallbackTimeout
from sgevents_core.observe import event_loops, forks, invoking
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins import signatures

MAX_TRACEBACK: Final = 16_384
"""The most characters kept of a traceback; longer ones lose their middle."""
MAX_ERROR_LINE: Final = 500
MAX_FRAMES: Final = 40
INSPECT_TIMEOUT: Final = 1.0
"""Seconds that inspecting an error may take, since it runs the plugin's code."""
_SEARCHED_LENGTH: Final = 16 * MAX_TRACEBACK
"""Characters at either end of a text that are searched for secrets; far more than are kept."""
SLOW_TYPE_TIMEOUT: Final = 0.05
"""Seconds for inspecting an error of a type that took too long before."""
MAX_HANGING: Final = 20
"""The most threads that may hang in errors; then no further error is inspected."""
_MAX_SLOW_TYPES: Final = 1000
_OMISSION: Final = "\n… {} characters left out …\n"
_slow_types: Final[set[str]] = set()
"""Types of errors that took too long to inspect."""
_hanging_threads: Final[list[threading.Thread]] = []
_CALLING_FILES: Final = frozenset(
    str(module.__file__) for module in (invoking, event_loops, signatures, classic_calls)
)
_T = TypeVar("_T")


class ErrorTexts(NamedTuple):
    """An error as one line and as a traceback, both safe to keep."""

    error_line: str
    traceback_text: str


def describe_error(error: BaseException, redact: Redactor) -> ErrorTexts:
    """Return an exception as one line and as a traceback, both safe to keep.

    Args:
        error: The exception; printing it may fail or take for ever.
        redact: Removes secrets from a text.
    """
    elsewhere = _raised_elsewhere(error)
    if elsewhere is not None:
        return ErrorTexts(redact(elsewhere.line), redact(elsewhere.traceback))
    return inspect_error(
        error, lambda: _describe_fully(error, redact), lambda: _describe_briefly(error, redact)
    )


def raised_error(
    error: BaseException, redact: Redactor, own_rule: FailureRule | None = None
) -> RaisedError:
    """Return an exception as a plain value, safe to keep.

    Args:
        error: The exception; inspecting it may fail or take for ever.
        redact: Removes secrets from a text.
        own_rule: The rule of the callback and its plugin for failures that pass, if they have one.
    """
    elsewhere = _raised_elsewhere(error)
    if elsewhere is not None:
        return elsewhere
    error_line, traceback_text = describe_error(error, redact)
    error_facts = inspect_error(error, lambda: facts_of(error, time.time(), own_rule), ErrorFacts)
    return RaisedError(_type_name(error), error_line, traceback_text, error_facts)


def _raised_elsewhere(error: BaseException) -> RaisedError | None:
    """Return the description of an error of another process; without running an error's code."""
    if not issubclass(type(error), RaisedElsewhere):  # isinstance would ask its __class__
        return None
    return cast("RaisedElsewhere", error).error


def inspect_error(
    error: BaseException, inspect_fully: Callable[[], _T], fall_back: Callable[[], _T]
) -> _T:
    """Return the result of `inspect_fully` for an error, or of `fall_back` if it takes too long.

    It runs in its own thread, since any attribute of an error may be a plugin's code. An error of a
    type that took too long before is given almost no time.

    Args:
        error: The error.
        inspect_fully: Inspects the error.
        fall_back: Called instead; does not use the error's own code.
    """
    type_name = _type_name(error)
    _hanging_threads[:] = [
        inspecting_thread for inspecting_thread in _hanging_threads if inspecting_thread.is_alive()
    ]
    if len(_hanging_threads) >= MAX_HANGING:
        return fall_back()
    results: SimpleQueue[_T | None] = SimpleQueue()
    inspecting_thread = threading.Thread(
        target=_run_inspection, args=(inspect_fully, results), name="looks at an error", daemon=True
    )
    try:
        inspecting_thread.start()
        inspection_result = results.get(
            timeout=SLOW_TYPE_TIMEOUT if type_name in _slow_types else INSPECT_TIMEOUT
        )
    except (RuntimeError, MemoryError):  # too many threads already
        return fall_back()
    except Empty:
        _hanging_threads.append(inspecting_thread)
        if len(_slow_types) < _MAX_SLOW_TYPES:
            _slow_types.add(type_name)
        return fall_back()
    return fall_back() if inspection_result is None else inspection_result


def _run_inspection(inspect_fully: Callable[[], _T], results: SimpleQueue[_T | None]) -> None:
    generation, inspection_result = forks.fork_generation[0], None
    with suppress(BaseException):  # described without the plugin's code
        inspection_result = inspect_fully()
    if forks.fork_generation[0] != generation:
        forks.end_child()
    results.put(inspection_result)


def _describe_fully(error: BaseException, redact: Redactor) -> ErrorTexts:
    type_name = _type_name(error)
    try:
        message = _shorten_for_search(str(error))
        error_line = f"{type_name}: {message}" if message else type_name
    except BaseException:  # __str__ is a plugin's code too
        error_line = f"{type_name}: (it cannot be printed)"
    try:
        formatted_frames = traceback.format_exception(
            type(error),
            error,
            None if isinstance(error, CallbackTimeout) else _plugin_traceback(error.__traceback__),
            limit=-MAX_FRAMES,
        )
        traceback_text = "".join(_shorten_for_search(frame_text) for frame_text in formatted_frames)
        if isinstance(error, CallbackTimeout):  # where the call stood, and not where it was raised
            traceback_text = f"{error.stack}{traceback_text}"
    except BaseException:  # as above
        traceback_text = error_line
    return _redact_texts(error_line, traceback_text, redact)


def _describe_briefly(error: BaseException, redact: Redactor) -> ErrorTexts:
    """Describe an error without running its code: its type, and where it was raised."""
    error_line = f"{_type_name(error)}: (it could not be printed within {INSPECT_TIMEOUT:.0f} s)"
    error_traceback = _plugin_traceback(_READ_TRACEBACK(error))
    stack_summary = traceback.StackSummary.extract(
        traceback.walk_tb(error_traceback), limit=-MAX_FRAMES, lookup_lines=False
    )
    frame_lines = "".join(
        f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n'
        for frame in stack_summary
    )
    return _redact_texts(
        error_line, f"Traceback (most recent call last):\n{frame_lines}{error_line}\n", redact
    )


def _redact_texts(error_line: str, traceback_text: str, redact: Redactor) -> ErrorTexts:
    safe_words = redact(_shorten_for_search(error_line))[:MAX_TRACEBACK].split()
    short_traceback = _shorten(
        redact(_shorten_for_search(traceback_text)), MAX_TRACEBACK, _OMISSION
    )
    return ErrorTexts(_shorten(" ".join(safe_words), MAX_ERROR_LINE, " … "), short_traceback)


_READ_NAME: Final[Any] = type.__dict__["__qualname__"].__get__
_READ_TRACEBACK: Final[Any] = BaseException.__dict__["__traceback__"].__get__


def _type_name(error: BaseException) -> str:
    """Return the real name of an error's type, even if its class overrides `__class__`."""
    return str(_READ_NAME(type(error)))


def _plugin_traceback(error_traceback: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the plugin's first frame on."""
    while (
        error_traceback is not None
        and error_traceback.tb_next is not None
        and _is_of_the_call(error_traceback)
    ):
        error_traceback = error_traceback.tb_next
    return error_traceback


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
