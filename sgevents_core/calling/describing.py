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
from sgevents_core.errors import CallbackTimeout
from sgevents_core.observe import forks
from sgevents_core.observe.redaction import Redactor

MOST_TEXT: Final = 16_384
"""The most characters kept of a traceback; longer ones lose their middle."""
MOST_ERROR: Final = 500
MOST_FRAMES: Final = 40
PATIENCE: Final = 1.0
"""Seconds that inspecting an error may take, since it runs the plugin's code."""
_LOOKED_AT: Final = 16 * MOST_TEXT
"""Characters at either end of a text that are searched for secrets; far more than are kept."""
IMPATIENCE: Final = 0.05
"""Seconds for an error of a type that took too long before."""
MOST_HANGING: Final = 20
"""The most threads that may hang in errors; then no further error is inspected."""
_MOST_SLOW: Final = 1000
_LEFT_OUT: Final = "\n… {} characters left out …\n"
_slow: Final[set[str]] = set()
"""Types of errors that took too long to inspect."""
_hanging: Final[list[threading.Thread]] = []
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
    return looked_at(error, lambda: _described(error, redact), lambda: _in_short(error, redact))


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
    facts = looked_at(error, lambda: facts_of(error, time.time()), ErrorFacts)
    return RaisedError(_kind(error), line, text, facts)


def _raised_elsewhere(error: BaseException) -> RaisedError | None:
    """Return the description of an error of another process; without running an error's code."""
    if not issubclass(type(error), RaisedElsewhere):  # isinstance would ask its __class__
        return None
    return cast("RaisedElsewhere", error).error


def looked_at(error: BaseException, look: Callable[[], _T], instead: Callable[[], _T]) -> _T:
    """Return the result of `look` for an error, or that of `instead` if it takes too long.

    It runs in its own thread, since any attribute of an error may be a plugin's code. An error of a
    type that took too long before is given almost no time.

    Args:
        error: The error.
        look: Inspects the error.
        instead: Called instead; does not use the error's own code.
    """
    kind = _kind(error)
    _hanging[:] = [thread for thread in _hanging if thread.is_alive()]
    if len(_hanging) >= MOST_HANGING:
        return instead()
    found: SimpleQueue[_T | None] = SimpleQueue()
    thread = threading.Thread(
        target=_look, args=(look, found), name="looks at an error", daemon=True
    )
    try:
        thread.start()
        result = found.get(timeout=IMPATIENCE if kind in _slow else PATIENCE)
    except (RuntimeError, MemoryError):  # too many threads already
        return instead()
    except Empty:
        _hanging.append(thread)
        if len(_slow) < _MOST_SLOW:
            _slow.add(kind)
        return instead()
    return instead() if result is None else result


def _look(look: Callable[[], _T], found: SimpleQueue[_T | None]) -> None:
    generation, result = forks.fork_generation[0], None
    with suppress(BaseException):  # described without the plugin's code
        result = look()
    if forks.fork_generation[0] != generation:
        forks.end_child()
    found.put(result)


def _described(error: BaseException, redact: Redactor) -> Described:
    kind = _kind(error)
    try:
        said = _ends_of(str(error))
        line = f"{kind}: {said}" if said else kind
    except BaseException:  # __str__ is a plugin's code too
        line = f"{kind}: (it cannot be printed)"
    try:
        frames = traceback.format_exception(
            type(error), error, _without_ours(error.__traceback__), limit=-MOST_FRAMES
        )
        text = "".join(_ends_of(part) for part in frames)
        if isinstance(error, CallbackTimeout):  # never raised: its stack is another thread's
            text = f"{error.stack}{text}"
    except BaseException:  # as above
        text = line
    return _kept(line, text, redact)


def _in_short(error: BaseException, redact: Redactor) -> Described:
    """Describe an error without running its code: its type, and where it was raised."""
    line = f"{_kind(error)}: (it could not be printed within {PATIENCE:.0f} s)"
    trace = _without_ours(_TRACEBACK(error))
    stack = traceback.StackSummary.extract(
        traceback.walk_tb(trace), limit=-MOST_FRAMES, lookup_lines=False
    )
    frames = "".join(f'  File "{f.filename}", line {f.lineno}, in {f.name}\n' for f in stack)
    return _kept(line, f"Traceback (most recent call last):\n{frames}{line}\n", redact)


def _kept(line: str, text: str, redact: Redactor) -> Described:
    words = redact(_ends_of(line))[:MOST_TEXT].split()
    short = _short(redact(_ends_of(text)), MOST_TEXT, _LEFT_OUT)
    return Described(_short(" ".join(words), MOST_ERROR, " … "), short)


_NAME: Final[Any] = type.__dict__["__qualname__"].__get__
_TRACEBACK: Final[Any] = BaseException.__dict__["__traceback__"].__get__


def _kind(error: BaseException) -> str:
    """Return the real name of an error's type, whatever its class pretends."""
    return str(_NAME(type(error)))


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the plugin's first frame on."""
    return trace.tb_next if trace is not None and trace.tb_next is not None else trace


def _ends_of(text: str) -> str:
    """Return the beginning and end of a text that is too long to search for secrets."""
    return _short(text, 2 * _LOOKED_AT, _LEFT_OUT)


def _short(text: str, most: int, instead: str) -> str:
    """Return a text, cut to its beginning and end if it is too long."""
    if len(text) <= most:
        return text
    middle = instead.format(len(text) - most)
    return f"{text[: most // 2]}{middle}{text[-most // 2 :]}"
