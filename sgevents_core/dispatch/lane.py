"""A lane: one worker that passes the journal's events to the callbacks of its groups, in order."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Container, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from sgevents_core.calling.making import Executor
from sgevents_core.choices import OrderBy
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.batch_clock import HOST_CLOCK, BatchClock
from sgevents_core.dispatch.batch_starts import open_batches
from sgevents_core.dispatch.caller import key_of
from sgevents_core.dispatch.deferred_calls import DeferredCalls
from sgevents_core.dispatch.deferred_errands import make_deferred_call
from sgevents_core.dispatch.errands import Errand, Errands
from sgevents_core.dispatch.imported_events import ImportedEvents
from sgevents_core.dispatch.lane_access import LaneAccess
from sgevents_core.dispatch.lane_end import LaneEnd
from sgevents_core.dispatch.lane_parts import LaneParts
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.dispatch.ledger import PAGE_ENTRIES, LaneLedger
from sgevents_core.dispatch.plan import Plan
from sgevents_core.dispatch.strand import SLICE_SECONDS, Strand
from sgevents_core.errors import SgEventsError, StateError
from sgevents_core.observe import liveness
from sgevents_core.observe.lasting_failure import LastingFailure
from sgevents_core.observe.observers import CallObserver, CallObservers, OneAtATime
from sgevents_core.observe.timing import timing_log
from sgevents_core.plugins.callback import Callback
from sgevents_core.scripts import Scripts
from sgevents_core.state.call_times import CallTimes
from sgevents_core.state.entries import Entry
from sgevents_core.state.held_lane import HeldLane
from sgevents_core.state.keys import CallKey
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import LaneWriter
from sgevents_core.state.pulse import BlockedLane
from sgevents_core.state.register import NotedLane, Register, lane_register_path
from sgevents_core.state.steps import Step

logger = logging.getLogger("sgevents.dispatch")

RECORD_INTERVAL: Final = 1.0
"""Seconds between two records of the lane's progress in the ledger."""
LONGEST_SLEEP: Final = 1.0


class Lane:
    """One lane; `run` is the body of its thread.

    Args:
        held_lane: The lane, taken, with a connection of its own to the journal and the ledger.
        lane_plugins: Its plugins, in call order.
        progress: Its progress so far.
        attempts_by_call: `(callback, seq)` -> attempts so far, for calls that are not settled.
        state_folder: Where its register is kept.
        announcer: Reports failures to people and plugins.
        scripts: The names of the site's scripts; by default, guessed from rows.
        observers: Notified of each call, after the lane's own observers.
        order_by: The key that divides its events into strands; None for one strand.
        clock: The clock by which batches become due.
    """

    workers = 1
    """How many workers it has."""

    def __init__(
        self,
        held_lane: HeldLane,
        lane_plugins: Sequence[LanePlugin],
        *,
        progress: Progress,
        attempts_by_call: dict[tuple[CallKey, int], int],
        state_folder: Path,
        announcer: Announcer,
        scripts: Scripts | None = None,
        observers: Sequence[CallObserver] = (),
        order_by: OrderBy | None = None,
        clock: BatchClock = HOST_CLOCK,
    ) -> None:
        self.name = held_lane.name
        lane_writer = held_lane.writer
        self.scripts = scripts
        self.lane_plugins = lane_plugins
        self.error: BaseException | None = None
        callbacks = [
            callback for lane_plugin in lane_plugins for callback in lane_plugin.plugin.callbacks
        ]
        self._call_plan = Plan(callbacks)
        call_keys = [key_of(callback) for callback in callbacks]
        self._recorded_progress: Progress | None = None
        self._recorded_at = 0.0
        self._stop_event = stopped = threading.Event()
        if held_lane.may_begin is not None:  # then the ledger records for longer than calls begin
            self._stop_event = lane_end = LaneEnd(held_lane.may_begin)
            stopped = lane_end.stopped
        self._wake_event = threading.Event()
        self.errands = Errands()
        self.ledger = LaneLedger(held_lane, stopped)
        register_path = lane_register_path(state_folder, self.name)
        self._register = Register(register_path, call_keys, order_by)
        self._share_register(lane_writer)
        for lane_plugin in lane_plugins:
            lane_plugin.executor.returned = self.wake
            lane_plugin.services.part_records = self.ledger
        self._call_times = CallTimes(state_folder, self.name, call_keys)
        self.call_counts = self._call_times.counts
        self.observers = self._join_observers(observers, is_divided=order_by is not None)
        self.announcer = announcer
        self.deferred_calls = DeferredCalls(lane_writer.deferred_calls())
        self._batches = open_batches(
            lane_plugins,
            self.ledger,
            attempts_by_call=attempts_by_call,
            order_by=order_by,
            announcer=announcer,
            scripts=scripts,
            clock=clock,
        )
        self._lane_parts = self._make_parts(lane_writer, attempts_by_call, call_keys)
        self._strand = Strand(
            self._lane_parts,
            lane_plugins,
            progress=progress,
            ledger=self.ledger,
            slot=self._register.slots[-1],
        )
        self.access = LaneAccess(self, self._strand, self._batches, call_keys)

    def _share_register(self, lane_writer: LaneWriter) -> None:
        """Let other hosts of the state know what the register says."""
        lane_writer.share_register(
            self.name,
            self.ledger.fence,
            self._register,
            stopping=self._stop_event,
            trouble=self.ledger.trouble,
        )

    def _join_observers(
        self, observers: Sequence[CallObserver], *, is_divided: bool
    ) -> CallObservers:
        """Return the lane's own observers and others; workers notify all but the first in turn."""
        later_observers = [*timing_log(), self._call_times, *observers]
        if is_divided:
            later_observers = [OneAtATime(later_observers)]
        return CallObservers([liveness.LivenessObserver(), *later_observers])

    def _make_parts(
        self,
        lane_writer: LaneWriter,
        attempts_by_call: dict[tuple[CallKey, int], int],
        call_keys: Sequence[CallKey],
    ) -> LaneParts:
        """Return the data that its strands share."""
        return LaneParts(
            call_plan=self._call_plan,
            call_keys=call_keys,
            attempts_by_call=attempts_by_call,
            deaths_by_call={(one.key, one.seq): one for one in lane_writer.deaths()},
            stop_event=self._stop_event,
            announcer=self.announcer,
            observers=self.observers,
            scripts=self.scripts,
            imported_events=ImportedEvents(lane_writer.imported_positions(), call_keys),
            deferred_calls=self.deferred_calls,
            batches=self._batches,
            read_batch=self.ledger.read_batch,
        )

    def stop(self) -> None:
        """End the lane after the running callback."""
        self._stop_event.set()
        self._wake_event.set()

    def wake(self) -> None:
        """Notify the lane that the journal has grown."""
        self._wake_event.set()

    def post(self, errand: Errand, plugin_name: str = "", *, calls_plugin: bool = True) -> None:
        """Have the lane run an errand in its own thread, between two events.

        One that calls no plugin and is posted before the lane runs comes before its first event.

        Args:
            errand: The errand.
            plugin_name: The plugin it is about; empty for no particular one.
            calls_plugin: Whether it may call the plugin, and so take long.
        """
        self.errands.post(errand, plugin_name, calls_plugin=calls_plugin)
        self._wake_event.set()

    def caught_up(self, end: int) -> bool:
        """Return whether the lane and its active plugins are at the journal's end.

        Plugins that wait for the site are not: it is still open whether it or their call was at
        fault. Nor are those that asked to be called again at once.
        """
        return (
            self._strand.finished >= end
            and not self.errands
            and not self.errands.has_waiting
            and self.deferred_calls.is_idle(self.lane_plugins)
            and not self.has_due_batches()
            and not any(lane_plugin.has_work() for lane_plugin in self.lane_plugins)
        )

    def queue_length(self, journal_end: int) -> int:
        """Return how many events wait for the lane; may be called from any thread."""
        return max(journal_end - self._strand.finished, 0)

    def noted(self) -> NotedLane:
        """Return the content of its register; may be called from any thread."""
        return self._register.noted()

    def running_calls(self) -> list[tuple[int, Callback, bool]]:
        """Return the running calls: the event's `seq`, the callback, whether it has a timeout.

        May be called from any thread.
        """
        open_calls = [
            (seq, self._call_plan.callbacks[callback_index], callback_index)
            for seq, callback_index in self._register.open()
        ]
        return [
            (seq, callback, self._strand.limit_of(callback_index) is not None)
            for seq, callback, callback_index in open_calls
        ]

    def blocking(self) -> BlockedLane | None:
        """Return why the lane cannot take in more events; None if it can."""
        return None

    def hung_plugins(self) -> list[str]:
        """Return the names of the plugins whose threads hang, one for each thread."""
        return [one.plugin.name for one in self.lane_plugins if one.hung is not None]

    @property
    def state_trouble(self) -> LastingFailure | None:
        """Why nothing can be recorded; None while it can. May be read from any thread."""
        return self.ledger.trouble.lasting_failure

    @property
    def seq(self) -> int:
        """The last event finished."""
        return self._strand.finished

    def run(self) -> None:
        """Process events until stopped; keep an error that ends it in `error`."""
        try:
            self._begin()
            while not self._stop_event.is_set():
                self._wake_event.clear()
                wait_seconds = self.turn()
                if wait_seconds:
                    liveness.report_alive(wait_seconds)
                    self._wake_event.wait(wait_seconds)
        except BaseException as error:  # the daemon ends because of it and logs it
            self.error = error
        finally:
            self.close()

    def _begin(self) -> None:
        """Do what comes before the first event: a plugin that is to be paused gets none."""
        self.errands.run_without_calls(self)

    def turn(self) -> float:
        """Do the work that is due now; return how long to wait for more, in seconds."""
        liveness.report_alive()
        self._post_deferred_calls()
        has_worked = self._run_errands()
        has_worked = self._process_entries() or has_worked
        has_worked = self._strand.catch_up_all() or has_worked
        has_worked = self._strand.call_batches() or has_worked
        self._record_progress()
        return 0.0 if has_worked else self._seconds_to_sleep()

    def close(self) -> None:
        """Record the lane's progress, and release its resources; `run` does so by itself.

        An error is kept in `error`. After a failed write the progress is recorded once more,
        because a register lasts only until the next boot.
        """
        self.stop()
        is_known_error = self.error is None or isinstance(self.error, StateError)
        final_step = self._final_step()
        try:
            if is_known_error and final_step is not None:
                self.ledger.record_once(final_step)
        except SgEventsError as error:
            self.error = self.error or error
            logger.error(
                "Lane %s cannot record where it stops: %s Its register does, until the next boot.",
                self.name,
                error,
                extra={"action": "lane.place_not_written", "lane": self.name},
            )
        finally:
            for executor in self._open_executors():
                executor.close()
            self._register.close()
            self._call_times.write(now=True)
            self.ledger.close()

    def _final_step(self) -> Step | None:
        """Return the step that records where the lane stops; None if that is recorded."""
        if self.progress == self._recorded_progress:
            return None
        return Step(progress=self.progress, durable=True)

    def _open_executors(self) -> list[Executor]:
        """Return the executors to close; one that hangs ends with the process."""
        executors = [lane_plugin.executor for lane_plugin in self.lane_plugins]
        return [executor for executor in executors if executor.hung is None]

    def continue_lane(self, ended_lane: Lane, changed_plugins: Container[str]) -> None:
        """Take over people's requests and hanging calls from a lane that has ended.

        Args:
            ended_lane: The lane, of the same name.
            changed_plugins: Plugins whose hanging calls run code that is no longer used.
        """
        self.errands = ended_lane.errands.move_to_new_lane()
        self.call_counts.take_over(ended_lane.call_counts)
        self._wait_with(self.lane_plugins, ended_lane.lane_plugins, changed_plugins)

    def _wait_with(
        self,
        lane_plugins: Sequence[LanePlugin],
        ended_plugins: Sequence[LanePlugin],
        changed_plugins: Container[str],
    ) -> None:
        """Hold plugins until calls return that hang in a lane that has ended."""
        hanging = {one.plugin.name: one for one in ended_plugins if one.hung is not None}
        for lane_plugin in lane_plugins:
            ended_plugin = hanging.get(lane_plugin.plugin.name)
            if ended_plugin is not None and lane_plugin.plugin.name not in changed_plugins:
                self._await_hanging(lane_plugin, ended_plugin.executor)

    def _await_hanging(self, lane_plugin: LanePlugin, executor: Executor) -> None:
        lane_plugin.wait_with(executor)
        executor.returned = self.wake

    def _seconds_to_sleep(self) -> float:
        current_time = time.monotonic()
        waiting_seconds = [LONGEST_SLEEP, *self._strand.next_turns(current_time)]
        waiting_seconds += self.deferred_calls.seconds_to_next(self.lane_plugins)
        return max(min([*waiting_seconds, self._next_batch()]), 0.001)

    def _post_deferred_calls(self) -> None:
        """Have calls made that were put off and are due."""
        for deferred_key in self.deferred_calls.take_due(self.lane_plugins):
            self.errands.post(partial(make_deferred_call, deferred_key))

    def _next_batch(self) -> float:
        """Return in how many seconds the next batch is due; infinity if none is open."""
        return math.inf if self._batches is None else self._batches.next_due()

    def end_batches(self) -> bool:
        """Wait for no more events and call the open batches; return whether any may be open."""
        if self._batches is None:
            return False
        self._batches.end_waiting()
        self.wake()
        return True

    def call_waiting_batches(self, *, retry: bool) -> bool:
        """Let batches become due now; return whether there are any whose plugin can be called.

        Args:
            retry: Whether batches whose call has failed become due too.
        """
        if self._batches is None:
            return False
        self._batches.become_due(has_begun=retry)
        return self.has_due_batches()

    def has_due_batches(self) -> bool:
        """Return whether any batch is due whose plugin can be called."""
        caller = self._strand.batch_caller
        if self._batches is None or caller is None:
            return False
        return any(map(caller.can_call, self._batches.due_now()))

    def _run_errands(self) -> bool:
        """Run waiting errands for one slice of time; return whether there were any."""
        slice_end = time.monotonic() + SLICE_SECONDS
        return self.errands.run(
            self, lambda: time.monotonic() < slice_end and not self._stop_event.is_set()
        )

    def _process_entries(self) -> bool:
        """Process live events: a page, or a slice of time while a plugin catches up."""
        strand = self._strand
        start_seq = strand.finished
        journal_entries, last_seq = self._next_entries(strand)
        slice_end = time.monotonic() + SLICE_SECONDS
        for entry in journal_entries:
            if not strand.handle(entry) or self._stop_event.is_set():
                break
            current_time = time.monotonic()
            if current_time - self._recorded_at > RECORD_INTERVAL:
                self._record_progress()
            if current_time > slice_end and (
                self.errands
                or any(lane_plugin.due(current_time) for lane_plugin in self.lane_plugins)
                or (self._batches is not None and self._batches.due())
            ):
                break
        else:
            strand.skip_to(last_seq)
        return last_seq > start_seq

    def _next_entries(self, strand: Strand) -> tuple[list[Entry], int]:
        """Return the wanted ones of the next entries, and the last `seq` of all.

        Where some callbacks are done with the next entry, it is returned alone, wanted or not.
        """
        if strand.done:
            next_entries = self.ledger.read(strand.finished, 1)
            return next_entries, next_entries[-1].seq if next_entries else strand.finished
        return self.ledger.read_wanted(strand.finished, PAGE_ENTRIES, self._call_plan.may_want)

    # The ledger

    @property
    def progress(self) -> Progress:
        """Its progress."""
        return self._strand.progress

    def _record_progress(self) -> None:
        """Record the lane's progress in the ledger, at most once a second.

        `ProgressSyncer` records it more often, from the register.
        """
        self._call_times.write()
        current_time = time.monotonic()
        if (
            self.progress == self._recorded_progress
            or current_time - self._recorded_at < RECORD_INTERVAL
        ):
            return
        self.ledger.record(Step(progress=self.progress))
        self._recorded_progress, self._recorded_at = self.progress, current_time
