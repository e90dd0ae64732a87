"""Kills of a real daemon whose lane has eight workers, while rows come late, hidden or never."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path

from forked_runs import Launcher, launcher
from random_kills import FAULTS, Traffic
from running_daemon import NOTING, WRITER, Noted, RunningDaemon
from waiting import PATIENCE, wait_until

from sgevents_core.sandbox import Sandbox
from sgevents_core.state.entries import Entry
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Reader

WORKERS = 8
ENTITIES = 40
ORDER = ["mike", "alpha", "bravo"]
"""The plugins in call order: the group of `mike` comes first."""
_SLOW = WRITER.replace("import os\n", "import os, time\n", 1).replace(
    NOTING, f"{NOTING}; time.sleep(0.002)"
)
_COUNTER = WRITER.replace(
    NOTING,
    f'{NOTING}; ctx.store["n"] = ctx.store.get("n", 0) + 1',
)


class WorkerTraffic(Traffic):
    """Traffic about some tasks, each of which has to be in order."""

    def _event(self, kind: str) -> int:
        meta = {"entity_type": "Task", "entity_id": self._random.randrange(ENTITIES)}
        return self._site.event(kind, meta=meta)


class Result:
    """What kills came to.

    Args:
        lost: Calls that were not made.
        repeated: Calls that were made again.
        wrong: What is not as it should be.
    """

    def __init__(self, lost: int, repeated: int, wrong: list[str]) -> None:
        self.lost, self.repeated, self.wrong = lost, repeated, wrong


def kill_workers(folder: Path, kills: int, seed: int) -> Result:
    """Kill the daemon many times while its workers are busy, and return what came of it."""
    with Sandbox(project=False, seed=seed) as site:
        daemon = RunningDaemon(folder, site)
        install(daemon)
        with launcher() as started:
            started.prepare(daemon)
            _kill_in_traffic(daemon, started, kills, seed)
        return _result(daemon, kills)


def install(daemon: RunningDaemon) -> None:
    """Install the plugins, and let one lane with workers call all of them."""
    daemon.groups("first", "second")
    daemon.state += f'[lanes.default]\nworkers = {WORKERS}\norder_by = "entity"\n'
    for name in ORDER:
        text = _COUNTER if name == "alpha" else _SLOW
        group = "first" if name == "mike" else "second"
        daemon.install(name, text.format(calls=str(daemon.calls)), group)


def _kill_in_traffic(daemon: RunningDaemon, launching: Launcher, kills: int, seed: int) -> None:
    site, chance = daemon.site, random.Random(seed)
    for kind in FAULTS:
        site.faults.add(kind, probability=0.02)
    traffic = WorkerTraffic(site, seed)
    traffic.start()
    try:
        for turn in range(kills):
            before = daemon.calls_noted()
            run = launching.start(daemon)
            if turn % 4 == 3:  # while it starts, recovers, or takes in the first events
                time.sleep(chance.uniform(0, 0.2))
            else:
                more = before + chance.randrange(1, 200)
                wait_until(partial(_has_noted, daemon, more), what="the daemon works")
                time.sleep(chance.uniform(0, 0.01))
            assert run.kill() == -signal.SIGKILL
    finally:
        traffic.stop()
    site.faults.clear()
    run = launching.start(daemon)
    daemon.wait_for(site.log.visible_ids(), ORDER[-1], seconds=PATIENCE)
    assert run.stop() == 0
    assert launching.start(daemon, "--drain").wait() == 0


def _has_noted(daemon: RunningDaemon, calls: int) -> bool:
    return daemon.calls_noted() >= calls


def _result(daemon: RunningDaemon, kills: int) -> Result:
    noted = daemon.noted()
    rows = {row["id"]: row for row in daemon.site.event_rows()}
    wanted = {
        (id_, plugin, callback)
        for id_, row in rows.items()
        for plugin in ORDER
        for callback in ("every", "changed")
        if callback == "every" or row["event_type"].endswith("_Change")
    }
    got = Counter((n.event_id, n.plugin, n.callback) for n in noted)
    lost = len(wanted - set(got))
    repeated = sum(got.values()) - len(got)
    wrong = list(_wrong(daemon, kills, noted, repeated))
    if set(got) != wanted:
        wrong.append(f"{lost} calls lost, {len(set(got) - wanted)} that nobody wanted")
    return Result(lost, repeated, wrong)


def _wrong(daemon: RunningDaemon, kills: int, noted: list[Noted], repeated: int) -> Iterator[str]:
    if repeated > kills * WORKERS:
        yield f"{repeated} calls repeated at {kills} kills of {WORKERS} workers"
    if sum(note.attempt > 1 for note in noted) < repeated:
        yield "a repeated call does not say that it is one"
    first = list({(n.event_id, n.plugin, n.callback): n for n in noted}.values())
    with closing(open_state(daemon.folder / "state").reader()) as state:
        seqs = {entry.event_id: entry.seq for entry in _entries(state)}
        alpha = sum(note.plugin == "alpha" for note in first)
        if state.store("alpha") != {"n": alpha}:
            yield f"alpha has counted {state.store('alpha')} in {alpha} calls"
    rows = {row["id"]: row for row in daemon.site.event_rows()}
    places: dict[object, list[tuple[int, int, bool]]] = defaultdict(list)
    for note in first:
        place = (seqs[note.event_id], ORDER.index(note.plugin), note.callback == "changed")
        meta = rows[note.event_id]["meta"] or {}
        task = meta.get("entity_id")
        places[("event", note.event_id) if task is None else ("task", task)].append(place)
    for entity, own in places.items():
        if own != sorted(own):
            early = next(one for one, other in pairwise(own) if one > other)
            where = own[max(own.index(early) - 3, 0) : own.index(early) + 4]
            yield f"the calls for {entity} are not in order: {where}"


def _entries(state: Reader) -> Iterator[Entry]:
    last = 0
    while entries := state.read(last, 500):
        yield from entries
        last = entries[-1].seq
