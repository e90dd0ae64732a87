"""A lane: one worker that passes the journal's events to the callbacks of its groups, in order."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sgevents_core.calling.journal_events import event_in
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.caller import Call, Caller, Steps, key_of
from sgevents_core.dispatch.errands import Errand, Errands
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.dispatch.late_start import settle
from sgevents_core.dispatch.ledger import LaneLedger
from sgevents_core.dispatch.plan import Plan
from sgevents_core.errors import SgEventsError, StateError, UnreadableEntry
from sgevents_core.events import Event
from sgevents_core.observe import liveness
from sgevents_core.observe.observers import CallObserver, CallObservers
from sgevents_core.observe.timing import timing_log
from sgevents_core.plugins.callback import Callback
from sgevents_core.scripts import Scripts
from sgevents_core.state.call_times import CallTimes
from sgevents_core.state.entries import Entry
from sgevents_core.state.keys import CallKey
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import LaneWriter
from sgevents_core.state.register import APART, LANE, NotedLane, Register, path_of
from sgevents_core.state.steps import Step

logger = logging.getLogger("sgevents.dispatch")

PAGE: Final = 500
SLICE: Final = 0.1
"""Seconds that a plugin may catch up before live events get their turn again."""
FOLD_EVERY: Final = 1.0
"""Seconds between two records of the lane's progress in the ledger."""
LONGEST_SLEEP: Final = 1.0


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
    """

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
    ) -> None:
        self.name = name
        self.scripts = scripts
        self.lane_plugins = lane_plugins
        self.error: BaseException | None = None
        callbacks = [
            callback for lane_plugin in lane_plugins for callback in lane_plugin.plugin.callbacks
        ]
        self._plan = Plan(callbacks)
        self._keys = [key_of(callback) for callback in callbacks]
        self._lane_plugin_of = [
            lane_plugin for lane_plugin in lane_plugins for _ in lane_plugin.plugin.callbacks
        ]
        self._finished, self._done = progress
        self._folded: Progress | None = None
        self._folded_at = 0.0
        self._stop = threading.Event()
        self._news = threading.Event()
        self.errands = Errands()
        self._announcer = announcer
        self.ledger = LaneLedger(name, state, self._stop)
        self._register = Register(path_of(folder, name), self._keys)
        for lane_plugin in lane_plugins:
            lane_plugin.executor.returned = self.wake
        self._times = CallTimes(folder, name, self._keys)
        signs = liveness.LivenessObserver()
        self.observers = CallObservers([signs, *timing_log(), self._times, *observers])
        self._caller = Caller(
            self.ledger,
            self._register.slots[0],
            keys=self._keys,
            tried=tried,
            deaths=state.deaths(),
            announcer=announcer,
            observers=self.observers,
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
            self._finished >= end
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
            (seq, callback, self._lane_plugin_of[index].limit(callback) is not None)
            for seq, callback, index in found
        ]

    def forget(self, plugin: str, seq: int) -> None:
        """Forget how often a plugin's callbacks were tried for an event that it has finished."""
        self._caller.forget(plugin, seq)

    @property
    def seq(self) -> int:
        """The last event finished."""
        return self._finished

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
        worked = self._catch_up_all() or worked
        self._fold()
        return 0.0 if worked else self._sleep()

    def close(self) -> None:
        """Record the lane's progress, and release its resources; `run` does so by itself.

        An error is kept in `error`. After a failed write the progress is recorded once more,
        because a register lasts only until the next boot.
        """
        self.stop()
        known = self.error is None or isinstance(self.error, StateError)
        try:
            if known and self.progress != self._folded:
                self.ledger.record_once(Step(progress=self.progress, durable=True))
        except SgEventsError as error:
            self.error = self.error or error
            logger.error(
                "Lane %s cannot note where it stops: %s Its register knows, until the next boot.",
                self.name,
                error,
                extra={"action": "lane.place_not_written", "lane": self.name},
            )
        finally:
            for lane_plugin in self.lane_plugins:
                lane_plugin.executor.close()
            self._register.close()
            self._times.write(now=True)
            self.ledger.close()

    def _sleep(self) -> float:
        now = time.monotonic()
        held = [r for r in self.lane_plugins if r.record.state == "held"]
        ready = [r for r in held if r.hung is None and r.waiting is None]
        holds = [r.hold_until - now for r in ready if not r.late]
        late = [r.services.late_start for r in held if r.late]
        holds += [one.not_before - now for one in late if one is not None and one.not_before]
        return max(min([LONGEST_SLEEP, *holds]), 0.001)

    def _run_errands(self) -> bool:
        """Run waiting errands for one slice of time; return whether there were any."""
        until = time.monotonic() + SLICE
        return self.errands.run(self, lambda: time.monotonic() < until and not self._stop.is_set())

    # Live events

    def _live(self) -> bool:
        """Process live events: a page, or a slice of time while a plugin catches up."""
        entries = self.ledger.read(self._finished, PAGE)
        until = time.monotonic() + SLICE
        for entry in entries:
            if not self._handle(entry) or self._stop.is_set():
                break
            now = time.monotonic()
            if now - self._folded_at > FOLD_EVERY:
                self._fold()
            if now > until and (
                self.errands or any(lane_plugin.due(now) for lane_plugin in self.lane_plugins)
            ):
                break
        return bool(entries)

    def _handle(self, entry: Entry) -> bool:
        """Call one event's callbacks for the plugins with the lane; return False if cut short."""
        steps = self._plan.for_type(entry.event_type)
        done, self._done = self._done, frozenset()
        if (steps or entry.whole is False) and not self._hand_out(entry, done):
            return False
        self._finished = entry.seq
        return True

    def _hand_out(self, entry: Entry, done: frozenset[CallKey]) -> bool:
        self._caller.resumed = done
        event = self._event(entry)
        if event is None:
            return True
        steps = self._plan.for_event(event)
        number = 0
        try:
            for number, (index, _) in enumerate(steps):
                lane_plugin = self._lane_plugin_of[index]
                if lane_plugin.record.apart or self._keys[index] in done:
                    continue
                if self._stop.is_set():
                    break
                self._caller.call(
                    Call(LANE, entry, event, steps, number=number, lane_plugin=lane_plugin)
                )
            else:
                return True
        except BaseException:  # the running call has no recorded outcome: it is not done
            self._cut_short(entry, steps, number, done)
            raise
        self._cut_short(entry, steps, number, done)
        return False

    def _event(self, entry: Entry, only: LanePlugin | None = None) -> Event | None:
        """Return the event of an entry; None if the entry cannot be read and is set aside.

        The plugins that need the event are recorded, in case the site delivers it again.

        Args:
            entry: The entry.
            only: The plugin that needs it; None for those with the lane.
        """
        try:
            return event_in(entry, self.scripts)
        except UnreadableEntry as error:
            needing = [only] if only else [one for one in self.lane_plugins if not one.record.apart]
            self.ledger.pass_over(entry, [one.record.name for one in needing], error.reason)
            return None

    def _cut_short(self, entry: Entry, steps: Steps, number: int, done: frozenset[CallKey]) -> None:
        """Stay at an event, with the earlier callbacks and all steps before one as done."""
        done = done.union(self._keys[index] for index, _ in steps[:number])
        self._finished, self._done = Progress.at(entry.seq, done)

    # Plugins that are separate from the lane

    def _catch_up_all(self) -> bool:
        worked = False
        for lane_plugin in self.lane_plugins:
            if not self._done:
                self._look_at_the_site(lane_plugin)
            if not self._done and lane_plugin.due(time.monotonic()) and not self._stop.is_set():
                worked = self._catch_up(lane_plugin) or worked
        return worked

    def _look_at_the_site(self, lane_plugin: LanePlugin) -> None:
        """Start or continue a plugin that waits for the site, if it may be."""
        if lane_plugin.waiting is not None:
            self._caller.look_at_the_site(lane_plugin)
        late_start = lane_plugin.services.late_start
        if late_start is None or lane_plugin.record.state != "held":
            return
        tried = late_start.turn(self._announcer)
        if tried is None:
            return
        if tried.error is None:
            lane_plugin.services.late_start = None
        self.ledger.record(settle(tried, lane_plugin.record))
        if tried.store_changes:
            lane_plugin.services.store.commit(tried.store_changes)

    def _catch_up(self, lane_plugin: LanePlugin) -> bool:
        """Let a plugin catch up for one slice of time, and rejoin the lane once level."""
        record = lane_plugin.record
        if record.cursor > self._finished:
            return False
        record.resume()
        until = time.monotonic() + SLICE
        while record.cursor < self._finished and time.monotonic() < until:
            if self._stop.is_set() or not self._catch_up_one(lane_plugin):
                break
        rejoins = record.state == "active" and record.cursor == self._finished
        if rejoins:
            record.rejoin_lane()
        step = Step(progress=self.progress if rejoins else None, plugins=[record])
        self.ledger.record(step)
        self._register.slots[0].clear(APART)
        if rejoins:
            lane_plugin.ahead.clear()
            extra = {"action": "plugin.rejoined", "plugin": record.name}
            logger.info("Plugin %s has caught up with its lane", record.name, extra=extra)
        return record.state == "active"

    def _catch_up_one(self, lane_plugin: LanePlugin) -> bool:
        """Pass a plugin the next event it has missed; return False if it stops there."""
        entry = lane_plugin.next_entry()
        if entry is None:
            lane_plugin.ahead = self.ledger.read(lane_plugin.record.cursor, PAGE)
            entry = lane_plugin.ahead[0]
        by_type = self._plan.for_type(entry.event_type)
        wants = any(self._lane_plugin_of[index] is lane_plugin for index, _ in by_type)
        if (wants or entry.whole is False) and not self._hand_over(lane_plugin, entry):
            return False
        lane_plugin.record.finish(entry.seq)
        return True

    def _hand_over(self, lane_plugin: LanePlugin, entry: Entry) -> bool:
        event = self._event(entry, lane_plugin)
        if event is None:
            return True
        steps = self._plan.for_event(event)
        for number, (index, _) in enumerate(steps):
            if self._lane_plugin_of[index] is not lane_plugin:
                continue
            key = self._keys[index]
            if key in lane_plugin.record.progress.done:
                continue
            if self._stop.is_set():
                return False
            if not self._caller.call(
                Call(APART, entry, event, steps, number=number, lane_plugin=lane_plugin)
            ):
                return False
            lane_plugin.record.finish_callback(key)
        return True

    # The ledger

    @property
    def progress(self) -> Progress:
        """Its progress."""
        return Progress(self._finished, self._done)

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
