"""A lane: one worker that passes the journal's events to the callbacks of its groups, in order."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sgevents_core.calling.making import EventSource, Executor
from sgevents_core.choices import OrderBy
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.caller import key_of
from sgevents_core.dispatch.errands import Errand, Errands
from sgevents_core.dispatch.imported_events import ImportedEvents
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.dispatch.ledger import PAGE, LaneLedger
from sgevents_core.dispatch.plan import Plan
from sgevents_core.dispatch.strand import SLICE, LaneParts, Strand
from sgevents_core.errors import SgEventsError, StateError
from sgevents_core.observe import liveness
from sgevents_core.observe.observers import CallObserver, CallObservers, OneAtATime
from sgevents_core.observe.timing import timing_log
from sgevents_core.plugins.callback import Callback
from sgevents_core.scripts import Scripts
from sgevents_core.state.call_times import CallTimes
from sgevents_core.state.entries import Entry
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import AnyPluginRecord, PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import LaneWriter
from sgevents_core.state.pulse import BlockedLane
from sgevents_core.state.register import NotedLane, Register, path_of
from sgevents_core.state.steps import Step

logger = logging.getLogger("sgevents.dispatch")

FOLD_EVERY: Final = 1.0
"""Seconds between two records of the lane's progress in the ledger."""
LONGEST_SLEEP: Final = 1.0


class PluginStop(NamedTuple):
    """Where a plugin is stopped.

    Args:
        unit: The strand, or whatever else of the lane has to be claimed to move it.
        record: The record by which it is stopped there.
        entry: The event.
    """

    unit: int
    record: AnyPluginRecord
    entry: Entry


class Lane:
    """One lane; `run` is the body of its thread.

    Args:
        name: The lane's name.
        lane_plugins: Its plugins, in call order.
        state: Its own connection to the journal and the ledger.
        progress: Its progress so far.
        tried: `(callback, seq)` -> attempts so far, for calls that are not settled.
        folder: Where its register is kept.
        announcer: Reports failures to people and plugins.
        scripts: The names of the site's scripts; by default, guessed from rows.
        observers: Notified of each call, after the lane's own observers.
        order_by: What divides its events into strands; None if nothing does.
    """

    whole_unit = 0
    """What an errand claims to change a plugin that is apart from the whole lane."""

    def __init__(
        self,
        name: str,
        lane_plugins: Sequence[LanePlugin],
        *,
        state: LaneWriter,
        progress: Progress,
        tried: dict[tuple[CallKey, int], int],
        folder: Path,
        announcer: Announcer,
        scripts: Scripts | None = None,
        observers: Sequence[CallObserver] = (),
        order_by: OrderBy | None = None,
    ) -> None:
        self.name = name
        self.scripts = scripts
        self.lane_plugins = lane_plugins
        self.error: BaseException | None = None
        callbacks = [
            callback for lane_plugin in lane_plugins for callback in lane_plugin.plugin.callbacks
        ]
        self._plan = Plan(callbacks)
        keys = [key_of(callback) for callback in callbacks]
        self._folded: Progress | None = None
        self._folded_at = 0.0
        self._stop = threading.Event()
        self._news = threading.Event()
        self.errands = Errands()
        self.ledger = LaneLedger(name, state, self._stop)
        self._register = Register(path_of(folder, name), keys, order_by)
        for lane_plugin in lane_plugins:
            lane_plugin.executor.returned = self.wake
        self._times = CallTimes(folder, name, keys)
        signs = liveness.LivenessObserver()
        own = [*timing_log(), self._times, *observers]
        if order_by is not None:
            own = [OneAtATime(own)]
        self.observers = CallObservers([signs, *own])
        self._parts = LaneParts(
            plan=self._plan,
            keys=keys,
            tried=tried,
            deaths=state.deaths(),
            stopping=self._stop,
            announcer=announcer,
            observers=self.observers,
            scripts=scripts,
            imported=ImportedEvents(state.imported_positions(), keys),
        )
        self._strand = Strand(
            self._parts,
            lane_plugins,
            progress=progress,
            ledger=self.ledger,
            slot=self._register.slots[-1],
        )

    def stop(self) -> None:
        """End the lane after the running callback."""
        self._stop.set()
        self._news.set()

    def wake(self) -> None:
        """Notify the lane that the journal has grown."""
        self._news.set()

    def post(self, errand: Errand) -> None:
        """Have the lane run an errand in its own thread, between two events."""
        self.errands.post(errand)
        self._news.set()

    def caught_up(self, end: int) -> bool:
        """Return whether the lane and its active plugins are at the journal's end.

        Plugins that wait for the site are not: it is still open whether it or their call was at
        fault.
        """
        return (
            self._strand.finished >= end
            and not self.errands
            and not self.errands.wait
            and not any(
                lane_plugin.works or lane_plugin.waits_for_site for lane_plugin in self.lane_plugins
            )
        )

    def noted(self) -> NotedLane:
        """Return the content of its register; may be called from any thread."""
        return self._register.noted()

    def running_calls(self) -> list[tuple[int, Callback, bool]]:
        """Return the running calls: the event's `seq`, the callback, whether it has a timeout.

        May be called from any thread.
        """
        found = [(seq, self._plan.callbacks[index], index) for seq, index in self._register.open()]
        return [
            (seq, callback, self._strand.limit_of(index) is not None)
            for seq, callback, index in found
        ]

    def record_of(self, plugin: str) -> PluginRecord | None:
        """Return the record of a plugin of the lane, or of one that is in no lane now."""
        for lane_plugin in self.lane_plugins:
            record = lane_plugin.record
            if record.name == plugin and isinstance(record, PluginRecord):
                return record
        return self.ledger.plugins().get(plugin)

    def blocking(self) -> BlockedLane | None:
        """Return what keeps the lane from taking in more events; None if nothing does."""
        return None

    def hung_plugins(self) -> list[str]:
        """Return the names of the plugins whose threads hang, one for each thread."""
        return [one.plugin.name for one in self.lane_plugins if one.hung is not None]

    # Requests about one plugin

    def claim(self, unit: int) -> bool:
        """Take a strand for the running errand; it waits if this returns False.

        A lane without workers serves its strand itself, so that errands have it.
        """
        return True

    def release(self, unit: int) -> None:
        """Give back a strand that an errand took."""

    def claim_for_call(self, lane_plugin: LanePlugin, event: EventSource) -> LanePlugin | None:
        """Take the strand of an event for a call; return the plugin in it, None if it waits."""
        return lane_plugin

    def release_after_call(self, lane_plugin: LanePlugin) -> None:
        """Give back what `claim_for_call` took."""

    def progress_by(self, record: AnyPluginRecord) -> Progress:
        """Return the progress that a plugin with this record leaves behind."""
        return self.progress

    def is_stopped(self, record: PluginRecord) -> bool:
        """Return whether a plugin is paused, or held anywhere."""
        return record.state in {"held", "paused"}

    def next_entry_of(self, record: PluginRecord) -> Entry | None:
        """Return the entry that a plugin apart from the lane is at; None after the last."""
        found = self.ledger.read(record.cursor, 1)
        return found[0] if found else None

    def stop_at(self, record: PluginRecord, event_id: int) -> PluginStop | None:
        """Return where a plugin is stopped at an event; None if it is not."""
        entry = self.next_entry_of(record)
        if entry is None or entry.event_id != event_id:
            return None
        return PluginStop(self.whole_unit, record, entry)

    def pause(self, record: PluginRecord, reason: str) -> None:
        """Pause a plugin where it is."""
        record.leave_lane(self.progress)
        record.pause(reason)

    def resume(self, record: PluginRecord, stopped: AnyPluginRecord | None = None) -> Step:
        """Resume a plugin, within the lane if it is not behind; return the step that records it.

        Args:
            record: Its record.
            stopped: The record by which it was stopped at an event that is skipped; by default,
                it resumes wherever it is stopped.
        """
        record.resume_afresh()
        step = Step(plugins=[record])
        lane_plugin = self._lane_plugin_of(record)
        if lane_plugin is None or self._waits_to_start(lane_plugin, record):
            return step
        lane_plugin.hold_until = 0.0
        hung = lane_plugin.hung
        if hung is not None:
            lane_plugin.wait_for_call(hung.reason)
        elif record.is_level_with(self.progress):
            record.rejoin_lane()
            step.progress = self.progress
            lane_plugin.ahead.clear()
        return step

    def _lane_plugin_of(self, record: PluginRecord) -> LanePlugin | None:
        return next((one for one in self.lane_plugins if one.record is record), None)

    def _waits_to_start(self, lane_plugin: LanePlugin, record: PluginRecord) -> bool:
        """Hold a plugin that has not started yet, and start it soon; return whether it is one."""
        late_start = lane_plugin.services.late_start
        if late_start is None:
            return False
        late_start.hold(record)
        late_start.at_once()
        return True

    def forget(self, plugin: str, seq: int) -> None:
        """Forget how often a plugin's callbacks were tried for an event that it has finished."""
        self._strand.caller.forget(plugin, seq)

    @property
    def seq(self) -> int:
        """The last event finished."""
        return self._strand.finished

    def run(self) -> None:
        """Process events until stopped; keep an error that ends it in `error`."""
        try:
            while not self._stop.is_set():
                self._news.clear()
                wait = self.turn()
                if wait:
                    liveness.report_alive(wait)
                    self._news.wait(wait)
        except BaseException as error:  # the daemon ends because of it and logs it
            self.error = error
        finally:
            self.close()

    def turn(self) -> float:
        """Do the work that is due now; return how long to wait for more, in seconds."""
        liveness.report_alive()
        worked = self._run_errands()
        worked = self._live() or worked
        worked = self._strand.catch_up_all() or worked
        self._fold()
        return 0.0 if worked else self._sleep()

    def close(self) -> None:
        """Record the lane's progress, and release its resources; `run` does so by itself.

        An error is kept in `error`. After a failed write the progress is recorded once more,
        because a register lasts only until the next boot.
        """
        self.stop()
        known = self.error is None or isinstance(self.error, StateError)
        step = self._last_step()
        try:
            if known and step is not None:
                self.ledger.record_once(step)
        except SgEventsError as error:
            self.error = self.error or error
            logger.error(
                "Lane %s cannot note where it stops: %s Its register knows, until the next boot.",
                self.name,
                error,
                extra={"action": "lane.place_not_written", "lane": self.name},
            )
        finally:
            for executor in self._open_executors():
                executor.close()
            self._register.close()
            self._times.write(now=True)
            self.ledger.close()

    def _last_step(self) -> Step | None:
        """Return the step that records where the lane stops; None if that is recorded."""
        if self.progress == self._folded:
            return None
        return Step(progress=self.progress, durable=True)

    def _open_executors(self) -> list[Executor]:
        """Return the executors to close; one that hangs ends with the process."""
        executors = [lane_plugin.executor for lane_plugin in self.lane_plugins]
        return [executor for executor in executors if executor.hung is None]

    def continue_lane(self, ended_lane: Lane, changed_plugins: Container[str]) -> None:
        """Take over from a lane that has ended: people's requests, and the calls that hang.

        Args:
            ended_lane: The lane, of the same name.
            changed_plugins: Plugins whose hanging calls are those of code that is no longer used.
        """
        self.errands = ended_lane.errands.move_to_new_lane()
        hanging = {one.plugin.name: one for one in ended_lane.lane_plugins if one.hung is not None}
        for lane_plugin in self.lane_plugins:
            ended = hanging.get(lane_plugin.plugin.name)
            if ended is not None and lane_plugin.plugin.name not in changed_plugins:
                lane_plugin.wait_with(ended.executor)
                ended.executor.returned = self.wake

    def _sleep(self) -> float:
        now = time.monotonic()
        return max(min([LONGEST_SLEEP, *self._strand.next_turns(now)]), 0.001)

    def _run_errands(self) -> bool:
        """Run waiting errands for one slice of time; return whether there were any."""
        until = time.monotonic() + SLICE
        return self.errands.run(self, lambda: time.monotonic() < until and not self._stop.is_set())

    def _live(self) -> bool:
        """Process live events: a page, or a slice of time while a plugin catches up."""
        strand = self._strand
        entries = self.ledger.read(strand.finished, PAGE)
        until = time.monotonic() + SLICE
        for entry in entries:
            if not strand.handle(entry) or self._stop.is_set():
                break
            now = time.monotonic()
            if now - self._folded_at > FOLD_EVERY:
                self._fold()
            if now > until and (
                self.errands or any(lane_plugin.due(now) for lane_plugin in self.lane_plugins)
            ):
                break
        return bool(entries)

    # The ledger

    @property
    def progress(self) -> Progress:
        """Its progress."""
        return self._strand.progress

    def _fold(self) -> None:
        """Record the lane's progress in the ledger, at most once a second.

        `Syncing` records it more often, from the register.
        """
        self._times.write()
        now = time.monotonic()
        if self.progress == self._folded or now - self._folded_at < FOLD_EVERY:
            return
        self.ledger.record(Step(progress=self.progress))
        self._folded, self._folded_at = self.progress, now
