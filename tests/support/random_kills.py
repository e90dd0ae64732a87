"""Kills of the real daemon at random moments, at a site that misbehaves; all chance is seeded."""

from __future__ import annotations

import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from forked_runs import Launcher, launcher
from killed_days import Kills
from running_daemon import NOTING, WRITER, Noted, RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.writes import Transaction
from sgevents_core.state.opening import open_state

ORDER = ["mike", "zulu", "alpha", "bravo"]
"""The plugins in call order: group `second` comes before `first`, names by code point."""
COUNTING = {"zulu", "bravo"}
"""Those that count in their stores the events they got."""
FAULTS = ("status", "html", "garbage", "cut-json", "cut-body", "drop")
_COUNTER = WRITER.replace(
    NOTING,
    f'{NOTING}; ctx.store["n"] = ctx.store.get("n", 0) + 1',
)


class Traffic(threading.Thread):
    """A busy site: rows that appear at once, late or never, rows hidden for a while, outages."""

    def __init__(self, site: Sandbox, seed: int) -> None:
        super().__init__(name="traffic")
        self._site = site
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._late: list[tuple[int, Transaction]] = []
        self._hidden: list[tuple[int, int]] = []

    def run(self) -> None:
        """Create traffic until stopped, then make everything visible."""
        site, chance = self._site, self._random
        turn = 0
        while not self._over.wait(0.01):
            turn += 1
            kind = chance.random()
            if kind < 0.04:
                site.burn(chance.choice([1, 3, 300]))
            elif kind < 0.1:
                self._late.append((turn + chance.choice([5, 40, 250]), site.late(2)))
            else:
                event = self._event("Shotgun_Task_Change" if kind < 0.6 else "Studio_Render_Done")
                if kind > 0.95:
                    site.hide([event])
                    self._hidden.append((turn + chance.choice([5, 40, 100]), event))
            self._show(turn)
            if turn % 300 == 150:
                site.outage_for(0.2)
        self._show(10**9)

    def _event(self, kind: str) -> int:
        return self._site.event(kind)

    def _show(self, turn: int) -> None:
        for at, work in self._late:
            if at <= turn:
                work.commit()
        self._late = [one for one in self._late if one[0] > turn]
        self._site.show([event for at, event in self._hidden if at <= turn])
        self._hidden = [one for one in self._hidden if one[0] > turn]

    def stop(self) -> None:
        """End it."""
        self._over.set()
        self.join()


def kill_at_random(folder: Path, runs: int, kills: int, seed: int) -> tuple[Kills, list[str]]:
    """Kill the daemon many times, and return the result, and what is wrong.

    Args:
        folder: Where everything lives.
        runs: How many sites and states are followed, one after another.
        kills: How often the daemon is killed on each.
        seed: Seeds everything random.
    """
    lost = repeated = 0
    wrong: list[str] = []
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(folder, site)
        install(daemon)
    with launcher() as started:
        started.prepare(daemon)
        for run in range(runs):
            shutil.rmtree(folder / "state", ignore_errors=True)
            daemon.calls.unlink(missing_ok=True)
            with Sandbox(project=False, seed=seed + run) as daemon.site:
                _kill_in_traffic(daemon, started, kills, seed + run)
                checked = Checked(daemon)
            lost, repeated = lost + checked.lost, repeated + checked.repeated
            wrong += [f"run {run}: {one}" for one in checked.wrong(kills)]
    return Kills(runs * kills, runs * kills, lost, repeated), wrong


def install(daemon: RunningDaemon) -> None:
    """Install the plugins, in groups that reverse the alphabetical order."""
    daemon.groups("second", "first")
    for name in ORDER:
        text = _COUNTER if name in COUNTING else WRITER
        group = "second" if name in ORDER[:2] else "first"
        daemon.install(name, text.format(calls=str(daemon.calls)), group)


def _kill_in_traffic(daemon: RunningDaemon, launching: Launcher, kills: int, seed: int) -> None:
    """Kill the daemon while rows come, then let it handle all there is."""
    site, chance = daemon.site, random.Random(seed)
    for kind in FAULTS:
        site.faults.add(kind, probability=0.02)
    traffic = Traffic(site, seed)
    traffic.start()
    try:
        for turn in range(kills):
            before = daemon.calls_noted()
            run = launching.start(daemon)
            if turn % 3 == 2:  # while it starts, recovers, or hands out the first events
                time.sleep(chance.uniform(0, 0.2))
            else:
                more = before + chance.randrange(1, 160)
                wait_until(partial(_has_noted, daemon, more), what="the daemon works")
                time.sleep(chance.uniform(0, 0.01))
            assert run.kill() == -signal.SIGKILL
    finally:
        traffic.stop()
    site.faults.clear()
    run = launching.start(daemon)
    daemon.wait_for(site.log.visible_ids(), ORDER[-1])
    assert run.stop() == 0
    assert (
        launching.start(daemon, "--drain").wait() == 0
    )  # it may have stopped between two callbacks of the last event


def _has_noted(daemon: RunningDaemon, calls: int) -> bool:
    return daemon.calls_noted() >= calls


class Checked:
    """The calls that plugins got, compared with the site's rows.

    Args:
        daemon: The daemon, stopped.
    """

    def __init__(self, daemon: RunningDaemon) -> None:
        self._noted = daemon.noted()
        self._state = daemon.folder / "state"
        types = {row["id"]: row["event_type"] for row in daemon.site.event_rows()}
        self._wanted = {
            (id_, plugin, callback)
            for id_, event_type in types.items()
            for plugin in ORDER
            for callback in ("every", "changed")
            if callback == "every" or event_type.endswith("_Change")
        }
        self._got = Counter((n.event_id, n.plugin, n.callback) for n in self._noted)
        self.lost = len(self._wanted - set(self._got))
        self.repeated = sum(self._got.values()) - len(self._got)

    def wrong(self, kills: int) -> Iterator[str]:
        """Report what is wrong after that many kills."""
        if set(self._got) != self._wanted:
            yield f"{self.lost} calls lost, {len(set(self._got) - self._wanted)} that nobody wanted"
        if self.repeated > kills:
            yield f"{self.repeated} calls repeated at {kills} kills"
        if sum(note.attempt > 1 for note in self._noted) < self.repeated:
            yield "a repeated call has the attempt of a first one"
        first = list({(n.event_id, n.plugin, n.callback): n for n in self._noted}.values())
        places = list(self._places(first))
        if places != sorted(places):
            yield "the order is not the journal's, group by group, name by name"
        with closing(open_state(self._state).reader()) as state:
            for plugin in COUNTING:
                calls = sum(n.plugin == plugin for n in first)
                if state.store(plugin) != {"n": calls}:
                    yield f"{plugin} has counted {state.store(plugin)} in {calls} calls"

    def _places(self, notes: list[Noted]) -> Iterator[tuple[int, int, bool]]:
        """Return the places of calls in the journal and in the call order."""
        with closing(open_state(self._state).reader()) as state:
            seqs = {entry.event_id: entry.seq for entry in state.read(0, 1_000_000)}
        for note in notes:
            yield seqs[note.event_id], ORDER.index(note.plugin), note.callback == "changed"
