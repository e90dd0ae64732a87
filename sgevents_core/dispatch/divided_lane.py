"""A lane whose events are divided into strands, which several workers serve side by side.

Its own thread takes in the journal's entries and looks after what is due; its workers' threads
serve strands: each takes one that has work and that no other worker has.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Container, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from sgevents_core.calling.making import EventSource, Executor
from sgevents_core.dispatch.admission import Admission
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.caller import Call
from sgevents_core.dispatch.errands import Errand
from sgevents_core.dispatch.intake import Intake
from sgevents_core.dispatch.lane import FOLD_EVERY, LONGEST_SLEEP, Lane, PluginStop
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.dispatch.ledger import PAGE, DividedLedger
from sgevents_core.dispatch.strand import SLICE, Strand
from sgevents_core.observe import liveness
from sgevents_core.observe.observers import CallObserver
from sgevents_core.scripts import Scripts
from sgevents_core.state.entries import Entry
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import AnyPluginRecord, PluginRecord, StrandRecord
from sgevents_core.state.progress import BEGINNING, Progress
from sgevents_core.state.protocols import LaneWriter
from sgevents_core.state.pulse import BlockedLane
from sgevents_core.state.steps import Step
from sgevents_core.state.strand_places import StrandPlaces
from sgevents_core.state.strands import STRANDS, strand_in, strands_of_body

WHOLE: Final = STRANDS
"""The unit of work of plugins that are separate from the lane as a whole."""
ERRANDS: Final = STRANDS + 1
"""The unit of work of people's requests."""
_NO_SLOT: Final = STRANDS + 2
"""What an errand waits for whose plugin has as many calls running as it may."""

ExecutorOf: TypeAlias = Callable[[LanePlugin, int], Executor]
"""Returns where a worker, by its number from 1, makes the calls of a plugin."""
Around: TypeAlias = Callable[[int, Callable[[], None]], None]
"""Runs the body of the thread of a worker, by its number from 1."""


class _StrandGate:
    """What keeps callbacks from being called in one strand: a pause, and `concurrency`."""

    def __init__(self, strand: Strand, note_pause: Callable[[], None]) -> None:
        self._strand = strand
        self._note_pause = note_pause
        self.waits_for: Admission | None = None
        """What the strand must wait for before it goes on."""

    def leaves(self, call: Call) -> bool:
        """Return whether the plugin was paused: it leaves the strand before this call."""
        record = call.lane_plugin.record
        if record.state in {"active", "held"}:
            return False
        self._strand.leave_before(call)
        return True

    def admits(self, lane_plugin: LanePlugin) -> bool:
        """Return whether another call of the plugin may run; if not, the strand waits for it."""
        admission = lane_plugin.admission
        if admission is None or admission.take():
            return True
        self.waits_for = admission
        return False

    def over(self, lane_plugin: LanePlugin) -> None:
        """Give back the slot of an admitted call, unless the call hangs and keeps it."""
        if lane_plugin.record.state == "paused":
            self._note_pause()
        if lane_plugin.admission is not None and lane_plugin.hung is None:
            lane_plugin.admission.give_back()


class _StrandUnit:
    """One strand of a divided lane, and what its next worker has to know.

    Args:
        strand: The strand.
        gate: What keeps callbacks from being called in it.
    """

    def __init__(self, strand: Strand, gate: _StrandGate) -> None:
        self.strand = strand
        self.gate = gate
        self.pauses_seen = -1
        self.worker = 0
        self.has_apart = True


class DividedLane(Lane):
    """A lane with strands and workers.

    Args:
        name: The lane's name.
        lane_plugins: Its plugins as a whole, in call order.
        state: Its own connection to the journal and the ledger.
        places: How far its strands have come.
        workers: How many workers it has.
        executor_of: Where a worker makes the calls of a plugin.
        tried: `(callback, seq)` -> attempts so far, for calls that are not settled.
        folder: Where its register is kept.
        announcer: Reports failures to people and plugins.
        scripts: The names of the site's scripts; by default, guessed from rows.
        observers: Notified of each call, after the lane's own observers.

    `around` runs the body of a worker's thread.
    """

    whole_unit = WHOLE

    def __init__(
        self,
        name: str,
        lane_plugins: Sequence[LanePlugin],
        *,
        state: LaneWriter,
        places: StrandPlaces,
        workers: int,
        executor_of: ExecutorOf,
        tried: dict[tuple[CallKey, int], int],
        folder: Path,
        announcer: Announcer,
        scripts: Scripts | None = None,
        observers: Sequence[CallObserver] = (),
    ) -> None:
        super().__init__(
            name,
            lane_plugins,
            state=state,
            progress=Progress(places.lowest),
            tried=tried,
            folder=folder,
            announcer=announcer,
            scripts=scripts,
            observers=observers,
            order_by=places.order_by,
        )
        self.around: Around = _run
        self.order_by = places.order_by
        self.workers = workers
        self.pauses = 0
        """Counts the pauses, so that each strand sees that there is another one."""
        self._executor_of = executor_of
        self._executors: dict[tuple[int, int], Executor] = {}
        self._intake = Intake(places, extra=2)
        self._waited_for: set[int] = set()
        self._is_full = False
        self._errand_worker = 1
        self._returned: list[Executor] = []
        """Executors that hung, and have nothing to do any more."""
        self._threads: list[threading.Thread] = []
        self._places_folded: StrandPlaces | None = None
        for lane_plugin in lane_plugins:
            if lane_plugin.concurrency is not None:
                lane_plugin.admission = Admission(lane_plugin.concurrency, self._intake.resume)
        self._join_strands()
        self._units = [self._unit(n, place) for n, place in enumerate(places.places)]

    def _join_strands(self) -> None:
        """Record for plugins that go with the lane that they go with its strands."""
        records = [lane_plugin.record for lane_plugin in self.lane_plugins]
        joining = [
            record
            for record in records
            if isinstance(record, PluginRecord) and not record.apart and record.order_by is None
        ]
        for record in joining:
            record.join_strands(self.order_by)
        if joining:
            whole = [record.name for record in joining]
            self.ledger.record(Step(plugins=joining, whole=whole))

    def _unit(self, number: int, place: Progress) -> _StrandUnit:
        ledger = DividedLedger(self.ledger, number, self.order_by)
        strand = Strand(
            self._parts,
            [lane_plugin.in_strand(number) for lane_plugin in self.lane_plugins],
            progress=place,
            ledger=ledger,
            slot=self._register.slots[number],
        )
        strand.gate = gate = _StrandGate(strand, self.note_pause)
        return _StrandUnit(strand, gate)

    # The lane's own thread

    def run(self) -> None:
        """Take in events until stopped, and run the workers meanwhile."""
        self._threads = [
            threading.Thread(
                target=self.around,
                args=(number, partial(self._work, number)),
                name=f"lane-{self.name}-{number}",
            )
            for number in range(1, self.workers + 1)
        ]
        for thread in self._threads:
            thread.start()
        super().run()

    def stop(self) -> None:
        """End the lane after the running callbacks."""
        super().stop()
        self._intake.end_workers()

    def post(self, errand: Errand) -> None:
        """Have a worker run an errand."""
        super().post(errand)
        self._intake.wake([ERRANDS])

    def turn(self) -> float:
        """Do the work of the lane's own thread that is due; return how long to wait for more."""
        liveness.report_alive()
        while self._returned:
            self._returned.pop().close()
        worked = self._take_in()
        self._wake_due()
        if not self._threads:  # a test drives the lane
            worked = self._serve_in_turn() or worked
        self._fold()
        return 0.0 if worked else self._sleep()

    def _take_in(self) -> bool:
        room = min(self._intake.room(), PAGE)
        self._is_full = not room
        entries = self.ledger.read(self._intake.end, room) if room else []
        self._intake.put(entries)
        return bool(entries)

    def _wake_due(self) -> None:
        now = time.monotonic()
        due = [
            n for n, unit in enumerate(self._units) if unit.has_apart and unit.strand.is_due(now)
        ]
        if self._strand.is_due(now):
            due.append(WHOLE)
        if self.errands or self.errands.wait:
            due.append(ERRANDS)
        self._intake.wake(due)

    def _sleep(self) -> float:
        now = time.monotonic()
        ends = [LONGEST_SLEEP, *self._strand.next_turns(now)]
        for unit in self._units:
            if unit.has_apart:
                ends += unit.strand.next_turns(now)
        return max(min(ends), 0.001)

    def _fold(self) -> None:
        self._times.write()
        now = time.monotonic()
        if now - self._folded_at < FOLD_EVERY:
            return
        places = self._intake.places()
        if places != self._places_folded:
            self.ledger.record(Step(places=places))
        self._places_folded, self._folded_at = places, now

    # The workers' threads

    def _work(self, number: int) -> None:
        """Serve strands until the lane ends; the body of the thread of a worker."""
        try:
            while not self._stop.is_set():
                liveness.report_alive(LONGEST_SLEEP)
                unit = self._intake.take(LONGEST_SLEEP)
                liveness.report_alive()
                if unit is not None:
                    self._serve(unit, number)
        except BaseException as error:  # the daemon ends because of it and logs it
            self.error = self.error or error
            self.stop()

    def _serve_in_turn(self) -> bool:
        worked = False
        for number in range(1, self.workers + 1):
            unit = self._intake.take(0.0)
            if unit is not None and not self._stop.is_set():
                self._serve(unit, number)
                worked = True
        return worked

    def _serve(self, unit: int, number: int) -> None:
        """Serve one unit of work for a while."""
        has_work = False
        if unit == ERRANDS:
            self._errand_worker = number
            has_work = self._run_errands() and bool(self.errands)
        elif unit == WHOLE:
            has_work = self._serve_whole(number)
        else:
            has_work = self._serve_strand(unit, number)
        self._give_back(unit, has_work=has_work and not self._stop.is_set())

    def _give_back(self, unit: int, *, has_work: bool) -> None:
        waited_for = unit in self._waited_for
        if waited_for:
            self._waited_for.discard(unit)
            self.errands.is_free(unit)
        self._intake.give_back(unit, has_work=has_work, before=[ERRANDS] if waited_for else [])
        if self._is_full:
            self._news.set()

    def close(self) -> None:
        """Wait for the workers, then do what every lane does."""
        self.stop()
        for thread in self._threads:
            thread.join()
        super().close()

    def _last_step(self) -> Step | None:
        return Step(places=self._intake.places(), durable=True)

    def continue_lane(self, ended_lane: Lane, changed_plugins: Container[str]) -> None:
        """Take over people's requests from a lane that has ended; its hanging calls end with it."""
        self.errands = ended_lane.errands.move_to_new_lane()

    def _open_executors(self) -> list[Executor]:
        own = [one.executor for unit in self._units for one in unit.strand.lane_plugins]
        return [*self._returned, *self._executors.values(), *(one for one in own if one.hung)]

    def _serve_strand(self, number: int, worker: int) -> bool:
        unit = self._units[number]
        strand = unit.strand
        self._lend_executors(unit, worker)
        strand.finished, strand.done = self._intake.place(number)
        self._serve_queue(number, unit)
        worked = False
        if unit.gate.waits_for is None and not self._stop.is_set():
            if self._intake.next_entry(number) is None:
                strand.finished, strand.done = self._intake.place(number)
            worked = strand.catch_up_all()
        unit.has_apart = any(one.record.apart for one in strand.lane_plugins)
        self._keep_hung_executors(unit)
        waits_for, unit.gate.waits_for = unit.gate.waits_for, None
        if waits_for is not None:
            self._intake.put_aside(number)
            waits_for.wait(number)
        return worked

    def _serve_queue(self, number: int, unit: _StrandUnit) -> None:
        """Handle what is on a strand's queue for one slice of time."""
        until = time.monotonic() + SLICE
        strand = unit.strand
        while (entry := self._intake.next_entry(number)) is not None and not self._stop.is_set():
            if unit.pauses_seen != self.pauses:
                unit.pauses_seen = self.pauses
                strand.leave_paused()
            try:
                is_finished = strand.handle(entry)
            except BaseException:
                self._intake.stop_at(number, strand.progress)
                raise
            if not is_finished:
                self._intake.stop_at(number, strand.progress)
                return
            self._intake.finish(number, entry.seq)
            if time.monotonic() > until:
                return

    def _serve_whole(self, worker: int) -> bool:
        """Let plugins that left the lane as a whole finish what they left, and join the strands."""
        worked = False
        self._strand.slot.serve(worker)
        for index, lane_plugin in enumerate(self.lane_plugins):
            record = lane_plugin.record
            if not isinstance(record, PluginRecord) or not record.apart or self._stop.is_set():
                continue
            lane_plugin.executor = self._executor(index, worker)
            self._strand.look_at_the_site(lane_plugin)
            if not lane_plugin.due(time.monotonic()):
                continue
            if record.above is not None:
                self._strand.finished = record.above.highest
                worked = self._strand.catch_up(lane_plugin, rejoins=False) or worked
            if record.above is None and record.state == "active":
                self._spread(index, record)
        return worked

    def _spread(self, index: int, record: PluginRecord) -> None:
        """Let a plugin that was separate from the lane be separate from each of its strands."""
        strands = record.spread(self.order_by)
        self.ledger.record(Step(plugins=strands, whole=[record.name]))
        for number, unit in enumerate(self._units):
            own = unit.strand.lane_plugins[index].record
            own.stop_at(strands[number].progress)
            unit.has_apart = True
        record.join_strands(self.order_by)
        self._intake.wake(range(STRANDS))

    # Executors

    def _lend_executors(self, unit: _StrandUnit, worker: int) -> None:
        """Let the plugins' calls in a strand be made where its worker makes them."""
        strand = unit.strand
        strand.slot.serve(worker)
        for index, lane_plugin in enumerate(strand.lane_plugins):
            if lane_plugin.hung is None:
                lane_plugin.executor = self._executor(index, worker)

    def _executor(self, index: int, worker: int) -> Executor:
        executor = self._executors.get((index, worker))
        if executor is None:
            executor = self._executor_of(self.lane_plugins[index], worker)
            executor.returned = self.wake
            self._executors[index, worker] = executor
        return executor

    def _keep_hung_executors(self, unit: _StrandUnit) -> None:
        """Leave to a strand the executors that hang in its calls; its worker gets others."""
        for index, lane_plugin in enumerate(unit.strand.lane_plugins):
            if lane_plugin.hung is not None:
                for key in [key for key in self._executors if key[0] == index]:
                    if self._executors[key] is lane_plugin.executor:
                        del self._executors[key]
                        self._let_go(lane_plugin, lane_plugin.executor)

    def _let_go(self, lane_plugin: LanePlugin, executor: Executor) -> None:
        def returned() -> None:
            if lane_plugin.admission is not None:
                lane_plugin.admission.give_back()
            self._returned.append(executor)
            self.wake()

        executor.returned = returned

    # Errands and requests about one plugin

    def claim(self, unit: int) -> bool:
        """Take a strand for an errand; if a worker has it, the errand waits until it is free."""
        self.errands.wait_for(unit)
        if self._intake.claim(unit):
            return True
        self._waited_for.add(unit)
        return self._intake.claim(unit)  # it may have become free before it was waited for

    def release(self, unit: int) -> None:
        """Give back a strand that an errand took."""
        self._give_back(unit, has_work=True)

    def claim_for_call(self, lane_plugin: LanePlugin, event: EventSource) -> LanePlugin | None:
        """Take the strand of an event for a call; return the plugin in it, None if it waits."""
        number = strand_in(strands_of_body(event.body, event.event_id), self.order_by)
        if not self.claim(number):
            return None
        if lane_plugin.admission is not None and not lane_plugin.admission.take():
            self.errands.wait_for(_NO_SLOT)
            self.release(number)
            return None
        unit = self._units[number]
        self._lend_executors(unit, self._errand_worker)
        return unit.strand.lane_plugins[self.lane_plugins.index(lane_plugin)]

    def release_after_call(self, lane_plugin: LanePlugin) -> None:
        """Give back what `claim_for_call` took."""
        record = lane_plugin.record
        if not isinstance(record, StrandRecord):
            raise TypeError("it is in no strand")
        unit = self._units[record.strand]
        unit.gate.over(lane_plugin)
        unit.has_apart = unit.has_apart or record.apart
        self._keep_hung_executors(unit)
        self.release(record.strand)

    def progress_by(self, record: AnyPluginRecord) -> Progress:
        """Return the progress that a plugin with this record leaves behind."""
        return self._intake.place(record.strand) if isinstance(record, StrandRecord) else BEGINNING

    def is_stopped(self, record: PluginRecord) -> bool:
        """Return whether a plugin is paused, or held anywhere."""
        return super().is_stopped(record) or any(one.is_held for one in self._strands_of(record))

    def next_entry_of(self, record: PluginRecord) -> Entry | None:
        """Return the entry that a plugin is at in the strand furthest behind; None if in none."""
        if record.apart:
            return super().next_entry_of(record)
        places = self._intake.places()
        own = self._strands_of(record)
        cursors = [places.lowest, *(one.cursor for one in own if one.apart)]
        found = self.ledger.read(min(cursors), 1)
        return found[0] if found else None

    def stop_at(self, record: PluginRecord, event_id: int) -> PluginStop | None:
        """Return where a plugin is stopped at an event; None if it is not."""
        if record.apart:
            return super().stop_at(record, event_id)
        end = self.ledger.end()
        for own in self._strands_of(record):
            if own.apart and own.state in {"held", "paused"}:
                entries, _ = self.ledger.read_strand(own.strand, self.order_by, own.cursor, end)
                if entries and entries[0].event_id == event_id:
                    return PluginStop(own.strand, own, entries[0])
        return None

    def pause(self, record: PluginRecord, reason: str) -> None:
        """Pause a plugin in all strands; each worker sees it before its next call or event."""
        if self._lane_plugin_of(record) is None:
            record.leave_strands(self._intake.places())
        record.pause(reason)
        self.note_pause()

    def resume(self, record: PluginRecord, stopped: AnyPluginRecord | None = None) -> Step:
        """Resume a plugin wherever it is stopped, or only by one record if it is not paused."""
        is_everywhere = record.state == "paused" or stopped is None
        record.resume_afresh()
        lane_plugin = self._lane_plugin_of(record)
        if lane_plugin is not None and self._waits_to_start(lane_plugin, record):
            return Step(plugins=[record])
        own = self._strands_of(record) if is_everywhere else [stopped]
        held = [one for one in own if isinstance(one, StrandRecord) and one.is_held]
        if lane_plugin is None:
            for one in held:
                one.resume()
            return Step(plugins=[record, *held])
        self._end_holds(lane_plugin, {one.strand for one in held})
        skipped = [stopped] if isinstance(stopped, StrandRecord) else []
        return Step(plugins=[record, *skipped])

    def _end_holds(self, lane_plugin: LanePlugin, strands: Collection[int]) -> None:
        """Let a plugin be called again at once in some strands, and look at all of its strands."""
        index = self.lane_plugins.index(lane_plugin)
        lane_plugin.hold_until = 0.0
        for strand in strands:
            own = self._units[strand].strand.lane_plugins[index]
            own.hold_until, own.waiting = 0.0, None
        self._intake.wake(range(STRANDS + 1))

    def _strands_of(self, record: PluginRecord) -> list[StrandRecord]:
        """Return the current records of a plugin in the strands."""
        lane_plugin = self._lane_plugin_of(record)
        if lane_plugin is None:
            return list(record.strands.values())
        index = self.lane_plugins.index(lane_plugin)
        own = [unit.strand.lane_plugins[index].record for unit in self._units]
        return [one for one in own if isinstance(one, StrandRecord)]

    def _run_errands(self) -> bool:
        self.errands.is_free(_NO_SLOT)
        return super()._run_errands()

    def forget(self, plugin: str, seq: int) -> None:
        """Forget how often a plugin's callbacks were tried for an event that it has finished."""
        self._strand.caller.forget(plugin, seq)  # all strands share what they know of attempts

    # What anybody may ask

    def note_pause(self) -> None:
        """Let each strand see, before its next event, that a plugin is paused."""
        self.pauses += 1

    def caught_up(self, end: int) -> bool:
        """Return whether the lane and its active plugins are at the journal's end."""
        plugins = [*self.lane_plugins, *(p for u in self._units for p in u.strand.lane_plugins)]
        return (
            self._intake.end >= end
            and self._intake.is_idle()
            and not self.errands
            and not self.errands.wait
            and not any(one.works or one.waits_for_site for one in plugins)
        )

    def hung_plugins(self) -> list[str]:
        """Return the names of the plugins whose threads hang, one for each thread."""
        plugins = [one for unit in self._units for one in unit.strand.lane_plugins]
        return [one.plugin.name for one in plugins if one.hung is not None]

    def blocking(self) -> BlockedLane | None:
        """Return what keeps the lane from taking in more events; None if nothing does."""
        oldest = self._intake.blocking() if self._is_full else None
        if oldest is None:
            return None
        strand, entry = oldest
        for seq, callback, _ in self.running_calls():
            if seq == entry.seq:
                at = (callback.plugin, callback.name)
                return BlockedLane(self.name, strand, entry.event_id, *at)
        return BlockedLane(self.name, strand, entry.event_id)

    @property
    def places(self) -> StrandPlaces:
        """How far its strands have come."""
        return self._intake.places()

    @property
    def seq(self) -> int:
        """The last event up to which all are finished."""
        return self._intake.places().lowest

    @property
    def progress(self) -> Progress:
        """Its lowest place."""
        return Progress(self.seq)


def _run(number: int, body: Callable[[], None]) -> None:
    body()
