"""Watching plugins that run in a harness: each call, its writes and its result."""

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
from sgevents_core.state.deferred import DeferredCall
from sgevents_core.state.failures import Failure
from sgevents_core.state.plugin_record import AnyPluginRecord
from sgevents_core.testing.recorder import Write
from sgevents_core.testing.results import PLUGIN_LOGGER, Called, HookCalled, Result


class CallWatch:
    """Records plugins' calls and writes in `result`, which is replaced for each run."""

    def __init__(self) -> None:
        self.result = Result()
        self._thread_state = threading.local()
        self._last_call: Called | HookCalled | None = None

    def watch_plugins(self, loaded: Loaded) -> Loaded:
        """Return the plugins with all their functions watched."""
        plugins = tuple(map(self._watch_plugin, loaded.plugins))
        return replace(loaded, plugins=plugins)

    def record_write(self, write: Write) -> None:
        """Record a write of this thread\'s call; in a plugin\'s own thread, of the last call."""
        call = getattr(self._thread_state, "call", None) or self._last_call
        if call is not None:
            call.writes.append(write)

    def record_deferral(self, deferred_call: DeferredCall, seconds: float) -> None:
        """Record that the last call of a callback has put its event off."""
        for call in reversed(self.result.calls):
            if (call.plugin, call.callback, call.event.id) == (
                deferred_call.plugin,
                deferred_call.callback,
                deferred_call.event_id,
            ):
                call.outcome, call.reason = "defer", deferred_call.reason
                call.wait = round(seconds, 2)
                return

    def record_failure(self, failure: Failure, event: Event, retry_at: float) -> None:
        """Record the failure policy's decision about a call that failed.

        Args:
            failure: The failure.
            event: Its event.
            retry_at: When the call is made again, in seconds since 1970, if it is.
        """
        call = self._failed_call(failure, event)
        call.outcome = failure.outcome  # type: ignore[assignment]  # one of the policy's outcomes
        call.reason, call.attempt = failure.error, failure.attempt
        if failure.outcome == "retry":
            call.wait = round(retry_at - failure.at, 2)

    def _failed_call(self, failure: Failure, event: Event) -> Called:
        """Return the call that failed; if its filter raised, none is recorded yet."""
        call_identity = (failure.plugin, failure.callback, failure.attempt)
        for call in reversed(self.result.calls):
            identity = (call.plugin, call.callback, call.attempt)
            if identity == call_identity and call.event == event:
                return call
        self.result.calls.append(Called(failure.plugin, failure.callback, event))
        return self.result.calls[-1]

    def _watch_plugin(self, plugin: LoadedPlugin) -> LoadedPlugin:
        callbacks = tuple(
            replace(callback, function=self._watch_callback(callback))
            for callback in plugin.callbacks
        )
        hooks = {
            hook_name: self._watch_hook(plugin.name, hook_name, function)
            for hook_name, function in plugin.hooks.items()
        }
        return replace(plugin, callbacks=callbacks, hooks=hooks)

    def _watch_callback(self, callback: Callback) -> Callable[[Event, Any], object]:
        def call_callback(event: Any, ctx: Any) -> object:
            events = list(event) if callback.batch is not None else [event]
            call = Called(callback.plugin, callback.name, events[0], ctx.attempt, ctx.key)
            call.events = events
            self.result.calls.append(call)
            with self._recording(call):
                try:
                    return callback.function(event, ctx)
                finally:
                    call.ignored = ctx.ignored

        return call_callback

    def _watch_hook(
        self, plugin_name: str, hook_name: str, function: Callable[..., object]
    ) -> Callable[..., object]:
        def call_hook(*args: Any) -> object:
            call = HookCalled(plugin_name, hook_name, args[0] if len(args) > 1 else None)
            self.result.hooks.append(call)
            with self._recording(call):
                return function(*args)

        return call_hook

    @contextmanager
    def _recording(self, call: Called | HookCalled) -> Iterator[None]:
        self._thread_state.call = self._last_call = call
        try:
            yield
        except BaseException as error:
            call.error = error
            if isinstance(call, Called):
                call.outcome, call.reason = "dead-letter", error_line(error)
            raise
        finally:
            self._thread_state.call = None


class WatchedAnnouncer(Announcer):
    """An announcer that calls the plugins' alerting hooks, and reports the failure to the watch."""

    def __init__(self, listeners: Sequence[tuple[Services, Hooks]], watch: CallWatch) -> None:
        super().__init__(listeners)
        self._watch: Final = watch

    def failed(
        self,
        failure: Failure,
        event: Event,
        letter_number: int,
        record: AnyPluginRecord,
        *,
        next_attempt_at: float | None = None,
        events: Sequence[Event] = (),
    ) -> None:
        """Report a failed callback."""
        self._watch.record_failure(failure, event, next_attempt_at or record.retry_at)
        super().failed(
            failure, event, letter_number, record, next_attempt_at=next_attempt_at, events=events
        )

    def deferred(self, deferred_call: DeferredCall, seconds: float) -> None:
        """Report that a callback has put an event off."""
        self._watch.record_deferral(deferred_call, seconds)
        super().deferred(deferred_call, seconds)


class _LogCollector(logging.Handler):
    def __init__(self, log_records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._log_records = log_records

    def emit(self, record: logging.LogRecord) -> None:
        self._log_records.append(record)


@contextmanager
def collect_log_records(log_records: list[logging.LogRecord]) -> Iterator[None]:
    """Add to `log_records` whatever plugins log while the block lasts, at any level."""
    logger = logging.getLogger(PLUGIN_LOGGER.rstrip("."))
    handler, former_level = _LogCollector(log_records), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(former_level)
        logger.removeHandler(handler)
