"""The daemon killed at any moment, at a site that misbehaves: nothing lost, order kept."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from forked_daemon import launching
from running_daemon import Noted, RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.writes import Transaction

KILLS = 20
ORDER = ["mike", "zulu", "alpha", "bravo"]
"""The plugins in call order: group `second` comes before `first`, names by code point."""


class Traffic(threading.Thread):
    """A busy site: rows at once, late and never, rows hidden for a while, an outage."""

    def __init__(self, site: Sandbox, seed: int) -> None:
        super().__init__(name="traffic")
        self._site = site
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._late: list[tuple[int, Transaction]] = []

    def run(self) -> None:
        """Make traffic until stopped, then let everything show."""
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
                site.event("Shotgun_Task_Change" if kind < 0.6 else "Studio_Render_Done")
            self._commit(turn)
            if turn % 300 == 150:
                site.outage_for(0.2)
        self._commit(10**9)

    def _commit(self, turn: int) -> None:
        due = [work for at, work in self._late if at <= turn]
        self._late = [one for one in self._late if one[0] > turn]
        for work in due:
            work.commit()

    def stop(self) -> None:
        """End it."""
        self._over.set()
        self.join()


@pytest.mark.timeout(180)
def test_twenty_kills_lose_nothing(tmp_path: Path) -> None:
    """Killed twenty times while rows come late or never and calls fail: each callback once."""
    chance = random.Random(7)
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.groups("second", "first")
        for name in ORDER:
            daemon.install_writer(name, "second" if name in ORDER[:2] else "first")
        for kind in ("status", "html", "garbage", "cut-json", "cut-body", "drop"):
            site.faults.add(kind, probability=0.02)
        traffic = Traffic(site, seed=7)
        traffic.start()
        with launching(daemon) as launcher:
            for turn in range(KILLS):
                before = daemon.calls_noted()
                process_id = launcher.start()
                if turn % 4 == 3:  # while it starts, recovers, or hands out the first events
                    time.sleep(chance.uniform(0, 0.3))
                else:
                    more = before + chance.randrange(1, 400)
                    wait_until(partial(_has_noted, daemon, more), what="the daemon works")
                launcher.kill(process_id)
        with daemon.running() as process:
            traffic.stop()
            site.faults.clear()
            daemon.wait_for(site.log.visible_ids(), ORDER[-1])
            assert daemon.stop(process) == 0
        assert site.faults.injected() > 0
        _check(daemon, site)


def _has_noted(daemon: RunningDaemon, calls: int) -> bool:
    return daemon.calls_noted() >= calls


def _check(daemon: RunningDaemon, site: Sandbox) -> None:
    noted = daemon.noted()
    types = {row["id"]: row["event_type"] for row in site.event_rows()}
    wanted = Counter(
        (id_, plugin, callback)
        for id_, event_type in types.items()
        for plugin in ORDER
        for callback in ("every", "changed")
        if callback == "every" or event_type.endswith("_Change")
    )
    got = Counter((n.event_id, n.plugin, n.callback) for n in noted)
    assert set(got) == set(wanted)
    repeats = sum(got.values()) - len(got)
    assert repeats <= KILLS
    assert sum(n.attempt > 1 for n in noted) >= repeats
    _check_order(noted)


def _check_order(noted: list[Noted]) -> None:
    """Within an event the callbacks come by group, name and registration, over kills as well."""
    last: tuple[int, tuple[int, int]] | None = None
    for note in noted:
        place = (ORDER.index(note.plugin), ["every", "changed"].index(note.callback))
        if last is not None and last[0] == note.event_id:
            assert place > last[1] or (place == last[1] and note.attempt > 1)
        last = (note.event_id, place)
