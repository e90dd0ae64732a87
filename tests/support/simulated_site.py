"""A site's event log in simulated time, and a feed that follows it: schedules without waiting."""

from __future__ import annotations

import dataclasses
import heapq
import random
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass, field

from sgevents_core.journal.base import FeedChange, FeedRecord, FeedState, LateRow, Missing, Row
from sgevents_core.site.calls import (
    Answer,
    Call,
    Count,
    Fetch,
    Ids,
    Look,
    Newest,
    Page,
    Recent,
    Since,
)
from sgevents_core.site.gaps import LONGEST_BETWEEN_LOOKS, Follower, Notice, Rules
from sgevents_core.site.ranges import Span

EPOCH = 1_750_000_000


@dataclass
class SimulatedSite:
    """Hands out ids, shows rows when their transaction commits; time is `now`, in seconds."""

    now: float = 0.0
    next_id: int = 1
    visible: dict[int, int] = field(default_factory=dict)
    hidden: dict[int, int] = field(default_factory=dict)
    shown_at: dict[int, float] = field(default_factory=dict)
    _ids: list[int] = field(default_factory=list)
    _due: list[tuple[float, int, tuple[int, ...], int]] = field(default_factory=list)

    def transaction(self, rows: int, delay: float | None) -> list[int]:
        """Hand out ids now; their rows show after `delay` seconds, never for None."""
        ids = list(range(self.next_id, self.next_id + rows))
        self.next_id += rows
        if delay is not None:
            heapq.heappush(self._due, (self.now + delay, ids[0], tuple(ids), self.clock))
            self.advance(self.now)
        return ids

    @property
    def clock(self) -> int:
        """The site's clock, in seconds since 1970."""
        return EPOCH + int(self.now)

    def advance(self, now: float) -> None:
        """Let time pass: transactions that are due commit."""
        self.now = now
        while self._due and self._due[0][0] <= now:
            at, _, ids, clock = heapq.heappop(self._due)
            for id_ in ids:
                self._show(id_, clock, at)

    def hide(self, id_: int) -> None:
        """Make a visible row invisible."""
        self.hidden[id_] = self.visible.pop(id_)
        self._ids.remove(id_)

    def show(self, id_: int) -> None:
        """Make a hidden row visible again."""
        self._show(id_, self.hidden.pop(id_), self.now)

    def _show(self, id_: int, clock: int, at: float) -> None:
        self.visible[id_] = clock
        self.shown_at[id_] = at
        insort(self._ids, id_)

    def commit_all(self) -> None:
        """Commit whatever is under way."""
        self.advance(max([self.now, *(due[0] for due in self._due)]))

    def answer(self, call: Call) -> Answer:
        """Answer as the real site's API would."""
        match call:
            case Page():
                start = bisect_right(self._ids, call.above)
                found = self._ids[start : start + call.limit]
            case Newest():
                end = len(self._ids) if call.below is None else bisect_left(self._ids, call.below)
                found = self._ids[max(end - call.limit, 0) : end][::-1]
            case Since():
                found = sorted(i for i, at in self.visible.items() if at >= call.at)[:1]
            case Look() | Recent() | Fetch():
                found = self._within(call.spans)[: call.limit]
            case Ids():
                found = self._within([call.span])[: call.limit]
            case Count():
                return Answer(count=len(self._within([call.span])))
        return Answer(tuple(Row(i, self.visible[i], "Type", b"{}") for i in found))

    def _within(self, spans: Iterable[Span]) -> list[int]:
        found = []
        for span in spans:
            found += self._ids[bisect_left(self._ids, span.first) : bisect_right(self._ids, span.last)]
        return found


@dataclass
class SimulatedJournal:
    """Keeps what a step commits, all of it or nothing, as the real journal does."""

    rows: list[LateRow] = field(default_factory=list)
    _state: FeedState | None = None
    _missing: dict[int, Missing] = field(default_factory=dict)
    _gone: dict[int, int] = field(default_factory=dict)

    def append(self, rows: list[LateRow], change: FeedChange) -> None:
        """Commit one step."""
        self.rows += rows
        self._state = _copied(change.state)
        for first in change.cut:
            self._missing.pop(first, None)
        self._missing |= {m.first: m for m in change.put}
        for first in change.cut_gone:
            self._gone.pop(first, None)
        self._gone |= dict(change.put_gone)

    def load(self) -> FeedRecord | None:
        """Return what a new process finds."""
        if self._state is None:
            return None
        missing = sorted(self._missing.values())
        return FeedRecord(_copied(self._state), missing, sorted(self._gone.items()))

    @property
    def ids(self) -> list[int]:
        """The ids in the order appended."""
        return [row.id for row, _ in self.rows]


def _copied(state: FeedState) -> FeedState:
    return dataclasses.replace(
        state, marks=[*state.marks], recent=[*state.recent], audits={**state.audits}
    )


class SimulatedFeed:
    """Runs a follower against a simulated site: calls take time, fail, and crashes happen.

    Args:
        site: The site.
        rules: The follower's rules.
        seed: Decides latencies, failures and crashes.
        failing: Share of calls that fail.
        crashing: Share of commits around which the process dies.
    """

    def __init__(
        self,
        site: SimulatedSite,
        rules: Rules,
        seed: int = 0,
        *,
        failing: float = 0.0,
        crashing: float = 0.0,
    ) -> None:
        self.site = site
        self.rules = rules
        self.journal = SimulatedJournal()
        self.notices: list[Notice] = []
        self.calls: list[Call] = []
        self.crashes = 0
        self.missed_by_looks: list[int] = []
        self._random = random.Random(seed)
        self._failing = failing
        self._crashing = crashing
        self._looked: dict[int, float] = {}
        self._boot = 0.0
        self.follower = Follower(rules, None)

    @property
    def monotonic(self) -> float:
        """The host's monotonic clock: unrelated to the site's, and it starts anew at a crash."""
        return self.site.now - self._boot

    def restart(self, down: float = 0.0) -> None:
        """Let the process die and another start `down` seconds later."""
        self.crashes += 1
        self.site.advance(self.site.now + down)
        self._boot = self.site.now - self._random.uniform(0, 1000)
        self.follower = Follower(self.rules, self.journal.load())

    def calm(self) -> None:
        """Let no call fail and no process die from here on."""
        self._failing = self._crashing = 0.0

    def turn(self, until: float) -> None:
        """Do one call or one wait, the wait no longer than to `until`."""
        call = self.follower.next(self.monotonic)
        if isinstance(call, float):
            assert call > 0
            self.site.advance(min(self.site.now + call, until))
            return
        self.calls.append(call)
        asked = self.site.now
        answer = self.site.answer(call)
        self.site.advance(asked + self._random.uniform(0.01, 0.2))
        if self._random.random() < self._failing:
            self.follower.failed()
            self.site.advance(self.site.now + self._random.uniform(0.1, 3))
            return
        taken = self.follower.answered(call, answer, self.monotonic)
        self._check_looks(call, answer, taken.rows, asked)
        if self._random.random() < self._crashing:
            self.restart(self._random.choice([0.5, 30, 900]))
            return
        change = self.follower.change()
        if change is not None:
            self.journal.append(taken.rows, change)
            self.notices += taken.notices
        if self._random.random() < self._crashing:
            self.restart(self._random.choice([0.5, 30, 900]))

    def run(self, seconds: float) -> None:
        """Follow for so many seconds of simulated time."""
        until = self.site.now + seconds
        while self.site.now < until:
            self.turn(until)

    def _check_looks(
        self, call: Call, answer: Answer, rows: list[LateRow], asked: float
    ) -> None:
        """An audit must not find what a look asked for, after it was visible, has missed."""
        if isinstance(call, Look):
            reach = answer.rows[-1].id if len(answer.rows) >= call.limit else float("inf")
            for span in call.spans:
                if span.size <= 1000 and span.last <= reach:
                    self._looked |= dict.fromkeys(range(span.first, span.last + 1), asked)
        if isinstance(call, Fetch):
            self.missed_by_looks += [row.id for row, _ in rows if self._was_for_a_look(row)]

    def _was_for_a_look(self, row: Row) -> bool:
        """A row that a look asked for in vain, or one shown in time that no look asked for."""
        shown = self.site.shown_at[row.id]
        if self._looked.get(row.id, -1.0) > shown:
            return True
        steady = not (self._failing or self._crashing or self.site.hidden)
        in_time = shown - (row.at - EPOCH) < self.rules.backlog_timeout / 2
        return steady and in_time and self.site.now - shown > LONGEST_BETWEEN_LOOKS + 5
