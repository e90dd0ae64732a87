"""The process of a worker: it is started, prepared for calls, replaced and ended."""

from __future__ import annotations

import logging
import math
import threading
import time
from queue import Empty
from typing import Final

from sgevents_core.calling.outcome import RaisedError
from sgevents_core.children.failed_calls import not_called_error
from sgevents_core.children.lane_children import LaneChildren
from sgevents_core.children.messages import PREPARATION, Prepared, StoreGranted, StoreWanted
from sgevents_core.children.process import Child, ChildDeath, Replies
from sgevents_core.errors import SgEventsError
from sgevents_core.observe.liveness import report_alive

logger = logging.getLogger("sgevents.dispatch")

MAX_KILLS: Final = 4
"""How often a process may be killed from outside while it starts, before that is a failure."""
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 30.0
"""Seconds between two tries to start a process, if the system has no room for one."""


class WorkerProcess:
    """The process of one worker, which is another one after each death.

    Args:
        lane_children: The data shared by the lane's worker processes.
        worker_number: The worker's number in the lane, from 1.
    """

    def __init__(self, lane_children: LaneChildren, worker_number: int) -> None:
        self._lane_children = lane_children
        self._worker_number = worker_number
        self._replacing_lock = threading.RLock()  # held while a process is started or replaced
        self._is_closed = False
        self._farewell_replies: Replies | None = None
        self.child: Child | None = None
        """The process, alive or dead; None before the first."""
        self.starting_child: Child | None = None
        """A process that loads its plugins; None if none does."""
        self.start_count = 0
        """How many processes were started that were ready for calls."""
        self.death_count = 0
        """How many of them died, instead of being ended."""
        self.trouble = ""
        """Why no process can be started; empty if one can."""

    def prepare(self, *, for_new_event: bool = True) -> bool:
        """Ensure that a process is ready for a call; return False if the daemon is stopping.

        A process that has died is replaced, and between two events also one that has grown beyond
        `max_rss`.
        """
        child = self.child
        is_alive = child is not None and child.death is None
        if child is not None and is_alive and not (for_new_event and self._has_outgrown(child)):
            return True
        wait_seconds = FIRST_WAIT
        while not (self._is_closed or self._lane_children.stopping.is_set()):
            start_error = self.replace(child)
            if start_error is None:
                return True
            child = self.child
            report_alive(wait_seconds)
            self._lane_children.stopping.wait(wait_seconds)
            wait_seconds = min(2 * wait_seconds, LONGEST_WAIT)
        return False

    def begin_end(self, *, shuts_down: bool) -> None:
        """Let the process end, after the running call.

        Args:
            shuts_down: Whether the process calls the plugins' `shutdown`.
        """
        with self._replacing_lock:
            self._is_closed = True
        child = self.child
        if child is not None:
            self._farewell_replies = child.listen(PREPARATION)
            child.end(shuts_down=shuts_down)

    def close(self) -> None:
        """Wait until the process has ended, and kill it if that takes too long."""
        if not self._is_closed:
            self.begin_end(shuts_down=True)
        with self._replacing_lock:
            child, self.child = self.child, None
        if child is not None and self._farewell_replies is not None:
            self._await_end(child, self._farewell_replies)

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

    def child_for(self, plugin_name: str) -> tuple[Child | None, RaisedError | None]:
        """Return a living process that has loaded a plugin, or why there is none."""
        with self._replacing_lock:
            for _ in range(2):  # the problem that kept it from being loaded may be gone
                child = self.child
                if child is not None and child.death is None and _has_loaded(child, plugin_name):
                    return child, None
                self._lane_children.known_broken.pop(plugin_name, None)
                start_error = self.replace(child)
                if start_error is not None:
                    return None, start_error
            child = self.child
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

    def end_present(self) -> None:
        """Let the process end, with its plugins' `shutdown`, if it lives; there is none then."""
        with self._replacing_lock:
            previous_child, self.child = self.child, None
            if previous_child is None:
                return
            child_death = previous_child.death
            if child_death is None:
                farewell_replies = previous_child.listen(PREPARATION)
                previous_child.end(shuts_down=True)
                self._await_end(previous_child, farewell_replies)
            previous_child.close()
            if child_death is not None:
                self.death_count += 1
                self._lane_children.note_thread_death(child_death)

    def replace(self, present_child: Child | None) -> RaisedError | None:
        """Replace the process with a new one; return why that was not possible."""
        with self._replacing_lock:
            if self.child is not present_child:  # another thread has replaced it
                return None
            self.end_present()
            if self._is_closed:
                return not_called_error("the lane has ended")
            child = self._start()
            if isinstance(child, RaisedError):
                return child
            self.child = child
            return None

    def _start(self) -> Child | RaisedError:
        """Start a process, and return it once it is ready for calls; or why there is none.

        One that a plugin ends while it is loaded is tried without that plugin. A kill from outside
        is nobody's fault: after one, it is tried again as it was.
        """
        kills = 0
        while not self._lane_children.stopping.is_set():
            try:
                child = self._lane_children.launch()
            except (OSError, SgEventsError) as error:
                return self._report_start_failure(str(error))
            self.starting_child = child
            try:
                reply = self._await_preparation(child)
            except BaseException:  # the daemon stops
                child.kill()
                raise
            finally:
                self.starting_child = None
            if isinstance(reply, Prepared):
                self._note_prepared(child, reply)
                return child
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

    def _note_prepared(self, child: Child, prepared: Prepared) -> None:
        child.prepared = prepared
        self._lane_children.note_prepared(prepared)
        self.trouble = ""
        self.start_count += 1
        self._log_started(child)

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
        """Wait until a child has ended, and let its plugins' `shutdown` read their stores.

        It is killed if that takes too long.
        """
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
        self.trouble = reason_text
        logger.error(
            "A worker process of lane %s cannot be started: %s",
            self._lane_children.name,
            reason_text,
            extra={"action": "worker.not_started", "lane": self._lane_children.name},
        )
        return not_called_error(f"a worker process cannot be started: {reason_text}")


def _has_loaded(child: Child, plugin_name: str) -> bool:
    return child.prepared is not None and any(
        loaded_plugin.name == plugin_name for loaded_plugin in child.prepared.plugins
    )
