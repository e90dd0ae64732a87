"""Watching plugins while they run in a harness: each call, its writes and its result."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from sgevents_core.calling.context import Services
from sgevents_core.dispatch.alerting import Announcer, Hooks
from sgevents_core.events import Event
from sgevents_core.plugins.callback import Callback
from sgevents_core.plugins.guarding import error_line
from sgevents_core.plugins.loading import Loaded, LoadedPlugin
from sgevents_core.state.failures import Failure
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.testing.recorder import Write
from sgevents_core.testing.results import PLUGIN_LOGGER, Called, HookCalled, Result


class CallWatch:
    """A recorder of what plugins do, in `result`, which is a new one for each run."""

    def __init__(self) -> None:
        self.result = Result()
        self._here = threading.local()
        self._last: Called | HookCalled | None = None

    def watched(self, loaded: Loaded) -> Loaded:
        """Return the plugins with all their functions watched."""
        return replace(loaded, plugins=tuple(self._plugin(one) for one in loaded.plugins))

    def wrote(self, write: Write) -> None:
        """Record a write of this thread's call; in a thread of a plugin, of the last call."""
        call = getattr(self._here, "call", None) or self._last
        if call is not None:
            call.writes.append(write)

    def judged(self, failure: Failure, event: Event, record: PluginRecord) -> None:
        """Record what the failure policy decided about a call that failed."""
        call = self._call_of(failure, event)
        call.outcome = failure.outcome  # type: ignore[assignment]  # one of the policy's outcomes
        call.reason, call.attempt = failure.error, failure.attempt
        if failure.outcome == "retry":
            call.wait = round(record.retry_at - failure.at, 2)

    def _call_of(self, failure: Failure, event: Event) -> Called:
        """Return the call that failed; if its filter raised, none is recorded yet."""
        name = (failure.plugin, failure.callback, failure.attempt)
        for call in reversed(self.result.calls):
            if (call.plugin, call.callback, call.attempt) == name and call.event == event:
                return call
        self.result.calls.append(Called(failure.plugin, failure.callback, event))
        return self.result.calls[-1]

    def _plugin(self, plugin: LoadedPlugin) -> LoadedPlugin:
        callbacks = tuple(replace(one, function=self._callback(one)) for one in plugin.callbacks)
        hooks = {
            name: self._hook(plugin.name, name, function) for name, function in plugin.hooks.items()
        }
        return replace(plugin, callbacks=callbacks, hooks=hooks)

    def _callback(self, callback: Callback) -> Callable[[Event, Any], object]:
        def function(event: Event, ctx: Any) -> object:
            call = Called(callback.plugin, callback.name, event, ctx.attempt, ctx.key)
            self.result.calls.append(call)
            with self._noting(call):
                return callback.function(event, ctx)

        return function

    def _hook(
        self, plugin: str, hook: str, function: Callable[..., object]
    ) -> Callable[..., object]:
        def call_hook(*args: Any) -> object:
            call = HookCalled(plugin, hook, args[0] if len(args) > 1 else None)
            self.result.hooks.append(call)
            with self._noting(call):
                return function(*args)

        return call_hook

    @contextmanager
    def _noting(self, call: Called | HookCalled) -> Iterator[None]:
        self._here.call = self._last = call
        try:
            yield
        except BaseException as error:
            call.error = error
            if isinstance(call, Called):
                call.outcome, call.reason = "dead-letter", error_line(error)
            raise
        finally:
            self._here.call = None


class WatchedAnnouncer(Announcer):
    """An announcer that calls the plugins' alerting hooks, and reports the failure to the watch."""

    def __init__(self, listeners: Sequence[tuple[Services, Hooks]], watch: CallWatch) -> None:
        super().__init__(listeners)
        self._watch: Final = watch

    def failed(self, failure: Failure, event: Event, number: int, record: PluginRecord) -> None:
        """Report a failed callback."""
        self._watch.judged(failure, event, record)
        super().failed(failure, event, number, record)


class _Collector(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


@contextmanager
def collected(records: list[logging.LogRecord]) -> Iterator[None]:
    """Add to `records` whatever plugins log while the block lasts, at any level."""
    logger = logging.getLogger(PLUGIN_LOGGER.rstrip("."))
    handler, level = _Collector(records), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
