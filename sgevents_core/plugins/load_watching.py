"""Watching the code of plugins while they are loaded: which plugin runs, and in which step.

The default watch only runs the code and protects the process. A daemon's watch records each step,
so that the next process knows in which one it died, and ends a step that takes too long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NamedTuple, TypeVar

from sgevents_core.observe.current_call import CurrentCall, enter_call, leave_call
from sgevents_core.observe.logs import restore_logging
from sgevents_core.plugins.process_state import ProcessState

_T = TypeVar("_T")


class LoadingTurn(NamedTuple):
    """A plugin that is being loaded, started or shut down.

    Args:
        plugin: Its name.
        time_limit: The time limit of each step, in seconds.
        fingerprint: A short string that changes with its code or settings.
    """

    plugin: str
    time_limit: float
    fingerprint: str = ""


class KnownBroken(NamedTuple):
    """The reason why a plugin, or one of its hooks, is not tried again.

    Args:
        reason: What the plugin did, for people.
        fix: How to fix it.
        traceback: The traceback of that failure, if known.
        fingerprint: Its mark at that time; empty for any.
        hook: The only hook to leave out; empty for the whole plugin.
    """

    reason: str
    fix: str
    traceback: str = ""
    fingerprint: str = ""
    hook: str = ""


class LoadingStopped(BaseException):
    """The daemon was stopped while loading plugins. Not an error, and not for plugins to catch."""


class PluginWatch:
    """A watch that only runs each step.

    Args:
        known_broken: Plugin -> why it is not tried again.
    """

    def __init__(self, known_broken: Mapping[str, KnownBroken] | None = None) -> None:
        self._known_broken: Final = known_broken or {}

    def find_known_broken(self, plugin: str, fingerprint: str) -> KnownBroken | None:
        """Return why a plugin, or one of its hooks, is left out; None if it is not."""
        broken = self._known_broken.get(plugin)
        return broken if broken is not None and broken.fingerprint in ("", fingerprint) else None

    def run_step(
        self, loading_turn: LoadingTurn, step_name: str, plugin_code: Callable[[], _T]
    ) -> _T:
        """Run one step of a plugin, and return its result."""
        return plugin_code()

    def within(self, seconds: float, doing: str, call: Callable[[], _T]) -> _T:
        """Return the result of `call`, within a time limit if this watch enforces one.

        Args:
            seconds: The most seconds it may take, if the watch limits them.
            doing: A description of the work, for people.
            call: Runs the code.
        """
        return call()


_current_watch: Final[ContextVar[tuple[PluginWatch, LoadingTurn] | None]] = ContextVar(
    "sgevents_loading", default=None
)


@contextmanager
def watch_loading(plugin_watch: PluginWatch, loading_turn: LoadingTurn) -> Iterator[list[str]]:
    """Use `plugin_watch` for each step of a plugin in the block.

    Yields:
        What the plugin changed in the process and was restored, for people; filled at the end.
    """
    state_before = ProcessState()
    context_token = _current_watch.set((plugin_watch, loading_turn))
    restored_changes: list[str] = []
    try:
        yield restored_changes
    finally:
        _current_watch.reset(context_token)
        restored_changes += state_before.restore()


def run_watched(step_name: str, plugin_code: Callable[[], _T]) -> _T:
    """Run a plugin's code under the current watch, and return its result.

    Args:
        step_name: A description of the call, for people: `importing studio.status`.
        plugin_code: Runs one plugin's code.
    """
    current_watch = _current_watch.get()
    if current_watch is None:
        return plugin_code()
    plugin_watch, loading_turn = current_watch
    enter_call(CurrentCall(loading_turn.plugin, step_name))
    try:
        return plugin_watch.run_step(loading_turn, step_name, plugin_code)
    finally:
        restore_logging(loading_turn.plugin)
        leave_call()
