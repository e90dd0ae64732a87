"""The border between the daemon and the code of plugins: every call of a plugin passes here."""

from __future__ import annotations

import sys
import traceback
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from sgevents_core.errors import NotAwaitedError
from sgevents_core.observe import forks
from sgevents_core.observe.current_call import CurrentCall, set_current_call
from sgevents_core.observe.thread_frames import current_frames

_fork_generation, _get_trace, _set_trace = forks.fork_generation, sys.gettrace, sys.settrace


def invoke(call: CurrentCall, function: Callable[..., Any], *args: Any) -> BaseException | None:
    """Call a function of a plugin and return the exception that it raised, even `SystemExit`.

    If the function forks and the child returns here, end the child.

    Args:
        call: The call; records logged meanwhile name it.
        function: The function.
        args: Its arguments.
    """
    generation_before, trace_before = _fork_generation[0], _get_trace()
    set_current_call(call)
    try:
        result = function(*args)
        if result is not None:  # an author's mistake may hide in it
            require_run(result)
    except BaseException as error:  # a plugin may raise anything
        if _fork_generation[0] != generation_before:
            forks.end_child(error)
        return error
    finally:
        if _fork_generation[0] != generation_before:
            forks.end_child()
        if _get_trace() is not trace_before:  # or it would trace the daemon's own code
            _set_trace(trace_before)
        set_current_call(None)
    return None


def require_run(result: object) -> None:
    """Raise NotAwaitedError if what a plain function returned is something still to be awaited."""
    if isinstance(result, Coroutine):
        result.close()
        raise NotAwaitedError(kind="a coroutine")
    if isinstance(result, AsyncGenerator):
        raise NotAwaitedError(kind="an async generator")


def running_calls() -> list[CurrentCall]:
    """Return the running calls of plugins, in all threads, at no cost to the calls."""
    running = []
    for innermost_frame in current_frames().values():
        frames = (frame for frame, _ in traceback.walk_stack(innermost_frame))
        running += [frame.f_locals["call"] for frame in frames if frame.f_code is invoke.__code__]
    return running


def running_plugins() -> str:
    """Return the plugins whose code is running, for people; empty if none is."""
    return ", ".join(sorted({call.plugin for call in running_calls()}))
