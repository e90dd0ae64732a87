"""Calling one callback so that whatever it raises stays its own affair."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from typing import Any, Final

MOST_TEXT: Final = 16_384
"""Characters kept of a traceback; the middle is left out of longer ones."""
MOST_ERROR: Final = 500
MOST_FRAMES: Final = 40


def invoke(function: Callable[..., Any], *args: Any) -> BaseException | None:
    """Call a function and return what it raised, `SystemExit` and its kind included."""
    try:
        function(*args)
    except BaseException as error:  # a plugin may raise anything
        return error
    return None


def describe(error: BaseException, secrets: Iterable[str] = ()) -> tuple[str, str]:
    """Return an exception as one line and as a traceback, both fit to be kept.

    Args:
        error: What was raised; it may refuse to be printed.
        secrets: Texts that must not be in the result.
    """
    kind = type(error).__qualname__
    try:
        line = f"{kind}: {error}" if str(error) else kind
    except BaseException:  # __str__ is a plugin's code too
        line = f"{kind}: (it cannot be printed)"
    try:
        frames = traceback.format_exception(
            type(error), error, _without_ours(error), limit=-MOST_FRAMES
        )
        text = "".join(frames)
    except BaseException:  # as above
        text = line
    return _clean(" ".join(line.split()), MOST_ERROR, secrets), _clean(text, MOST_TEXT, secrets)


def _without_ours(error: BaseException) -> Any:
    """Return the traceback from the plugin's own first frame on."""
    trace = error.__traceback__
    return trace.tb_next if trace is not None and trace.tb_next is not None else trace


def _clean(text: str, most: int, secrets: Iterable[str]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    text = text.encode("utf-8", "replace").decode("utf-8")
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}\n… {len(text) - most} characters left out …\n{text[-most // 2 :]}"
