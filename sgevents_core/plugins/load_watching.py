"""Who looks after the code of plugins while they are loaded: knows whose turn it is, and for what.

The default lets code run and keeps the process whole around it. A daemon's notes each step, so that
the next process knows in which one it died, and ends what takes too long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NamedTuple, TypeVar

from sgevents_core.observe.current import Current, enter, leave
from sgevents_core.observe.logs import look
from sgevents_core.plugins.process_state import ProcessState

_T = TypeVar("_T")


class LoadingTurn(NamedTuple):
    """A plugin whose code runs because it is loaded, started or shut down.

    Args:
        plugin: Its name.
        limit: How long each step may take, in seconds.
        mark: What it is loaded from; another one after anything about it has changed.
    """

    plugin: str
    limit: float
    mark: str = ""


class KnownBroken(NamedTuple):
    """Why a plugin, or a hook of it, is not tried again.

    Args:
        reason: What it did, for people.
        fix: What helps.
        traceback: Where it did that, as far as known.
        mark: What it was loaded from then; empty for any.
        hook: The hook that alone is left out; empty for the whole plugin.
    """

    reason: str
    fix: str
    traceback: str = ""
    mark: str = ""
    hook: str = ""


class LoadingStopped(BaseException):
    """The daemon is told to stop while it loads: no error, and nobody else's to catch."""


class PluginWatch:
    """Lets each step run.

    Args:
        known: Plugin -> why it is not tried again.
    """

    def __init__(self, known: Mapping[str, KnownBroken] | None = None) -> None:
        self._known: Final = known or {}

    def known(self, plugin: str, mark: str) -> KnownBroken | None:
        """Return why a plugin, or a hook of it, is left out; None if it is tried."""
        found = self._known.get(plugin)
        return found if found is not None and found.mark in ("", mark) else None

    def around(self, turn: LoadingTurn, doing: str, call: Callable[[], _T]) -> _T:
        """Return what one step of a plugin returns."""
        return call()


_now: Final[ContextVar[tuple[PluginWatch, LoadingTurn] | None]] = ContextVar(
    "sgevents_loading", default=None
)


@contextmanager
def watching(watch: PluginWatch, turn: LoadingTurn) -> Iterator[list[str]]:
    """Let `watch` look after each step of a plugin in the block.

    Yields:
        What the plugin has changed of the process and was put back, for people; filled in the end.
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
    """Return what code of a plugin returns; who watches is told of it.

    Args:
        doing: What is done, for people: `importing studio.status`.
        call: Runs code of one plugin.
    """
    now = _now.get()
    if now is None:
        return call()
    watch, turn = now
    enter(Current(turn.plugin, doing))
    try:
        return watch.around(turn, doing, call)
    finally:
        look(turn.plugin)
        leave()
