"""The schedules of the daemon are worth something: each bug here, put in on purpose, is caught.

What is broken lies between the journal and the plugins; bugs in the feed have their own tests.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
from daemon_schedules import DaemonSchedule, MovingSchedule, run_schedule
from simulated_studio import StateJournal

from sgevents_core.calling import judging, own_thread
from sgevents_core.calling.context import CallContext
from sgevents_core.calling.deaths import EndedWorkers
from sgevents_core.calling.making import CallRequest, Hung
from sgevents_core.calling.outcome import CallOutcome, RaisedError
from sgevents_core.calling.own_thread import PluginThread
from sgevents_core.calling.store import StoreChanges, recorded_changes
from sgevents_core.children import failed_calls
from sgevents_core.children.lane_workers import LaneWorkers
from sgevents_core.children.process import ChildDeath
from sgevents_core.children.worker_process import WorkerProcess
from sgevents_core.choices import OrderBy
from sgevents_core.crashes import recovering, recovery
from sgevents_core.crashes.recovery import DoubtfulCall
from sgevents_core.crashes.syncing import ProgressSyncer
from sgevents_core.dispatch import deferred_calls, deferred_errands, wiring
from sgevents_core.dispatch.admission import Admission
from sgevents_core.dispatch.caller import Call, Caller
from sgevents_core.dispatch.divided_lane import DividedLane
from sgevents_core.dispatch.intake import Intake
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.dispatch.ledger import DividedLedger
from sgevents_core.dispatch.plan import Plan, PlannedCalls
from sgevents_core.dispatch.strand import Strand
from sgevents_core.dispatch.strand_unit import StrandGate
from sgevents_core.dispatch.worker_executors import WorkerExecutors
from sgevents_core.events import route_of
from sgevents_core.requests import carrying_out
from sgevents_core.requests.request_work import RequestWork
from sgevents_core.site import ageing
from sgevents_core.site.health import SiteHealth, Standing
from sgevents_core.site.known import Hole, Known
from sgevents_core.state import register
from sgevents_core.state.entries import Entry, Route, TakenRow
from sgevents_core.state.feed_values import FeedChange
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import PluginRecord, StrandRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.register import NotedCall, NotedLane, Slot
from sgevents_core.state.requests import RequestStep
from sgevents_core.state.sqlite.feed_writing import SqliteFeedWriter
from sgevents_core.state.sqlite.lane_writing import SqliteLaneWriter
from sgevents_core.state.sqlite.reading import SqliteReader
from sgevents_core.state.steps import Step
from sgevents_core.state.strand_places import StrandPlaces
from sgevents_core.state.strands import STRANDS, strand_of

Patch = pytest.MonkeyPatch
MOVING_SEED = 16
"""The seed of a schedule in which a plugin moves to a lane that is behind what it has finished."""


def cursor_saved_before_the_call(patch: Patch) -> None:
    """The ledger says that an event is finished before its callbacks are called."""
    real = Strand.handle

    def handle(self: Strand, entry: Entry) -> bool:
        self.ledger.record(Step(progress=Progress(entry.seq)))
        return real(self, entry)

    patch.setattr(Strand, "handle", handle)


def returned_noted_before_the_call(patch: Patch) -> None:
    """The register says that a callback has returned when it is about to be called."""
    real = Slot.returned
    patch.setattr(Slot, "begun", lambda self, *call: real(self, *call[:3]))


def returned_never_noted(patch: Patch) -> None:
    """The register does not learn that a callback has returned."""
    patch.setattr(Slot, "returned", lambda *_: None)


def attempts_forgotten_at_a_restart(patch: Patch) -> None:
    """A new process begins to count attempts anew."""
    patch.setattr(SqliteReader, "attempts", lambda _: {})


def store_kept_although_the_callback_raised(patch: Patch) -> None:
    """What a callback has put in its store before it failed stays there."""
    real = Caller._fail

    def fail(self: Caller, call: Call, outcome: CallOutcome, error: RaisedError) -> bool:
        changes = None if call.context is None else call.context.end()
        if changes:
            self._ledger.record(Step(store={call.plugin: recorded_changes(changes)}))
            call.services.store.commit(changes)
        return real(self, call, outcome, error)

    patch.setattr(Caller, "_fail", fail)


def store_committed_with_the_next_call(patch: Patch) -> None:
    """A change of the store is not written with the call that made it."""
    real = Caller._succeed
    late: dict[int, Step] = {}

    def succeed(
        self: Caller, call: Call, changes: StoreChanges | None, *more: Any, **named: Any
    ) -> bool:
        record = self._ledger.record

        def put_off(step: Step) -> int:
            if step.store:
                step, late[id(self)] = late.get(id(self), Step()), dataclasses.replace(step)
            return record(step)

        patch.setattr(self._ledger, "record", put_off)
        stays = real(self, call, changes, *more, **named)
        patch.setattr(self._ledger, "record", record)
        return stays

    patch.setattr(Caller, "_succeed", succeed)


def done_callbacks_forgotten_at_a_retry(patch: Patch) -> None:
    """A plugin that leaves its lane begins the event with its first callback."""
    real = PluginRecord.stop_at
    forgetful = lambda self, progress: real(self, Progress(progress.finished))  # noqa: E731 - short
    patch.setattr(PluginRecord, "stop_at", forgetful)


def rejoins_one_event_early(patch: Patch) -> None:
    """A plugin goes with its lane again although the lane is one event ahead of it."""
    real = Strand._catch_up_one

    def catch_up_one(self: Strand, lane_plugin: LanePlugin) -> bool:
        if lane_plugin.record.progress.running == self.finished:
            lane_plugin.record.finish(self.finished)
            return True
        return real(self, lane_plugin)

    patch.setattr(Strand, "_catch_up_one", catch_up_one)


def hold_lets_later_events_pass(patch: Patch) -> None:
    """A plugin that waits to try again is handed what comes meanwhile."""
    real = LanePlugin.hold

    def hold(self: LanePlugin, reason: str, seconds: float, **times: float) -> None:
        real(self, reason, seconds, **times)
        self.record.apart = False

    patch.setattr(LanePlugin, "hold", hold)


def hold_ends_at_once(patch: Patch) -> None:
    """A plugin that asked for a wait is called again without one."""
    patch.setattr(
        LanePlugin, "due", lambda self, _: self.record.catches_up and self.record.state != "paused"
    )


def pause_lets_the_plugin_run(patch: Patch) -> None:
    """A paused plugin that is behind goes on catching up."""
    patch.setattr(LanePlugin, "due", lambda self, now: self.record.apart and now >= self.hold_until)


def pause_is_not_written(patch: Patch) -> None:
    """A plugin is paused in memory, and not in the ledger."""
    real = SqliteLaneWriter.record

    def record(self: SqliteLaneWriter, lane: str, fence: int, step: Step) -> int:
        kept = [one for one in step.plugins if one.state != "paused"]
        return real(self, lane, fence, dataclasses.replace(step, plugins=kept))

    patch.setattr(SqliteLaneWriter, "record", record)


def dead_letter_not_written_with_the_step(patch: Patch) -> None:
    """The step that passes over a failed callback does not say that it failed for good."""
    real = SqliteLaneWriter.record

    def record(self: SqliteLaneWriter, lane: str, fence: int, step: Step) -> int:
        return real(self, lane, fence, dataclasses.replace(step, dead=False))

    patch.setattr(SqliteLaneWriter, "record", record)


def replay_moves_the_cursor(patch: Patch) -> None:
    """A plugin goes on behind the events that were replayed for it."""
    real = carrying_out._HANDLERS_BY_KIND["replay"]

    def replay(work: RequestWork) -> bool:
        event = work.requests.replay_event(work.request.number, 0)
        over = real(work)
        if event is not None and work.lane_plugin is not None and work.plugin_record.apart:
            work.plugin_record.finish(max(work.plugin_record.cursor, event.seq))
        return over

    patch.setitem(carrying_out._HANDLERS_BY_KIND, "replay", replay)


def fold_writes_a_place_ahead(patch: Patch) -> None:
    """The lane notes in the ledger that it is one event further than it is."""
    real: Callable[[Lane], Progress] = vars(Lane)["progress"].fget

    def progress(self: Lane) -> Progress:
        now = real(self)
        return Progress(now.running) if now.done else now

    patch.setattr(Lane, "progress", property(progress))


def register_ignored(patch: Patch) -> None:
    """A new process believes the ledger alone."""
    patch.setattr(recovery, "join_progress", lambda progress, _: progress)
    patch.setattr(recovery, "restore_catching_up", lambda *_: None)


def register_forgotten_before_the_ledger_knows(patch: Patch) -> None:
    """A start removes the registers when it has read them."""
    real = register.read_register

    def read(path: Any) -> NotedLane:
        found = real(path)
        register.remove_register(path)
        return found

    patch.setattr(register, "read_register", read)


def begun_taken_for_returned(patch: Patch) -> None:
    """A call that had begun is taken for finished by the next process."""
    real = register._noted_call

    def noted_call(word: int, keys: list[CallKey]) -> NotedCall | None:
        found = real(word, keys)
        return None if found is None else found._replace(returned=True)

    patch.setattr(register, "_noted_call", noted_call)


def death_charged_to_another_event(patch: Patch) -> None:
    """The call that a process died in is mistaken for that of the next event."""
    real = recovery.find_doubtful_calls

    def doubts(*args: Any) -> list[DoubtfulCall]:
        return [DoubtfulCall(one.seq + 1, one.call_key) for one in real(*args)]

    patch.setattr(recovery, "find_doubtful_calls", doubts)


def death_not_counted(patch: Patch) -> None:
    """An attempt that the process died in does not count as one."""
    patch.setattr(recovery, "find_doubtful_calls", lambda *_: [])


def pruned_beyond_the_lowest_cursor(patch: Patch) -> None:
    """Events that a plugin has not finished are pruned when they are old."""
    patch.setattr(ageing, "lowest_cursor", lambda state, _: state.end())


def late_rows_not_appended(patch: Patch) -> None:
    """A row that comes late is put where its id belongs, behind which lanes are already."""
    real = StateJournal.append

    def append(self: StateJournal, rows: list[TakenRow], change: FeedChange) -> None:
        real(self, [one for one in rows if not one.late], change)

    patch.setattr(StateJournal, "append", append)


def retry_counted_twice(patch: Patch) -> None:
    """A failed attempt counts as two."""
    real = Caller._charge

    def charge(self: Caller, call: Call, *failure: Any) -> bool:
        call.attempt += 1
        return real(self, call, *failure)

    patch.setattr(Caller, "_charge", charge)


def lane_goes_on_at_the_next_event(patch: Patch) -> None:
    """What a lane was in the middle of is taken for finished at a restart."""
    real = SqliteReader.lane_progress

    def lane_progress(self: SqliteReader, lane: str) -> Progress | None:
        progress = real(self, lane)
        return Progress(progress.running) if progress and progress.done else progress

    patch.setattr(SqliteReader, "lane_progress", lane_progress)


def disabled_plugin_goes_on_one_event_later(patch: Patch) -> None:
    """A plugin that leaves its lane passes over the next event."""
    real = PluginRecord.leave_lane

    def leave_lane(self: PluginRecord, place: Progress) -> None:
        real(self, place)
        self.finish(self.progress.running)

    patch.setattr(PluginRecord, "leave_lane", leave_lane)


def attempt_spent_in_an_outage(patch: Patch) -> None:
    """A call that the site did not answer is judged at once, whether or not it answers others."""
    patch.setattr(judging, "waits_for_site", lambda *_, **__: False)


def hold_without_end(patch: Patch) -> None:
    """A plugin that waits for the site does not hear that it is back."""
    patch.setattr(SiteHealth, "standing", lambda *_: Standing.DOWN)


def own_fault_taken_for_an_outage(patch: Patch) -> None:
    """A query that the site never answers is not charged though the site answers others."""
    real = SiteHealth.standing

    def standing(self: SiteHealth, failed: float) -> Standing:
        found = real(self, failed)
        return Standing.OVER if found is Standing.OWN else found

    patch.setattr(SiteHealth, "standing", standing)


def event_passed_over_in_an_outage(patch: Patch) -> None:
    """A plugin that waits for the site goes on behind the event when it is back."""
    real = LanePlugin.site_is_back

    def site_is_back(self: LanePlugin, at: float) -> None:
        assert self.waiting is not None
        self.record.finish(self.waiting.failure.seq)
        real(self, at)

    patch.setattr(LanePlugin, "site_is_back", site_is_back)


def callbacks_in_reverse(patch: Patch) -> None:
    """The callbacks of an event are called in the wrong order."""
    real = Plan._compile_route
    patch.setattr(Plan, "_compile_route", lambda self, texts: real(self, texts)[::-1])


def route_without_its_attribute(patch: Patch) -> None:
    """Callbacks are remembered for a type of event, whatever field the next event is about."""
    known: dict[str, Any] = {}
    patch.setattr(
        "sgevents_core.dispatch.strand.route_of",
        lambda event: known.setdefault(event.event_type, route_of(event)),
    )


def last_callback_of_a_route_left_out(patch: Patch) -> None:
    """Of several callbacks that want an event, the last is not called."""
    real = Plan._compile_route

    def compile_route(self: Plan, route_values: Route) -> PlannedCalls:
        planned = real(self, route_values)
        return planned[:-1] if len(planned) > 1 else planned

    patch.setattr(Plan, "_compile_route", compile_route)


# Bugs in lanes with strands; every other schedule has such lanes.


def empty_strand_stays_where_it_was(patch: Patch) -> None:
    """The place of a strand with nothing on its queue is not that of the intake."""
    patch.setattr(Intake, "_place_of", lambda self, strand: self._strand_places[strand])


def fold_puts_all_strands_at_the_intake(patch: Patch) -> None:
    """What is folded is no consistent picture: strands with entries on their queues are ahead."""
    patch.setattr(
        Intake,
        "places",
        lambda self: StrandPlaces.at(self.order_by, Progress(self.end)),
    )


def finished_entries_taken_in_again(patch: Patch) -> None:
    """After a restart the intake does not pass over what a strand has finished."""
    real = Intake._queue_entry

    def put(self: Intake, entry: Entry) -> None:
        strand = strand_of(entry, self.order_by)
        place = self._strand_places[strand]
        if not self._strand_queues[strand] and entry.seq <= place.finished:
            self._strand_places[strand] = Progress.at(entry.seq)
        real(self, entry)

    patch.setattr(Intake, "_queue_entry", put)


def word_of_another_strand_believed(patch: Patch) -> None:
    """A start takes the word of a strand for that of its neighbour."""
    real = recovery.join_places

    def join_places(places: StrandPlaces, noted: NotedLane) -> StrandPlaces:
        slots = {(strand + 1) % STRANDS: slot for strand, slot in noted.slots.items()}
        return real(places, NotedLane(noted.order_by, slots))

    patch.setattr(recovery, "join_places", join_places)


def place_written_for_another_strand(patch: Patch) -> None:
    """A step writes the place of a strand beside its own."""
    real = DividedLedger.record

    def record(self: DividedLedger, step: Step) -> int:
        if step.progress is not None:
            step.strand = (self._strand_number + 1) % STRANDS
            return self._ledger.record(step)
        return real(self, step)

    patch.setattr(DividedLedger, "record", record)


def another_division_begins_at_the_lowest_place(patch: Patch) -> None:
    """After a change of `order_by` the lane hands out again what strands had finished above."""
    patch.setattr(StrandPlaces, "highest", property(lambda places: places.lowest))


def what_strands_finished_is_forgotten(patch: Patch) -> None:
    """A plugin that leaves a divided lane goes on at its lowest place, and passes over nothing."""
    real = PluginRecord.leave_strands

    def leave_strands(self: PluginRecord, lane: StrandPlaces) -> None:
        real(self, lane)
        self.above = None

    patch.setattr(PluginRecord, "leave_strands", leave_strands)


def plugin_leaves_at_the_place_of_its_lane(patch: Patch) -> None:
    """A plugin that is behind in a strand leaves the lane as if it were not."""
    real = PluginRecord.leave_strands

    def leave_strands(self: PluginRecord, lane: StrandPlaces) -> None:
        self.strands = {}
        real(self, lane)

    patch.setattr(PluginRecord, "leave_strands", leave_strands)


def plugin_joins_one_strand_too_early(patch: Patch) -> None:
    """A plugin that was apart from the lane is not apart from one of its strands."""
    real = PluginRecord.spread

    def spread(self: PluginRecord, order_by: OrderBy) -> list[StrandRecord]:
        strands = real(self, order_by)
        strands[3].finish(10**9)
        return strands

    patch.setattr(PluginRecord, "spread", spread)


def pause_of_one_strand(patch: Patch) -> None:
    """A pause stops the plugin in the strand where it happened alone."""
    real = StrandGate.leaves

    def leaves(self: StrandGate, call: Call) -> bool:
        return call.lane_plugin.record.state != "paused" and real(self, call)

    patch.setattr(DividedLane, "note_pause", lambda _: None)
    patch.setattr(StrandGate, "leaves", leaves)


def hold_of_one_strand_ends_those_of_others(patch: Patch) -> None:
    """A plugin that is held in a strand is called again there as soon as another is served."""
    real = LanePlugin.due

    def due(self: LanePlugin, now: float) -> bool:
        return real(self, math.inf if isinstance(self.record, StrandRecord) else now)

    patch.setattr(LanePlugin, "due", due)


def put_off_only_in_memory(patch: Patch) -> None:
    """A call that is put off is not written down."""
    real = SqliteLaneWriter.record

    def record(self: SqliteLaneWriter, lane: str, fence: int, step: Step) -> int:
        if step.deferred is not None and not step.deferred.call.begun:
            step.deferred = None
        return real(self, lane, fence, step)

    patch.setattr(SqliteLaneWriter, "record", record)


def put_off_again_once_handled(patch: Patch) -> None:
    """The record of a call that was put off outlives the call."""
    real = SqliteLaneWriter.record

    def record(self: SqliteLaneWriter, lane: str, fence: int, step: Step) -> int:
        step.no_more_deferred = None
        return real(self, lane, fence, step)

    patch.setattr(SqliteLaneWriter, "record", record)


def made_later_although_paused(patch: Patch) -> None:
    """A call that was put off is made while its plugin is paused."""
    for module in (deferred_calls, deferred_errands):
        patch.setattr(module, "can_be_called", lambda _: True)


# Bugs in decisions about parked rows; three of ten schedules have such rows.


def dropped_rows_handled(patch: Patch) -> None:
    """Rows that a person has dropped are handed to the plugins all the same."""
    patch.setattr(Known, "drop_parked", lambda self, spans: self.handle_parked(spans, Hole(0, 0.0)))


def handled_rows_dropped(patch: Patch) -> None:
    """Rows that a person wants handled count as handled."""
    patch.setattr(Known, "handle_parked", lambda self, spans, _: self.drop_parked(spans))


def decision_not_written(patch: Patch) -> None:
    """A decision is answered, and what it changes is not kept."""
    real = SqliteFeedWriter.decide

    def decide(
        self: SqliteFeedWriter, expected_seq: int, change: FeedChange, step: RequestStep
    ) -> None:
        change = change._replace(put=[], cut_parked=[])
        real(self, expected_seq, change, step)

    patch.setattr(SqliteFeedWriter, "decide", decide)


# Bugs in worker processes; one in three schedules has lanes with them.


def death_before_a_call_charged_to_it(patch: Patch) -> None:
    """The end of a process is that of the call it was given, whether or not it had begun."""
    patch.setattr(ChildDeath, "is_in", lambda *_: True)


def grown_process_kept(patch: Patch) -> None:
    """A process that has grown beyond `max_rss` is called for another event."""
    patch.setattr(WorkerProcess, "_has_outgrown", lambda *_: False)


def overdue_process_not_ended(patch: Patch) -> None:
    """The process of a call that takes too long is given the next call."""

    def end_overdue_call(request: CallRequest, child: Any, limit: float) -> CallOutcome:
        child.kill = lambda: None
        return failed_calls.end_overdue_call(request, child, limit)

    patch.setattr("sgevents_core.children.worker.end_overdue_call", end_overdue_call)


def deaths_of_a_call_not_counted(patch: Patch) -> None:
    """A call that ends its process is made again and again."""
    patch.setattr("sgevents_core.dispatch.caller.died_too_often", lambda _: False)


def deaths_counted_by_strand(patch: Patch) -> None:
    """Each strand counts for itself which worker processes a plugin has ended."""
    real = LanePlugin.in_strand

    def in_strand(self: LanePlugin, strand_number: int) -> LanePlugin:
        strand_plugin = real(self, strand_number)
        strand_plugin.ended_workers = EndedWorkers()
        return strand_plugin

    patch.setattr(LanePlugin, "in_strand", in_strand)


def slow_plugin_waits_in_one_strand(patch: Patch) -> None:
    """A plugin that keeps ending processes is called in its other strands meanwhile."""
    patch.setattr(EndedWorkers, "wait_left", lambda *_: 0.0)


def progress_not_synced(patch: Patch) -> None:
    """Nobody copies the registers into the ledger while the lanes wait or call."""
    patch.setattr(ProgressSyncer, "sync_once", lambda _: None)


# Bugs in time limits; two of five schedules have plugins with limits.


def hang_of_one_strand_is_one_of_others(patch: Patch) -> None:
    """A plugin hangs in each strand that was served by the worker whose call hangs."""
    patch.setattr(WorkerExecutors, "take_back", lambda *_: None)


def hung_plugin_called_again(patch: Patch) -> None:
    """A plugin is called although a call of it has not returned."""
    patch.setattr(LanePlugin, "hung", None)


def late_changes_taken(patch: Patch) -> None:
    """A call that was given up may still change the store."""
    real = own_thread._timeout_outcome

    def timeout_outcome(hung_call: Hung, stack: str) -> CallOutcome:
        hung_call.request.context, context = None, hung_call.request.context
        outcome = real(hung_call, stack)
        hung_call.request.context = context
        return outcome

    patch.setattr(own_thread, "_timeout_outcome", timeout_outcome)


def heartbeat_unheard(patch: Patch) -> None:
    """A call that says that it is alive is given up all the same."""
    patch.setattr(CallContext, "heartbeat", lambda _: None)


def hung_call_gives_its_slot_back(patch: Patch) -> None:
    """Another call of a plugin that takes one at a time runs beside one that hangs."""
    patch.setattr(Admission, "keep", lambda self: self.give_back())
    patch.setattr(Admission, "give_back_kept", lambda _: None)


def late_return_unheard(patch: Patch) -> None:
    """A plugin does not go on when the call that it hung in has returned."""
    patch.setattr(PluginThread, "_report_late", lambda *_: None)


def call_given_up_counts_as_returned(patch: Patch) -> None:
    """An event whose call took too long is nobody's failure."""
    real = Caller._fail

    def fail(self: Caller, call: Call, outcome: CallOutcome, error: RaisedError) -> bool:
        return outcome.timed_out or real(self, call, outcome, error)

    patch.setattr(Caller, "_fail", fail)


# Bugs in lanes that are replaced while the daemon runs; three of ten schedules have such lanes.


def new_lane_begins_before_the_old_one_has_noted_its_last_return(patch: Patch) -> None:
    """A lane that is replaced records nothing at its end, and its register is not read."""
    real = recovering.take_over_lanes

    def take_over_lanes(*args: Any, **more: Any) -> Any:
        if "changed_plugins" not in more:  # at a start
            return real(*args, **more)
        with pytest.MonkeyPatch.context() as during:
            noted = lambda *_: NotedLane(None, {})  # noqa: E731 - short
            during.setattr(recovering, "_read_register", noted)
            return real(*args, **more)

    for lane in (Lane, DividedLane):
        patch.setattr(lane, "_final_step", lambda _: None)
    patch.setattr(recovering, "take_over_lanes", take_over_lanes)


def place_of_a_strand_dropped_with_its_lane(patch: Patch) -> None:
    """The lane that continues takes the lowest place of all strands for each."""
    make_lanes, read_places = wiring.lanes_of, SqliteReader.lane_places

    def lane_places(self: SqliteReader, lane: str) -> StrandPlaces | None:
        places = read_places(self, lane)
        return places and StrandPlaces.at(places.order_by, Progress(places.lowest))

    def lanes_of(*args: Any, **more: Any) -> list[Lane]:
        with pytest.MonkeyPatch.context() as during:
            during.setattr(SqliteReader, "lane_places", lane_places)
            return make_lanes(*args, **more)

    patch.setattr(wiring, "lanes_of", lanes_of)


def hold_ends_with_its_lane(patch: Patch) -> None:
    """A plugin that waits to try again is called at once when its lane is replaced."""

    def continue_hold(self: LanePlugin) -> None:
        if self.record.state == "held":
            self.record.resume()

    patch.setattr(LanePlugin, "continue_hold", continue_hold)


def hanging_calls_forgotten_with_their_lane(patch: Patch) -> None:
    """A plugin is called in the lane that continues although it hangs in a call."""
    patch.setattr(Lane, "_wait_with", lambda *_: None)


def processes_outlive_their_lane(patch: Patch) -> None:
    """The worker processes of a lane that was replaced run on."""
    patch.setattr(LaneWorkers, "begin_end", lambda *_, **__: None)
    patch.setattr(LaneWorkers, "end", lambda _: None)


def pause_of_a_person_ended_by_a_change(patch: Patch) -> None:
    """A plugin whose code has changed goes on although a person has paused it."""

    def resume_changed(plugins: Any, held_lane: Any) -> None:
        records = held_lane.writer.plugins()
        resumed = [records[name] for name in plugins if name in records]
        for record in resumed:
            record.resume_afresh()
        held_lane.record(Step(plugins=resumed))

    patch.setattr(recovering, "_resume_changed", resume_changed)


@pytest.mark.parametrize(
    ("bug", "seed"),
    [
        (new_lane_begins_before_the_old_one_has_noted_its_last_return, 0),
        (place_of_a_strand_dropped_with_its_lane, 0),
        (hold_ends_with_its_lane, 0),
        (hanging_calls_forgotten_with_their_lane, 0),
        (processes_outlive_their_lane, 15),
        (pause_of_a_person_ended_by_a_change, 45),
        (put_off_only_in_memory, 0),
        (put_off_again_once_handled, 0),
        (made_later_although_paused, 0),
        (dropped_rows_handled, 17),
        (handled_rows_dropped, 9),
        (decision_not_written, 9),
        (death_before_a_call_charged_to_it, 6),
        (grown_process_kept, 0),
        (overdue_process_not_ended, 10),
        (deaths_of_a_call_not_counted, 0),
        (deaths_counted_by_strand, 39),
        (slow_plugin_waits_in_one_strand, 39),
        (progress_not_synced, 67),
        (hang_of_one_strand_is_one_of_others, 5),
        (hung_plugin_called_again, 0),
        (late_changes_taken, 0),
        (heartbeat_unheard, 0),
        (hung_call_gives_its_slot_back, 1),
        (late_return_unheard, 0),
        (call_given_up_counts_as_returned, 0),
        (empty_strand_stays_where_it_was, 1),
        (fold_puts_all_strands_at_the_intake, 1),
        (finished_entries_taken_in_again, 1),
        (word_of_another_strand_believed, 1),
        (place_written_for_another_strand, 1),
        (another_division_begins_at_the_lowest_place, 1),
        (what_strands_finished_is_forgotten, 1),
        (plugin_leaves_at_the_place_of_its_lane, 1),
        (plugin_joins_one_strand_too_early, 1),
        (pause_of_one_strand, 1),
        (hold_of_one_strand_ends_those_of_others, 1),
        (cursor_saved_before_the_call, 1),
        (returned_noted_before_the_call, 1),
        (returned_never_noted, 1),
        (attempts_forgotten_at_a_restart, 1),
        (store_kept_although_the_callback_raised, 5),
        (store_committed_with_the_next_call, 0),
        (done_callbacks_forgotten_at_a_retry, 7),
        (rejoins_one_event_early, 0),
        (hold_lets_later_events_pass, 5),
        (hold_ends_at_once, 5),
        (pause_lets_the_plugin_run, 0),
        (pause_is_not_written, 0),
        (dead_letter_not_written_with_the_step, 5),
        (replay_moves_the_cursor, 11),
        (fold_writes_a_place_ahead, 74),
        (register_ignored, 1),
        (register_forgotten_before_the_ledger_knows, 32),
        (begun_taken_for_returned, 1),
        (death_charged_to_another_event, 1),
        (death_not_counted, 1),
        (pruned_beyond_the_lowest_cursor, 1),
        (late_rows_not_appended, 0),
        (retry_counted_twice, 5),
        (lane_goes_on_at_the_next_event, 30),
        (disabled_plugin_goes_on_one_event_later, 0),
        (attempt_spent_in_an_outage, 3),
        (hold_without_end, 3),
        (own_fault_taken_for_an_outage, 0),
        (event_passed_over_in_an_outage, 3),
        (callbacks_in_reverse, 0),
        (route_without_its_attribute, 0),
        (last_callback_of_a_route_left_out, 0),
    ],
)
def test_the_schedules_catch_it(
    bug: Callable[[Patch], None], seed: int, monkeypatch: Patch
) -> None:
    """With the bug a schedule near the seed fails that passes without it."""
    for near in range(seed, seed + 25):
        bug(monkeypatch)
        caught = _fails(near)
        monkeypatch.undo()
        if caught:
            assert run_schedule(near).wrong == []
            return
    pytest.fail("no schedule noticed the bug")


def what_it_finished_more_forgotten(patch: Patch) -> None:
    """A plugin goes with its new lane although it has finished events above that lane's place."""
    patch.setattr(PluginRecord, "has_finished_more", False)


def test_plugins_that_move_to_a_slower_lane_catch_it(monkeypatch: Patch) -> None:
    """A plugin that moves gets nothing twice that it had finished ahead of its new lane."""
    what_it_finished_more_forgotten(monkeypatch)
    assert _fails(MOVING_SEED, MovingSchedule)
    monkeypatch.undo()
    assert run_schedule(MOVING_SEED, MovingSchedule).wrong == []


def _fails(seed: int, kind: type[DaemonSchedule] = DaemonSchedule) -> bool:
    try:
        return bool(run_schedule(seed, kind).wrong)
    except AssertionError:  # it never came to rest
        return True
