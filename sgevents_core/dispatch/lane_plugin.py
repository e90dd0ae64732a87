"""One plugin in its lane: with it, or separate while held, paused or catching up."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from sgevents_core.calling.breaker import Breaker
from sgevents_core.calling.context import Services
from sgevents_core.calling.deaths import EndedWorkers
from sgevents_core.calling.judging import Decision
from sgevents_core.calling.making import Executor, Hung, LaneThread
from sgevents_core.calling.outcome import CallOutcome
from sgevents_core.calling.own_thread import AttributeLane, PluginThread
from sgevents_core.calling.policy import LONGEST_HOLD, FailureRules
from sgevents_core.plugins.callback import Callback
from sgevents_core.plugins.loading import LoadedPlugin
from sgevents_core.settings import PluginSettings, Settings
from sgevents_core.state.entries import Entry
from sgevents_core.state.failures import Failure
from sgevents_core.state.plugin_record import AnyPluginRecord, PluginRecord, StrandRecord

if TYPE_CHECKING:
    from sgevents_core.dispatch.admission import Admission
    from sgevents_core.dispatch.caller import Call


class Waiting(NamedTuple):
    """A call that failed while the site did not answer.

    Args:
        call: The call as it will be repeated; the plugin is separate from its lane meanwhile. Its
            attempt counts only if the failure was the call's own fault.
        outcome: What the call came to.
        failure: The failure as shown to people.
        failed: When it failed, in monotonic seconds.
    """

    call: Call
    outcome: CallOutcome
    failure: Failure
    failed: float

    @property
    def retry_after(self) -> float:
        """The least wait before it is repeated, in seconds."""
        error = self.outcome.error
        return 0.0 if error is None else error.facts.retry_after or 0.0


@dataclass(slots=True)
class LanePlugin:
    """One plugin in its lane.

    Args:
        plugin: The plugin.
        record: Its record in the ledger; this copy is the current one while the lane runs.
        services: What its calls share.
        rules: Its failure policy.
        hold_until: When a hold ends, in monotonic seconds.
        ahead: Entries read ahead for it while it catches up.
        breaker: Stops it if its own writes call it for ever; None if loops are allowed.
        recovered: Whether its failures in a row have ended and the ledger does not have it yet.
        timeout: The limit for callbacks without one of their own, in seconds.
        executor: Where its callbacks run.
        waiting: The failed call because of which it waits for the site; None if it does not wait.
        put_off: How often it has waited since its last progress.
        told_outage: The number of the last outage in which its wait was reported.
        ended_workers: The worker processes that its calls have ended lately.
        concurrency: How many of its calls may run at once in a divided lane; None for any number.
        admission: What counts them.
    """

    plugin: LoadedPlugin
    record: AnyPluginRecord
    services: Services
    rules: FailureRules
    hold_until: float = 0.0
    ahead: list[Entry] = field(default_factory=list)
    breaker: Breaker | None = None
    recovered: bool = False
    timeout: float | None = None
    executor: Executor = field(default_factory=LaneThread)
    waiting: Waiting | None = None
    put_off: int = 0
    told_outage: int = 0
    ended_workers: EndedWorkers = field(default_factory=EndedWorkers)
    concurrency: int | None = None
    admission: Admission | None = None
    _seq: int = 0
    _given_up: int = 0

    @property
    def hung(self) -> Hung | None:
        """The call it hangs in; none of its callbacks may be called until that returns."""
        return self.executor.hung

    @property
    def late(self) -> bool:
        """Whether it has not started yet because it waits for the site."""
        return self.services.late_start is not None

    @property
    def works(self) -> bool:
        """Whether it is behind its lane and catches up."""
        record = self.record
        return record.catches_up and record.state == "active" and not self.late

    @property
    def waits_for_site(self) -> bool:
        """Whether it waits until it is clear whether the site answers."""
        return self.record.state == "held" and (self.waiting is not None or self.late)

    def limit(self, callback: Callback) -> float | None:
        """Return the time limit of one of its callbacks, in seconds; None for no limit."""
        return self.timeout if callback.timeout is None else callback.timeout

    def meet(self, seq: int) -> None:
        """Note that it gets an event; one without a dead letter ends its failures in a row."""
        if seq == self._seq:
            return
        if self.record.failures and self._seq and self._given_up != self._seq:
            self.record.end_failures()
            self.recovered = True
        self._seq = seq

    @property
    def failures_with_this(self) -> int:
        """Its failures in a row if it gives up its current event; one event counts once."""
        return self.record.failures + (self._given_up != self._seq)

    def give_up(self) -> None:
        """Note a dead letter of its current event; several for one event count once."""
        if self._given_up != self._seq:
            self.record.count_failure()
        self._given_up = self._seq

    def due(self, now: float) -> bool:
        """Return whether it is separate from its lane and may be called at `now` (monotonic
        seconds).
        """
        record = self.record
        if not record.catches_up or record.state == "paused" or self.hung is not None:
            return False
        if self.late:
            return False
        return record.state == "active" or (self.waiting is None and now >= self.hold_until)

    def hold(self, reason: str, seconds: float, *, now: float, wall: float) -> None:
        """Hold it for some seconds.

        Args:
            reason: Why, for people.
            seconds: How long to wait.
            now: The current monotonic time, in seconds.
            wall: The host's time, in seconds since 1970.
        """
        self.record.hold(wall + seconds, reason)
        self.hold_until = now + seconds

    def carry_out(self, decision: Decision, *, now: float, wall: float) -> None:
        """Be held or paused, as was decided after a call.

        Args:
            decision: The decision.
            now: The current monotonic time, in seconds.
            wall: The host's time, in seconds since 1970.
        """
        if decision.action == "pause":
            self.record.pause(decision.reason)
        elif decision.action == "hold":
            self.hold(decision.reason, decision.hold_seconds, now=now, wall=wall)
        elif decision.action == "wait for site":
            self.record.hold(wall, decision.reason)
        elif decision.action == "wait for call":
            self.wait_for_call(decision.reason)

    def wait_for_site(self, waiting: Waiting) -> None:
        """Wait with a failed call until the site answers, or count it if it was its own fault."""
        self.waiting, self.put_off = waiting, self.put_off + 1

    def site_is_back(self, at: float) -> None:
        """Call it again at a time in monotonic seconds, because the site answers."""
        self.waiting, self.hold_until = None, at

    def wait_for_call(self, reason: str) -> None:
        """Hold it until the call that it hangs in has returned or is gone."""
        self.record.hold(0.0, reason)
        self.hold_until = 0.0

    def wait_with(self, executor: Executor) -> None:
        """Make its calls where one hangs, once that has returned."""
        self.executor = executor
        if executor.hung is not None:
            self.wait_for_call(executor.hung.reason)

    def in_strand(self, strand: int) -> LanePlugin:
        """Return it in one strand of its lane, as its record says."""
        whole = self.record
        if not isinstance(whole, PluginRecord):
            raise TypeError("it is in a strand already")
        record = whole.strands.get(strand) or StrandRecord(whole, strand, apart=whole.apart)
        own = replace(self, record=record, ahead=[], executor=LaneThread(), hold_until=0.0)
        own.go_on_holding()
        return own

    def go_on_holding(self) -> None:
        """Continue a hold that is in the record, unless it was for a call of a dead process."""
        record = self.record
        if record.hangs:
            record.resume()  # the thread it waited for ended with its process
        elif record.state == "held":
            left = min(max(record.retry_at - time.time(), 0.0), LONGEST_HOLD)
            self.hold_until = time.monotonic() + left

    def next_entry(self) -> Entry | None:
        """Return the next entry read ahead; None if more have to be read."""
        while self.ahead and self.ahead[0].seq <= self.record.cursor:
            del self.ahead[0]
        return self.ahead[0] if self.ahead else None


def lane_plugin_of(
    plugin: LoadedPlugin,
    record: PluginRecord,
    services: Services,
    settings: Settings,
    *,
    hear: AttributeLane,
    executor: Executor | None = None,
) -> LanePlugin:
    """Return a plugin in its lane, according to its record and the config.

    `hear` is called with the lane that its own thread works for, if it has one; `executor` makes
    the calls of all plugins of the lane, if these have worker processes.
    """
    table = settings.plugins[plugin.name]
    lane_plugin = LanePlugin(
        plugin, record, services, failure_rules(table), breaker=_breaker(table, settings)
    )
    lane = settings.lanes.get(plugin.lane)
    lane_plugin.concurrency = table.concurrency
    lane_plugin.timeout = table.timeout or (lane.timeout if lane else None)
    lane_plugin.executor = executor or executor_of(lane_plugin, plugin.lane, hear)
    lane_plugin.go_on_holding()
    return lane_plugin


def executor_of(lane_plugin: LanePlugin, label: str, hear: AttributeLane) -> Executor:
    """Return where the calls of a plugin are made: in a thread of their own if they have limits.

    Args:
        lane_plugin: The plugin.
        label: What its thread works for: a lane, or a worker of one.
        hear: Called with the thread and that.
    """
    plugin = lane_plugin.plugin
    if any(lane_plugin.limit(callback) is not None for callback in plugin.callbacks):
        return PluginThread(plugin.name, label, hear)
    return LaneThread()


def failure_rules(table: PluginSettings) -> FailureRules:
    """Return the failure policy in a plugin's table of the config."""
    return FailureRules(table.on_error, table.max_attempts, table.pause_after)


def _breaker(table: PluginSettings, settings: Settings) -> Breaker | None:
    """Return the breaker for a plugin that calls itself for ever; None if it may."""
    if not table.breaker_events:
        return None
    common = settings.site.script_name
    return Breaker(
        table.script_name or common,
        is_own=table.script_name not in {None, common},
        loop_calls=table.breaker_events,
        loop_seconds=table.breaker_within,
    )
