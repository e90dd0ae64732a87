"""The executor that makes calls in a worker process."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from itertools import count
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
    HookEnded,
    HookWanted,
    Prepared,
    ScriptsLearned,
    StopWaits,
)
from sgevents_core.children.process import Child, ChildDeath
from sgevents_core.children.replies import await_reply, report_limit
from sgevents_core.children.worker_process import WorkerProcess
from sgevents_core.observe.current_call import CurrentCall
from sgevents_core.settings import format_duration
from sgevents_core.state.pulse import RunningCall, RunningWorker

MAX_HOOK_TRIES: Final = 3
"""How often a hook is called if calls in the same process keep ending it."""


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
        self._process = WorkerProcess(lane_children, worker_number)
        self._call_numbers = count(PREPARATION + 1)
        self._informed_child: Child | None = None
        """The process that has the last body and the scripts; another one has neither."""
        self._last_body: bytes | None = None
        self._scripts_version = -1
        self._call_began_at = 0.0
        """When its running call began, in seconds since 1970."""

    @property
    def start_count(self) -> int:
        """How many processes it has started that were ready for calls."""
        return self._process.start_count

    @property
    def death_count(self) -> int:
        """How many of its processes died, instead of being ended."""
        return self._process.death_count

    @property
    def pid(self) -> int | None:
        """The pid of its process; None while it has none."""
        child = self._process.child
        return None if child is None or child.death is not None else child.pid

    @property
    def has_lost_process(self) -> bool:
        """Whether its process has died and was not replaced."""
        child = self._process.child
        return child is not None and child.death is not None

    @property
    def is_starting(self) -> bool:
        """Whether a process is being started and loads its plugins."""
        return self._process.starting_child is not None

    @property
    def is_calling(self) -> bool:
        """Whether a call runs in its process, or was sent there."""
        child = self._process.child
        return child is not None and child.running_call is not None

    def describe(self) -> RunningWorker:
        """Return its state, for people; may be called from any thread."""
        child, starting_child = self._process.child, self._process.starting_child
        restarts = max(self.start_count - 1, 0)
        if starting_child is not None:
            return RunningWorker(
                self._worker_number, "starting", starting_child.pid, restarts=restarts
            )
        if child is None or child.death is not None:
            return RunningWorker(
                self._worker_number,
                "not running",
                restarts=restarts,
                trouble=self._process.trouble,
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
        """Ensure that a process is ready for a call; return False if the daemon is stopping."""
        return self._process.prepare(for_new_event=for_new_event)

    def start(self) -> Prepared | RaisedError:
        """Start its first process; return the plugins it loaded, or why there is no process."""
        start_error = self._process.replace(self._process.child)
        child = self._process.child
        if start_error is not None or child is None or child.prepared is None:
            return start_error or not_called_error("it has ended already")
        return child.prepared

    def call(self, request: CallRequest, time_limit: float | None) -> CallOutcome:
        """Make a call, and return its outcome.

        Args:
            request: The call.
            time_limit: The time limit in seconds; None for none. It counts from the call's last
                heartbeat, and waiting for its store is not charged.
        """
        outcome = None
        while outcome is None:  # a process may have died before the call began in it
            outcome = self._try_call(request, time_limit)
        return outcome

    def _try_call(self, request: CallRequest, time_limit: float | None) -> CallOutcome | None:
        """Make a call; return None if its process died before the call began."""
        request.began_at = time.perf_counter()
        if not self.prepare(for_new_event=request.source.body is not self._last_body):
            return unmade_outcome(not_called_error("a stop waits"))
        child, child_error = self._process.child_for(request.callback.plugin)
        if child is None:
            return unmade_outcome(child_error or not_called_error("there is no process"))
        context = request.context or request.open_context()
        call_number = next(self._call_numbers)
        replies = child.listen(call_number)
        try:
            request.began_at = time.perf_counter()
            self._send_new_scripts(child)
            call_message = CallWanted(number=call_number, call=self._make_message(request, child))
            self._call_began_at = time.time()
            child.running_call = CurrentCall(  # before it can print anything
                request.plugin, request.callback_name, request.event_id
            )
            child.send(call_message)
            reply = await_reply(child, call_number, replies, context, time_limit)
            if reply is None and request.callback.is_async:
                within = format_duration(time_limit or 0.0)
                child.send(CancelWanted(number=call_number, within=within))
                report_limit(CANCEL_SECONDS)
                reply = await_reply(
                    child, call_number, replies, context, CANCEL_SECONDS, is_cancelled=True
                )
            if isinstance(reply, CallEnded):
                return _note_store_use(request, reply.outcome)
            if isinstance(reply, ChildDeath):
                if not reply.is_in(call_number):
                    return None
                return death_outcome(request, reply, self._lane_children.name)
            return end_overdue_call(request, child, time_limit or 0.0)
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
        child, child_error = self._process.child_for(plugin_name)
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
            reply = await_reply(child, call_number, replies, context, None)
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
        elif hook_name == "shutdown":
            self._lane_children.note_stopped(plugin_name)
        return None

    def say_stopping(self) -> None:
        """Let the running call see that a stop or a reload waits."""
        child, starting_child = self._process.child, self._process.starting_child
        if child is not None:
            child.send(StopWaits())
        if starting_child is not None:
            starting_child.kill()

    def rest(self) -> None:
        """End its process, with the plugins' `shutdown`, until another one is needed."""
        self._process.end_present()

    def begin_end(self, *, shuts_down: bool) -> None:
        """Let its process end, after the running call.

        Args:
            shuts_down: Whether the process calls the plugins' `shutdown`.
        """
        self._process.begin_end(shuts_down=shuts_down)

    def close(self) -> None:
        """Wait until its process has ended, and kill it if that takes too long."""
        self._process.close()

    def _make_message(self, request: CallRequest, child: Child) -> CallMessage:
        """Return the message of a call, without the event's row if the process has it."""
        body = request.source.body
        is_there = child is self._informed_child and body is self._last_body
        self._informed_child, self._last_body = child, body
        return request.message(b"" if is_there else body)

    def _send_new_scripts(self, child: Child) -> None:
        """Send a process the names of scripts, if it has not got the latest."""
        scripts = self._lane_children.scripts
        if scripts is None:
            return
        if child is not self._informed_child or scripts.version != self._scripts_version:
            self._scripts_version = scripts.version
            child.send(ScriptsLearned(names=scripts.names, ids=scripts.ids))


def _note_store_use(request: CallRequest, outcome: CallOutcome) -> CallOutcome:
    """Return an outcome that says that the store was granted, even if only a `startup` used it."""
    if end_without_changes(request) is None or outcome.store_changes is not None:
        return outcome
    return replace(outcome, store_changes={})
