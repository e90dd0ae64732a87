"""A worker process at work: it loads its lane's plugins, and makes one call at a time.

Calls are made in the main thread. Another thread receives what the daemon sends, and ends the
process once the daemon is gone; hooks that alert run in a third, as they do in the daemon.
"""

from __future__ import annotations

import logging
import mmap
import os
import pickle
import sys
import threading
import time
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Final, TypeAlias

import msgspec

from sgevents_core.calling.batches import bind_events, bind_key
from sgevents_core.calling.describing import raised_error
from sgevents_core.calling.event_records import EventRecords
from sgevents_core.calling.journal_events import event_of
from sgevents_core.calling.making import CallRequest, make_call
from sgevents_core.calling.outcome import CallMessage, CallOutcome, ErrorFacts, RaisedError
from sgevents_core.children.channel import Channel
from sgevents_core.children.child_calls import (
    ChildContext,
    ChildParts,
    ChildServices,
    ChildStore,
    StoreGrants,
)
from sgevents_core.children.child_log import ChildOutlet
from sgevents_core.children.limited_watch import LimitedWatch
from sgevents_core.children.messages import (
    PREPARATION,
    CallEnded,
    CallWanted,
    CancelWanted,
    End,
    HookEnded,
    HookWanted,
    PartAnswered,
    Prepare,
    Prepared,
    ScriptsLearned,
    StopWaits,
    StoreGranted,
    ToDaemon,
    decode_prepare,
    decode_to_child,
    encode,
)
from sgevents_core.children.process import ALERTS_LANE, CALL_LANE
from sgevents_core.children.sent_plugins import sent_plugin
from sgevents_core.classic.finding import find_plugins
from sgevents_core.crashes.evidence import EvidenceRecorder, LoadingStep
from sgevents_core.crashes.loading_watch import TimeoutWatch
from sgevents_core.events import Event
from sgevents_core.observe.current_call import CurrentCall
from sgevents_core.observe.event_loops import cancel_call
from sgevents_core.observe.invoking import invoke
from sgevents_core.observe.logs import logging_to
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.callback import Callback
from sgevents_core.plugins.load_watching import LoadingTurn, run_watched, watch_loading
from sgevents_core.plugins.loading import Loaded, LoadedPlugin, load
from sgevents_core.plugins.process_state import change_warnings
from sgevents_core.scripts import Scripts
from sgevents_core.settings import Settings

logger = logging.getLogger("sgevents.dispatch")

Work: TypeAlias = CallWanted | HookWanted | End
WATCHED_HOOKS: Final = ("startup", "shutdown")
"""Hooks that run in the main thread, within the plugin's `load_timeout`."""
_ALERTS_TIMEOUT: Final = 5.0
_exit: Final = os._exit


class ChildProcess:
    """A worker process.

    Args:
        channel: The connection to the daemon.
        evidence_recorder: The recorder of how this process is ended by its own code.
        running_page: Where the number of the running call is kept, which outlives this process.
    """

    def __init__(
        self, channel: Channel, evidence_recorder: EvidenceRecorder, running_page: mmap.mmap
    ) -> None:
        self._channel = channel
        self._running_number = memoryview(running_page).cast("Q")
        self._evidence_recorder = evidence_recorder
        self._work_queue: SimpleQueue[Work] = SimpleQueue()
        self._alert_queue: SimpleQueue[HookWanted | None] = SimpleQueue()
        self._store_grants = StoreGrants(self._send)
        self._part_records = ChildParts(self._send)
        self._event_records = EventRecords()
        self._script_names = Scripts()
        self._stop_event = threading.Event()
        self._plugins_by_name: dict[str, LoadedPlugin] = {}
        self._services_by_name: dict[str, ChildServices] = {}
        self._callbacks_by_name: dict[tuple[str, str], Callback] = {}
        self._startup_errors: dict[str, RaisedError] = {}
        self._last_event: tuple[tuple[int, int, int], bytes, Event] | None = None
        self._redact_secrets = Redactor()
        self._known_threads: set[int] = set()
        self._thread_count = 0
        self._loading_watch = TimeoutWatch(evidence_recorder)

    def run(self) -> None:
        """Prepare, then make calls until the daemon ends this process."""
        prepare = decode_prepare(self._channel.receive())
        sys.path[:] = prepare.search_path
        settings: Settings = pickle.loads(prepare.settings)  # noqa: S301 - from our own daemon
        with ExitStack() as exit_stack:
            log_outlet = ChildOutlet(self._send)
            exit_stack.enter_context(
                logging_to(
                    log_outlet,
                    settings.log,
                    settings.plugins,
                    log_every_call=prepare.logs_every_call,
                )
            )
            threading.Thread(target=self._receive_messages, name="receiver", daemon=True).start()
            self._load_plugins(prepare, settings)
            alert_thread = threading.Thread(target=self._run_alerts, name="alerts", daemon=True)
            alert_thread.start()
            live_threads = threading.enumerate()
            self._known_threads = {
                thread.ident for thread in live_threads if thread.ident is not None
            }
            self._thread_count = len(live_threads)
            end_message = self._serve_calls()
            self._alert_queue.put(None)
            if end_message.shuts_down:
                self._shut_down()
            alert_thread.join(_ALERTS_TIMEOUT)
        self._evidence_recorder.close()

    # The thread that receives

    def _receive_messages(self) -> None:
        """Receive the daemon's messages; end the process at once when the daemon is gone."""
        try:
            while True:
                message = decode_to_child(self._channel.receive())
                if isinstance(message, StoreGranted):
                    self._store_grants.arrive(message.number, message.values)
                elif isinstance(message, PartAnswered):
                    self._part_records.arrive(message)
                elif isinstance(message, CancelWanted):
                    if self._running_number[0] == message.number:
                        cancel_call(threading.main_thread().ident or 0, message.within)
                elif isinstance(message, StopWaits):
                    self._stop_event.set()
                elif isinstance(message, ScriptsLearned):
                    self._script_names.replace(message.names, message.ids)
                elif isinstance(message, HookWanted) and message.hook not in WATCHED_HOOKS:
                    self._alert_queue.put(message)
                elif isinstance(message, CallWanted | HookWanted | End):
                    self._work_queue.put(message)
        finally:
            _exit(1)

    # Preparing

    def _load_plugins(self, prepare: Prepare, settings: Settings) -> None:
        self._loading_watch = (
            LimitedWatch(self._evidence_recorder, prepare.known, memory_limit=prepare.memory_limit)
            if prepare.memory_limit
            else TimeoutWatch(self._evidence_recorder, prepare.known)
        )
        self._redact_secrets = Redactor.of(settings)
        loaded_plugins = load(settings, find_plugins(settings), watch=self._loading_watch)
        for plugin in loaded_plugins.plugins:
            self._add_plugin(plugin, settings, prepare.site_key)
        for plugin_name in prepare.started:
            if plugin_name in self._plugins_by_name:
                self._start_again(plugin_name, PREPARATION)
        self._evidence_recorder.attribute_to_lane(threading.get_ident(), CALL_LANE)
        self._send(_describe_loaded(loaded_plugins, settings, self._startup_errors))

    def _add_plugin(self, plugin: LoadedPlugin, settings: Settings, site_key: str) -> None:
        plugin_name = plugin.name
        self._plugins_by_name[plugin_name] = plugin
        self._services_by_name[plugin_name] = ChildServices(
            plugin,
            settings.site,
            settings.plugins[plugin_name],
            store=ChildStore(plugin_name, self._store_grants),
            site_key=site_key,
            redact=self._redact_secrets,
            stopping=self._stop_event,
            send_message=self._send,
        )
        self._services_by_name[plugin_name].part_records = self._part_records
        self._services_by_name[plugin_name].event_records = self._event_records
        self._callbacks_by_name.update(
            {(plugin_name, callback.name): callback for callback in plugin.callbacks}
        )

    def _start_again(self, plugin_name: str, call_number: int) -> None:
        """Call the `startup` of a plugin that was first started in another child.

        Args:
            plugin_name: The plugin.
            call_number: The number of the call for which it reads the store.
        """
        error, _ = self._run_hook(call_number, plugin_name, "startup", ())
        if error is None:
            self._startup_errors.pop(plugin_name, None)
        else:
            self._startup_errors[plugin_name] = error

    # Working

    def _serve_calls(self) -> End:
        """Make one call after another; return the message that says to end."""
        while not isinstance(work_message := self._work_queue.get(), End):
            self._running_number[0] = work_message.number
            if isinstance(work_message, CallWanted):
                self._send(
                    CallEnded(number=work_message.number, outcome=self._make_call(work_message))
                )
                self._attribute_threads(work_message.call.plugin)
            else:
                self._send(self._call_hook(work_message))
            self._running_number[0] = 0
        return work_message

    def _attribute_threads(self, plugin_name: str) -> None:
        """Record which plugin owns threads that a call has left behind: they may crash later."""
        if threading.active_count() == self._thread_count:
            return
        live_threads = threading.enumerate()
        self._thread_count = len(live_threads)
        for thread in live_threads:
            if thread.ident is not None and thread.ident not in self._known_threads:
                self._known_threads.add(thread.ident)
                activity_text = "a thread that a callback has left behind"
                loading_step = LoadingStep(
                    plugin_name, activity_text, "", thread_seen_at=time.time()
                )
                self._evidence_recorder.attribute_thread(thread.ident, loading_step)

    def _make_call(self, call_wanted: CallWanted) -> CallOutcome:
        call_message = call_wanted.call
        plugin_name = call_message.plugin
        callback = self._callbacks_by_name.get((plugin_name, call_message.callback))
        services = self._services_by_name.get(plugin_name)
        if callback is None or services is None:
            return _missing_outcome(call_message)
        # First, as the daemon sends the row of an event only once.
        callback, event, keys = self._bind_call(callback, call_message)
        if plugin_name in self._startup_errors:
            unmade_outcome = self._start_for_call(plugin_name, services, call_wanted.number)
            if unmade_outcome is not None:
                return unmade_outcome
        services.child_store.number = self._part_records.number = call_wanted.number
        request = CallRequest(
            callback,
            event,
            call_message,
            services,
            call_message.attempt,
            runs_filter=call_message.runs_filter,
        )
        request.context = ChildContext(
            services,
            event,
            callback.name,
            call_message.attempt,
            era=call_message.era,
            number=call_wanted.number,
            send_message=self._send,
        )
        outcome = make_call(request)
        return msgspec.structs.replace(outcome, batch_key=keys[0]) if keys else outcome

    def _start_for_call(
        self, plugin_name: str, services: ChildServices, call_number: int
    ) -> CallOutcome | None:
        """Try again to start a plugin, before a call; return the call's outcome if that fails."""
        began_at = time.monotonic()
        self._start_again(plugin_name, call_number)
        self._evidence_recorder.attribute_to_lane(threading.get_ident(), CALL_LANE)
        startup_error = self._startup_errors.get(plugin_name)
        if startup_error is None:
            return None
        return CallOutcome(
            was_called=False,
            error=_startup_failure(startup_error),
            site_unanswered=services.contact.has_failed_since(began_at),
            unmade="for now",
        )

    def _bind_call(
        self, callback: Callback, call_message: CallMessage
    ) -> tuple[Callback, Event, list[str]]:
        """Return the callback as it is called, its event or the first of a batch, and a list.

        The list takes the key of the event's batch, if the call asks for that.
        """
        keys: list[str] = []
        if call_message.batch:
            events = [event_of(body, self._script_names) for body in call_message.batch]
            return bind_events(callback, events), events[0], keys
        event = self._event_of(call_message)
        return bind_key(callback, keys) if call_message.asks_key else callback, event, keys

    def _event_of(self, call_message: CallMessage) -> Event:
        """Return the event of a call; callbacks called for the same event get the same object."""
        event_identity = (call_message.era, call_message.seq, call_message.event_id)
        last_event = self._last_event
        if (
            last_event is not None
            and last_event[0] == event_identity
            and call_message.body in (b"", last_event[1])
        ):
            return last_event[2]
        event = event_of(call_message.body, self._script_names)
        self._last_event = (event_identity, call_message.body, event)
        return event

    def _call_hook(self, hook_wanted: HookWanted) -> HookEnded:
        """Call a `startup` or `shutdown`."""
        arguments = pickle.loads(hook_wanted.arguments)  # noqa: S301 - from our own daemon
        error, context = self._run_hook(
            hook_wanted.number, hook_wanted.plugin, hook_wanted.hook, arguments
        )
        self._evidence_recorder.attribute_to_lane(threading.get_ident(), CALL_LANE)
        store_changes = context.end() if context is not None and error is None else None
        return HookEnded(number=hook_wanted.number, error=error, changes=store_changes or {})

    def _run_hook(
        self, call_number: int, plugin_name: str, hook_name: str, arguments: tuple[object, ...]
    ) -> tuple[RaisedError | None, ChildContext | None]:
        """Call a watched hook; return what it raised, and its `ctx`."""
        plugin = self._plugins_by_name.get(plugin_name)
        if plugin is None or hook_name not in plugin.hooks:
            return None, None
        services, hook_function = self._services_by_name[plugin_name], plugin.hooks[hook_name]
        services.child_store.number = call_number
        context = ChildContext(
            services, None, hook_name, number=call_number, send_message=self._send
        )
        loading_turn = plugin.turn or LoadingTurn(plugin_name, threading.TIMEOUT_MAX)
        with watch_loading(self._loading_watch, loading_turn) as changed_state:
            error = invoke(
                CurrentCall(plugin_name, hook_name),
                lambda: run_watched(hook_name, lambda: hook_function(*arguments, context)),
            )
        for warning_text in change_warnings(changed_state):
            extra = {"action": "plugin.put_back", "plugin": plugin_name}
            logger.warning(
                "Plugin %s: in its %s, %s", plugin_name, hook_name, warning_text, extra=extra
            )
        return (None if error is None else raised_error(error, self._redact_secrets)), context

    def _run_alerts(self) -> None:
        """Call the hooks that alert, in a thread of their own."""
        self._evidence_recorder.attribute_to_lane(threading.get_ident(), ALERTS_LANE)
        while (hook_wanted := self._alert_queue.get()) is not None:
            error = self._alert(hook_wanted)
            hook_error = None if error is None else raised_error(error, self._redact_secrets)
            self._send(HookEnded(number=hook_wanted.number, error=hook_error))

    def _alert(self, hook_wanted: HookWanted) -> BaseException | None:
        """Call a hook that alerts, beside the running call; return what it raised."""
        plugin_name, hook_name = hook_wanted.plugin, hook_wanted.hook
        plugin = self._plugins_by_name.get(plugin_name)
        hook_function = None if plugin is None else plugin.hooks.get(hook_name)
        if hook_function is None:
            return None
        services = self._services_by_name[plugin_name]
        arguments = pickle.loads(hook_wanted.arguments)  # noqa: S301 - from our own daemon
        context = ChildContext(
            services,
            None,
            hook_name,
            number=hook_wanted.number,
            send_message=self._send,
            store=services.child_store.view_for_hook(hook_wanted.number),
        )
        return invoke(CurrentCall(plugin_name, hook_name), hook_function, *arguments, context)

    def _shut_down(self) -> None:
        for plugin_name in self._plugins_by_name:
            if plugin_name in self._startup_errors:
                continue
            error, _ = self._run_hook(PREPARATION, plugin_name, "shutdown", ())
            if error is not None:
                extra = {
                    "action": "hook.failed",
                    "plugin": plugin_name,
                    "traceback": error.traceback,
                }
                logger.error(
                    "shutdown of plugin %s failed: %s", plugin_name, error.line, extra=extra
                )
        for services in self._services_by_name.values():
            services.close()

    def _send(self, message: ToDaemon) -> None:
        self._channel.send(encode(message))


def _describe_loaded(
    loaded: Loaded, settings: Settings, not_started: dict[str, RaisedError]
) -> Prepared:
    return Prepared(
        plugins=[sent_plugin(plugin) for plugin in loaded.plugins],
        statuses=[status for status in loaded.statuses if status.name in settings.plugins],
        not_started=not_started,
        learned=list(settings.learned_secrets),
    )


def _missing_outcome(call_message: CallMessage) -> CallOutcome:
    """Return the outcome of a call of a callback that this process does not have."""
    error_line = (
        f"CallbackMissing: the plugin has no callback {call_message.callback} in a worker process "
        "that was started later: its package has changed since; reload the daemon"
    )
    error_facts = ErrorFacts(asks_retry=True)
    error = RaisedError("CallbackMissing", error_line, "", error_facts)
    return CallOutcome(was_called=False, error=error, unmade="for now")


def _startup_failure(error: RaisedError) -> RaisedError:
    """Return the error of a call that was not made because its plugin could not start here."""
    error_line = f"StartupFailed: its startup failed in a new worker process: {error.line}"
    error_facts = ErrorFacts(asks_retry=True, retry_after=error.facts.retry_after)
    return RaisedError("StartupFailed", error_line, error.traceback, error_facts)
