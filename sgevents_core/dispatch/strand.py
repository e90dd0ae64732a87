"""A strand: the events of a lane that keep their order, and the plugins that are behind in it.

A lane that is not divided has one. One thread at a time serves a strand, event by event.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Final

from sgevents_core.calling.journal_events import event_in
from sgevents_core.dispatch.batch_caller import BatchCaller
from sgevents_core.dispatch.batch_lines import LaneBatches
from sgevents_core.dispatch.caller import Call, Caller, has_to_ask_filter
from sgevents_core.dispatch.gate import Gate
from sgevents_core.dispatch.lane_parts import LaneParts
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.dispatch.late_start import settle_start, start_if_due
from sgevents_core.dispatch.ledger import StrandLedger
from sgevents_core.dispatch.plan import PlannedCalls
from sgevents_core.errors import UnreadableEntry
from sgevents_core.events import route_of
from sgevents_core.state.entries import Entry
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.register import APART_WORD, LANE_WORD, Slot
from sgevents_core.state.steps import Step

logger = logging.getLogger("sgevents.dispatch")

_NO_CALLBACKS: Final[frozenset[CallKey]] = frozenset()
SLICE_SECONDS: Final = 0.1
"""Seconds that a plugin may catch up before live events get their turn again."""


class Strand:
    """One strand of a lane.

    Args:
        lane_parts: The data shared with the lane's other strands.
        lane_plugins: The lane's plugins in this strand, in call order.
        progress: Its progress so far.
        ledger: Its access to the journal and the ledger.
        slot: Its words in the lane's register.
    """

    def __init__(
        self,
        lane_parts: LaneParts,
        lane_plugins: Sequence[LanePlugin],
        *,
        progress: Progress,
        ledger: StrandLedger,
        slot: Slot,
    ) -> None:
        self.lane_plugins = lane_plugins
        self.finished, self.done = progress
        self.gate: Gate | None = None
        self.ledger = ledger
        self.slot = slot
        self._lane_parts = lane_parts
        self._call_plan = lane_parts.call_plan
        self._scripts = lane_parts.scripts
        self._call_keys = lane_parts.call_keys
        self._imported_events = lane_parts.imported_events
        self._highest_imported = lane_parts.imported_events.highest
        self._stop_event = lane_parts.stop_event
        self._plugin_of_callback = [
            lane_plugin for lane_plugin in lane_plugins for _ in lane_plugin.plugin.callbacks
        ]
        self.batch_caller: BatchCaller | None = None
        self.caller = self._make_caller(lane_parts.batches)

    def _make_caller(self, batches: LaneBatches | None) -> Caller:
        if batches is None:
            return Caller(self.ledger, self.slot, self._lane_parts)
        self.batch_caller = BatchCaller(
            self.ledger,
            self.slot,
            self._lane_parts,
            batches=batches,
            plugin_of_callback=self._plugin_of_callback,
            strand_progress=lambda: self.progress,
        )
        return self.batch_caller

    @property
    def progress(self) -> Progress:
        """Its progress."""
        return Progress(self.finished, self.done)

    def limit_of(self, callback_index: int) -> float | None:
        """Return the time limit of a callback of the plan, in seconds; None for none."""
        return self._plugin_of_callback[callback_index].limit(
            self._call_plan.callbacks[callback_index]
        )

    def handle(self, entry: Entry) -> bool:
        """Pass one event to the plugins with the lane; return False if that was cut short."""
        route = entry.route
        planned_calls = (
            self._call_plan.by_type[entry.event_type]
            if route is None
            else self._call_plan.by_route[route]
        )
        done_callbacks, self.done = self.done, _NO_CALLBACKS
        if (planned_calls or entry.whole is False) and not self._call_with_lane(
            entry, planned_calls, done_callbacks
        ):
            return False
        self.finished = entry.seq
        return True

    def skip_to(self, seq: int) -> None:
        """Finish events that none of the plugins wants, up to a place of the journal."""
        self.finished = seq

    def _call_with_lane(
        self, entry: Entry, planned_calls: PlannedCalls, done_callbacks: frozenset[CallKey]
    ) -> bool:
        """Call an event's callbacks for the plugins with the lane; return False if cut short."""
        self.caller.resumed = done_callbacks
        if entry.event_id <= self._highest_imported:
            done_callbacks |= self._imported_events.callbacks_done(entry)
        try:
            event = event_in(entry, self._scripts)
        except UnreadableEntry as error:
            with_lane = [one for one in self.lane_plugins if not one.record.apart]
            self._set_aside(entry, error, with_lane)
            return True
        route = entry.route
        planned_calls = (
            self._call_plan.by_route[route_of(event)] if route is None else planned_calls
        )
        gate, call_keys, plugin_of_callback = self.gate, self._call_keys, self._plugin_of_callback
        position = 0
        try:
            for position, (callback_index, callback) in enumerate(planned_calls):
                lane_plugin = plugin_of_callback[callback_index]
                if lane_plugin.record.apart or (
                    done_callbacks and call_keys[callback_index] in done_callbacks
                ):
                    continue
                match = callback.match
                has_to_ask = (
                    False
                    if match.is_decided_by_route
                    else has_to_ask_filter(match, match.may_accept_routed, event)
                )
                if has_to_ask is None:
                    continue
                if self._stop_event.is_set():
                    break
                call = Call(LANE_WORD, entry, event, planned_calls, position, lane_plugin)
                call.runs_filter = has_to_ask
                if gate is not None:
                    if gate.leaves(call):
                        continue
                    if not gate.admits(lane_plugin):
                        break
                self.caller.call(call)
                if gate is not None:
                    gate.over(lane_plugin)
            else:
                return True
        except BaseException:  # the running call has no recorded outcome: it is not done
            self._stay_at_entry(entry, planned_calls, position, done_callbacks)
            raise
        self._stay_at_entry(entry, planned_calls, position, done_callbacks)
        return False

    def _set_aside(
        self, entry: Entry, error: UnreadableEntry, needing_plugins: Sequence[LanePlugin]
    ) -> None:
        """Set aside an entry that cannot be read.

        The plugins that need its event are recorded, in case the site delivers it again.

        Args:
            entry: The entry.
            error: Why it cannot be read.
            needing_plugins: The plugins that need it.
        """
        plugin_names = [
            lane_plugin.record.name
            for lane_plugin in needing_plugins
            if not self._imported_events.has_had(lane_plugin.record.name, entry)
        ]
        self.ledger.pass_over(entry, plugin_names, error.reason)

    def _stay_at_entry(
        self,
        entry: Entry,
        planned_calls: PlannedCalls,
        position: int,
        done_callbacks: frozenset[CallKey],
    ) -> None:
        """Stay at an event; the callbacks planned before a position are done, and earlier ones."""
        done_callbacks = done_callbacks.union(
            self._call_keys[callback_index] for callback_index, _ in planned_calls[:position]
        )
        self.finished, self.done = Progress.at(entry.seq, done_callbacks)

    def call_batches(self, strand_number: int = 0) -> bool:
        """Call the batches that are due, for one slice of time; return whether any was called."""
        if self.batch_caller is None:
            return False
        slice_end = time.monotonic() + SLICE_SECONDS
        return self.batch_caller.call_batches(
            strand_number,
            self.gate,
            lambda: time.monotonic() < slice_end and not self._stop_event.is_set(),
        )

    # Plugins separate from the strand

    def is_due(self, current_time: float) -> bool:
        """Return whether a plugin that is behind may be called, or waits for the site.

        Args:
            current_time: The current monotonic time, in seconds.
        """
        return any(one.due(current_time) or one.waits_for_site for one in self.lane_plugins)

    def next_turns(self, current_time: float) -> list[float]:
        """Return after how many seconds each held plugin is due.

        Args:
            current_time: The current monotonic time, in seconds.
        """
        held_plugins = [
            lane_plugin for lane_plugin in self.lane_plugins if lane_plugin.record.state == "held"
        ]
        ready_plugins = [
            lane_plugin
            for lane_plugin in held_plugins
            if lane_plugin.hung is None and lane_plugin.waiting is None
        ]
        late_starts = [
            lane_plugin.services.late_start for lane_plugin in held_plugins if lane_plugin.late
        ]
        hold_seconds = [
            lane_plugin.seconds_to_wait(current_time)
            for lane_plugin in ready_plugins
            if not lane_plugin.late and lane_plugin.record.catches_up
        ]
        return hold_seconds + [
            one.not_before - current_time
            for one in late_starts
            if one is not None and one.not_before
        ]

    def leave_paused(self) -> None:
        """Let plugins that are paused leave the strand where it is."""
        leaving_records = [
            one.record
            for one in self.lane_plugins
            if one.record.state == "paused" and not one.record.apart
        ]
        for record in leaving_records:
            record.leave_lane(self.progress)
        if leaving_records:
            self.ledger.record(Step(plugins=leaving_records))

    def leave_before(self, call: Call) -> None:
        """Let a plugin that is paused leave the strand before one of its calls."""
        record = call.lane_plugin.record
        done_callbacks = frozenset(
            self._call_keys[callback_index]
            for callback_index, _ in call.planned_calls[: call.position]
        )
        record.stop_at(Progress.at(call.seq, done_callbacks).of(record.name))
        self.ledger.record(Step(plugins=[record]))

    def catch_up_all(self) -> bool:
        """Let plugins that are behind catch up for a slice of time; return whether any did."""
        has_worked = False
        for lane_plugin in self.lane_plugins:
            if not self.done:
                self.look_at_the_site(lane_plugin)
            if (
                not self.done
                and lane_plugin.due(time.monotonic())
                and not self._stop_event.is_set()
            ):
                has_worked = self.catch_up(lane_plugin) or has_worked
        return has_worked

    def look_at_the_site(self, lane_plugin: LanePlugin) -> None:
        """Start or continue a plugin that waits for the site, if it may be."""
        if lane_plugin.waiting is not None:
            self.caller.look_at_the_site(lane_plugin)
        record, late_start = lane_plugin.record, lane_plugin.services.late_start
        if late_start is None or record.state != "held" or not isinstance(record, PluginRecord):
            return
        start_result = start_if_due(
            late_start, lane_plugin.plugin, lane_plugin.services, self._lane_parts.announcer
        )
        if start_result is None:
            return
        if start_result.error is None:
            lane_plugin.services.late_start = None
        self.ledger.record(settle_start(start_result, record))
        if start_result.store_changes:
            lane_plugin.services.store.commit(start_result.store_changes)

    def catch_up(self, lane_plugin: LanePlugin, *, rejoins: bool = True) -> bool:
        """Let a plugin catch up for one slice of time, and rejoin once level.

        Args:
            lane_plugin: The plugin.
            rejoins: Whether it may rejoin.

        Returns:
            Whether it rejoined, or has more to do now.
        """
        record = lane_plugin.record
        if record.cursor > self.finished:
            return False
        record.resume()
        slice_end = time.monotonic() + SLICE_SECONDS
        while record.cursor < self.finished and time.monotonic() < slice_end:
            if self._stop_event.is_set() or not self._catch_up_one(lane_plugin):
                break
        is_level = record.cursor == self.finished and not record.has_finished_more
        rejoins = rejoins and record.state == "active" and is_level
        if rejoins:
            record.rejoin_lane()
        self.ledger.record(Step(self.progress if rejoins else None, [record]))
        self.slot.clear(APART_WORD)
        if rejoins:
            lane_plugin.entries_ahead.clear()
            self._log_rejoined(record.name)
        return record.state == "active" and (rejoins or record.cursor < self.finished)

    def _log_rejoined(self, plugin_name: str) -> None:
        extra = {"action": "plugin.rejoined", "plugin": plugin_name}
        logger.info("Plugin %s has caught up with its lane", plugin_name, extra=extra)

    def _catch_up_one(self, lane_plugin: LanePlugin) -> bool:
        """Pass a plugin the next event it has missed; return False if it stops there."""
        record = lane_plugin.record
        entry = lane_plugin.next_entry()
        if entry is None:
            lane_plugin.entries_ahead, reached_seq = self.ledger.missed(
                record.cursor, self.finished
            )
            entry = lane_plugin.next_entry()
        if entry is None:
            record.finish(reached_seq)
            return True
        if record.has_finished(entry) or self._imported_events.has_had(record.name, entry):
            record.finish(entry.seq)
            return True
        type_calls = self._call_plan.for_type(entry.event_type)
        is_wanted = any(
            self._plugin_of_callback[callback_index] is lane_plugin
            for callback_index, _ in type_calls
        )
        if (is_wanted or entry.whole is False) and not self._call_behind(lane_plugin, entry):
            return False
        record.finish(entry.seq)
        return True

    def _call_behind(self, lane_plugin: LanePlugin, entry: Entry) -> bool:
        """Call an event's callbacks for one plugin that is behind; return False if it stops."""
        try:
            event = event_in(entry, self._scripts)
        except UnreadableEntry as error:
            self._set_aside(entry, error, [lane_plugin])
            return True
        planned_calls = self._call_plan.by_route[route_of(event)]
        record, gate = lane_plugin.record, self.gate
        record.begin(entry)
        for position, (callback_index, callback) in enumerate(planned_calls):
            if self._plugin_of_callback[callback_index] is not lane_plugin:
                continue
            call_key = self._call_keys[callback_index]
            if call_key in record.progress.done:
                continue
            match = callback.match
            has_to_ask = has_to_ask_filter(match, match.may_accept_routed, event)
            if has_to_ask is None:
                record.finish_callback(call_key)
                continue
            if self._stop_event.is_set() or record.state == "paused":
                return False
            if gate is not None and not gate.admits(lane_plugin):
                return False
            call = Call(APART_WORD, entry, event, planned_calls, position, lane_plugin)
            call.runs_filter = has_to_ask
            stays = self.caller.call(call)
            if gate is not None:
                gate.over(lane_plugin)
            if not stays:
                return False
            record.finish_callback(call_key)
        return True
