"""The executor of one worker process, which it starts, watches and replaces."""

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
    CallMessage,
    CallOutcome,
    RaisedElsewhere,
    RaisedError,
)
from sgevents_core.calling.own_thread import CANCEL_SECONDS
from sgevents_core.calling.store import Store
from sgevents_core.children.failed_calls import (
    death_error,
    death_outcome,
    end_overdue_call,
    end_without_changes,
    not_called_error,
    unmade_outcome,
)
from sgevents_core.children.lane_children import LaneChildren
from sgevents_core.children.messages import (
    PREPARATION,
    CallEnded,
    CallWanted,
    CancelWanted,
    Heartbeat,
    HookEnded,
    HookWanted,
    PartAnswered,
    PartAsked,
    Prepared,
    StopWaits,
    StoreGranted,
    StoreWanted,
)
from sgevents_core.children.process import Child, ChildDeath, Replies
from sgevents_core.errors import SgEventsError
from sgevents_core.observe.current_call import CurrentCall
from sgevents_core.observe.liveness import report_alive, report_busy
from sgevents_core.settings import format_duration
from sgevents_core.state.pulse import RunningCall, RunningWorker

logger = logging.getLogger("sgevents.dispatch")

MAX_HOOK_TRIES: Final = 3
"""How often a hook is called if calls in the same process keep ending it."""
MAX_KILLS: Final = 4
"""How often a process may be killed from outside while it starts, before that is a failure."""
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 30.0
"""Seconds between two tries to start a child, if the system has no room for one."""


class Worker:
    """The executor of a lane's plugins that makes each call in a worker process.

    One thread makes calls; hooks may be called from any.

    Args:
        lane_children: The data shared by the lane's worker processes.
        worker_number: Its number in the lane, from 1.
    """

    hung: Hung | None = None
    """Never set: a call that exceeds its limit is ended with its process."""

    def __init__(self, lane_children: LaneChildren, worker_number: int = 1) -> None:
        self.returned: Callable[[], None] = do_nothing
        self._lane_children = lane_children
        self._worker_number = worker_number
        self._child: Child | None = None
        self._replacing_lock = threading.RLock()  # held while a child is started or replaced
        self._call_numbers = count(PREPARATION + 1)
        self._last_body: bytes | None = None
        self._scripts_version = -1
        self._is_closed = False
        self.start_count = 0
        """How many processes it has started that were ready for calls."""
        self.death_count = 0
        """How many of its processes died, instead of being ended."""
        self._start_trouble = ""
        """Why its process cannot be started; empty if it can."""
        self._call_began_at = 0.0
        """When its running call began, in seconds since 1970."""
        self._starting_child: Child | None = None
        self._farewell_replies: Replies | None = None

    @property
    def pid(self) -> int | None:
        """The pid of its process; None while it has none."""
        child = self._child
        return None if child is None or child.death is not None else child.pid

    @property
    def has_lost_process(self) -> bool:
        """Whether its process has died and was not replaced."""
        child = self._child
        return child is not None and child.death is not None

    @property
    def is_starting(self) -> bool:
        """Whether a process is being started and loads its plugins."""
        return self._starting_child is not None

    @property
    def is_calling(self) -> bool:
        """Whether a call runs in its process, or was sent there."""
        child = self._child
        return child is not None and child.running_call is not None

    def describe(self) -> RunningWorker:
        """Return its state, for people; may be called from any thread."""
        child, starting_child = self._child, self._starting_child
        restarts = max(self.start_count - 1, 0)
        if starting_child is not None:
            return RunningWorker(
                self._worker_number, "starting", starting_child.pid, restarts=restarts
            )
        if child is None or child.death is not None:
            return RunningWorker(
                self._worker_number, "not running", restarts=restarts, trouble=self._start_trouble
            )
        running_call = child.running_call
        return RunningWorker(
            self._worker_number,
            "idle" if running_call is None else "calling",
            child.pid,
            child.memory(),
            restarts,
            None if running_call is None else self._describe_call(running_call),
        )

    def _describe_call(self, running_call: CurrentCall) -> RunningCall:
        return RunningCall(
            self._lane_children.name,
            running_call.plugin,
            running_call.callback,
            running_call.event_id or 0,
            self._call_began_at,
        )

    def prepare(self, *, for_new_event: bool = True) -> bool:
        """Ensure that a process is ready for a call; return False if the daemon is stopping.

        A process that has died is replaced, and between two events also one that has grown beyond
        `max_rss`.
        """
        child = self._child
        is_alive = child is not None and child.death is None
        if child is not None and is_alive and not (for_new_event and self._has_outgrown(child)):
            return True
        wait_seconds = FIRST_WAIT
        while not (self._is_closed or self._lane_children.stopping.is_set()):
            start_error = self._replace_child(child)
            if start_error is None:
                return True
            child = self._child
            report_alive(wait_seconds)
            self._lane_children.stopping.wait(wait_seconds)
            wait_seconds = min(2 * wait_seconds, LONGEST_WAIT)
        return False

    def start(self) -> Prepared | RaisedError:
        """Start its first process; return the plugins it loaded, or why there is no process."""
        start_error = self._replace_child(self._child)
        child = self._child
        if start_error is not None or child is None or child.prepared is None:
            return start_error or not_called_error("it has ended already")
        return child.prepared

    def call(self, request: CallRequest, limit: float | None) -> CallOutcome:
        """Make a call, and return its outcome.

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
        if not self.prepare(for_new_event=request.source.body is not self._last_body):
            return unmade_outcome(not_called_error("a stop waits"))
        child, child_error = self._child_for(request.callback.plugin)
        if child is None:
            return unmade_outcome(child_error or not_called_error("there is no process"))
        context = request.context or request.open_context()
        call_number = next(self._call_numbers)
        replies = child.listen(call_number)
        try:
            request.began_at = time.perf_counter()
            child.send(CallWanted(number=call_number, call=self._make_message(request)))
            self._call_began_at = time.time()
            child.running_call = CurrentCall(
                request.plugin, request.callback_name, request.event_id
            )
            reply = _await_reply(child, call_number, replies, context, limit)
            if reply is None and request.callback.is_async:
                within = format_duration(limit or 0.0)
                child.send(CancelWanted(number=call_number, within=within))
                report_limit(CANCEL_SECONDS)
                reply = _await_reply(
                    child, call_number, replies, context, CANCEL_SECONDS, is_cancelled=True
                )
            if isinstance(reply, CallEnded):
                return _note_store_use(request, reply.outcome)
            if isinstance(reply, ChildDeath):
                if not reply.is_in(call_number):
                    return None
                return death_outcome(request, reply, self._lane_children.name)
            return end_overdue_call(request, child, limit or 0.0)
        finally:
            child.forget(call_number)
            child.running_call = None

    def call_hook(self, plugin_name: str, hook_name: str, *arguments: object) -> None:
        """Call a hook that is not an event hook; the last of its arguments is its `ctx`.

        Raises:
            RaisedElsewhere: It raised, or ended the process.
        """
        if hook_name == "shutdown" and self.pid is None:
            return  # nothing is left to shut down
        for try_number in range(1, MAX_HOOK_TRIES + 1):
            child_death = self._try_hook(plugin_name, hook_name, arguments)
            if child_death is None:
                return
            is_own = child_death.is_proved and (
                child_death.is_of_hook or self._lane_children.leave_out(child_death)
            )  # no call beside it, and no kill from outside
            if is_own or try_number == MAX_HOOK_TRIES:
                raise RaisedElsewhere(death_error(f"in its {hook_name}", child_death))

    def _try_hook(
        self, plugin_name: str, hook_name: str, arguments: tuple[object, ...]
    ) -> ChildDeath | None:
        """Call a hook; return how its process died, if it did.

        Raises:
            RaisedElsewhere: It raised.
        """
        context: CallContext = arguments[-1]  # type: ignore[assignment]  # as every hook is called
        child, child_error = self._child_for(plugin_name)
        if child is None:
            raise RaisedElsewhere(child_error or not_called_error("there is no process"))
        call_number = next(self._call_numbers)
        replies = child.listen(call_number)
        try:
            packed_arguments = pickle.dumps(arguments[:-1])
            child.send(
                HookWanted(
                    number=call_number,
                    plugin=plugin_name,
                    hook=hook_name,
                    arguments=packed_arguments,
                )
            )
            reply = _await_reply(child, call_number, replies, context, None)
        except BaseException:  # the daemon stops, and the hook does not return
            child.kill()
            raise
        finally:
            child.forget(call_number)
        if not isinstance(reply, HookEnded):
            return reply if isinstance(reply, ChildDeath) else ChildDeath("it did not return")
        if reply.error is not None:
            raise RaisedElsewhere(reply.error)
        context.take_changes(reply.changes)
        if hook_name == "startup":
            self._lane_children.note_started(plugin_name)
        return None

    def say_stopping(self) -> None:
        """Let the running call see that a stop or a reload waits."""
        child, starting_child = self._child, self._starting_child
        if child is not None:
            child.send(StopWaits())
        if starting_child is not None:
            starting_child.kill()

    def rest(self) -> None:
        """End its process, with the plugins' `shutdown`, until another one is needed."""
        with self._replacing_lock:
            child, self._child = self._child, None
            if child is None:
                return
            if child.death is None:
                farewell_replies = child.listen(PREPARATION)
                child.end(shuts_down=True)
                self._await_end(child, farewell_replies)
            child.close()

    def begin_end(self, *, shuts_down: bool) -> None:
        """Let its process end, after the running call.

        Args:
            shuts_down: Whether the process calls the plugins' `shutdown`.
        """
        with self._replacing_lock:
            self._is_closed = True
        child = self._child
        if child is not None:
            self._farewell_replies = child.listen(PREPARATION)
            child.end(shuts_down=shuts_down)

    def close(self) -> None:
        """Wait until its process has ended, and kill it if that takes too long."""
        if not self._is_closed:
            self.begin_end(shuts_down=True)
        with self._replacing_lock:
            child, self._child = self._child, None
        if child is not None and self._farewell_replies is not None:
            self._await_end(child, self._farewell_replies)

    # The process

    def _has_outgrown(self, child: Child) -> bool:
        memory_limit = self._lane_children.table.max_rss
        if memory_limit is None or (used_memory := child.memory()) <= memory_limit:
            return False
        logger.warning(
            "Worker process %d of lane %s uses %d MB of memory, more than its max_rss: it is "
            "replaced",
            child.pid,
            self._lane_children.name,
            used_memory // 1_000_000,
            extra={
                "action": "worker.outgrown",
                "lane": self._lane_children.name,
                "memory": used_memory,
            },
        )
        return True

    def _child_for(self, plugin_name: str) -> tuple[Child | None, RaisedError | None]:
        """Return a living process that has loaded a plugin, or why there is none."""
        with self._replacing_lock:
            for _ in range(2):  # the problem that kept it from being loaded may be gone
                child = self._child
                if child is not None and child.death is None and _has_loaded(child, plugin_name):
                    return child, None
                self._lane_children.known_broken.pop(plugin_name, None)
                start_error = self._replace_child(child)
                if start_error is not None:
                    return None, start_error
            child = self._child
            if child is not None and _has_loaded(child, plugin_name):
                return child, None
            return None, self._missing_error(plugin_name, child)

    def _missing_error(self, plugin_name: str, child: Child | None) -> RaisedError:
        statuses = [] if child is None or child.prepared is None else child.prepared.statuses
        reason = next(
            (
                plugin_status.reason
                for plugin_status in statuses
                if plugin_status.name == plugin_name
            ),
            "it is missing there",
        )
        error_line = f"PluginNotLoaded: it cannot be loaded in a worker process: {reason}"
        return RaisedError("PluginNotLoaded", error_line)

    def _replace_child(self, present_child: Child | None) -> RaisedError | None:
        """Replace the process with a new one; return why that was not possible."""
        with self._replacing_lock:
            if self._child is not present_child:  # another thread has replaced it
                return None
            previous_child, self._child = self._child, None
            if previous_child is not None:
                if previous_child.death is None:
                    farewell_replies = previous_child.listen(PREPARATION)
                    previous_child.end(shuts_down=True)
                    self._await_end(previous_child, farewell_replies)
                previous_child.close()
                if previous_child.death is not None:
                    self.death_count += 1
                    self._lane_children.note_thread_death(previous_child.death)
            if self._is_closed:
                return not_called_error("the lane has ended")
            return self._start_child()

    def _start_child(self) -> RaisedError | None:
        """Start a process; one that a plugin ends while it is loaded is tried without it.

        A kill from outside is nobody's fault: after one, it is tried again as it was.
        """
        kills = 0
        while not self._lane_children.stopping.is_set():
            try:
                child = self._lane_children.launch()
            except (OSError, SgEventsError) as error:
                return self._report_start_failure(str(error))
            self._starting_child = child
            try:
                reply = self._await_preparation(child)
            except BaseException:  # the daemon stops
                child.kill()
                raise
            finally:
                self._starting_child = None
            if isinstance(reply, Prepared):
                child.prepared = reply
                self._lane_children.note_prepared(reply)
                self._child, self._last_body, self._scripts_version = child, None, -1
                self._start_trouble = ""
                self.start_count += 1
                self._log_started(child)
                return None
            child.close(0.0)
            is_stopping = self._lane_children.stopping.is_set()  # it was ended for that reason
            if not reply.is_proved and kills < MAX_KILLS:
                kills += 1
                self._lane_children.stopping.wait(FIRST_WAIT)
            elif not is_stopping and not (
                (reply.is_proved or self._lane_children.blames_kills)
                and self._lane_children.leave_out(reply)
            ):
                return self._report_start_failure(reply.how)
        return not_called_error("a stop waits")

    def _await_preparation(self, child: Child) -> Prepared | ChildDeath:
        """Have a child load its plugins; return the loaded plugins, or how the child ended."""
        replies = child.listen(PREPARATION)
        child.send(self._lane_children.preparation())
        deadline = time.monotonic() + self._lane_children.preparation_timeout
        while True:
            remaining_seconds = deadline - time.monotonic()
            report_alive(max(remaining_seconds, 0.0))
            try:
                reply = replies.get(timeout=max(remaining_seconds, 0.0))
            except Empty:
                child.kill()
                deadline = math.inf
                continue
            if isinstance(reply, StoreWanted):
                child.send(self._readable_store(reply))
            elif isinstance(reply, Prepared):
                return reply
            elif isinstance(reply, ChildDeath):
                was_too_slow = deadline == math.inf
                return reply._replace(is_proved=True) if was_too_slow else reply

    def _await_end(self, child: Child, replies: Replies) -> None:
        """Wait until a child has ended, and let its plugins' `shutdown` read their stores."""
        deadline = time.monotonic() + self._lane_children.end_timeout
        while child.death is None:
            remaining_seconds = max(deadline - time.monotonic(), 0.0)
            report_alive(remaining_seconds)
            try:
                reply = replies.get(timeout=remaining_seconds)
            except Empty:
                break
            if isinstance(reply, StoreWanted):
                child.send(self._readable_store(reply))
        child.close(0.0)

    def _readable_store(self, store_wanted: StoreWanted) -> StoreGranted:
        services = self._lane_children.services.get(store_wanted.plugin)
        store_values = {} if services is None else services.store.read_only_view().as_json()
        return StoreGranted(number=store_wanted.number, values=store_values)

    def _log_started(self, child: Child) -> None:
        logger.debug(
            "Worker %d of lane %s is process %d",
            self._worker_number,
            self._lane_children.name,
            child.pid,
            extra={"action": "worker.started", "lane": self._lane_children.name, "pid": child.pid},
        )

    def _report_start_failure(self, reason_text: str) -> RaisedError:
        self._start_trouble = reason_text
        logger.error(
            "A worker process of lane %s cannot be started: %s",
            self._lane_children.name,
            reason_text,
            extra={"action": "worker.not_started", "lane": self._lane_children.name},
        )
        return not_called_error(f"a worker process cannot be started: {reason_text}")

    # Calls

    def _make_message(self, request: CallRequest) -> CallMessage:
        """Return the message of a call, without the event's row if the process has it."""
        child, scripts = self._child, self._lane_children.scripts
        if scripts is not None and child is not None and scripts.version != self._scripts_version:
            self._scripts_version = scripts.version
            learned = self._lane_children.scripts_learned()
            if learned is not None:
                child.send(learned)
        body = request.source.body
        is_there, self._last_body = body is self._last_body, body
        return request.message(b"" if is_there else body)


def _await_reply(
    child: Child,
    call_number: int,
    replies: Replies,
    context: CallContext,
    time_limit: float | None,
    *,
    is_cancelled: bool = False,
) -> CallEnded | HookEnded | ChildDeath | None:
    """Return the outcome of a call or the death of its process; None once its time is over.

    Heartbeats extend the time, except that of a cancelled call.
    """
    deadline = math.inf if time_limit is None else time.monotonic() + time_limit
    while True:
        try:
            remaining_seconds = min(deadline - time.monotonic(), threading.TIMEOUT_MAX)
            reply = (
                replies.get()
                if time_limit is None
                else replies.get(timeout=max(remaining_seconds, 0.0))
            )
        except Empty:
            return None
        if isinstance(reply, StoreWanted):
            asked_at = time.monotonic()
            report_busy()  # another call may have the store for long
            child.send(_grant_values(call_number, context.store))
            deadline += time.monotonic() - asked_at
            report_limit(time_limit)
        elif isinstance(reply, PartAsked):
            child.send(_answer_part(reply, context))
        elif isinstance(reply, Heartbeat) and is_cancelled:
            continue
        elif isinstance(reply, Heartbeat):
            context.heartbeat()
            deadline = math.inf if time_limit is None else time.monotonic() + time_limit
            report_limit(time_limit)
        elif not isinstance(reply, Prepared):
            return reply


def report_limit(time_limit: float | None) -> None:
    """Count the lane's loop as alive for as long as the call may take from now on."""
    if time_limit is None:
        report_busy()
    else:
        report_alive(time_limit)


def _note_store_use(request: CallRequest, outcome: CallOutcome) -> CallOutcome:
    """Return an outcome that says that the store was granted, even if only a `startup` used it."""
    if end_without_changes(request) is None or outcome.store_changes is not None:
        return outcome
    return replace(outcome, store_changes={})


def _grant_values(call_number: int, store: Store) -> StoreGranted:
    return StoreGranted(number=call_number, values=store.as_json())


def _answer_part(part_asked: PartAsked, context: CallContext) -> PartAnswered:
    """Look up or record a part of a call in a child."""
    is_done = context.settle_part(part_asked.name, is_done=part_asked.is_done)
    return PartAnswered(number=part_asked.number, is_done=is_done)


def _has_loaded(child: Child, plugin_name: str) -> bool:
    return child.prepared is not None and any(
        loaded_plugin.name == plugin_name for loaded_plugin in child.prepared.plugins
    )
