"""Runs acts of a daemon with kills at fail points, and reports what a kill has changed."""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import killed_acts
from forked_runs import Launcher, launcher
from judged_calls import Note, judged
from killed_acts import ACTS, Act
from running_daemon import RunningDaemon

from sgevents_core.sandbox import Sandbox


class Kills(NamedTuple):
    """The result of kills.

    Args:
        points: Places at which the daemon was killed.
        kills: How often it was.
        lost: Calls that were not made.
        repeated: Calls that were made again.
    """

    points: int
    kills: int
    lost: int
    repeated: int


class Case(NamedTuple):
    """A kill: in which act, at which point, at which time it is reached there."""

    act: int
    point: str
    hit: int


class Outcome(NamedTuple):
    """The result of an act: what it leaves in the state, and the calls made in it."""

    kept: dict[str, list[Any]]
    notes: list[Note]


class Result(NamedTuple):
    """The result of a kill: whether it happened, what was wrong, calls lost and repeated."""

    killed: bool
    wrong: list[str]
    lost: int = 0
    repeated: int = 0


NOT_KILLED = Result(killed=False, wrong=["it is no longer reached"])


class Days:
    """The acts on a real site with the real daemon, each from a copy of its starting point.

    Args:
        daemon: The daemon.
        launcher: What runs it.
        acts: The acts.
    """

    def __init__(self, daemon: RunningDaemon, launcher: Launcher, acts: Sequence[Act]) -> None:
        self._daemon = daemon
        self._acts = acts
        self._launcher = launcher
        self._state = daemon.folder / "state"
        self._mended = daemon.folder / "mended"
        self._trace = daemon.folder / "trace.txt"
        self.reached: dict[int, list[str]] = {}
        self.expected: dict[int, Outcome] = {}

    def count(self) -> None:
        """Play all acts without a kill, and keep which points are reached."""
        for number, act in enumerate(self._acts):
            if act.anew:
                shutil.rmtree(self._state, ignore_errors=True)
            act.prepare(self._state)
            if self._state.exists():
                shutil.copytree(self._state, self._begin(number))
            self._mended_at(number).write_text("yes" if self._mended.exists() else "")
            self._show(act)
            self._trace.write_bytes(b"")
            self._daemon.calls.write_bytes(b"")
            assert self._drain(trace=str(self._trace)) == 0
            self.reached[number] = self._trace.read_text().splitlines()
            with self._kept_aside():
                self.expected[number] = self._outcome(act)

    @contextmanager
    def _kept_aside(self) -> Iterator[None]:
        """Give the next act what there is now, whatever the block does."""
        aside, was_mended = self._daemon.folder / "aside", self._mended.exists()
        shutil.copytree(self._state, aside)
        yield
        shutil.rmtree(self._state)
        aside.rename(self._state)
        if not was_mended:
            self._mended.unlink(missing_ok=True)

    def _outcome(self, act: Act, bug: str = "") -> Outcome:
        """Return the result of an act, once people have settled what is open."""
        if act.settle is not None:
            act.settle(self._state)
            code = self._drain(bug=bug)
            assert code == 0, f"it ended with {code} when it was settled"
        return Outcome(killed_acts.kept(self._state), self._notes())

    def _show(self, act: Act) -> None:
        self._daemon.log = act.lane
        killed_acts.show(self._daemon.site, act)

    def _begin(self, number: int) -> Path:
        return self._daemon.folder / f"begin-{number}"

    def _mended_at(self, number: int) -> Path:
        return self._daemon.folder / f"mended-{number}"

    def cases(self, point: str) -> list[Case]:
        """Return where and when a point was reached, in order."""
        found = []
        for act, reached in self.reached.items():
            times = reached.count(point)
            found += [Case(act, point, hit) for hit in range(1, times + 1)]
        return found

    def kill_at(self, point: str, chance: random.Random) -> Result:
        """Kill at a point once: the first, middle or last time it is reached.

        Threads run side by side, so that occurrence may not recur; then another is used.
        """
        cases = self.cases(point)
        wanted = [cases[0], cases[len(cases) // 2], cases[-1]] if cases else []
        for case in [*chance.sample(wanted, len(wanted)), *cases]:
            result = self.kill(case)
            if result.killed or result.wrong:
                return result
        return NOT_KILLED

    def kill(self, case: Case, bug: str = "") -> Result:
        """Play one act with a kill in it and once more without, and report what is wrong then."""
        killed = self.end_at(case, bug) == -signal.SIGKILL
        if killed:
            code = self._drain(bug=bug)
            if code:
                return Result(killed, [f"{case}: the next start ended with {code}"])
        got, wanted = self._outcome(self._acts[case.act], bug), self.expected[case.act]
        wrong = list(killed_acts.differences(wanted.kept, got.kept))
        wrong += judged(self._acts[case.act], wanted.notes, got.notes, self._journal())
        lost = {note.key for note in wanted.notes} - {note.key for note in got.notes}
        repeated = max(len(got.notes) - len(wanted.notes), 0)
        return Result(killed, [f"{case}: {one}" for one in wrong], len(lost), repeated)

    def end_at(self, case: Case, bug: str = "") -> int:
        """Play one act up to the kill, and return how the daemon has ended."""
        self._set(case.act)
        self._trace.write_bytes(b"")
        trace = str(self._trace)
        code = self._drain(kill=case.point, hit=case.hit, bug=bug, trace=trace)
        assert code in {0, -signal.SIGKILL}, self._daemon.output.read_text()[-3000:]
        return code

    def _drain(self, **points: str | int) -> int:
        """Run until everything is handled or it is killed; return the exit code."""
        before = f"import fail_points\nfail_points.arm(**{points})"
        return self._launcher.start(self._daemon, "--drain", before=before).wait()

    def last_reached(self) -> str:
        """Return the point that was reached last."""
        return self._trace.read_text().splitlines()[-1]

    def _set(self, number: int) -> None:
        shutil.rmtree(self._state, ignore_errors=True)
        if self._begin(number).exists():
            shutil.copytree(self._begin(number), self._state)
        self._mended.unlink(missing_ok=True)
        for deferred in self._daemon.folder.glob("deferred-*"):
            deferred.unlink()
        if self._mended_at(number).read_text():
            self._mended.touch()
        self._show(self._acts[number])
        self._daemon.calls.write_bytes(b"")

    def _journal(self) -> list[str]:
        """Return what identifies the events handed out in the act, in the journal's order."""
        gone = [f"1:{event}" for event in range(1, 6)]  # what is old leaves the journal
        return gone + killed_acts.journal(self._state)

    def _notes(self) -> list[Note]:
        return [Note(*json.loads(line)) for line in self._daemon.calls.read_text().splitlines()]


@contextmanager
def days(folder: Path, acts: Sequence[Act] = ACTS) -> Iterator[Days]:
    """Play all acts once, and allow replays while the block lasts."""
    now = [datetime.now(timezone.utc)]
    with Sandbox(project=False, clock=lambda: now[0]) as site:
        killed_acts.fill(site, lambda time: now.__setitem__(0, time))
        now[0] = datetime.now(timezone.utc)
        daemon = RunningDaemon(folder, site)
        killed_acts.install(daemon)
        with launcher() as started:
            started.prepare(daemon)
            made = Days(daemon, started, acts)
            made.count()
            yield made


def kill_at_all(played: Days, points: Sequence[str], seed: int) -> tuple[Kills, list[str]]:
    """Kill once at each point, and return the result, and what is wrong."""
    chance = random.Random(seed)
    results = {point: played.kill_at(point, chance) for point in points}
    wrong = [f"{point}: {one}" for point, result in results.items() for one in result.wrong]
    wrong += [f"{point}: was not reached" for point, result in results.items() if not result.killed]
    kills = [result for result in results.values() if result.killed]
    repeated = sum(result.repeated for result in kills)
    return Kills(len(points), len(kills), sum(one.lost for one in kills), repeated), wrong
