"""A worker process of a lane as the place where calls are made: started, watched and replaced."""

from __future__ import annotations

import logging
import math
import pickle
import threading
import time
from collections.abc import Callable
from itertools import count
from queue import Empty
from typing import Final

from msgspec.structs import replace

from sgevents_core.calling.context import CallContext
from sgevents_core.calling.making import CallRequest, Hung, do_nothing
from sgevents_core.calling.outcome import (
    CallDeath,
    CallMessage,
    CallOutcome,
    ErrorFacts,
    RaisedElsewhere,
    RaisedError,
)
from sgevents_core.calling.store import Store, StoreChanges
from sgevents_core.children.lane_children import LaneChildren
from sgevents_core.children.messages import (
    PREPARATION,
    CallEnded,
    CallWanted,
    Heartbeat,
    HookEnded,
    HookWanted,
    Prepared,
    StopWaits,
    StoreGranted,
    StoreWanted,
)
from sgevents_core.children.process import Child, ChildDeath, Replies
from sgevents_core.errors import CallbackTimeout, SgEventsError
from sgevents_core.observe.current_call import CurrentCall
from sgevents_core.observe.liveness import report_alive
from sgevents_core.settings import format_duration

logger = logging.getLogger("sgevents.dispatch")

MOST_TRIES: Final = 3
"""How often a hook is called if a call beside it ends the process."""
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 30.0
"""Seconds between two tries to start a child, if the system has no room for one."""


class Worker:
    """The executor of a lane's plugins that makes each call in a worker process.

    One thread makes calls; hooks may be called from any.

    Args:
        lane: What the worker processes of the lane share.
        number: Its number in the lane, from 1.
    """

    hung: Hung | None = None
    """Never set: a call that exceeds its limit is ended with its process."""

    def __init__(self, lane: LaneChildren, number: int = 1) -> None:
        self.returned: Callable[[], None] = do_nothing
        self._lane = lane
        self._number = number
        self._child: Child | None = None
        self._lock = threading.RLock()  # held while a child is started or replaced
        self._numbers = count(PREPARATION + 1)
        self._body: bytes | None = None
        self._scripts_seen = -1
        self._is_closed = False
        self._starting: Child | None = None
        self._farewell: Replies | None = None

    @property
    def pid(self) -> int | None:
        """The pid of its process; None while it has none."""
        child = self._child
        return None if child is None or child.death is not None else child.pid

    @property
    def is_calling(self) -> bool:
        """Whether a call runs in its process, or was sent there."""
        child = self._child
        return child is not None and child.running_call is not None

    def prepare(self, *, for_new_event: bool = True) -> bool:
        """Have a process ready for a call; return False if a stop waits instead.

        A process that has died is replaced, and between two events also one that has grown beyond
        `max_rss`.
        """
        child = self._child
        lives = child is not None and child.death is None
        if child is not None and lives and not (for_new_event and self._has_outgrown(child)):
            return True
        wait = FIRST_WAIT
        while not self._lane.stopping.is_set():
            error = self._replace(child)
            if error is None:
                return True
            child = self._child
            report_alive(wait)
            self._lane.stopping.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT)
        return False

    def start(self) -> Prepared | RaisedError:
        """Start its first process; return what that has loaded, or why there is none."""
        error = self._replace(self._child)
        child = self._child
        if error is not None or child is None or child.prepared is None:
            return error or _not_called("it has ended already")
        return child.prepared

    def call(self, request: CallRequest, limit: float | None) -> CallOutcome:
        """Make a call, and return what it came to.

        Args:
            request: The call.
            limit: The time limit in seconds; None for none. It counts from the call's last
                heartbeat, and waiting for its store is not charged.
        """
        outcome = None
        while outcome is None:  # a process may have died before the call began in it
            outcome = self._try_call(request, limit)
        return outcome

    def _try_call(self, request: CallRequest, limit: float | None) -> CallOutcome | None:
        """Make a call; return None if its process died before the call began."""
        request.began_at = time.perf_counter()
        if not self.prepare(for_new_event=request.source.body is not self._body):
            return CallOutcome(was_called=False, error=_not_called("a stop waits"))
        child, error = self._child_for(request.callback.plugin)
        if child is None:
            is_unusable = error is not None and error.type_name == "PluginNotLoaded"
            return CallOutcome(was_called=False, error=error, cannot_be_made=is_unusable)
        context = request.context or request.open_context()
        number = next(self._numbers)
        replies = child.listen(number)
        try:
            request.began_at = time.perf_counter()
            child.send(CallWanted(number=number, call=self._message(request)))
            child.running_call = CurrentCall(
                request.plugin, request.callback_name, request.event_id
            )
            reply = _await(child, number, replies, context, limit)
            if isinstance(reply, CallEnded):
                return _with_store(request, reply.outcome)
            if isinstance(reply, ChildDeath):
                return self._died(request, reply) if reply.is_in(number) else None
            return self._timed_out(request, child, limit or 0.0)
        finally:
            child.forget(number)
            child.running_call = None

    def call_hook(self, plugin: str, hook: str, *arguments: object) -> None:
        """Call a hook that is not an event hook; the last of its arguments is its `ctx`.

        Raises:
            RaisedElsewhere: It raised, or ended the process.
        """
        if hook == "shutdown" and self.pid is None:
            return  # nothing is left to shut down
        for number in range(1, MOST_TRIES + 1):
            death = self._try_hook(plugin, hook, arguments)
            if death is None:
                return
            is_own = death.is_of_hook or self._lane.leave_out(death)  # no call beside it
            if is_own or number == MOST_TRIES:
                raise RaisedElsewhere(_died_in(f"in its {hook}", death))

    def _try_hook(self, plugin: str, hook: str, arguments: tuple[object, ...]) -> ChildDeath | None:
        """Call a hook; return how its process died, if it did.

        Raises:
            RaisedElsewhere: It raised.
        """
        context: CallContext = arguments[-1]  # type: ignore[assignment]  # as every hook is called
        child, error = self._child_for(plugin)
        if child is None:
            raise RaisedElsewhere(error or _not_called("there is no process"))
        number = next(self._numbers)
        replies = child.listen(number)
        try:
            packed = pickle.dumps(arguments[:-1])
            child.send(HookWanted(number=number, plugin=plugin, hook=hook, arguments=packed))
            reply = _await(child, number, replies, context, None)
        except BaseException:  # the daemon stops, and the hook does not return
            child.kill()
            raise
        finally:
            child.forget(number)
        if not isinstance(reply, HookEnded):
            return reply if isinstance(reply, ChildDeath) else ChildDeath("it did not return")
        if reply.error is not None:
            raise RaisedElsewhere(reply.error)
        context.take_changes(reply.changes)
        if hook == "startup":
            self._lane.note_started(plugin)
        return None

    def say_stopping(self) -> None:
        """Let the running call see that a stop or a reload waits."""
        child, starting = self._child, self._starting
        if child is not None:
            child.send(StopWaits())
        if starting is not None:
            starting.kill()

    def begin_end(self, *, shuts_down: bool) -> None:
        """Let its process end, after the running call.

        Args:
            shuts_down: Whether the process calls the plugins' `shutdown`.
        """
        with self._lock:
            self._is_closed = True
        child = self._child
        if child is not None:
            self._farewell = child.listen(PREPARATION)
            child.end(shuts_down=shuts_down)

    def close(self) -> None:
        """Wait until its process has ended, and kill it if that takes too long."""
        if not self._is_closed:
            self.begin_end(shuts_down=True)
        with self._lock:
            child, self._child = self._child, None
        if child is not None and self._farewell is not None:
            self._await_end(child, self._farewell)

    # The process

    def _has_outgrown(self, child: Child) -> bool:
        most = self._lane.table.max_rss
        if most is None or (memory := child.memory()) <= most:
            return False
        logger.warning(
            "Worker process %d of lane %s uses %d MB of memory, more than its max_rss: it is "
            "replaced",
            child.pid,
            self._lane.name,
            memory // 1_000_000,
            extra={"action": "worker.outgrown", "lane": self._lane.name, "memory": memory},
        )
        return True

    def _child_for(self, plugin: str) -> tuple[Child | None, RaisedError | None]:
        """Return a living process that has loaded a plugin, or why there is none."""
        with self._lock:
            for _ in range(2):  # what kept it from being loaded may have passed
                child = self._child
                if child is not None and child.death is None and _has_loaded(child, plugin):
                    return child, None
                self._lane.known.pop(plugin, None)
                error = self._replace(child)
                if error is not None:
                    return None, error
            child = self._child
            if child is not None and _has_loaded(child, plugin):
                return child, None
            return None, self._missing(plugin, child)

    def _missing(self, plugin: str, child: Child | None) -> RaisedError:
        statuses = [] if child is None or child.prepared is None else child.prepared.statuses
        reason = next((one.reason for one in statuses if one.name == plugin), "it is missing there")
        line = f"PluginNotLoaded: it cannot be loaded in a worker process: {reason}"
        return RaisedError("PluginNotLoaded", line)

    def _replace(self, present: Child | None) -> RaisedError | None:
        """Start a process instead of the present one; return why that was not possible."""
        with self._lock:
            if self._child is not present:  # another thread has replaced it
                return None
            before, self._child = self._child, None
            if before is not None:
                if before.death is None:
                    farewell = before.listen(PREPARATION)
                    before.end(shuts_down=True)
                    self._await_end(before, farewell)
                before.close()
                if before.death is not None:
                    self._lane.note_thread_death(before.death)
            if self._is_closed:
                return _not_called("the lane has ended")
            return self._start()

    def _start(self) -> RaisedError | None:
        """Start a process; one that a plugin ends while it is loaded is tried without it."""
        while True:
            try:
                child = self._lane.launch()
            except (OSError, SgEventsError) as error:
                return self._not_started(str(error))
            self._starting = child
            try:
                reply = self._prepared(child)
            except BaseException:  # the daemon stops
                child.kill()
                raise
            finally:
                self._starting = None
            if isinstance(reply, Prepared):
                child.prepared = reply
                self._lane.note_prepared(reply)
                self._child, self._body, self._scripts_seen = child, None, -1
                self._log_started(child)
                return None
            child.close(0.0)
            if self._lane.stopping.is_set():
                return _not_called("a stop waits")
            if not self._lane.leave_out(reply):
                return self._not_started(reply.how)

    def _prepared(self, child: Child) -> Prepared | ChildDeath:
        """Let a child load its plugins; return what it has loaded, or how it ended."""
        replies = child.listen(PREPARATION)
        child.send(self._lane.preparation())
        until = time.monotonic() + self._lane.patience
        while True:
            left = until - time.monotonic()
            report_alive(max(left, 0.0))
            try:
                reply = replies.get(timeout=max(left, 0.0))
            except Empty:
                child.kill()
                until = math.inf
                continue
            if isinstance(reply, StoreWanted):
                child.send(self._readable_store(reply))
            elif isinstance(reply, Prepared | ChildDeath):
                return reply

    def _await_end(self, child: Child, replies: Replies) -> None:
        """Wait until a child has ended, and let its plugins' `shutdown` read their stores."""
        until = time.monotonic() + self._lane.ends_within
        while child.death is None:
            left = max(until - time.monotonic(), 0.0)
            report_alive(left)
            try:
                reply = replies.get(timeout=left)
            except Empty:
                break
            if isinstance(reply, StoreWanted):
                child.send(self._readable_store(reply))
        child.close(0.0)

    def _readable_store(self, wanted: StoreWanted) -> StoreGranted:
        services = self._lane.services.get(wanted.plugin)
        values = {} if services is None else services.store.read_only_view().as_json()
        return StoreGranted(number=wanted.number, values=values)

    def _log_started(self, child: Child) -> None:
        logger.debug(
            "Worker %d of lane %s is process %d",
            self._number,
            self._lane.name,
            child.pid,
            extra={"action": "worker.started", "lane": self._lane.name, "pid": child.pid},
        )

    def _not_started(self, how: str) -> RaisedError:
        logger.error(
            "A worker process of lane %s cannot be started: %s",
            self._lane.name,
            how,
            extra={"action": "worker.not_started", "lane": self._lane.name},
        )
        return _not_called(f"a worker process cannot be started: {how}")

    # Calls

    def _message(self, request: CallRequest) -> CallMessage:
        """Return the message of a call, without the event's row if the process has it."""
        child, scripts = self._child, self._lane.scripts
        if scripts is not None and child is not None and scripts.version != self._scripts_seen:
            self._scripts_seen = scripts.version
            learned = self._lane.scripts_learned()
            if learned is not None:
                child.send(learned)
        source, callback = request.source, request.callback
        is_there = source.body is self._body
        self._body = source.body
        return CallMessage(
            callback.plugin,
            callback.name,
            source.era,
            source.seq,
            source.event_id,
            b"" if is_there else source.body,
            request.attempt,
            request.runs_filter,
        )

    def _died(self, request: CallRequest, death: ChildDeath) -> CallOutcome:
        """Return the outcome of a call whose process has died."""
        services = request.services
        kept = _kept_of(request)
        services.contact.take_report(is_waiting=False)
        seconds = time.perf_counter() - request.began_at
        error = _died_in("in this call", death)
        fit = RaisedError(
            error.type_name, services.redact(error.line), services.redact(error.traceback)
        )
        logger.warning(
            "Worker process of lane %s died in %s of plugin %s on event %d: %s",
            self._lane.name,
            request.callback_name,
            request.plugin,
            request.event_id,
            services.redact(death.how),
            extra={
                "action": "worker.died",
                "lane": self._lane.name,
                "plugin": request.plugin,
                "callback": request.callback_name,
                "event_id": request.event_id,
            },
        )
        return CallOutcome(
            seconds,
            error=fit,
            store_changes=kept,
            death=CallDeath(
                services.redact(death.how),
                services.redact(death.traceback),
                is_proved=death.is_proved and death.is_of_call,
            ),
        )

    def _timed_out(self, request: CallRequest, child: Child, limit: float) -> CallOutcome:
        """End the process of a call that exceeded its limit, and return the call's outcome."""
        services, contact = request.services, request.services.contact
        kept, unanswered = _kept_of(request), contact.is_waiting
        stack = child.stack()
        child.kill()
        child.wait()
        seconds = time.perf_counter() - request.began_at
        unanswered = unanswered or contact.has_failed_since(time.monotonic() - seconds)
        contact.take_report(is_waiting=False)
        timeout = CallbackTimeout(within=format_duration(limit), stack=stack)
        line = services.redact(f"CallbackTimeout: {timeout}")
        trace = services.redact(f"{stack}{line}\n")
        return CallOutcome(
            seconds,
            error=RaisedError("CallbackTimeout", line, trace),
            timed_out=True,
            worker_was_ended=True,
            store_changes=kept,
            site_unanswered=unanswered,
        )


def _await(
    child: Child, number: int, replies: Replies, context: CallContext, limit: float | None
) -> CallEnded | HookEnded | ChildDeath | None:
    """Return the outcome of a call or the death of its process; None once its time is over."""
    until = math.inf if limit is None else time.monotonic() + limit
    while True:
        try:
            left = min(until - time.monotonic(), threading.TIMEOUT_MAX)
            reply = replies.get() if limit is None else replies.get(timeout=max(left, 0.0))
        except Empty:
            return None
        if isinstance(reply, StoreWanted):
            asked = time.monotonic()
            child.send(_granted(number, context.store))
            until += time.monotonic() - asked
        elif isinstance(reply, Heartbeat):
            context.heartbeat()
            until = math.inf if limit is None else time.monotonic() + limit
        elif not isinstance(reply, Prepared):
            return reply


def _with_store(request: CallRequest, outcome: CallOutcome) -> CallOutcome:
    """Return an outcome that says that the store was granted, also if only a `startup` used it."""
    if _kept_of(request) is None or outcome.store_changes is not None:
        return outcome
    return replace(outcome, store_changes={})


def _kept_of(request: CallRequest) -> StoreChanges | None:
    """End a call; return no changes, or None if its store was not granted."""
    changes = None if request.context is None else request.context.end()
    return None if changes is None else {}


def _granted(number: int, store: Store) -> StoreGranted:
    return StoreGranted(number=number, values=store.as_json())


def _died_in(where: str, death: ChildDeath) -> RaisedError:
    line = f"ProcessDied: its worker process died {where}: {death.how}"
    return RaisedError("ProcessDied", line, death.traceback)


def _has_loaded(child: Child, plugin: str) -> bool:
    return child.prepared is not None and any(one.name == plugin for one in child.prepared.plugins)


def _not_called(reason: str) -> RaisedError:
    """Return the error of a call that was not made; it is tried again, whatever the policy."""
    line = f"WorkerNotReady: {reason}"
    return RaisedError("WorkerNotReady", line, "", ErrorFacts(asks_retry=True))
