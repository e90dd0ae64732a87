"""A lane whose events are divided into strands, which several workers serve side by side.

Its own thread takes in the journal's entries and does timed work; its workers' threads
serve strands: each takes one that has work and that no other worker has.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from sgevents_core.calling.making import Executor
from sgevents_core.dispatch.admission import Admission
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.batch_clock import HOST_CLOCK, BatchClock
from sgevents_core.dispatch.batch_lines import LaneBatches
from sgevents_core.dispatch.divided_lane_access import DividedLaneAccess
from sgevents_core.dispatch.errands import Errand
from sgevents_core.dispatch.intake import Intake
from sgevents_core.dispatch.lane import LONGEST_SLEEP, RECORD_INTERVAL, Lane
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.dispatch.ledger import PAGE_ENTRIES, DividedLedger
from sgevents_core.dispatch.strand import SLICE_SECONDS, Strand
from sgevents_core.dispatch.strand_unit import (
    ERRANDS_UNIT,
    NO_CALL_SLOT,
    WHOLE_LANE_UNIT,
    StrandGate,
    StrandUnit,
)
from sgevents_core.dispatch.worker_executors import MakeExecutor, WorkerExecutors
from sgevents_core.observe import liveness
from sgevents_core.observe.observers import CallObserver
from sgevents_core.scripts import Scripts
from sgevents_core.state.held_lane import HeldLane
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.pulse import BlockedLane
from sgevents_core.state.steps import Step
from sgevents_core.state.strand_places import StrandPlaces
from sgevents_core.state.strands import STRANDS

_SERVED_SLEEP: Final = 0.05
"""Seconds until the lane looks again at a strand that a worker serves, although it is due."""

RunWorkerBody: TypeAlias = Callable[[int, Callable[[], None]], None]
"""Runs the body of the thread of a worker, by its number from 1."""


class DividedLane(Lane):
    """A lane with strands and workers.

    Args:
        held_lane: The lane, taken, with a connection of its own to the journal and the ledger.
        lane_plugins: Its plugins as a whole, in call order.
        strand_places: The progress of its strands.
        worker_count: How many workers it has.
        make_executor: Returns a worker's executor for the calls of a plugin.
        attempts_by_call: `(callback, seq)` -> attempts so far, for calls that are not settled.
        state_folder: Where its register is kept.
        announcer: Reports failures to people and plugins.
        scripts: The names of the site's scripts; by default, guessed from rows.
        observers: Notified of each call, after the lane's own observers.
        clock: The clock by which batches become due.

    `run_worker_body` runs the body of a worker's thread.
    """

    def __init__(
        self,
        held_lane: HeldLane,
        lane_plugins: Sequence[LanePlugin],
        *,
        strand_places: StrandPlaces,
        worker_count: int,
        make_executor: MakeExecutor,
        attempts_by_call: dict[tuple[CallKey, int], int],
        state_folder: Path,
        announcer: Announcer,
        scripts: Scripts | None = None,
        observers: Sequence[CallObserver] = (),
        clock: BatchClock = HOST_CLOCK,
    ) -> None:
        super().__init__(
            held_lane,
            lane_plugins,
            progress=Progress(strand_places.lowest),
            attempts_by_call=attempts_by_call,
            state_folder=state_folder,
            announcer=announcer,
            scripts=scripts,
            observers=observers,
            order_by=strand_places.order_by,
            clock=clock,
        )
        self.run_worker_body: RunWorkerBody = _run_body
        self.order_by = strand_places.order_by
        self.workers = worker_count
        self.pauses = 0
        """The number of pauses so far, by which each strand notices a new one."""
        self._executors = WorkerExecutors(lane_plugins, make_executor, self.wake)
        self._intake = Intake(strand_places, extra_units=2)
        self._is_intake_full = False
        self._worker_threads: list[threading.Thread] = []
        self._recorded_places: StrandPlaces | None = None
        for lane_plugin in lane_plugins:
            if lane_plugin.concurrency is not None:
                lane_plugin.admission = Admission(lane_plugin.concurrency, self._intake.resume)
        self._join_strands()
        self._whole_gate = self._make_gate(self._strand, WHOLE_LANE_UNIT)
        self._strand_units = [
            self._make_unit(strand_number, strand_place)
            for strand_number, strand_place in enumerate(strand_places.places)
        ]
        self.access: DividedLaneAccess = DividedLaneAccess(
            self,
            self._strand,
            self._batches,
            self._lane_parts.call_keys,
            intake=self._intake,
            strand_units=self._strand_units,
            executors=self._executors,
        )

    def _join_strands(self) -> None:
        """Record that plugins which are with the lane are with its strands."""
        plugin_records = [lane_plugin.record for lane_plugin in self.lane_plugins]
        joining_records = [
            record
            for record in plugin_records
            if isinstance(record, PluginRecord) and not record.apart and record.order_by is None
        ]
        for record in joining_records:
            record.join_strands(self.order_by)
        if joining_records:
            plugin_names = [record.name for record in joining_records]
            self.ledger.record(Step(plugins=joining_records, whole=plugin_names))

    def _make_unit(self, strand_number: int, strand_place: Progress) -> StrandUnit:
        strand_ledger = DividedLedger(self.ledger, strand_number, self.order_by)
        strand = Strand(
            self._lane_parts,
            [lane_plugin.in_strand(strand_number) for lane_plugin in self.lane_plugins],
            progress=strand_place,
            ledger=strand_ledger,
            slot=self._register.slots[strand_number],
        )
        return StrandUnit(strand, self._make_gate(strand, strand_number))

    def _make_gate(self, strand: Strand, unit: int) -> StrandGate:
        strand.gate = gate = StrandGate(
            strand, unit, self.note_pause, self._executors.let_hang, self.wake
        )
        return gate

    # The lane's own thread

    def _begin(self) -> None:
        """Do what comes before the first event, and start the workers."""
        super()._begin()
        self._worker_threads = [
            threading.Thread(
                target=self.run_worker_body,
                args=(worker_number, partial(self._run_worker, worker_number)),
                name=f"lane-{self.name}-{worker_number}",
            )
            for worker_number in range(1, self.workers + 1)
        ]
        for thread in self._worker_threads:
            thread.start()

    def stop(self) -> None:
        """End the lane after the running callbacks."""
        super().stop()
        self._intake.end_workers()

    def post(self, errand: Errand, plugin_name: str = "", *, calls_plugin: bool = True) -> None:
        """Have a worker run an errand."""
        super().post(errand, plugin_name, calls_plugin=calls_plugin)
        self._intake.wake([ERRANDS_UNIT])

    def turn(self) -> float:
        """Do the work of the lane's own thread that is due; return how long to wait for more."""
        liveness.report_alive()
        self._executors.close_idle()
        has_worked = self._take_in_entries()
        self._post_deferred_calls()
        self._wake_due_units()
        if not self._worker_threads:  # a test drives the lane
            has_worked = self._serve_in_turn() or has_worked
        self._record_progress()
        return 0.0 if has_worked else self._seconds_to_sleep()

    def _take_in_entries(self) -> bool:
        free_room = min(self._intake.room(), PAGE_ENTRIES)
        self._is_intake_full = not free_room
        if not free_room:
            return False
        start_seq = self._intake.end
        wanted_entries, last_seq = self.ledger.read_wanted(
            start_seq, free_room, self._call_plan.may_want
        )
        self._intake.put(wanted_entries, last_seq)
        return last_seq > start_seq

    def _wake_due_units(self) -> None:
        current_time = time.monotonic()
        due_units = [
            strand_number
            for strand_number, strand_unit in enumerate(self._strand_units)
            if strand_unit.has_apart and strand_unit.strand.is_due(current_time)
        ]
        if self._batches is not None:
            due_units += self._strands_with_due_batches(self._batches)
        if self._strand.is_due(current_time):
            due_units.append(WHOLE_LANE_UNIT)
        if self.errands or self.errands.has_waiting:
            due_units.append(ERRANDS_UNIT)
        self._intake.wake(due_units)

    def _strands_with_due_batches(self, batches: LaneBatches) -> set[int]:
        """Return the strands with batches that are due and whose plugin can be called there."""
        due_strands = set()
        for line in batches.due():
            caller = self._strand_units[line.strand].strand.batch_caller
            if caller is not None and caller.can_call(line):
                due_strands.add(line.strand)
        return due_strands

    def has_due_batches(self) -> bool:
        """Return whether any batch is due whose plugin can be called."""
        return self._batches is not None and bool(self._strands_with_due_batches(self._batches))

    def _seconds_to_sleep(self) -> float:
        current_time = time.monotonic()
        waiting_seconds = [
            LONGEST_SLEEP,
            self._next_batch(),
            *self._strand.next_turns(current_time),
        ]
        for strand_number, strand_unit in enumerate(self._strand_units):
            if strand_unit.has_apart and not self._intake.is_aside(strand_number):
                is_served = self._intake.is_served(strand_number)
                waiting_seconds += [
                    max(seconds, _SERVED_SLEEP) if is_served else seconds
                    for seconds in strand_unit.strand.next_turns(current_time)
                ]
        waiting_seconds += self.deferred_calls.seconds_to_next(self.lane_plugins)
        return max(min(waiting_seconds), 0.001)

    def _record_progress(self) -> None:
        self._call_times.write()
        current_time = time.monotonic()
        if current_time - self._recorded_at < RECORD_INTERVAL:
            return
        strand_places = self._intake.places()
        if strand_places != self._recorded_places:
            self.ledger.record(Step(places=strand_places))
        self._recorded_places, self._recorded_at = strand_places, current_time

    # The workers' threads

    def _run_worker(self, worker_number: int) -> None:
        """Serve strands until the lane ends; the body of the thread of a worker."""
        try:
            while not self._stop_event.is_set():
                liveness.report_alive(LONGEST_SLEEP)
                unit = self._intake.take(LONGEST_SLEEP)
                liveness.report_alive()
                if unit is not None:
                    self._serve_unit(unit, worker_number)
        except BaseException as error:  # the daemon ends because of it and logs it
            self.error = self.error or error
            self.stop()

    def _serve_in_turn(self) -> bool:
        """Let each worker find a unit with something to do, one after another, in this thread."""
        served = [self._serve_next(number) for number in range(1, self.workers + 1)]
        return any(served)

    def _serve_next(self, worker_number: int) -> bool:
        while not self._stop_event.is_set() and (unit := self._intake.take(0.0)) is not None:
            if self._serve_unit(unit, worker_number):
                return True
        return False

    def _serve_unit(self, unit: int, worker_number: int) -> bool:
        """Serve one unit of work for a while; return whether anything was done."""
        if unit == ERRANDS_UNIT:
            self.access.errand_worker = worker_number
            has_worked = self._run_errands()
            has_work = has_worked and bool(self.errands)
        elif unit == WHOLE_LANE_UNIT:
            has_worked = has_work = self._serve_whole(worker_number)
        else:
            has_worked, has_work = self._serve_strand(unit, worker_number)
        self.access.give_back(unit, has_work=has_work and not self._stop_event.is_set())
        if self._is_intake_full:
            self._wake_event.set()
        return has_worked

    def close(self) -> None:
        """Wait for the workers, then close as every lane does."""
        self.stop()
        for thread in self._worker_threads:
            thread.join()
        super().close()

    def _final_step(self) -> Step | None:
        return Step(places=self._intake.places(), durable=True)

    def continue_lane(self, ended_lane: Lane, changed_plugins: Container[str]) -> None:
        """Take over people's requests and hanging calls, each in its strand."""
        super().continue_lane(ended_lane, changed_plugins)
        if not isinstance(ended_lane, DividedLane):
            return
        ended_units = ended_lane._strand_units
        for strand_unit, ended_unit in zip(self._strand_units, ended_units, strict=True):
            strand_plugins = strand_unit.strand.lane_plugins
            self._wait_with(strand_plugins, ended_unit.strand.lane_plugins, changed_plugins)
            strand_unit.has_apart = any(one.record.apart for one in strand_plugins)

    def _await_hanging(self, lane_plugin: LanePlugin, executor: Executor) -> None:
        super()._await_hanging(lane_plugin, executor)
        self._executors.let_hang(lane_plugin)

    def _open_executors(self) -> list[Executor]:
        hanging = [one.executor for one in self._all_lane_plugins() if one.hung is not None]
        return [*self._executors.all(), *hanging]

    def _serve_strand(self, strand_number: int, worker_number: int) -> tuple[bool, bool]:
        """Serve one strand; return whether anything was done, and whether more remains."""
        strand_unit = self._strand_units[strand_number]
        strand = strand_unit.strand
        strand.slot.serve(worker_number)
        self._executors.lend(strand.lane_plugins, worker_number)
        strand.finished, strand.done = self._intake.place(strand_number)
        has_handled = self._serve_queue(strand_number, strand_unit)
        has_worked = False
        if strand_unit.gate.waits_for is None and not self._stop_event.is_set():
            if self._intake.next_entry(strand_number) is None:
                strand.finished, strand.done = self._intake.place(strand_number)
            has_worked = strand.catch_up_all()
            if strand_unit.gate.waits_for is None:
                has_worked = strand.call_batches(strand_number) or has_worked
        strand_unit.has_apart = any(one.record.apart for one in strand.lane_plugins)
        self._executors.take_back(strand.lane_plugins)
        self._wait_for_slot(strand_number, strand_unit.gate)
        return has_handled or has_worked, has_worked

    def _wait_for_slot(self, unit: int, gate: StrandGate) -> None:
        """Put a unit aside until its gate admits its next call."""
        waits_for, gate.waits_for = gate.waits_for, None
        if waits_for is not None:
            self._intake.put_aside(unit)
            waits_for.wait(unit)

    def _serve_queue(self, strand_number: int, strand_unit: StrandUnit) -> bool:
        """Handle a strand's queue for one slice of time; return whether it had any entries."""
        has_handled = False
        slice_end = time.monotonic() + SLICE_SECONDS
        strand = strand_unit.strand
        while (
            entry := self._intake.next_entry(strand_number)
        ) is not None and not self._stop_event.is_set():
            if strand_unit.pauses_seen != self.pauses:
                strand_unit.pauses_seen = self.pauses
                strand.leave_paused()
            try:
                is_finished = strand.handle(entry)
            except BaseException:
                self._intake.stop_at(strand_number, strand.progress)
                raise
            if not is_finished:
                self._intake.stop_at(strand_number, strand.progress)
                break
            self._intake.finish(strand_number, entry.seq)
            has_handled = True
            if time.monotonic() > slice_end:
                break
        return has_handled

    def _serve_whole(self, worker_number: int) -> bool:
        """Let plugins that left the lane as a whole catch up, and join the strands."""
        has_worked = False
        self._strand.slot.serve(worker_number)
        for plugin_index, lane_plugin in enumerate(self.lane_plugins):
            record = lane_plugin.record
            if (
                not isinstance(record, PluginRecord)
                or not record.apart
                or self._stop_event.is_set()
            ):
                continue
            if lane_plugin.hung is None:
                lane_plugin.executor = self._executors.executor_for(plugin_index, worker_number)
            self._strand.look_at_the_site(lane_plugin)
            if not lane_plugin.due(time.monotonic()):
                continue
            record.resume()
            if record.above is not None:
                self._strand.finished = record.above.highest
                has_worked = self._strand.catch_up(lane_plugin, rejoins=False) or has_worked
            if record.above is None and record.state == "active":
                self._spread_plugin(plugin_index, record)
                has_worked = True
        self._executors.take_back(self.lane_plugins)
        is_waiting = self._whole_gate.waits_for is not None
        self._wait_for_slot(WHOLE_LANE_UNIT, self._whole_gate)
        return has_worked and not is_waiting

    def _spread_plugin(self, plugin_index: int, record: PluginRecord) -> None:
        """Let a plugin that was separate from the lane be separate from each of its strands."""
        strands = record.spread(self.order_by)
        self.ledger.record(Step(plugins=strands, whole=[record.name]))
        for strand_number, strand_unit in enumerate(self._strand_units):
            strand_record = strand_unit.strand.lane_plugins[plugin_index].record
            strand_record.stop_at(strands[strand_number].progress)
            strand_unit.has_apart = True
        record.join_strands(self.order_by)
        self._intake.wake(range(STRANDS))

    def _run_errands(self) -> bool:
        self.errands.is_free(NO_CALL_SLOT)
        return super()._run_errands()

    # For any thread

    def note_pause(self) -> None:
        """Let each strand see, before its next event, that a plugin is paused."""
        self.pauses += 1

    def caught_up(self, journal_end: int) -> bool:
        """Return whether the lane and its active plugins are at the journal's end."""
        return (
            self._intake.end >= journal_end
            and self._intake.is_idle()
            and not self.errands
            and not self.errands.has_waiting
            and self.deferred_calls.is_idle(self.lane_plugins)
            and not self.has_due_batches()
            and not any(lane_plugin.has_work() for lane_plugin in self._all_lane_plugins())
        )

    def queue_length(self, journal_end: int) -> int:
        """Return how many events wait for the lane; may be called from any thread."""
        return max(journal_end - self._intake.end, 0) + self._intake.waiting()

    def hung_plugins(self) -> list[str]:
        """Return the names of the plugins whose threads hang, one for each thread."""
        return [one.plugin.name for one in self._all_lane_plugins() if one.hung is not None]

    def _all_lane_plugins(self) -> list[LanePlugin]:
        """Return each plugin as a whole, and in each strand."""
        strand_plugins = [
            strand_plugin
            for strand_unit in self._strand_units
            for strand_plugin in strand_unit.strand.lane_plugins
        ]
        return [*self.lane_plugins, *strand_plugins]

    def blocking(self) -> BlockedLane | None:
        """Return why the lane cannot take in more events; None if it can."""
        oldest_entry = self._intake.blocking() if self._is_intake_full else None
        if oldest_entry is None:
            return None
        strand_number, entry = oldest_entry
        for seq, callback, _ in self.running_calls():
            if seq == entry.seq:
                callback_names = (callback.plugin, callback.name)
                return BlockedLane(self.name, strand_number, entry.event_id, *callback_names)
        return BlockedLane(self.name, strand_number, entry.event_id)

    @property
    def places(self) -> StrandPlaces:
        """The progress of its strands."""
        return self._intake.places()

    @property
    def seq(self) -> int:
        """The last event up to which all are finished."""
        return self._intake.places().lowest

    @property
    def progress(self) -> Progress:
        """The lowest position of its strands."""
        return Progress(self.seq)


def _run_body(worker_number: int, thread_body: Callable[[], None]) -> None:
    thread_body()
