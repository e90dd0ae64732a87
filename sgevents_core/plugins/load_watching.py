"""Watching the code of plugins while they are loaded: which plugin runs, and in which step.

The default watch only runs the code and protects the process. A daemon's watch records each step,
so that the next process knows in which one it died, and ends a step that takes too long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NamedTuple, TypeVar

from sgevents_core.observe.current import CurrentCall, enter_call, leave_call
from sgevents_core.observe.logs import restore_logging
from sgevents_core.plugins.process_state import ProcessState

_T = TypeVar("_T")


class LoadingTurn(NamedTuple):
    """A plugin that is being loaded, started or shut down.

    Args:
        plugin: Its name.
        limit: The time limit of each step, in seconds.
        mark: Its mark, which changes with its code or settings.
    """

    plugin: str
    limit: float
    mark: str = ""


class KnownBroken(NamedTuple):
    """The reason why a plugin, or one of its hooks, is not tried again.

    Args:
        reason: What it did, for people.
        fix: How to fix it.
        traceback: Where it did that, if known.
        mark: Its mark at that time; empty for any.
        hook: The only hook to leave out; empty for the whole plugin.
    """

    reason: str
    fix: str
    traceback: str = ""
    mark: str = ""
    hook: str = ""


class LoadingStopped(BaseException):
    """The daemon was stopped while it loads plugins; not an error, and not for plugins to catch."""


class PluginWatch:
    """A watch that only runs each step.

    Args:
        known: Plugin -> why it is not tried again.
    """

    def __init__(self, known: Mapping[str, KnownBroken] | None = None) -> None:
        self._known: Final = known or {}

    def known(self, plugin: str, mark: str) -> KnownBroken | None:
        """Return why a plugin, or one of its hooks, is left out; None if it is not."""
        found = self._known.get(plugin)
        return found if found is not None and found.mark in ("", mark) else None

    def around(self, turn: LoadingTurn, doing: str, call: Callable[[], _T]) -> _T:
        """Run one step of a plugin, and return its result."""
        return call()


_now: Final[ContextVar[tuple[PluginWatch, LoadingTurn] | None]] = ContextVar(
    "sgevents_loading", default=None
)


@contextmanager
def watching(watch: PluginWatch, turn: LoadingTurn) -> Iterator[list[str]]:
    """Use `watch` for each step of a plugin in the block.

    Yields:
        What the plugin changed in the process and was restored, for people; filled at the end.
    """
    before = ProcessState()
    token = _now.set((watch, turn))
    changed: list[str] = []
    try:
        yield changed
    finally:
        _now.reset(token)
        changed += before.put_back()


def looked_after(doing: str, call: Callable[[], _T]) -> _T:
    """Run a plugin's code under the current watch, and return its result.

    Args:
        doing: What the call does, for people: `importing studio.status`.
        call: Runs one plugin's code.
    """
    now = _now.get()
    if now is None:
        return call()
    watch, turn = now
    enter_call(CurrentCall(turn.plugin, doing))
    try:
        return watch.around(turn, doing, call)
    finally:
        restore_logging(turn.plugin)
        leave_call()
