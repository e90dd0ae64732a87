"""One plugin in its lane: with it, or separate while held, paused or catching up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from sgevents_core.calling.breaker import Breaker
from sgevents_core.calling.context import Services
from sgevents_core.calling.deaths import EndedWorkers
from sgevents_core.calling.judging import Decision
from sgevents_core.calling.making import Executor, Hung, LaneThread
from sgevents_core.calling.own_thread import AttributeLane, PluginThread
from sgevents_core.calling.policy import LONGEST_HOLD, FailureRules
from sgevents_core.dispatch.admission import Admission
from sgevents_core.plugins.callback import Callback
from sgevents_core.plugins.loading import LoadedPlugin
from sgevents_core.settings import PluginSettings, Settings
from sgevents_core.state.entries import Entry
from sgevents_core.state.failures import Failure
from sgevents_core.state.plugin_record import AnyPluginRecord, PluginRecord, StrandRecord

AT_ONCE_SECONDS: Final = 0.1
"""A drain waits for a plugin that is called again within so many seconds."""


class Waiting(NamedTuple):
    """A call that failed while the site did not answer.

    Args:
        failure: The failure as shown to people.
        failed_at: When it failed, in monotonic seconds.
        retry_after: The least wait before it is repeated, in seconds.
        charge: Judges and records the failure, if it was the call's own fault. Otherwise the
            attempt does not count.
    """

    failure: Failure
    failed_at: float
    retry_after: float
    charge: Callable[[], None]


@dataclass(slots=True)
class LanePlugin:
    """One plugin in its lane.

    Args:
        plugin: The plugin.
        record: Its record in the ledger; this copy is the current one while the lane runs.
        services: The services of its calls.
        rules: Its failure policy.
        hold_until: When a hold ends, in monotonic seconds.
        entries_ahead: Entries read ahead for it while it catches up.
        breaker: Stops it if its own writes call it for ever; None if loops are allowed.
        has_recovered: Whether its failures in a row have ended, which the ledger does not say yet.
        timeout: The limit for callbacks without one of their own, in seconds.
        executor: Where its callbacks run.
        waiting: The failed call for which it waits for the site; None if it does not wait.
        times_put_off: How often it has waited since its last progress.
        reported_outage: The number of the last outage in which its wait was reported.
        ended_workers: The worker processes that its calls have ended lately.
        concurrency: How many of its calls may run at once in a divided lane; None for any number.
        admission: The counter of those calls.
        defer_limit: How long a callback may put an event off, in seconds.
    """

    plugin: LoadedPlugin
    record: AnyPluginRecord
    services: Services
    rules: FailureRules
    hold_until: float = 0.0
    entries_ahead: list[Entry] = field(default_factory=list)
    breaker: Breaker | None = None
    has_recovered: bool = False
    timeout: float | None = None
    executor: Executor = field(default_factory=LaneThread)
    waiting: Waiting | None = None
    times_put_off: int = 0
    reported_outage: int = 0
    ended_workers: EndedWorkers = field(default_factory=EndedWorkers)
    concurrency: int | None = None
    admission: Admission | None = None
    defer_limit: float = 604_800.0
    _current_seq: int = 0
    _given_up_seq: int = 0

    @property
    def hung(self) -> Hung | None:
        """The call it hangs in; none of its callbacks may be called until that returns."""
        return self.executor.hung

    @property
    def late(self) -> bool:
        """Whether it has not started yet because it waits for the site."""
        return self.services.late_start is not None

    @property
    def is_catching_up(self) -> bool:
        """Whether it is behind its lane and catches up."""
        record = self.record
        return record.catches_up and record.state == "active" and not self.late

    @property
    def waits_for_site(self) -> bool:
        """Whether it waits until it is clear whether the site answers."""
        is_late = self.late and isinstance(self.record, PluginRecord)
        return self.record.state == "held" and (self.waiting is not None or is_late)

    def has_work(self) -> bool:
        """Return whether it has something to do or to decide before a drain can end."""
        if self.is_catching_up or self.waits_for_site:
            return True
        return self.due(time.monotonic() + AT_ONCE_SECONDS)  # read last: a hold may be new

    def limit(self, callback: Callback) -> float | None:
        """Return the time limit of one of its callbacks, in seconds; None for no limit."""
        return self.timeout if callback.timeout is None else callback.timeout

    def begin_event(self, seq: int) -> None:
        """Note that it gets an event; one without a dead letter ends its failures in a row."""
        if seq == self._current_seq:
            return
        if self.record.failures and self._current_seq and self._given_up_seq != self._current_seq:
            self.record.end_failures()
            self.has_recovered = True
        self._current_seq = seq

    @property
    def failures_with_this(self) -> int:
        """Its failures in a row if it gives up its current event; one event counts once."""
        return self.record.failures + (self._given_up_seq != self._current_seq)

    def give_up(self) -> None:
        """Note a dead letter of its current event; several for one event count once."""
        if self._given_up_seq != self._current_seq:
            self.record.count_failure()
        self._given_up_seq = self._current_seq

    def due(self, current_time: float) -> bool:
        """Return whether it is separate from its lane and may be called.

        Args:
            current_time: The current monotonic time, in seconds.
        """
        record = self.record
        if not record.catches_up or record.state == "paused" or self.hung is not None:
            return False
        if self.late or self.extra_wait(current_time)[0]:
            return False
        return record.state == "active" or (
            self.waiting is None and current_time >= self.hold_until
        )

    def extra_wait(self, current_time: float) -> tuple[float, str]:
        """Return for how many seconds it waits in all strands, and why; infinite if unknown.

        It does if its calls keep ending worker processes, or if calls that hang are all that it may
        have at once.

        Args:
            current_time: The current monotonic time, in seconds.
        """
        if self.admission is not None and self.admission.is_stuck:
            return math.inf, f"it may have {self.admission.limit} calls at once, and they all hang"
        if self.ended_workers.is_slow:
            return self.ended_workers.wait_left(current_time), self.ended_workers.reason
        return 0.0, ""

    def seconds_to_wait(self, current_time: float) -> float:
        """Return for how many seconds it waits, held or for another reason; negative if it is over.

        Args:
            current_time: The current monotonic time, in seconds.
        """
        return max(self.hold_until - current_time, self.extra_wait(current_time)[0] or -math.inf)

    def hold(self, reason: str, seconds: float, *, current_time: float, host_time: float) -> None:
        """Hold it for some seconds.

        Args:
            reason: Why, for people.
            seconds: How long to wait.
            current_time: The current monotonic time, in seconds.
            host_time: The host's time, in seconds since 1970.
        """
        self.record.hold(host_time + seconds, reason)
        self.hold_until = current_time + seconds

    def carry_out(self, decision: Decision, *, current_time: float, host_time: float) -> None:
        """Hold or pause it, as decided after a call.

        Args:
            decision: The decision.
            current_time: The current monotonic time, in seconds.
            host_time: The host's time, in seconds since 1970.
        """
        if decision.action == "pause":
            self.record.pause(decision.reason)
        elif decision.action == "hold":
            self.hold(
                decision.reason,
                decision.hold_seconds,
                current_time=current_time,
                host_time=host_time,
            )
        elif decision.action == "wait for site":
            self.record.hold(host_time, decision.reason)
        elif decision.action == "wait for call":
            self.wait_for_call(decision.reason)

    def wait_for_site(self, waiting: Waiting) -> None:
        """Wait with a failed call until the site answers, or count it if it was its own fault."""
        self.waiting, self.times_put_off = waiting, self.times_put_off + 1

    def site_is_back(self, resume_at: float) -> None:
        """Call it again at a time in monotonic seconds, because the site answers."""
        self.waiting, self.hold_until = None, resume_at

    def wait_for_call(self, reason: str) -> None:
        """Hold it until the call that it hangs in has returned or is gone."""
        self.record.hold(0.0, reason)
        self.hold_until = 0.0

    def wait_with(self, executor: Executor) -> None:
        """Make its calls in an executor in which one may hang; hold it until that call returns."""
        self.executor = executor
        if executor.hung is not None:
            self.wait_for_call(executor.hung.reason)

    def in_strand(self, strand_number: int) -> LanePlugin:
        """Return the plugin in one strand of its lane, according to its record."""
        plugin_record = self.record
        if not isinstance(plugin_record, PluginRecord):
            raise TypeError("it is in a strand already")
        strand_record = plugin_record.strands.get(strand_number) or StrandRecord(
            plugin_record, strand_number, apart=plugin_record.apart
        )
        strand_plugin = replace(
            self, record=strand_record, entries_ahead=[], executor=LaneThread(), hold_until=0.0
        )
        strand_plugin.continue_hold()
        return strand_plugin

    def continue_hold(self) -> None:
        """Continue a hold that is in the record, unless it was for a call of a dead process."""
        record = self.record
        if record.hangs:
            record.resume()  # the thread it waited for ended with its process
        elif record.state == "held":
            remaining_seconds = min(max(record.retry_at - time.time(), 0.0), LONGEST_HOLD)
            self.hold_until = time.monotonic() + remaining_seconds

    def next_entry(self) -> Entry | None:
        """Return the next entry read ahead; None if more have to be read."""
        while self.entries_ahead and self.entries_ahead[0].seq <= self.record.cursor:
            del self.entries_ahead[0]
        return self.entries_ahead[0] if self.entries_ahead else None


def lane_plugin_of(
    plugin: LoadedPlugin,
    record: PluginRecord,
    services: Services,
    settings: Settings,
    *,
    attribute_lane: AttributeLane,
    executor: Executor | None = None,
) -> LanePlugin:
    """Return a plugin in its lane, according to its record and the config.

    `attribute_lane` is called with the lane that its own thread works for, if it has one;
    `executor` makes the calls of all plugins of the lane, if these have worker processes.
    """
    plugin_table = settings.plugins[plugin.name]
    lane_plugin = LanePlugin(
        plugin,
        record,
        services,
        failure_rules(plugin_table),
        breaker=_make_breaker(plugin_table, settings),
    )
    lane_table = settings.lanes.get(plugin.lane)
    lane_plugin.concurrency = plugin_table.concurrency
    lane_plugin.defer_limit = plugin_table.defer_limit
    lane_plugin.timeout = plugin_table.timeout or (lane_table.timeout if lane_table else None)
    lane_plugin.executor = executor or executor_of(lane_plugin, plugin.lane, attribute_lane)
    lane_plugin.continue_hold()
    return lane_plugin


def executor_of(
    lane_plugin: LanePlugin, thread_label: str, attribute_lane: AttributeLane
) -> Executor:
    """Return where the calls of a plugin are made: in a thread of their own if they have limits.

    Args:
        lane_plugin: The plugin.
        thread_label: What its thread works for: a lane, or a worker of one.
        attribute_lane: Called with the thread and that.
    """
    plugin = lane_plugin.plugin
    if any(lane_plugin.limit(callback) is not None for callback in plugin.callbacks):
        return PluginThread(plugin.name, thread_label, attribute_lane)
    return LaneThread()


def failure_rules(plugin_table: PluginSettings) -> FailureRules:
    """Return the failure policy in a plugin's table of the config."""
    return FailureRules(plugin_table.on_error, plugin_table.max_attempts, plugin_table.pause_after)


def _make_breaker(plugin_table: PluginSettings, settings: Settings) -> Breaker | None:
    """Return the breaker for a plugin that calls itself for ever; None if it may."""
    if not plugin_table.breaker_events:
        return None
    common_script = settings.site.script_name
    return Breaker(
        plugin_table.script_name or common_script,
        is_own=plugin_table.script_name not in {None, common_script},
        loop_calls=plugin_table.breaker_events,
        loop_seconds=plugin_table.breaker_within,
    )
