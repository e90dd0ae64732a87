"""Running a plugin's code while it is loaded, and reporting what it raised for people."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import PurePath
from typing import Final, TypeVar

from sgevents_core.errors import PluginRaisedError, UnusablePluginError
from sgevents_core.observe import forks
from sgevents_core.plugins.load_watching import LoadingStopped, looked_after

_T = TypeVar("_T")
_FRAMES: Final = 8
_LONGEST: Final = 300
_MACHINERY: Final = ("<frozen importlib", "<frozen runpy")
_LOADERS: Final = frozenset({"importlib", "importlib_metadata"})
_OWN: Final = str(PurePath(__file__).parent)


def guarded(doing: str, call: Callable[[], _T]) -> _T:
    """Return the result of `call`; whatever it raises, exits included, is the plugin's fault.

    A process that the plugin forks and that returns to this point ends here.

    Args:
        doing: What the call does, for the message: `importing studio.status`.
        call: Runs one plugin's code.

    Raises:
        UnusablePluginError: The plugin raised one, such as for a wrong `@match`.
        PluginRaisedError: It raised anything else, which is the cause.
    """
    try:
        return looked_after(doing, lambda: _bordered(call))
    except (UnusablePluginError, LoadingStopped):
        raise
    except BaseException as error:
        raise _raised(doing, error) from error


def _raised(doing: str, error: BaseException) -> PluginRaisedError:
    """Return the error to report; the original's text is produced by the plugin's code too."""

    def told() -> tuple[str, str, str]:
        return one_line(error), _place_of_raise(error), short_traceback(error)

    line, where, trace = looked_after(f"telling what {doing} raised", lambda: _bordered(told))
    return PluginRaisedError(doing=doing, error=line, where=where, trace=trace)


def _bordered(call: Callable[[], _T]) -> _T:
    """Return the result of `call`, in this process only."""
    generation = forks.fork_generation[0]
    try:
        result = call()
    except BaseException as error:
        if forks.fork_generation[0] != generation:
            forks.end_child(error)
        raise
    if forks.fork_generation[0] != generation:
        forks.end_child()
    return result


def one_line(error: BaseException) -> str:
    """Return the type and message of `error` in one line of bounded length."""
    text = traceback.format_exception_only(type(error), error)[-1]
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def short_traceback(error: BaseException) -> str:
    """Return the traceback of `error` as Python prints it, with the plugin's last frames."""
    told = traceback.TracebackException.from_exception(error)
    told.stack = traceback.StackSummary.from_list(_frames(error)[-_FRAMES:])
    return "".join(told.format())


def _place_of_raise(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {error.filename}:{error.lineno}"
    frames = _frames(error)
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the frames of the plugin and of what it called, outermost first."""
    return [
        frame for frame in traceback.extract_tb(error.__traceback__) if not _is_ours(frame.filename)
    ]


def _is_ours(filename: str) -> bool:
    path = PurePath(filename)
    return (
        filename.startswith(_MACHINERY) or path.parent.name in _LOADERS or str(path.parent) == _OWN
    )
