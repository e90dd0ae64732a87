"""The border between the daemon and the code of plugins: every call of a plugin passes here."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

from sgevents_core.observe import forks
from sgevents_core.observe.current import Current, note

_forked, _trace, _set_trace = forks.generation, sys.gettrace, sys.settrace


def invoke(call: Current, function: Callable[..., Any], *args: Any) -> BaseException | None:
    """Call a function of a plugin and return what it raised, including `SystemExit` and its kind.

    A process that the function forked, and that returns here, ends here.

    Args:
        call: The call; records logged meanwhile name it.
        function: The function.
        args: Its arguments.
    """
    generation, trace = _forked[0], _trace()
    note(call)
    try:
        function(*args)
    except BaseException as error:  # a plugin may raise anything
        if _forked[0] != generation:
            forks.end_child(error)
        return error
    finally:
        if _forked[0] != generation:
            forks.end_child()
        if _trace() is not trace:  # it would otherwise trace the daemon's own code
            _set_trace(trace)
        note(None)
    return None


def calls_in_hand() -> list[Current]:
    """Return the calls of plugins that are running, in any thread; costs the calls nothing."""
    found = []
    for innermost in sys._current_frames().values():  # there is no other way to see other threads
        frames = (frame for frame, _ in traceback.walk_stack(innermost))
        found += [frame.f_locals["call"] for frame in frames if frame.f_code is invoke.__code__]
    return found


def who_runs() -> str:
    """Return the plugins whose code is running, for people; empty if none is."""
    return ", ".join(sorted({call.plugin for call in calls_in_hand()}))
