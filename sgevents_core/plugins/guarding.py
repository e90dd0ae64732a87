"""Run a plugin's code while it is loaded, and describe for people any error it raises."""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import PurePath
from typing import Final, TypeVar

from sgevents_core.errors import PluginRaisedError, UnusablePluginError
from sgevents_core.observe import forks
from sgevents_core.plugins.load_watching import LoadingStopped, run_watched

_T = TypeVar("_T")
_SHOWN_FRAMES: Final = 8
_MAX_LINE_LENGTH: Final = 300
_IMPORT_MACHINERY: Final = ("<frozen importlib", "<frozen runpy")
_LOADER_FOLDERS: Final = frozenset({"importlib", "importlib_metadata"})
_PYTHON_FOLDERS: Final = tuple(
    f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib")
)
_PACKAGES_FOLDER: Final = f"{os.sep}site-packages{os.sep}"
_OWN_FOLDERS: Final = frozenset(
    str(PurePath(__file__).parent.parent / room) for room in ("plugins", "crashes")
)
"""Where a plugin is loaded, and watched meanwhile."""
_OWN_PACKAGE: Final = f"{PurePath(__file__).parent.parent}{os.sep}"


def run_guarded(step_name: str, plugin_code: Callable[[], _T]) -> _T:
    """Return the result of `plugin_code`; attribute whatever it raises, even an exit, to the
    plugin.

    If the plugin forks and the child returns here, end the child.

    Args:
        step_name: A description of the call, for the message: `importing studio.status`.
        plugin_code: Runs one plugin's code.

    Raises:
        UnusablePluginError: The plugin raised one, such as for a wrong `@match`.
        PluginRaisedError: It raised anything else, which is the cause.
    """
    handled_before = sys.exc_info()[1]
    try:
        return run_watched(step_name, lambda: _run_in_this_process(plugin_code))
    except (UnusablePluginError, LoadingStopped):
        raise
    except BaseException as error:
        raise _describe_error(step_name, error, handled_before) from error


def _describe_error(
    step_name: str, error: BaseException, handled_before: BaseException | None
) -> PluginRaisedError:
    """Return the error to report; the original's text is produced by the plugin's code too."""

    def describe() -> tuple[str, str, str]:
        traceback_text = short_traceback(error, handled_before)
        return error_line(error), _raise_location(error), traceback_text

    error_text, raised_at, traceback_text = run_watched(
        f"describing what {step_name} raised", lambda: _run_in_this_process(describe)
    )
    return PluginRaisedError(
        doing=step_name, error=error_text, where=raised_at, trace=traceback_text
    )


def _run_in_this_process(plugin_code: Callable[[], _T]) -> _T:
    """Return the result of `plugin_code`, in this process only."""
    fork_generation = forks.fork_generation[0]
    try:
        result = plugin_code()
    except BaseException as error:
        if forks.fork_generation[0] != fork_generation:
            forks.end_child(error)
        raise
    if forks.fork_generation[0] != fork_generation:
        forks.end_child()
    return result


def error_line(error: BaseException) -> str:
    """Return the type and message of `error` in one line of bounded length."""
    error_text = traceback.format_exception_only(type(error), error)[-1]
    error_line_text = " ".join(error_text.split())
    return (
        error_line_text
        if len(error_line_text) <= _MAX_LINE_LENGTH
        else error_line_text[: _MAX_LINE_LENGTH - 3] + "..."
    )


def short_traceback(error: BaseException, handled_before: BaseException | None = None) -> str:
    """Return the traceback of `error` as Python prints it, with the plugin's last frames.

    Args:
        error: The error.
        handled_before: What was being handled when the plugin was called, which is left out.
    """
    shown_traceback = traceback.TracebackException.from_exception(error)
    shown_traceback.stack = traceback.StackSummary.from_list(_plugin_frames(error)[-_SHOWN_FRAMES:])
    shown_error: traceback.TracebackException | None = shown_traceback
    while shown_error is not None and handled_before is not None:
        if error.__context__ is None or error.__context__ is handled_before:
            shown_error.__context__ = None
            break
        error, shown_error = error.__context__, shown_error.__context__
    return "".join(shown_traceback.format())


def _raise_location(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {error.filename}:{error.lineno}"
    frames = _plugin_frames(error)
    for is_relevant in (_is_no_package, _is_no_part_of_python, _is_in_a_file):
        relevant_frames = [frame for frame in frames if is_relevant(frame.filename)]
        if relevant_frames:
            return f" at {relevant_frames[-1].filename}:{relevant_frames[-1].lineno}"
    return ""


def _is_in_a_file(filename: str) -> bool:
    return not filename.startswith("<")


def _is_no_part_of_python(filename: str) -> bool:
    """Return whether a file is none of Python's own modules, and none of this package."""
    in_python = filename.startswith(_PYTHON_FOLDERS) and _PACKAGES_FOLDER not in filename
    return _is_in_a_file(filename) and not in_python and not filename.startswith(_OWN_PACKAGE)


def _is_no_package(filename: str) -> bool:
    """Return whether a file belongs neither to Python nor to an installed package."""
    return _is_no_part_of_python(filename) and _PACKAGES_FOLDER not in filename


def _plugin_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the frames of the plugin and of what it called, outermost first."""
    return [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not _is_own_frame(frame.filename)
    ]


def _is_own_frame(filename: str) -> bool:
    path = PurePath(filename)
    return (
        filename.startswith(_IMPORT_MACHINERY)
        or path.parent.name in _LOADER_FOLDERS
        or str(path.parent) in _OWN_FOLDERS
    )
