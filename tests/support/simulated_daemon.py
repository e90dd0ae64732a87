"""The whole daemon in simulated time and one thread, on a real state; it is killed as told.

Feed, journal, ledger, lanes, registers, recovery and requests are the real ones. Only the site, the
clock, the plugins and death are made up.
"""

from __future__ import annotations

import logging
import random
import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lane_house import House
from mortal_process import Killed, Machine, MortalProcess
from simulated_children import SimulatedChildren
from simulated_plugins import CallLog
from simulated_replacing import LaneReplacing
from simulated_studio import DaemonFeed, SilentAnnouncer, StateJournal, StudioSite
from simulated_threads import SimulatedThreads

from sgevents_core.choices import OrderBy
from sgevents_core.crashes.recovering import give_up_fatal_calls, recover
from sgevents_core.crashes.syncing import SYNC_INTERVAL, ProgressSyncer
from sgevents_core.dispatch.deferred_errands import make_deferred_call
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.overdue import OverdueCalls, hung_plugin_names, returned_plugins
from sgevents_core.dispatch.plugin_starts import start_plugins, stop_plugins
from sgevents_core.dispatch.wiring import lanes_of, services_of
from sgevents_core.requests import carrying_out
from sgevents_core.requests.inbox import Inbox
from sgevents_core.site import auditing
from sgevents_core.site.ageing import oldest_kept, prune
from sgevents_core.site.follower import Follower
from sgevents_core.site.follower_values import Rules
from sgevents_core.site.health import SiteHealth
from sgevents_core.site.parking import decide_parked
from sgevents_core.state.deferred import DeferredKey
from sgevents_core.state.feed_values import ParkedRange
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Presence
from sgevents_core.state.requests import ReplayEvent, Request
from sgevents_core.state.sqlite import journal_pages

OLD_AGE = 80.0
"""Seconds after which a row is old here; a schedule does not last for hours."""
MOST_TURNS = 100_000
"""Many times what a schedule takes; a lane that is busy with nothing takes more."""


class SimulatedDaemon:
    """A state, and one process after another that works on it.

    Args:
        folder: The state's folder.
        rules: The feed's rules.
        seed: Decides latencies, failing calls and deaths.
        deadly: Whether processes die.
    """

    def __init__(self, folder: Path, rules: Rules, seed: int, *, deadly: bool) -> None:
        self.rng = random.Random(seed)
        self.site = StudioSite(tells_date=seed % 2 == 1)
        self.machine = Machine(seed, self.site)
        self.threads = SimulatedThreads(self.machine, self._let_time_pass)
        self.log = CallLog(self.machine)
        self.children = SimulatedChildren(
            self.machine,
            self.threads,
            seed,
            pass_time=self._let_time_pass,
            note=self.log.wrong.append,
        )
        self.log.children = self.children
        self.house = House(folder)
        self.deadly = deadly
        self.most_old_rows = auditing.MOST_OLD_ROWS
        """How many old rows that turn up at once are not parked."""
        self.journal = StateJournal(self.machine, self.house.state)
        self.feed = DaemonFeed(self.site, rules, seed, journal=self.journal)
        self.feed.machine = self.machine
        self.site.before_time_passes = self._sync_until
        self.log.feed_failed = lambda: self.feed.troubled
        self.log.is_down = lambda: self.site.down
        self.lanes: list[Lane] = []
        self.replacing = LaneReplacing(self)
        self.starved_lane = ""
        """The lane that gets no turn at the moment, as on a machine that is busy."""
        self.ends: dict[int, tuple[str, float]] = {}
        """Life -> how it ended (`stop`, `kill` or `power`), and when."""
        self.divisions: dict[int, dict[str, OrderBy | None]] = {}
        """Life -> lane -> what divides its events."""
        self.troubled_starts: list[int] = []
        """Number of calls made so far, for each start that was cut short by a death."""
        self.joined: dict[str, int] = {}
        self.pruned: dict[str, int] = {}
        """Plugin -> up to which `seq` events went while it was not enabled."""
        self.condemned: dict[tuple[str, str, int], str] = {}
        self.skipped: set[tuple[str, int]] = set()
        self.dismissed: set[tuple[str, str, int]] = set()
        self.asked: dict[int, tuple[str, str, dict[str, Any]]] = {}
        self.answers: dict[int, tuple[str, str]] = {}
        self.stopping = False
        self.syncer: ProgressSyncer | None = None
        self._presences: list[Presence] = []
        """Open until all lives are over: closing one releases what others have locked."""
        self._synced_at = 0.0
        self._steps_synced = 0
        self.turns = 0
        self.dropped: set[int] = set()
        """The ids of parked rows that were dropped for good."""
        self._decisions: deque[Request] = deque()
        self._due: dict[str, float] = {}
        self._idle: dict[str, int] = {}
        self._parked_ids: set[int] = set()
        self._series_of: dict[int, list[Any]] = {}
        self._requests = open_state(folder).requests()
        self._onlooker = sqlite3.connect(folder / "sgevents.db", isolation_level=None)
        self._carry_out = carrying_out.carry_out
        self.machine.watcher = self.log

    def close(self) -> None:
        """End what runs, and close what looks on."""
        if self.machine.process is not None:
            self.machine.process.bury()
        self.threads.end()
        self._onlooker.close()
        self._requests.close()
        self.house.state.close()
        self.machine.close()
        for presence in self._presences:
            presence.close()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let the code under test run on the simulated machine while the block lasts."""
        loudness = logging.getLogger("sgevents")
        with (
            self.machine.running(),
            self.threads.in_use(),
            self.children.in_use(),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr(loudness, "level", logging.CRITICAL + 1)
            logging.Logger.manager._clear_cache()  # type: ignore[attr-defined]  # logging's own
            patch.setattr(carrying_out, "carry_out", self.carry_out)
            patch.setattr(auditing, "MOST_OLD_ROWS", self.most_old_rows)
            patch.setattr(auditing, "OLD_AGE", OLD_AGE)
            patch.setattr(journal_pages, "FEWEST_EVENTS", 3)  # so that the journal has pages
            patch.setattr("sgevents_core.dispatch.lane.make_deferred_call", self.make_deferred_call)
            self.log.listen(patch)
            yield
        logging.Logger.manager._clear_cache()  # type: ignore[attr-defined]  # logging's own

    def _wake_lanes(self) -> None:
        self._due = dict.fromkeys(self._due, self.machine.now)

    def end_outage(self) -> None:
        """Let the site answer again, once the feed knows that it did not."""
        if self.feed.health.is_down and not self.feed.health.is_wanted:
            self.site.down = False

    # Lives and deaths

    def start(self) -> None:
        """Let a process start; one that dies while it does so is followed by another."""
        while True:
            try:
                self._start()
            except Killed:
                self.troubled_starts.append(len(self.log.made))
                self._bury("kill")
            else:
                return

    def _lifetime(self) -> int | None:
        if not self.deadly:
            return None
        rng = self.rng
        longest = rng.choice([60, 500, 2000, 6000, 12000, 12000])
        return int(rng.uniform(0, longest))

    def _start(self) -> None:
        self.journal.state = None
        self.journal.load()
        self.note_joining()
        self.log.life += 1
        self.machine.process = MortalProcess(self._lifetime())
        settings = self.house.settings()
        loaded, pools = self.children.load(settings, self.house.loaded())
        self.state = state = open_state(self.house.folder).writer()
        self.held_lanes = held_lanes = recover(settings, loaded, state)
        give_up_fatal_calls(settings, loaded, held_lanes)
        self.feed.health = SiteHealth()
        self.feed.health.on_change(self._wake_lanes)
        self.services = services_of(settings, loaded, state, site_health=self.feed.health)
        self.plugins = start_plugins(loaded, self.services, held_lanes)
        self.lanes = lanes_of(
            settings,
            self.plugins,
            self.services,
            held_lanes,
            SilentAnnouncer(),
            open_writer=lambda: open_state(self.house.folder).writer(),
            executors=pools,
        )
        for pool in pools.values():
            pool.lane.services = self.services
        self.note_lanes()
        self.journal.state = open_state(self.house.folder).writer()
        self.feed.follower = Follower(self.feed.rules, self.journal.load())
        self.inbox = Inbox(self.house.folder, self.lanes, self)
        home = open_state(self.house.folder)
        self._presences.append(home.presence())
        self.syncer = ProgressSyncer(home.lane_writer(), self._presences[-1], self.lanes)
        self._synced_at, self._steps_synced = self.machine.now, 0
        self.overdue = OverdueCalls(
            self.lanes, self.house.state, started_at=self.machine.monotonic(), can_restart=True
        )
        self.stopping = False
        self.look_at_the_ledger()
        self.inbox.poll()

    def note_joining(self) -> None:
        """Remember where plugins begin that are enabled for the first time."""
        records = self.house.records()
        for plugin in self.house.plugins.values():
            if plugin.table.enabled and plugin.name not in records:
                self.joined[plugin.name] = len(self.journal.rows)

    def note_lanes(self) -> None:
        """Remember what divides the lanes that there are, and let each have its turn."""
        tables = self.house.settings().lanes
        divisions = self.divisions.setdefault(self.log.life, {})
        divisions |= {lane.name: tables[lane.name].order_by for lane in self.lanes}
        self._due = {lane.name: self.machine.now for lane in self.lanes}

    def _sync_until(self, now: float) -> None:
        """Sync as the daemon's own thread does while time passes and nothing else happens."""
        process, passed = self.machine.process, now - self._synced_at
        if self.syncer is None or process is None or passed <= SYNC_INTERVAL:
            return
        self._synced_at += passed // SYNC_INTERVAL * SYNC_INTERVAL
        if process.steps != self._steps_synced:  # else nothing was written since
            self.syncer.sync_once()
            self._steps_synced = process.steps

    def _bury(self, how: str) -> None:
        """Forget all that a dead process had in memory."""
        self.syncer = None
        process = self.machine.process
        assert process is not None
        process.bury()
        self.threads.end()
        self.machine.process = None
        self.ends[self.log.life] = (how, self.machine.now)
        self.lanes, self.log.request, self.log.is_late = [], 0, False
        self.replacing.forget()
        self._decisions.clear()
        self.log.not_before.clear()
        self.log.hanging.clear()
        self.log.ended.clear()
        if how == "power":
            self.machine.boot += 1
            self.machine.booted = self.machine.now

    def _die(self) -> None:
        self._bury("power" if self.rng.random() < 0.2 else "kill")
        self.pass_time(self.rng.choice([0.5, 0.5, 30, 900]))
        self.start()

    def restart(self) -> None:
        """Let the process stop in order, and another start."""
        try:
            self._stop()
        except Killed:
            self._die()
            return
        self._bury("stop")
        self.start()

    def _stop(self) -> None:
        for lane in self.lanes:
            lane.close()
            if lane.error is not None:
                raise lane.error
        working_plugins = returned_plugins(self.plugins, self.lanes)
        stop_plugins(working_plugins, self.services, self.held_lanes)
        self.inbox.close()

    def stop_soon(self) -> None:
        """Tell the lanes to stop after the callback in hand, as a signal does."""
        for lane in self.lanes:
            lane.stop()
        self.stopping = True

    # Work

    def run(self, seconds: float) -> None:
        """Work for so many seconds of simulated time."""
        until = self.site.now + seconds
        while self.site.now < until:
            try:
                self._turn(until)
            except Killed:
                self._die()

    def _turn(self, until: float) -> None:
        self.turns += 1
        assert self.turns < MOST_TURNS, "it does not come to rest"
        end = len(self.journal.rows)
        self._carry_out_decisions()
        due = {name: at for name, at in self._due.items() if name != self.starved_lane}
        next_turn = min([until, *due.values(), self.threads.next_wake])
        self.feed.turn(max(next_turn, self.site.now) + 0.0005)
        if self.threads.run_due() or len(self.journal.rows) > end:
            self._wake_lanes()
        lanes = [
            lane
            for lane in self.lanes
            if self._due[lane.name] <= self.machine.now and lane.name != self.starved_lane
        ]
        self.rng.shuffle(lanes)
        for lane in lanes:
            self._turn_of(lane)
        if not self.stopping:
            self.replacing.continue_lanes()
        self._compare_hanging()
        self.stopping = self.stopping or self.overdue.check(self.machine.monotonic())
        if self.stopping:
            self.restart()

    def _compare_hanging(self) -> None:
        """See that the daemon knows which calls hang, one for each thread."""
        known, real = hung_plugin_names(self.lanes), [plugin for plugin, _ in self.log.hanging]
        if sorted(known) != sorted(real):
            self.log.wrong.append(f"{known} are said to hang, not {real}")

    def _turn_of(self, lane: Lane) -> None:
        worked = False
        for _ in range(self.rng.choice([1, 1, 5])):
            wait = lane.turn()
            worked = worked or not wait
            if wait or self.stopping or self.replacing.is_ending(lane):
                break
        self._idle[lane.name] = 0 if worked else self._idle.get(lane.name, 0) + 1
        if self._idle[lane.name] < 3 or self.machine.monotonic() < 5:  # until its place is noted
            wait = min(wait, 1.01)
        self._due[lane.name] = self.machine.now + wait

    def pass_time(self, seconds: float) -> None:
        """Let time pass for the running thread."""
        self.threads.sleep(seconds)

    def _let_time_pass(self, seconds: float) -> None:
        self.site.advance(self.site.now + seconds)

    def commit_all(self) -> None:
        """Let whatever is under way on the site become visible."""
        try:
            self.site.commit_all()
        except Killed:
            self._die()

    def prune(self, retention: float) -> None:
        """Remove old events from the journal, as the daemon does now and then."""
        enabled = {name for name, one in self.house.plugins.items() if one.table.enabled}
        try:
            prune(self.state, enabled, oldest_kept(self.state, retention))
        except Killed:
            self._die()
        lowest = self.house.state.lowest()
        for name in self.house.plugins.keys() - enabled:
            self.pruned[name] = lowest - 1

    def has_read_all(self) -> bool:
        """Return whether the journal has each visible row that nobody has dropped."""
        known_ids = {one.row.id for one in self.journal.rows}
        return not (self.site.visible.keys() - self.dropped - known_ids)

    # People

    def decide(self, request: Request) -> bool:
        """Queue a request to the feed, whose own thread carries it out."""
        self._decisions.append(request)
        return True

    def _carry_out_decisions(self) -> None:
        """Carry out requests to the feed between two of its calls, as its thread does."""
        while self._decisions and self.journal.state is not None:
            decide_parked(self.journal.state, self._decisions[0])
            self._decisions.popleft()
            self.feed.follower = Follower(self.feed.rules, self.journal.load())
            self._note_answers()

    def parked(self) -> list[ParkedRange]:
        """Return the ranges of rows that are parked, as the journal says."""
        feed_record = self.house.state.load_feed()
        return [] if feed_record is None else list(feed_record.parked)

    def ask_parked(self, decision: str) -> None:
        """Decide about all rows that are parked now, as `sgevents feed parked` does."""
        feed_record, parked_ranges = self.house.state.load_feed(), self.parked()
        if feed_record is None or not parked_ranges:
            return
        self._parked_ids = {
            parked_id for one in parked_ranges for parked_id in range(one.first, one.last + 1)
        }
        numbers = sorted({one.number for one in parked_ranges})
        self.ask("parked", "", decision=decision, era=feed_record.state.era, numbers=numbers)

    def ask(
        self, kind: str, plugin: str, events: list[ReplayEvent] | None = None, **detail: Any
    ) -> None:
        """Ask for something, as a command does."""
        if "letter" in detail:
            self._series_of |= {number: series for *series, number in self.letters()}
        number = self._requests.ask(kind, plugin, detail, "anna@host", events or [])
        self.asked[number] = (kind, plugin, detail)
        try:
            self.inbox.poll()
        except Killed:
            self._die()
        self._due = dict.fromkeys(self._due, self.machine.now)

    def make_deferred_call(self, deferred_key: DeferredKey, own_lane: Lane) -> bool:
        """Make a call that was put off as a lane does, and take note of it."""
        self.log.is_late, before = True, len(self.log.made)
        over = make_deferred_call(deferred_key, own_lane)
        self.log.is_late = False
        self.log.paused |= {made.plugin for made in self.log.made[before:] if made.end == "pause"}
        return over

    def carry_out(self, number: int, lane: Lane, folder: Path) -> bool:
        """Carry out a request as a lane does, and take note of it."""
        self.log.request = number
        over = self._carry_out(number, lane, folder)
        self.log.request = 0
        self._note_answers()
        return over

    def _note_answers(self) -> None:
        for number in sorted(self.asked.keys() - self.answers.keys()):
            answer = self._requests.answer_of(number)
            if answer is not None:
                self.answers[number] = (answer.outcome, answer.text)
                if answer.outcome == "done":
                    self._done(*self.asked[number])

    def _done(self, kind: str, plugin: str, detail: dict[str, Any]) -> None:
        if kind == "parked" and detail["decision"] == "drop":
            self.dropped |= self._parked_ids - {one.row.id for one in self.journal.rows}
        if kind == "pause":
            self.log.paused.add(plugin)
        if kind in ("resume", "skip"):
            self.log.goes_on(plugin)
        if kind == "dismiss":
            self.dismissed.add(tuple(self._series_of[detail["letter"]]))
        if kind == "skip":
            self.skipped.add((plugin, self.journal.ids.index(detail["event_id"]) + 1))

    def look_at_the_ledger(self) -> None:
        """Compare with what the log of calls says, after a start."""
        self._note_answers()
        paused = {r.name for r in self.house.records().values() if r.state == "paused"}
        forgotten = self.log.paused - paused
        if forgotten:
            self.log.wrong.append(f"no longer paused after a start: {sorted(forgotten)}")
        self.log.paused |= paused
        found = self._onlooker.execute(
            "SELECT plugin, callback, seq, outcome FROM failures"
            " WHERE error LIKE 'ProcessDied: % times in this call%'"
        )
        for plugin, name, seq, outcome in found:  # what a retry makes of it later is another thing
            self.condemned.setdefault((plugin, name, seq), outcome)

    def letters(self) -> list[tuple[str, str, int, int]]:
        """Return number, plugin, callback and `seq` of the dead letters there are."""
        found = self._onlooker.execute(
            "SELECT plugin, callback, seq, id FROM failures WHERE dead = 1 ORDER BY id"
        )
        return found.fetchall()
