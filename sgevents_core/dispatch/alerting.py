"""Reporting failures: to the log at once, and to plugins from a separate thread."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Final

from sgevents_core.calling.context import CallContext, Services
from sgevents_core.calling.describing import describe_error
from sgevents_core.events import Event
from sgevents_core.hookspecs import (
    Attention,
    BacklogTimeout,
    CallbackFailure,
    DeadLetter,
    PluginPause,
)
from sgevents_core.observe.current_call import CurrentCall
from sgevents_core.observe.invoking import invoke
from sgevents_core.printable import counted
from sgevents_core.settings import format_duration
from sgevents_core.state.attention import Need
from sgevents_core.state.deferred import DeferredCall
from sgevents_core.state.failures import Failure
from sgevents_core.state.plugin_record import AnyPluginRecord

logger = logging.getLogger("sgevents.dispatch")

Hooks = Mapping[str, Callable[..., Any]]
MOST_WAITING: Final = 10_000
"""The most alerts queued for plugins' hooks; any beyond reach only the log."""


class Announcer:
    """The reporter that logs failures and passes them to the plugins that implement the hooks.

    Args:
        listeners: Services and hooks of the plugins, in call order.
        failure_observers: Called with each failure, in the lane's thread.
    """

    def __init__(
        self,
        listeners: Sequence[tuple[Services, Hooks]] = (),
        failure_observers: Sequence[Callable[[Failure], None]] = (),
    ) -> None:
        self._listeners = listeners
        self._failure_observers = failure_observers
        self._alert_queue: queue.Queue[tuple[str, Any] | None] = queue.Queue(MOST_WAITING)
        self._alert_thread = threading.Thread(target=self._run_hooks, name="alerts", daemon=True)
        self._alert_thread.start()

    def listen_with(self, listeners: Sequence[tuple[Services, Hooks]]) -> None:
        """Report to other plugins from now on."""
        self._listeners = listeners

    def deferred(self, deferred_call: DeferredCall, seconds: float) -> None:
        """Report that a callback has put an event off, for some seconds."""
        reason_text = f": {deferred_call.reason}" if deferred_call.reason else ""
        logger.info(
            "%s of plugin %s puts event %d off for %s%s",
            deferred_call.callback,
            deferred_call.plugin,
            deferred_call.event_id,
            format_duration(round(seconds, 1)),
            reason_text,
            extra={
                "action": "callback.deferred",
                "plugin": deferred_call.plugin,
                "callback": deferred_call.callback,
                "event_id": deferred_call.event_id,
                "seconds": round(seconds, 3),
            },
        )

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
        """Report a failed callback, and the dead letter or pause that resulted.

        Args:
            failure: The failure.
            event: Its event, or the first one of a batch.
            letter_number: The number of the dead letter, if it is one.
            record: The plugin's record.
            next_attempt_at: When the call is made again, in seconds since 1970, 0 if it is not; by
                default, when the plugin's hold ends.
            events: The events of a batch; empty for a call with one event.
        """
        self._log_failure(failure, len(events))
        for note_failure in self._failure_observers:
            note_failure(failure)
        if next_attempt_at is None:
            next_attempt_at = record.retry_at if failure.outcome == "retry" else 0.0
        retried_at = datetime.fromtimestamp(next_attempt_at, timezone.utc)
        callback_failure = CallbackFailure(
            plugin=failure.plugin,
            callback=failure.callback,
            event=event,
            error=failure.error,
            traceback=failure.traceback,
            attempt=failure.attempt,
            next_attempt_at=retried_at if next_attempt_at else None,
            events=tuple(events),
        )
        self._queue_alert("callback_failed", callback_failure)
        if failure.outcome == "dead-letter":
            self._queue_alert("dead_lettered", _dead_letter_of(callback_failure, letter_number))
        if record.state == "paused":
            self.paused(record, event)

    def paused(self, record: AnyPluginRecord, event: Event) -> None:
        """Report that a plugin is paused at an event."""
        logger.error(
            "Plugin %s is paused at event %d: %s",
            record.name,
            event.id,
            record.reason,
            extra={"action": "plugin.paused", "plugin": record.name, "event_id": event.id},
        )
        pause = PluginPause(plugin=record.name, reason=record.reason, event_id=event.id)
        self._queue_alert("plugin_paused", pause)

    def waits_for_site(self, plugin: str, event_id: int, error: str) -> None:
        """Report that a plugin waits at an event until the site answers."""
        logger.warning(
            "Plugin %s waits at event %d until the site answers, and loses nothing: %s",
            plugin,
            event_id,
            error,
            extra={"action": "plugin.waits_for_site", "plugin": plugin, "event_id": event_id},
        )

    def waits_to_start(self, plugin: str, error: str) -> None:
        """Report that a plugin will start only once the site answers."""
        logger.warning(
            "Plugin %s is started when the site answers, and loses nothing until then: %s",
            plugin,
            error,
            extra={"action": "plugin.waits_for_site", "plugin": plugin},
        )

    def timed_out(self, first_id: int, last_id: int, noticed_at: datetime, ids: int = 1) -> None:
        """Report missing ids that are no longer waited for; the feed has logged them."""
        timeout_details = BacklogTimeout(
            first_id=first_id, last_id=last_id, noticed_at=noticed_at, ids=ids
        )
        self._queue_alert("backlog_timed_out", timeout_details)

    def attention(self, need: Need, *, over: bool) -> None:
        """Report an occurrence that needs a person, or that is over."""
        logger.log(
            logging.INFO if over else logging.ERROR,
            "%s: %s" if over else "%s. To do: %s",
            "Resolved" if over else need.text,
            need.text if over else need.fix,
            extra={"action": "attention.over" if over else "attention.needed", "kind": need.kind},
        )
        attention_details = Attention(
            kind=need.kind, summary=need.text, fix=need.fix, plugin=need.plugin, over=over
        )
        self._queue_alert("attention_needed", attention_details)

    def close(self, timeout: float) -> None:
        """Let the hooks finish their queue, for at most `timeout` seconds."""
        close_deadline = time.monotonic() + timeout
        try:
            self._alert_queue.put(None, timeout=timeout)
        except queue.Full:  # a hook hangs; its thread ends with the process
            return
        self._alert_thread.join(max(close_deadline - time.monotonic(), 0.0))

    def _log_failure(self, failure: Failure, event_count: int) -> None:
        event_text = f"event {failure.event_id}"
        if event_count:
            event_text = f"a batch of {counted(event_count, 'event')} from {event_text}"
        extra = {
            "action": f"callback.{_ACTIONS[failure.outcome]}",
            "plugin": failure.plugin,
            "callback": failure.callback,
            "event_id": failure.event_id,
            "attempt": failure.attempt,
            "traceback": failure.traceback,
        }
        level = logging.WARNING if failure.outcome in {"retry", "skip"} else logging.ERROR
        logger.log(
            level,
            "%s of plugin %s failed on %s (attempt %d), %s: %s",
            failure.callback,
            failure.plugin,
            event_text,
            failure.attempt,
            _CONSEQUENCE_BY_OUTCOME[failure.outcome],
            failure.error,
            extra=extra,
        )

    def _queue_alert(self, hook_name: str, details: Any) -> None:
        if not any(hook_name in hooks for _, hooks in self._listeners):
            return
        try:
            self._alert_queue.put_nowait((hook_name, details))
        except queue.Full:
            extra = {"action": "alert.dropped", "hook": hook_name}
            logger.error("Too many alerts are queued; one reaches only the log", extra=extra)

    def _run_hooks(self) -> None:
        while (queued_alert := self._alert_queue.get()) is not None:
            hook_name, details = queued_alert
            for services, plugin_hooks in self._listeners:
                if hook_name in plugin_hooks and services.late_start is None:
                    context = CallContext(
                        services, None, hook_name, store=services.store.read_only_view()
                    )
                    call_hook(context, services, plugin_hooks, hook_name, details)


def call_hook(
    context: CallContext, services: Services, hooks: Hooks, hook: str, *args: Any
) -> BaseException | None:
    """Call one plugin's implementation of a hook that is not an event hook; return what it raised.

    Args:
        context: The hook's `ctx`.
        services: The plugin's services.
        hooks: Its implementations by name; each takes the details, if any, and `ctx`.
        hook: The hook's name; if the plugin does not implement it, nothing happens.
        args: The arguments before `ctx`.
    """
    hook_function = hooks.get(hook)
    if hook_function is None:
        return None
    error = invoke(CurrentCall(services.name, hook), hook_function, *args, context)
    if error is not None:
        error_line, traceback_text = describe_error(error, services.redact)
        logger.error(
            "%s of plugin %s failed: %s",
            hook,
            services.name,
            error_line,
            extra={
                "action": "hook.failed",
                "plugin": services.name,
                "hook": hook,
                "traceback": traceback_text,
            },
        )
    return error


def _dead_letter_of(callback_failure: CallbackFailure, letter_number: int) -> DeadLetter:
    """Return the dead letter that a failed callback has left."""
    return DeadLetter(
        plugin=callback_failure.plugin,
        callback=callback_failure.callback,
        event=callback_failure.event,
        error=callback_failure.error,
        traceback=callback_failure.traceback,
        attempts=callback_failure.attempt,
        number=letter_number,
        events=callback_failure.events,
    )


_ACTIONS: Final = {
    "retry": "held",
    "dead-letter": "dead_lettered",
    "skip": "skipped",
    "pause": "failed",
}
_CONSEQUENCE_BY_OUTCOME: Final = {
    "retry": "it will be called again",
    "dead-letter": "kept as a dead letter",
    "skip": "skipped",
    "pause": "its plugin stops here",
}
