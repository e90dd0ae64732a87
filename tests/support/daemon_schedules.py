"""Random schedules of a site, a daemon, its plugins, its deaths and the people around it."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec
from daemon_oracles import Verdict, judged
from lane_house import Plugin
from random_schedules import transaction
from simulated_children import MAX_MEMORY
from simulated_daemon import SimulatedDaemon
from simulated_plugins import Behaviour, simulated_plugin

from sgevents_core.choices import OnError, OrderBy
from sgevents_core.filters import Match
from sgevents_core.settings import LaneSettings, PluginSettings
from sgevents_core.site.follower_values import Rules
from sgevents_core.state.entries import Entry
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.requests import ReplayEvent

MATCHES = (
    Match(),
    Match(),
    Match(event_type=("Studio_A",), attribute=("even",)),
    Match(event_type=("Studio_A", "Studio_B")),
    Match(where=lambda event: (event.id or 0) % 3 == 0),
)
ORDERS: tuple[OrderBy | None, ...] = (None, "entity", "entity", "project", "none")
POLICIES: tuple[OnError, ...] = ("dead-letter", "dead-letter", "pause", "skip")
REST = 1000.0
"""Seconds after which audits have found whatever they can."""
MOST_RESTS = 600


class DaemonSchedule:
    """One random schedule, the same for the same seed.

    Args:
        seed: Decides everything.
        folder: An empty folder for the state.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng = rng = random.Random(seed)
        self.deadly = seed % 5 != 0
        settle = 5.0 if seed % 6 == 5 else 0.0
        self._hiding = seed % 6 == 4
        self._troubled = rng.choice([0.0, 0.02, 0.06])
        self._outages = seed % 3 == 0
        rules = Rules(
            rng.choice([2, 7, 50]), idle_interval=60, backlog_timeout=60, settle=settle, start=1
        )
        self.daemon = SimulatedDaemon(folder, rules, seed, deadly=self.deadly)
        self._seed = seed
        self._steps = rng.choice([5, 10, 20])
        self._hidden: list[int] = []
        self._lane_rng = random.Random(f"lanes {seed}")
        self._divided = seed % 2 == 1
        self._process_rng = random.Random(f"processes {seed}")
        self._has_processes = seed % 4 >= 2 and self._process_rng.random() < 0.7
        self._set_executors()
        if self._divided:
            self._divide()
        self._limit_rng = random.Random(f"limits {seed}")
        self._has_limits = self._limit_rng.random() < 0.4
        self._parking_rng = random.Random(f"parking {seed}")
        self._is_parking = self._parking_rng.random() < 0.3
        if self._is_parking:
            self.daemon.most_old_rows = 1
        self._furnish()
        self._replacing_rng = random.Random(f"replacing {seed}")
        self._is_replacing = self._replacing_rng.random() < 0.3
        if self._is_replacing:
            self.daemon.log.interrupt = self._change_in_a_call

    def run(self) -> SimulatedDaemon:
        """Let everything happen, then let it come to rest, and return the daemon."""
        daemon, rng = self.daemon, self.rng
        with daemon.at_work():
            daemon.start()
            trouble = rng.random() < 0.4
            for _ in range(self._steps):
                daemon.feed.failing = 0.1 if trouble else 0.0
                daemon.feed.failing_aside = 0.3 if trouble else None
                transaction(daemon.site, rng, most=10)
                daemon.run(rng.expovariate(1 / 3))
                self._something_else()
            self._come_to_rest()
        return daemon

    # What there is

    def _divide(self) -> None:
        """Give each lane a division or none, and some workers; they may change at a restart."""
        rng, house = self._lane_rng, self.daemon.house
        for lane in ("default", "night"):
            order_by = rng.choice(ORDERS)
            workers = 1 if order_by is None else rng.choice([1, 2, 4])
            house.lane_settings[lane] = LaneSettings(workers=workers, order_by=order_by)
        self._set_executors()

    def _set_executors(self) -> None:
        """Let the plugins of some lanes run in worker processes."""
        if not self._has_processes:
            return
        lane_settings = self.daemon.house.lane_settings
        for lane in ("default", "night"):
            table = lane_settings.get(lane, LaneSettings())
            executor: Literal["thread", "process"] = (
                "process" if self._process_rng.random() < 0.7 else "thread"
            )
            lane_settings[lane] = msgspec.structs.replace(
                table, executor=executor, max_rss=MAX_MEMORY if executor == "process" else None
            )

    def _furnish(self) -> None:
        rng, house = self.rng, self.daemon.house
        for number in range(rng.choice([3, 4, 5])):
            name = f"p{number}"
            table = PluginSettings(
                enabled=True,
                on_error=rng.choice(POLICIES),
                max_attempts=rng.choice([2, 3, 5]),
                pause_after=rng.choice([3, 1000, 1000]),
                concurrency=self._limit_rng.choice([None, 1]) if self._has_limits else None,
            )
            if table.concurrency is not None:
                self.daemon.log.single.add(name)
            lane = "default" if number in (0, 2) else rng.choice(["default", "night"])
            made = [
                (rng.choice(MATCHES), self._behaviour(table)) for _ in range(rng.choice([1, 2, 3]))
            ]
            plugin = house.plugins[name] = simulated_plugin(name, lane, made)
            self._enable(plugin, rng.random() < 0.85)

    def _behaviour(self, table: PluginSettings) -> Behaviour:
        rng, daemon = self.rng, self.daemon
        return Behaviour(
            daemon.log,
            self._seed,
            table,
            rng.choice([None, None, *POLICIES]),
            counts=rng.random() < 0.4,
            uses_site=self._outages and rng.random() < 0.6,
            troubled=self._troubled,
            deadly=self.deadly,
            begin_outage=self._begin_outage,
            stop=daemon.stop_soon,
            pass_time=daemon.pass_time,
            defers=random.Random(f"defers {self._seed}").random() < 0.3,
            time_limit=self._limit_rng.choice([None, 0.5, 5.0, 60.0]) if self._has_limits else None,
            hanging=0.05,
        )

    def _enable(self, plugin: Plugin, enabled: bool) -> None:
        plugin.table = msgspec.structs.replace(plugin.table, enabled=enabled)

    # What happens

    def _something_else(self) -> None:
        rng, daemon = self.rng, self.daemon
        if rng.random() < 0.3:
            self._ask()
        if daemon.site.down and rng.random() < 0.4:
            daemon.end_outage()
        elif self._outages and rng.random() < 0.15:
            self._begin_outage()
        if rng.random() < 0.1:
            if rng.random() < 0.5:
                plugin = rng.choice(list(daemon.house.plugins.values()))
                self._enable(plugin, not plugin.table.enabled)
            if self._divided and self._lane_rng.random() < 0.3:
                self._divide()
            if self._divided and self._lane_rng.random() < 0.2:
                plugin = self._lane_rng.choice(list(daemon.house.plugins.values()))
                plugin.lane = self._lane_rng.choice(["default", "night"])
            if self._process_rng.random() < 0.3:
                self._set_executors()
            daemon.restart()
        if rng.random() < 0.05:
            daemon.prune(rng.choice([0.0, 10.0, 100.0]))
        if self._is_replacing and self._replacing_rng.random() < 0.4:
            self._change_plugins()
        if self._hiding:
            self._hide_and_show()
        if self._is_parking:
            self._let_old_rows_come()

    def _change_in_a_call(self) -> None:
        """Change plugins while a call runs, now and then."""
        if self._replacing_rng.random() < 0.03:
            self._change_plugins()

    def _change_plugins(self) -> None:
        """Change some plugins of a lane, so that it is replaced; some of them come or go."""
        rng, plugins = self._replacing_rng, self.daemon.house.plugins
        lane_name = rng.choice(list(plugins.values())).lane
        changes = {
            plugin.name: plugin.table.enabled != (rng.random() < 0.15)
            for plugin in plugins.values()
            if plugin.lane == lane_name and rng.random() < 0.5
        }
        if changes:
            self.daemon.replacing.begin(lane_name, changes)

    def _let_old_rows_come(self) -> None:
        """Let old rows show, as where rights are granted, and people decide about parked ones."""
        daemon, rng = self.daemon, self._parking_rng
        if rng.random() < 0.5:
            daemon.site.transaction(rng.choice([2, 5]), rng.choice([150.0, 400.0]))
        if rng.random() < 0.2:
            daemon.run(rng.choice([200.0, 1000.0]))
        if rng.random() < 0.5:
            daemon.ask_parked(rng.choice(["handle", "drop"]))

    def _hide_and_show(self) -> None:
        site, rng = self.daemon.site, self.rng
        if rng.random() < 0.1 and site.visible:
            id_ = rng.choice([max(site.visible), rng.choice(sorted(site.visible))])
            site.hide(id_)
            self._hidden.append(id_)
        if self._hidden and rng.random() < 0.1:
            site.show(self._hidden.pop())

    def _ask(self) -> None:
        rng, daemon = self.rng, self.daemon
        kind = rng.choice(
            ["pause", "resume", "resume", "skip", "retry", "dismiss", "replay", "replay"]
        )
        plugin = rng.choice(list(daemon.house.plugins))
        if kind in ("pause", "resume"):
            daemon.ask(kind, plugin)
        elif kind == "skip":
            record = daemon.house.records().get(plugin)
            cursor = record.cursor if record is not None else len(daemon.journal.rows)
            if record is not None and record.strands:
                cursor = rng.choice(list(record.strands.values())).cursor
            if cursor < len(daemon.journal.rows):
                daemon.ask(kind, plugin, event_id=daemon.journal.ids[cursor])
        elif kind == "replay":
            self._ask_for_a_replay(plugin)
        elif letters := daemon.letters():
            name, _, _, number = rng.choice(letters)
            daemon.ask(kind, name, letter=number)

    def _ask_for_a_replay(self, plugin: str) -> None:
        daemon, rng = self.daemon, self.rng
        entries: list[Entry] = daemon.house.state.read(0, 100_000)
        if entries:
            first = rng.randrange(len(entries))
            chosen = entries[first : first + rng.choice([1, 5, 20])]
            events = [ReplayEvent(one.era, one.seq, one.event_id, one.body) for one in chosen]
            daemon.ask("replay", plugin, events)

    def _begin_outage(self) -> None:
        self.daemon.site.down = self._outages

    # The end

    def _come_to_rest(self) -> None:
        daemon = self.daemon
        self._outages = False
        daemon.log.interrupt, daemon.starved_lane = lambda: None, ""
        daemon.replacing.forget()
        while daemon.site.down:
            daemon.run(1)
            daemon.end_outage()
        for id_ in self._hidden:
            daemon.site.show(id_)
        daemon.commit_all()
        daemon.feed.calm()
        for plugin in daemon.house.plugins.values():
            self._enable(plugin, True)
        daemon.restart()
        daemon.run(100)
        daemon.deadly = False
        daemon.restart()
        daemon.run(REST)
        for _ in range(MOST_RESTS):
            records = daemon.house.records().values()
            for record in records:
                if record.state == "paused":
                    daemon.ask("resume", record.name)
            if daemon.parked():
                daemon.ask_parked(self._parking_rng.choice(["handle", "drop"]))
                daemon.run(REST)  # until what is to be handled has come
            put_off = [*daemon.house.state.deferred_calls(), *daemon.parked()]
            are_at_rest = all(_is_at_rest(record) for record in records)
            if are_at_rest and not put_off and daemon.has_read_all():
                break  # calls take all of the simulated time, so the feed may be behind
            daemon.run(20)
            if daemon.log.hanging:  # only a new process ends what never returns
                daemon.restart()
        daemon.restart()


class MovingSchedule(DaemonSchedule):
    """A schedule in which plugins move between a lane with strands and a slow one without."""

    def _furnish(self) -> None:
        lane_settings = self.daemon.house.lane_settings
        lane_settings["default"] = LaneSettings(workers=2, order_by="entity")
        lane_settings["night"] = LaneSettings()
        super()._furnish()

    def _something_else(self) -> None:
        super()._something_else()
        daemon, rng = self.daemon, self._lane_rng
        daemon.starved_lane = "night"
        for _ in range(3):
            transaction(daemon.site, rng, most=10)
            daemon.run(rng.choice([0.01, 0.1, 0.5]))
        plugin = rng.choice(list(daemon.house.plugins.values()))
        plugin.lane = "default" if plugin.lane == "night" else "night"
        daemon.restart()
        daemon.run(rng.choice([0.0, 0.01, 0.1]))
        daemon.starved_lane = ""

    def _divide(self) -> None:
        """Leave the lanes as they are."""

    def _set_executors(self) -> None:
        """Leave all plugins in the daemon's own process."""


def _is_at_rest(record: PluginRecord) -> bool:
    """Return whether a plugin is with its lane in all strands."""
    return record.state == "active" and not record.apart and not record.strands


@contextmanager
def state_folder() -> Iterator[Path]:
    """Make a folder for a state, in memory where there is a place for that, and remove it."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="sgevents-", dir=memory if memory.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_schedule(seed: int, kind: type[DaemonSchedule] = DaemonSchedule) -> Verdict:
    """Run one schedule, and return its result."""
    with state_folder() as folder:
        schedule = kind(seed, folder)
        try:
            return judged(schedule.run())
        finally:
            schedule.daemon.close()
