"""A feed in simulated time: it follows a simulated site, and fails and dies as told."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

from simulated_site import EPOCH, Refused, SimulatedSite

from sgevents_core.site.backlog import LONGEST_BETWEEN_LOOKS
from sgevents_core.site.follower import Follower
from sgevents_core.site.follower_values import Rules
from sgevents_core.site.notices import Notice
from sgevents_core.site.questions import ASIDE, Answer, Call, Count, Fetch, Look
from sgevents_core.state.entries import Row, TakenRow
from sgevents_core.state.feed_values import (
    FeedChange,
    FeedRecord,
    FeedState,
    MissingRange,
    ParkedRange,
    SetAside,
)

_Kind = TypeVar("_Kind", bound=Notice)


@dataclass
class SimulatedJournal:
    """Keeps what a step commits, all of it or nothing, as the real journal does."""

    rows: list[TakenRow] = field(default_factory=list)
    _state: FeedState | None = None
    _missing: dict[int, MissingRange] = field(default_factory=dict)
    _gone: dict[int, int] = field(default_factory=dict)
    _parked: dict[int, ParkedRange] = field(default_factory=dict)
    closed: list[tuple[int, int]] = field(default_factory=list)
    dropped: list[tuple[int, int]] = field(default_factory=list)
    aside: dict[str, SetAside] = field(default_factory=dict)

    def append(self, rows: list[TakenRow], change: FeedChange) -> None:
        """Commit one step."""
        self.rows += rows
        self._state = _copied(change.state)
        for first in change.cut:
            self._missing.pop(first, None)
        self._missing |= {m.first: m for m in change.put}
        for first in change.cut_gone:
            self._gone.pop(first, None)
        self._gone |= dict(change.put_gone)
        for first in change.cut_parked:
            self._parked.pop(first, None)
        self._parked |= {p.first: p for p in change.put_parked}
        self.aside |= {one.event: one for one in change.set_aside}
        for name in change.no_more_aside:
            self.aside.pop(name, None)
        self.closed += change.closed
        self.dropped += change.dropped

    def load(self) -> FeedRecord | None:
        """Return what a new process finds."""
        if self._state is None:
            return None
        missing = sorted(self._missing.values())
        gone, parked = sorted(self._gone.items()), sorted(self._parked.values())
        return FeedRecord(_copied(self._state), missing, gone, parked, set(self.aside))

    @property
    def ids(self) -> list[int]:
        """The ids in the order appended."""
        return [one.row.id for one in self.rows]

    @property
    def late_ids(self) -> list[int]:
        """The ids that were marked late, in the order appended."""
        return [one.row.id for one in self.rows if one.late]


def _copied(state: FeedState) -> FeedState:
    copied = copy.copy(state)
    copied.marks, copied.recent, copied.audits = [*state.marks], [*state.recent], {**state.audits}
    return copied


class Oracle:
    """Knows what a feed could have found by looking, so that audits do not hide what looks miss.

    Args:
        site: The site that is followed.
    """

    def __init__(self, site: SimulatedSite) -> None:
        self.site = site
        self.missed_by_looks: list[int] = []
        self.given_up: list[tuple[int, int, float]] = []
        """Ranges no longer waited for, and when the site was asked last before that."""
        self._looked: dict[int, float] = {}

    def check(
        self, call: Call, answer: Answer, rows: list[TakenRow], asked: float, *, in_time: float
    ) -> None:
        """Note what was looked for, and rows that an audit found though a look should have.

        Args:
            call: What was asked.
            answer: What the site said.
            rows: The rows appended for it.
            asked: When the site was asked.
            in_time: Rows shown within so many seconds are the looks' to find.
        """
        if isinstance(call, Look):
            reach = answer.rows[-1].id if len(answer.rows) >= call.limit else float("inf")
            for span in call.spans:
                if span.size <= 1000 and span.last <= reach:
                    self._looked |= dict.fromkeys(range(span.first, span.last + 1), asked)
        if isinstance(call, Fetch):
            missed = (one.row.id for one in rows if self._was_for_a_look(one.row, in_time))
            self.missed_by_looks += missed

    def _was_for_a_look(self, row: Row, in_time: float) -> bool:
        """Looked for in vain, given up while it showed, or shown in time and not looked for."""
        shown = self.site.shown_at[row.id]
        if self._looked.get(row.id, -1.0) > shown:
            return True
        given_up = [at for first, last, at in self.given_up if first <= row.id <= last]
        if given_up and shown < given_up[0]:
            return True
        late = shown - (row.at - EPOCH)
        return late < in_time and self.site.now - shown > LONGEST_BETWEEN_LOOKS + 5


class UnderWay(NamedTuple):
    """A call that the site has been asked, and what comes of it."""

    asked: float
    answered: float
    answer: Answer
    fails: bool
    refused: Refused | None


class SimulatedFeed:
    """Runs a follower against a simulated site: calls take time, fail, and crashes happen.

    Args:
        site: The site.
        rules: The follower's rules.
        seed: Decides latencies, failures and crashes.
        failing: Share of calls that fail.
        failing_aside: Share of looks and audits that fail; as other calls if left out.
        crashing: Share of commits around which the process dies.
        journal: What keeps the steps; one in memory if left out.
    """

    def __init__(
        self,
        site: SimulatedSite,
        rules: Rules,
        seed: int = 0,
        *,
        failing: float = 0.0,
        failing_aside: float | None = None,
        crashing: float = 0.0,
        journal: SimulatedJournal | None = None,
    ) -> None:
        self.site = site
        self.rules = rules
        self.journal = SimulatedJournal() if journal is None else journal
        self.notices: list[Notice] = []
        self.calls: list[Call] = []
        self.asked_at: list[tuple[float, Call]] = []
        self.crashes = 0
        self.oracle = Oracle(site)
        self.failing = failing
        self.failing_aside = failing_aside
        self.crashing = crashing
        self.turns = 0
        self.answers: list[tuple[Call, Answer]] = []
        self._random = random.Random(seed)
        self._boot = 0.0
        self._ahead: dict[Call, UnderWay] = {}
        self.asked_for: dict[int, float] = {}
        """When the call was made that brought a row in its order, by id."""
        self.follower = Follower(rules, self.journal.load())

    @property
    def monotonic(self) -> float:
        """The host's monotonic clock: unrelated to the site's, and it starts anew at a crash."""
        return self.site.now - self._boot

    @property
    def steady(self) -> bool:
        """Whether nothing keeps looks from being made in time."""
        return not (self.failing or self.crashing or self.site.hidden or self.site.is_limited)

    def restart(self, down: float = 0.0) -> None:
        """Let the process die and another start `down` seconds later."""
        self.crashes += 1
        self.site.advance(self.site.now + down)
        self._boot = self.site.now - self._random.uniform(0, 1000)
        self._ahead.clear()
        self.follower = Follower(self.rules, self.journal.load())

    def follow_other(self, site: SimulatedSite) -> None:
        """Follow another site from here on, unknown to the follower."""
        self.site = self.oracle.site = site

    def calm(self) -> None:
        """Let no call fail and no process die from here on."""
        self.failing = self.crashing = 0.0
        self.failing_aside = None

    def turn(self, until: float) -> None:
        """Do one call or one wait, the wait no longer than to `until`."""
        self.turns += 1
        call = self.follower.next_call(self.monotonic)
        if isinstance(call, float):
            assert call > 0
            self.site.advance(min(self.site.now + call, until))
            return
        self._read_ahead()
        under_way = self._ahead.pop(call) if call in self._ahead else self._ask(call)
        asked, answered, answer, fails, refused = under_way
        self.site.advance(max(answered, self.site.now))
        self.heard(asked, answered=not fails, aside=isinstance(call, ASIDE))
        if fails:
            self.follower.take_failure(call, self.monotonic)
            self.site.advance(self.site.now + self._random.uniform(0.1, 3))
            return
        if refused is not None:
            self.follower.take_failure(call, self.monotonic, is_answering=refused.answers)
            self.site.advance(self.site.now + self._random.uniform(0.1, 1))
            return
        if isinstance(call, Count) and not self.site.counts:
            self.follower.counts_refused()
            return
        self.answers.append((call, answer))
        self._take(call, answer, asked)

    def _read_ahead(self) -> None:
        """Ask for the ranges that come next, all at the same time."""
        ranges = self.follower.ranges_ahead
        for call in self._ahead.keys() - set(ranges):
            del self._ahead[call]
        for call in ranges:
            if call not in self._ahead:
                self._ahead[call] = self._ask(call)

    def _ask(self, call: Call) -> UnderWay:
        """Ask the site now; what it answers is known a little later."""
        self.calls.append(call)
        self.asked_at.append((self.site.now, call))
        took = self._random.uniform(0.01, 0.2)
        answer = replace(self.site.answer(call), took=took)
        fails, refused = self._fails(call), self.site.fails(call)
        return UnderWay(self.site.now, self.site.now + took, answer, fails, refused)

    def _fails(self, call: Call) -> bool:
        aside = isinstance(call, ASIDE) and self.failing_aside is not None
        return self._random.random() < ((self.failing_aside or 0.0) if aside else self.failing)

    def heard(self, asked: float, *, answered: bool, aside: bool) -> None:
        """Be told whether a call was answered, that began at `asked` in the site's time."""

    def _take(self, call: Call, answer: Answer, asked: float) -> None:
        """Give the follower an answer and commit what it makes of it, unless the process dies."""
        taken = self.follower.take_answer(call, answer, self.monotonic)
        limit = self.rules.backlog_timeout / 2 if self.steady else 0.0
        self.oracle.check(call, answer, taken.rows, asked, in_time=limit)
        if self._random.random() < self.crashing:
            self.restart(self._random.choice([0.5, 30, 900]))
            return
        change = self.follower.take_changes()
        if change is not None:
            self.journal.append(taken.rows, change)
            self.asked_for |= {one.row.id: asked for one in taken.rows if not one.late}
            self.oracle.given_up += [(m.first, m.last, asked) for m in change.put if not m.hot]
            self.notices += taken.notices
        if self._random.random() < self.crashing:
            self.restart(self._random.choice([0.5, 30, 900]))

    def run(self, seconds: float) -> None:
        """Follow for so many seconds of simulated time."""
        until = self.site.now + seconds
        while self.site.now < until:
            self.turn(until)

    def told(self, kind: type[_Kind]) -> list[_Kind]:
        """Return the notices of one kind."""
        return [notice for notice in self.notices if isinstance(notice, kind)]


def follow(site: SimulatedSite, **rules: Any) -> SimulatedFeed:
    """Return a feed of a site, from its first id on unless the rules say otherwise."""
    return SimulatedFeed(site, Rules(**{"start": 1, **rules}))
