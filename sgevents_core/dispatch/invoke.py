"""Calling one callback so that whatever it raises stays its own affair."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, Final

from sgevents_core.errors import CallbackTimeout
from sgevents_core.observe.redaction import Redactor

MOST_TEXT: Final = 16_384
"""Characters kept of a traceback; the middle is left out of longer ones."""
MOST_ERROR: Final = 500
MOST_FRAMES: Final = 40
_LEFT_OUT: Final = "\n… {} characters left out …\n"


def invoke(function: Callable[..., Any], *args: Any) -> BaseException | None:
    """Call a function and return what it raised, `SystemExit` and its kind included."""
    try:
        function(*args)
    except BaseException as error:  # a plugin may raise anything
        return error
    return None


def describe(error: BaseException, redact: Redactor) -> tuple[str, str]:
    """Return an exception as one line and as a traceback, both fit to be kept.

    Args:
        error: What was raised; it may refuse to be printed.
        redact: Takes out what must not be in the result.
    """
    kind = type(error).__qualname__
    try:
        said = str(error)
        line = f"{kind}: {said}" if said else kind
    except BaseException:  # __str__ is a plugin's code too
        line = f"{kind}: (it cannot be printed)"
    try:
        frames = traceback.format_exception(
            type(error), error, _without_ours(error), limit=-MOST_FRAMES
        )
        text = "".join(frames)
        if isinstance(error, CallbackTimeout):  # raised by nobody: the stack is another thread's
            text = f"{error.stack}{text}"
    except BaseException:  # as above
        text = line
    words = redact(line)[:MOST_TEXT].split()
    return _short(" ".join(words), MOST_ERROR, " … "), _short(redact(text), MOST_TEXT, _LEFT_OUT)


def _without_ours(error: BaseException) -> Any:
    """Return the traceback from the plugin's own first frame on."""
    trace = error.__traceback__
    return trace.tb_next if trace is not None and trace.tb_next is not None else trace


def _short(text: str, most: int, instead: str) -> str:
    """Return a text of bounded length: begin and end of a longer one."""
    if len(text) <= most:
        return text
    middle = instead.format(len(text) - most)
    return f"{text[: most // 2]}{middle}{text[-most // 2 :]}"
