"""The entrance of a worker process: it loads its lane's plugins, and makes one call at a time.

Calls are made in the main thread. Another thread receives what the daemon sends, and ends the
process once the daemon is gone; hooks that alert run in a third, as they do in the daemon.
"""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import mmap
import os
import pickle
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Final, TypeAlias

from sgevents_core.calling.describing import raised_error
from sgevents_core.calling.journal_events import event_of
from sgevents_core.calling.making import CallRequest, make_call
from sgevents_core.calling.outcome import CallMessage, CallOutcome, ErrorFacts, RaisedError
from sgevents_core.children.channel import Channel, ChannelClosed
from sgevents_core.children.child_calls import ChildContext, ChildServices, ChildStore, Grants
from sgevents_core.children.child_log import ChildOutlet
from sgevents_core.children.launching import STACK_SIGNAL
from sgevents_core.children.messages import (
    PREPARATION,
    CallEnded,
    CallWanted,
    End,
    HookEnded,
    HookWanted,
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
from sgevents_core.observe.invoking import invoke
from sgevents_core.observe.logs import logging_to
from sgevents_core.observe.printed_output import unbuffered_stream
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
_ALERTS_END_WITHIN: Final = 5.0
_DIES_WITH_PARENT: Final = 1
_ORDERS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_exit: Final = os._exit
_kill: Final = os.kill


def main() -> None:
    """Run a worker process; its descriptors and its daemon's pid are in the command line."""
    connection, words, page, lock, daemon = map(int, sys.argv[-5:])
    for descriptor in (connection, words, page, lock):
        os.set_inheritable(descriptor, False)
    _release_in_forks(lock)
    _end_with(daemon)
    for number in _ORDERS:  # the daemon ends this process, once the running call has returned
        signal.signal(number, _ignore)
    for name, descriptor in (("stdout", 1), ("stderr", 2), ("__stdout__", 1), ("__stderr__", 2)):
        setattr(sys, name, unbuffered_stream(descriptor))
    listener = EvidenceRecorder(Path(os.devnull))
    faulthandler.register(STACK_SIGNAL, words, all_threads=False)
    listener.start_recording(os.fdopen(words, "ab", buffering=0))
    with suppress(ChannelClosed):
        channel = Channel(socket.socket(fileno=connection))
        ChildProcess(channel, listener, mmap.mmap(page, mmap.PAGESIZE)).run()


class ChildProcess:
    """A worker process.

    Args:
        channel: The connection to the daemon.
        listener: The recorder of how this process is ended by its own code.
        page: Where the number of the running call is kept, which outlives this process.
    """

    def __init__(self, channel: Channel, listener: EvidenceRecorder, page: mmap.mmap) -> None:
        self._channel = channel
        self._running = memoryview(page).cast("Q")
        self._listener = listener
        self._work: SimpleQueue[Work] = SimpleQueue()
        self._alerts: SimpleQueue[HookWanted | None] = SimpleQueue()
        self._grants = Grants(self._send)
        self._scripts = Scripts()
        self._stopping = threading.Event()
        self._plugins: dict[str, LoadedPlugin] = {}
        self._services: dict[str, ChildServices] = {}
        self._callbacks: dict[tuple[str, str], Callback] = {}
        self._not_started: dict[str, RaisedError] = {}
        self._event: tuple[tuple[int, int, int], bytes, Event] | None = None
        self._redact = Redactor()
        self._threads: set[int] = set()
        self._thread_count = 0
        self._watch = TimeoutWatch(listener)

    def run(self) -> None:
        """Prepare, then work until the daemon says that it is enough."""
        prepare = decode_prepare(self._channel.receive())
        sys.path[:] = prepare.search_path
        settings: Settings = pickle.loads(prepare.settings)  # noqa: S301 - from our own daemon
        with ExitStack() as opened:
            outlet = ChildOutlet(self._send)
            opened.enter_context(
                logging_to(
                    outlet, settings.log, settings.plugins, log_every_call=prepare.logs_every_call
                )
            )
            threading.Thread(target=self._receive, name="receiver", daemon=True).start()
            self._prepare(prepare, settings)
            alerts = threading.Thread(target=self._run_alerts, name="alerts", daemon=True)
            alerts.start()
            threads = threading.enumerate()
            self._threads = {thread.ident for thread in threads if thread.ident is not None}
            self._thread_count = len(threads)
            end = self._serve()
            self._alerts.put(None)
            if end.shuts_down:
                self._shut_down()
            alerts.join(_ALERTS_END_WITHIN)
        self._listener.close()

    # The thread that receives

    def _receive(self) -> None:
        """Take what the daemon sends; end the process at once when the daemon is gone."""
        try:
            while True:
                message = decode_to_child(self._channel.receive())
                if isinstance(message, StoreGranted):
                    self._grants.arrive(message.number, message.values)
                elif isinstance(message, StopWaits):
                    self._stopping.set()
                elif isinstance(message, ScriptsLearned):
                    self._scripts.replace(message.names, message.ids)
                elif isinstance(message, HookWanted) and message.hook not in WATCHED_HOOKS:
                    self._alerts.put(message)
                elif isinstance(message, CallWanted | HookWanted | End):
                    self._work.put(message)
        finally:
            _exit(1)

    # Preparing

    def _prepare(self, prepare: Prepare, settings: Settings) -> None:
        self._watch = TimeoutWatch(self._listener, prepare.known)
        self._redact = Redactor.of(settings)
        loaded = load(settings, find_plugins(settings), watch=self._watch)
        for plugin in loaded.plugins:
            self._add(plugin, settings, prepare.site_key)
        for name in prepare.started:
            if name in self._plugins:
                self._start_again(name, PREPARATION)
        self._listener.attribute_to_lane(threading.get_ident(), CALL_LANE)
        self._send(_prepared(loaded, settings, self._not_started))

    def _add(self, plugin: LoadedPlugin, settings: Settings, site_key: str) -> None:
        name = plugin.name
        self._plugins[name] = plugin
        self._services[name] = ChildServices(
            plugin,
            settings.site,
            settings.plugins[name],
            store=ChildStore(name, self._grants),
            site_key=site_key,
            redact=self._redact,
            stopping=self._stopping,
            send=self._send,
        )
        self._callbacks.update({(name, one.name): one for one in plugin.callbacks})

    def _start_again(self, name: str, number: int) -> None:
        """Call the `startup` of a plugin that has started in another child before.

        Args:
            name: The plugin.
            number: The number of the call for which it reads the store.
        """
        error, _ = self._run_hook(number, name, "startup", ())
        if error is None:
            self._not_started.pop(name, None)
        else:
            self._not_started[name] = error

    # Working

    def _serve(self) -> End:
        """Make one call after another; return the message that says to end."""
        while not isinstance(work := self._work.get(), End):
            self._running[0] = work.number
            if isinstance(work, CallWanted):
                self._send(CallEnded(number=work.number, outcome=self._call(work)))
                self._note_threads(work.call.plugin)
            else:
                self._send(self._hook(work))
            self._running[0] = 0
        return work

    def _note_threads(self, plugin: str) -> None:
        """Record whose threads those are that a call has left behind: they may crash later."""
        if threading.active_count() == self._thread_count:
            return
        threads = threading.enumerate()
        self._thread_count = len(threads)
        for thread in threads:
            if thread.ident is not None and thread.ident not in self._threads:
                self._threads.add(thread.ident)
                doing = "a thread that a callback has left behind"
                step = LoadingStep(plugin, doing, "", thread_seen_at=time.time())
                self._listener.attribute_thread(thread.ident, step)

    def _call(self, wanted: CallWanted) -> CallOutcome:
        call = wanted.call
        name = call.plugin
        callback, services = self._callbacks.get((name, call.callback)), self._services.get(name)
        if callback is None or services is None:
            return _not_here(call)
        event = self._event_of(call)
        if name in self._not_started:
            began = time.monotonic()
            self._start_again(name, wanted.number)
            self._listener.attribute_to_lane(threading.get_ident(), CALL_LANE)
            unanswered = services.contact.has_failed_since(began)
        if name in self._not_started:
            error = _not_started(self._not_started[name])
            return CallOutcome(was_called=False, error=error, site_unanswered=unanswered)
        services.child_store.number = wanted.number
        request = CallRequest(
            callback, event, call, services, call.attempt, runs_filter=call.runs_filter
        )
        request.context = ChildContext(
            services,
            event,
            callback.name,
            call.attempt,
            era=call.era,
            number=wanted.number,
            send=self._send,
        )
        return make_call(request)

    def _event_of(self, call: CallMessage) -> Event:
        """Return the event of a call; callbacks called for the same event get the same object."""
        identity = (call.era, call.seq, call.event_id)
        last = self._event
        if last is not None and last[0] == identity and call.body in (b"", last[1]):
            return last[2]
        event = event_of(call.body, self._scripts)
        self._event = (identity, call.body, event)
        return event

    def _hook(self, wanted: HookWanted) -> HookEnded:
        """Call a `startup` or `shutdown`."""
        arguments = pickle.loads(wanted.arguments)  # noqa: S301 - from our own daemon
        error, context = self._run_hook(wanted.number, wanted.plugin, wanted.hook, arguments)
        self._listener.attribute_to_lane(threading.get_ident(), CALL_LANE)
        changes = context.end() if context is not None and error is None else None
        return HookEnded(number=wanted.number, error=error, changes=changes or {})

    def _run_hook(
        self, number: int, name: str, hook: str, arguments: tuple[object, ...]
    ) -> tuple[RaisedError | None, ChildContext | None]:
        """Call a watched hook; return what it raised, and its `ctx`."""
        plugin, services = self._plugins.get(name), self._services.get(name)
        function = plugin.hooks.get(hook) if plugin is not None else None
        if plugin is None or services is None or function is None:
            return None, None
        services.child_store.number = number
        context = ChildContext(services, None, hook, number=number, send=self._send)
        turn = plugin.turn or LoadingTurn(name, threading.TIMEOUT_MAX)
        with watch_loading(self._watch, turn) as changed:
            error = invoke(
                CurrentCall(name, hook),
                lambda: run_watched(hook, lambda: function(*arguments, context)),
            )
        for text in change_warnings(changed):
            extra = {"action": "plugin.put_back", "plugin": name}
            logger.warning("Plugin %s: in its %s, %s", name, hook, text, extra=extra)
        return (None if error is None else raised_error(error, self._redact)), context

    def _run_alerts(self) -> None:
        """Call the hooks that alert, in a thread of their own."""
        self._listener.attribute_to_lane(threading.get_ident(), ALERTS_LANE)
        while (wanted := self._alerts.get()) is not None:
            plugin, services = self._plugins.get(wanted.plugin), self._services.get(wanted.plugin)
            function = plugin.hooks.get(wanted.hook) if plugin is not None else None
            error = None
            if services is not None and function is not None:
                arguments = pickle.loads(wanted.arguments)  # noqa: S301 - from our own daemon
                context = ChildContext(
                    services,
                    None,
                    wanted.hook,
                    number=wanted.number,
                    send=self._send,
                    store=services.child_store.seen_by(wanted.number),
                )
                error = invoke(
                    CurrentCall(wanted.plugin, wanted.hook), function, *arguments, context
                )
            raised = None if error is None else raised_error(error, self._redact)
            self._send(HookEnded(number=wanted.number, error=raised))

    def _shut_down(self) -> None:
        for name in self._plugins:
            if name in self._not_started:
                continue
            error, _ = self._run_hook(PREPARATION, name, "shutdown", ())
            if error is not None:
                extra = {"action": "hook.failed", "plugin": name, "traceback": error.traceback}
                logger.error("shutdown of plugin %s failed: %s", name, error.line, extra=extra)
        for services in self._services.values():
            services.close()

    def _send(self, message: ToDaemon) -> None:
        self._channel.send(encode(message))


def _prepared(loaded: Loaded, settings: Settings, not_started: dict[str, RaisedError]) -> Prepared:
    return Prepared(
        plugins=[sent_plugin(plugin) for plugin in loaded.plugins],
        statuses=[status for status in loaded.statuses if status.name in settings.plugins],
        not_started=not_started,
        learned=list(settings.learned_secrets),
    )


def _not_here(call: CallMessage) -> CallOutcome:
    """Return the outcome of a call of a callback that this process does not have."""
    line = (
        f"CallbackMissing: the plugin has no callback {call.callback} in a worker process that "
        "was started later: its package has changed since; reload the daemon"
    )
    facts = ErrorFacts(asks_retry=True)
    return CallOutcome(was_called=False, error=RaisedError("CallbackMissing", line, "", facts))


def _not_started(error: RaisedError) -> RaisedError:
    """Return the error of a call that was not made because its plugin could not start here."""
    line = f"StartupFailed: its startup failed in a new worker process: {error.line}"
    facts = ErrorFacts(asks_retry=True, retry_after=error.facts.retry_after)
    return RaisedError("StartupFailed", line, error.traceback, facts)


def _end_with(daemon: int) -> None:
    """Let the system end this process with the daemon, and end now if that is gone already."""
    with suppress(Exception):
        ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != daemon:
        _exit(1)


def _release_in_forks(lock: int) -> None:
    """Close the lane's lock in processes that plugins fork: they are no workers."""

    def close() -> None:
        with suppress(OSError):
            os.close(lock)

    os.register_at_fork(after_in_child=close)


def _ignore(number: int, frame: FrameType | None) -> None:
    pass
