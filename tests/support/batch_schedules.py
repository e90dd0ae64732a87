"""Random schedules of the whole daemon with a plugin that takes batches, and what it promises."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon_oracles import Verdict, judged
from daemon_schedules import DaemonSchedule, state_folder
from lane_house import Plugin
from simulated_daemon import SimulatedDaemon
from simulated_plugins import CallLog, entity_of, type_of

from sgevents_core import Defer, Retry
from sgevents_core.batching import BatchRules, By
from sgevents_core.events import Event
from sgevents_core.filters import Match
from sgevents_core.plugins.callback import Callback
from sgevents_core.settings import PluginSettings
from sgevents_core.state.keys import CallKey
from sgevents_core.state.opening import open_state

ROLLS = "rolls"
"""The plugin that takes batches."""
CALLBACK = f"{ROLLS}:up"
WANTED_TYPES = ("Studio_A", "Studio_B")
MOST_DEATHS = 3
"""Deaths in the calls of one batch after which it has healed."""


class WithoutBatches:
    """The log of calls, which is about single events, without those of batches."""

    def __init__(self, log: CallLog) -> None:
        self._log = log

    def begun(self, lane: str, word: int, seq: int, key: CallKey, strand: int | None) -> None:
        """Take note of a call that is about to be made."""
        if key.plugin != ROLLS:
            self._log.begun(lane, word, seq, key, strand)

    def returned(self, lane: str, word: int, seq: int, key: CallKey) -> None:
        """Take note of a call that was noted as finished."""
        if key.plugin != ROLLS:
            self._log.returned(lane, word, seq, key)

    def cleared(self, lane: str, word: int) -> None:
        """Take note that what a word said is in the ledger."""
        self._log.cleared(lane, word)


@dataclass
class RollUp:
    """A callback that keeps in its store what each of its calls was about.

    Args:
        daemon: The daemon that calls it.
        rng: Decides how it fails.
        troubled: The share of batches that it has trouble with.
    """

    daemon: SimulatedDaemon
    rng: random.Random
    troubled: float
    events_by_key: dict[str, list[int]] = field(default_factory=dict)
    """`ctx.key` -> the events of the first call with it."""
    deaths: Counter[str] = field(default_factory=Counter)

    def __call__(self, events: Sequence[Event], ctx: Any) -> None:
        """Be called with a batch."""
        log, machine = self.daemon.log, self.daemon.machine
        ids = [int(event.id or 0) for event in events]
        asked = bool(log.request) or log.is_late  # a replay that was put off
        if not asked:
            self._look_at(ids, ctx)
        machine.step()
        self.daemon.pass_time(self.rng.choice([0.0, 0.001, 0.03]))
        kind = "asked" if asked else "calls"
        ctx.store[kind] = [*ctx.store.get(kind, []), ids]
        if self.rng.random() < self.troubled:
            self._fail(ctx.key)
        machine.step()

    def _look_at(self, ids: list[int], ctx: Any) -> None:
        wrong = self.daemon.log.wrong
        known = self.events_by_key.setdefault(ctx.key, ids)
        if known != ids:
            wrong.append(f"the batch {ctx.key} has {ids}, and had {known}")
        if ids != sorted(ids, key=self.daemon.journal.ids.index):
            wrong.append(f"a batch is out of order: {ids}")
        if ROLLS in self.daemon.log.paused:
            wrong.append(f"called with {ids} while paused")

    def _fail(self, key: str) -> None:
        process = self.daemon.machine.process
        is_deadly = self.daemon.deadly and self.deaths[key] < MOST_DEATHS
        if self.rng.random() < 0.2 and process is not None and is_deadly:
            self.deaths[key] += 1
            process.die()
        raise self.rng.choice(
            [Retry(after=40), Defer(after=30), ConnectionError("no"), ValueError("a bug")]
        )


class BatchSchedule(DaemonSchedule):
    """A schedule in which one of the plugins takes batches."""

    def _furnish(self) -> None:
        super()._furnish()
        rng = random.Random(f"batches {self._seed}")
        by: By = rng.choice(["entity", "entity", "project"])
        rules = BatchRules(rng.choice([0.5, 20.0, 100.0]), 120.0, rng.choice([2, 5, 100]), by)
        self.roll_up = RollUp(self.daemon, rng, rng.choice([0.0, 0.1, 0.3]))
        function: Any = self.roll_up
        match = Match(event_type=WANTED_TYPES)
        callback = Callback(ROLLS, CALLBACK, None, match, function, batch=rules)
        table = PluginSettings(
            enabled=True, max_attempts=rng.choice([2, 5]), pause_after=rng.choice([2, 1000])
        )
        lane = rng.choice(["default", "night"])
        self.daemon.house.plugins[ROLLS] = Plugin(ROLLS, [callback], lane=lane, table=table)
        self.daemon.machine.watcher = WithoutBatches(self.daemon.log)

    def _come_to_rest(self) -> None:
        super()._come_to_rest()
        self.roll_up.troubled = 0.0
        for _ in range(20):
            if not self.daemon.house.state.batches():
                break
            if self.daemon.house.records()[ROLLS].state == "paused":
                self.daemon.ask("resume", ROLLS)
            self.daemon.run(100)


def run_batch_schedule(seed: int) -> Verdict:
    """Run one schedule, and return its result."""
    with state_folder() as folder:
        schedule = BatchSchedule(seed, folder)
        try:
            daemon = schedule.run()
            wrong = [("batches", text) for text in _batches(daemon, folder)]
            del daemon.house.plugins[ROLLS]
            all_letters = daemon.letters()
            daemon.letters = lambda: [one for one in all_letters if one[0] != ROLLS]  # type: ignore[method-assign]  # replaced on purpose
            verdict = judged(daemon)
            verdict.wrong += wrong
            return verdict
        finally:
            schedule.daemon.close()


def _batches(daemon: SimulatedDaemon, folder: Path) -> Iterator[str]:
    """Check that each event is in exactly one call that ended, or in one dead letter, in order."""
    for waiting in daemon.house.state.batches():
        yield f"it still waits: {waiting}"
    calls: list[list[int]] = daemon.house.state.store(ROLLS).get("calls", [])
    places = {event_id: place for place, event_id in enumerate(daemon.journal.ids)}
    ended = Counter(event_id for call in calls for event_id in call)
    buried = Counter(_events_of_letters(folder))
    times_by_event = Counter([*ended.elements(), *buried.elements()])
    for event_id, times in times_by_event.items():
        if times > 1:
            yield f"event {event_id} is in {times} calls or letters"
    expected = set(_expected(daemon))
    for event_id in sorted(expected - set(times_by_event)):
        yield f"event {event_id} is in no call that ended"
    for event_id in sorted(set(times_by_event) - expected - _pruned(daemon)):
        yield f"event {event_id} is in a call and was not for it"
    divisions = {order for lanes in daemon.divisions.values() for order in lanes.values()}
    for entity in range(7) if "none" not in divisions else ():
        series = [places[event_id] for call in calls for event_id in call]
        own = [place for place in series if entity_of(daemon.journal.ids[place]) == entity]
        if own != sorted(own) and not buried:
            yield f"entity {entity} is out of order: {own}"


def _expected(daemon: SimulatedDaemon) -> Iterator[int]:
    """Yield the events that the plugin must have got."""
    first = max(daemon.joined.get(ROLLS, 0), daemon.pruned.get(ROLLS, 0))
    for seq, event_id in enumerate(daemon.journal.ids, 1):
        is_skipped = (ROLLS, seq) in daemon.skipped or (ROLLS, event_id) in daemon.skipped
        if seq > first and type_of(event_id) in WANTED_TYPES and not is_skipped:
            yield event_id


def _pruned(daemon: SimulatedDaemon) -> set[int]:
    """Return the events that may be missing, or skipped after they were collected."""
    last = daemon.pruned.get(ROLLS, 0)
    pruned = set(daemon.journal.ids[:last])
    skipped = {value for plugin, value in daemon.skipped if plugin == ROLLS}
    return pruned | skipped | {daemon.journal.ids[seq - 1] for seq in skipped if seq}


def _events_of_letters(folder: Path) -> Iterator[int]:
    """Yield the events of all dead letters of batches, settled ones too."""
    with closing(open_state(folder).letters()) as letters:
        for number in range(1, 100_000):
            if letters.get(number) is None and number > _last_failure(folder):
                return
            for event in letters.events_of(number):
                yield event.event_id


def _last_failure(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "sgevents.db")) as database:
        found = database.execute("SELECT coalesce(max(id), 0) FROM failures").fetchone()
    return int(found[0])
