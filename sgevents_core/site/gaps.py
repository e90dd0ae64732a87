"""Following a log with holes: rows and times in, decisions out. No I/O, no clock, no database.

The follower says what to ask the site next and takes the answers. What it does with them must be
committed (rows and change together) before the next answer is taken; if that fails, it is made
anew from what was committed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from sgevents_core.journal.base import FeedChange, FeedRecord, FeedState, LateRow, Row
from sgevents_core.settings import Ago, Start
from sgevents_core.site.audits import Audit, due, windows
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
    spans_of,
)
from sgevents_core.site.known import Hole, Known
from sgevents_core.site.ranges import Span

FIRST_LOOK: Final = 1.0
LONGEST_BETWEEN_LOOKS: Final = 15.0
LOOKS_PER_AGE: Final = 4
PAGES_BEFORE_OTHERS: Final = 4
"""Full pages read in a row before a due look or audit gets its turn."""
MOST_SPANS: Final = 400
"""Missing ranges asked for in one look."""
LONGEST_OBSERVED: Final = 60.0
"""Most seconds that count as observed between two answers: a sleeping machine observed nothing."""
RECENT_IDS: Final = 200
START_PAGES: Final = 20
"""Most pages read below a first start "now" in search of ids that are still under way."""
MARKS_APART: Final = 30


@dataclass(frozen=True, slots=True)
class Rules:
    """What of the settings the follower goes by; times in seconds."""

    page_size: int = 500
    poll_interval: float = 1.0
    idle_interval: float = 5.0
    backlog_timeout: float = 300.0
    settle: float = 0.0
    audit_horizon: float = 86400.0
    start: Start = "now"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something people are told: the action it is logged under, a sentence, its ids."""

    action: str
    text: str
    detail: dict[str, Any] = field(default_factory=dict)
    warning: bool = True


@dataclass(slots=True)
class Taken:
    """What an answer led to: rows to append, in order, and what to tell people."""

    rows: list[LateRow] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


class Follower:
    """Decides what to ask the site next, and what its answers mean.

    Args:
        rules: Times and sizes to go by.
        record: The state as last committed, None at a first start.
    """

    def __init__(self, rules: Rules, record: FeedRecord | None = None) -> None:
        self.rules = rules
        self.known = Known(record)
        self.state = record.state if record else None
        self._windows = windows(rules.backlog_timeout, rules.audit_horizon)
        self._audit: Audit | None = None
        self._counts_refused = False
        self._startup = record is not None
        self._answered_at: float | None = None
        self._poll_at = 0.0
        self._interval = rules.poll_interval
        self._pages = 0
        self._look_at = 0.0
        self._lost: str = ""
        self._first_seen: deque[int] = deque()
        self._settling: dict[int, float] = {}
        self._starting: list[Row] = []
        self._start_pages = 0
        self._start_at: int | None = None

    # What to ask next

    def next(self, now: float) -> Call | float:
        """Return what to ask the site now, or the seconds to wait.

        Args:
            now: The host's monotonic clock, in seconds.
        """
        state = self.state
        if state is None:
            return self._first_call()
        if self._lost:
            return self._search_call(state)
        other, wait = (None, self.rules.idle_interval)
        if not state.rewound:
            other, wait = self._other_call(state, now)
        if now >= self._poll_at and (other is None or self._pages < PAGES_BEFORE_OTHERS):
            return self._page(state)
        if other is not None:
            self._pages = 0
            return other
        return max(min(self._poll_at - now, wait), 0.001)

    def _page(self, state: FeedState) -> Page:
        if state.anchor_id is None:
            return Page(state.frontier, self.rules.page_size, None)
        return Page(state.anchor_id - 1, self.rules.page_size, state.anchor_id)

    def _other_call(self, state: FeedState, now: float) -> tuple[Call | None, float]:
        """Return a look or audit that is due, else the seconds until one is."""
        if self.known.hot and now >= self._look_at:
            spans = self._spans_to_look_for(now)
            if spans:
                return Look(spans, self.rules.page_size, state.observed), 0.0
        audit, wait = self._audit_call(state, now)
        if self.known.hot:
            wait = min(wait, self._look_at - now)
        return audit, wait

    def _spans_to_look_for(self, now: float) -> tuple[Span, ...]:
        spans: list[Span] = []
        soonest = float("inf")
        for span, hole in self.known.hot:
            if hole.next_look > now:
                soonest = min(soonest, hole.next_look)
            elif len(spans) < MOST_SPANS:
                spans.append(span)
            else:
                soonest = now
        self._look_at = now if spans else soonest
        return tuple(spans)

    def _audit_call(self, state: FeedState, now: float) -> tuple[Call | None, float]:
        if self._audit is None:
            last = {} if self._startup else state.audits
            every = self._windows[2:3] if self._startup else self._windows
            window, wait = due(every, last, state.observed + self._since_answer(now))
            if window is None:
                known_soon = self._answered_at is not None  # else no observed time passes
                return None, wait if known_soon else max(wait, self.rules.poll_interval)
            span = Span(self._id_before(state, window.back), state.frontier)
            if span.first > span.last:
                state.audits[window.name] = state.observed
                self._startup = False
                return None, wait
            self._audit = Audit(window, span, self.rules.page_size)
            self._audit.begin(window.by_ids or self._counts_refused)
        return self._audit.next(), 0.0

    def _id_before(self, state: FeedState, back: float) -> int:
        """Return the id from which a window that looks `back` seconds has to start."""
        place = bisect_right(state.marks, (state.anchor_at - int(back), 0))
        first = state.marks[place - 1][1] if place else state.floor
        if back >= self.rules.audit_horizon:
            first = min(first, self.known.lowest_missing() or first)
        return max(first, state.floor)

    # The first start

    def _first_call(self) -> Call:
        start = self.rules.start
        if isinstance(start, Ago) and self._start_at is None:
            return Newest(1)
        if isinstance(start, datetime):
            return Since(int(start.timestamp()))
        if self._start_at is not None:
            return Since(self._start_at)
        if isinstance(start, int):
            self._begin_at(start)
            return self._page(self._begun)
        below = self._starting[-1].id if self._starting else None
        return Newest(self.rules.page_size, below)

    @property
    def _begun(self) -> FeedState:
        assert self.state is not None  # noqa: S101 - the callers have begun
        return self.state

    def _begin_at(self, first: int) -> None:
        self.state = FeedState(floor=first, frontier=first - 1)
        for window in self._windows:
            self.state.audits[window.name] = 0.0

    def _first_answer(self, call: Call, answer: Answer) -> None:
        if isinstance(call, Since):
            if answer.rows:
                self._begin_at(answer.rows[0].id)
            else:
                self._start_at = None
                self.rules = replace(self.rules, start="now")
        elif isinstance(self.rules.start, Ago):
            clock = answer.date or (answer.rows[0].at if answer.rows else 0)
            self._start_at = clock - int(self.rules.start.seconds)
        else:
            self._begin_now(call, answer.rows)

    def _begin_now(self, call: Call, rows: tuple[Row, ...]) -> None:
        """Start behind the newest row; ids missing shortly below it may still be under way."""
        self._starting += rows
        self._start_pages += 1
        if not self._starting:
            self._begin_at(1)
            return
        top = self._starting[0]
        young = [row for row in self._starting if top.at - row.at <= self.rules.backlog_timeout]
        full = isinstance(call, Newest) and len(rows) >= call.limit
        if full and len(young) == len(self._starting) and self._start_pages < START_PAGES:
            return
        lowest = self._starting[min(len(young), len(self._starting) - 1)]
        self._begin_at(lowest.id)
        state = self._begun
        seen = sorted(row for row in self._starting if row.id >= lowest.id)
        for below, above in pairwise(seen):
            self._open_gap(below.id, above, 0.0)
        state.frontier = top.id
        self._anchor(state, top)
        self._remember(state, seen)
        self._starting = []

    # What the answers mean

    def answered(self, call: Call, answer: Answer, now: float) -> Taken:
        """Take the site's answer to a call and return what it led to.

        Args:
            call: What `next` said to ask.
            answer: What the site said.
            now: The host's monotonic clock when the answer was there, in seconds.
        """
        if self.state is None:
            self._first_answer(call, answer)
            self._answered_at = now
            return Taken()
        self._observe(self.state, now)
        taken = Taken()
        match call:
            case Page():
                self._take_page(self.state, call, answer.rows, now, taken)
            case Look():
                self._take_look(self.state, call, answer.rows, now, taken)
            case Recent():
                self._take_recent(self.state, answer.rows, now, taken)
            case Newest():
                self._take_highest(self.state, answer.rows, now, taken)
            case Count() | Ids() | Fetch():
                self._take_audit(self.state, call, answer, taken)
            case Since():
                pass
        return taken

    def limit_pages(self, longest: int) -> None:
        """Ask for no more rows at once than the site gives."""
        self.rules = replace(self.rules, page_size=min(self.rules.page_size, longest))

    def failed(self) -> None:
        """Note that a call failed: nothing is concluded, and no time was observed."""
        self._answered_at = None
        self._first_seen.clear()

    def refused(self) -> None:
        """Note that the site refuses to count for this script: audits compare ids from now on."""
        self._counts_refused = True
        if self._audit is not None:
            self._audit.refused()

    def change(self) -> FeedChange | None:
        """Return what is to be committed with the rows, None before the first answer."""
        return None if self.state is None else self.known.change(self.state)

    def _observe(self, state: FeedState, now: float) -> None:
        state.observed += self._since_answer(now)
        self._answered_at = now

    def _since_answer(self, now: float) -> float:
        """Return the seconds that will count as observed if the site answers now."""
        if self._answered_at is None:
            return 0.0
        return min(max(now - self._answered_at, 0.0), LONGEST_OBSERVED)

    # Pages

    def _take_page(
        self, state: FeedState, call: Page, rows: tuple[Row, ...], now: float, taken: Taken
    ) -> None:
        if call.anchor is not None:
            if not rows or rows[0].id != call.anchor:
                self._lost = "recent"
                return
            if rows[0].at != state.anchor_at:
                self._rewind(state, f"event {call.anchor} has another creation time", now, taken)
                return
        below = [row for row in rows if row.id <= state.frontier]
        if self._strange(state, below[1:], now, taken):
            return
        self._resume(state, taken)
        fresh = list(rows[len(below) :])
        self._take_below(state, below, taken)
        full = len(rows) >= call.limit
        held = self._settle(state, fresh, now)
        for row in fresh:
            self._take_fresh(state, row, now, taken)
        self._remember(state, fresh)
        self._age_gaps(state, catching_up=full)
        self._schedule(now, full, bool(fresh), held)

    def _take_below(self, state: FeedState, rows: list[Row], taken: Taken) -> None:
        """Take rows at or under the frontier: late ones, and ones that are shown again."""
        for row in rows:
            if self.known.found(row.id):
                taken.rows.append(LateRow(row, late=True))
            self.known.back(row.id)
        if rows:
            self._anchor(state, rows[-1])

    def _take_fresh(self, state: FeedState, row: Row, now: float, taken: Taken) -> None:
        self._open_gap(state.frontier, row, now + FIRST_LOOK)
        self._settling.pop(state.frontier + 1, None)
        state.frontier = row.id
        self._anchor(state, row)
        taken.rows.append(LateRow(row, late=False))

    def _open_gap(self, below: int, above: Row, next_look: float) -> None:
        if above.id <= below + 1:
            return
        first = below + 1
        observed = self._begun.observed
        self.known.hot.add(first, above.id - 1, Hole(above.at, observed, next_look))
        self._first_seen.append(first)
        self._look_at = min(self._look_at, next_look) if len(self.known.hot) > 1 else next_look

    def _anchor(self, state: FeedState, row: Row) -> None:
        state.anchor_id, state.anchor_at = row.id, row.at

    def _settle(self, state: FeedState, fresh: list[Row], now: float) -> float | None:
        """Cut the rows above a gap that is too young to pass; return when it will have settled."""
        if self.rules.settle <= 0 or not fresh:
            return None
        below, clock = state.frontier, fresh[-1].at
        cut: int | None = None
        until = 0.0
        for place, row in enumerate(fresh):
            if row.id > below + 1 and clock - row.at <= self.rules.settle:
                seen = self._settling.setdefault(below + 1, now)
                if cut is None and now - seen < self.rules.settle:
                    cut, until = place, seen + self.rules.settle
            below = row.id
        if cut is None:
            return None
        del fresh[cut:]
        return until

    def _schedule(self, now: float, full: bool, news: bool, held: float | None) -> None:
        if full and held is None:
            self._pages += 1
            self._poll_at = now
            return
        self._pages = 0
        longest = self.rules.idle_interval
        self._interval = (
            self.rules.poll_interval if news or held else min(self._interval * 1.5, longest)
        )
        self._poll_at = now + self._interval
        if held is not None:
            self._poll_at = min(self._poll_at, max(held, now + 0.001))

    def _remember(self, state: FeedState, fresh: list[Row]) -> None:
        """Keep the last ids to recognise the log by, and marks of which ids are how old."""
        if not fresh:
            return
        state.recent = [*state.recent, *((row.id, row.at) for row in fresh)][-RECENT_IDS:]
        at = sorted(row.at for row in fresh)[len(fresh) // 2]
        if not state.marks or abs(at - state.marks[-1][0]) >= MARKS_APART:
            earlier = [mark for mark in state.marks if mark[0] < at]
            state.marks = _thin([*earlier, (at, fresh[0].id)], at, self.rules.audit_horizon)

    def _age_gaps(self, state: FeedState, *, catching_up: bool) -> None:
        """A gap already old when first seen, by the site's clock, waits for one look only."""
        limit = state.anchor_at - self.rules.backlog_timeout
        while self._first_seen:
            held = self.known.hot.get(self._first_seen[0])
            if held is not None:
                span, hole = held
                if hole.below_at > limit:
                    break
                old = state.observed - self.rules.backlog_timeout
                self.known.hot.put(span.first, hole._replace(noticed=min(hole.noticed, old)))
            self._first_seen.popleft()
        if not catching_up:
            self._first_seen.clear()

    # Looks

    def _take_look(
        self, state: FeedState, call: Look, rows: tuple[Row, ...], now: float, taken: Taken
    ) -> None:
        reach = rows[-1].id if len(rows) >= call.limit else state.frontier
        self._take_late(rows, taken)
        for span in call.spans:
            for part, hole in list(self.known.hot.within(span.first, min(span.last, reach))):
                held = self.known.hot.get(part.first)
                if held is not None and held[0] == part:
                    self._looked(call, part, hole, now, taken)
        self._look_at = now if reach < state.frontier else self._look_at

    def _looked(self, call: Look, span: Span, hole: Hole, now: float, taken: Taken) -> None:
        age = call.observed - hole.noticed
        if age >= self.rules.backlog_timeout:
            self.known.cool(span)
            taken.notices.append(_timeout_elapsed(span, age))
            return
        wait = min(max(age / LOOKS_PER_AGE, FIRST_LOOK), LONGEST_BETWEEN_LOOKS)
        left = self.rules.backlog_timeout - age
        later = hole._replace(next_look=now + max(min(wait, left), 0.01))
        self.known.hot.put(span.first, later, kept=True)

    def _take_late(self, rows: tuple[Row, ...], taken: Taken) -> int:
        late = [row for row in rows if self.known.found(row.id)]
        for row in rows:
            self.known.back(row.id)
        taken.rows += [LateRow(row, late=True) for row in late]
        return len(late)

    # A lost anchor, a log that went backwards

    def _search_call(self, state: FeedState) -> Call:
        if self._lost == "recent" and state.recent:
            ids = [id_ for id_, _ in state.recent]
            return Recent(spans_of(ids), len(ids) + 1)
        self._lost = "highest"
        return Newest(1)

    def _take_recent(
        self, state: FeedState, rows: tuple[Row, ...], now: float, taken: Taken
    ) -> None:
        """Anchor on the highest known row that is still visible; what is not is gone."""
        if not rows:
            self._lost = "highest"
            return
        self._lost = ""
        if self._strange(state, rows, now, taken):
            return
        visible = {row.id for row in rows}
        for id_ in visible:
            self.known.back(id_)
        self._vanish((id_ for id_, _ in state.recent if id_ not in visible), taken)
        self._anchor(state, rows[-1])
        self._resume(state, taken)

    def _strange(self, state: FeedState, rows: Sequence[Row], now: float, taken: Taken) -> bool:
        """Return whether a known id now has another creation time: the log is another one."""
        recent = dict(state.recent) if rows else {}
        strange = [row.id for row in rows if recent.get(row.id, row.at) != row.at]
        if strange:
            self._rewind(state, f"event {strange[0]} has another creation time", now, taken)
        return bool(strange)

    def _vanish(self, ids: Iterable[int], taken: Taken) -> None:
        gone = self.known.vanish(ids)
        if gone:
            taken.notices.append(_vanished(gone))

    def _take_highest(
        self, state: FeedState, rows: tuple[Row, ...], now: float, taken: Taken
    ) -> None:
        self._lost = ""
        highest = rows[0].id if rows else 0
        if highest > state.frontier:
            state.anchor_id = None
            self._vanish((id_ for id_, _ in state.recent), taken)
            self._resume(state, taken)
            return
        what = f"the site's highest event is {highest}" if rows else "the site's log is empty"
        self._rewind(state, f"{what}, the last one taken was {state.frontier}", now, taken)

    def _rewind(self, state: FeedState, why: str, now: float, taken: Taken) -> None:
        self._poll_at = now + self.rules.idle_interval
        self._audit = None
        if not state.rewound:
            text = (
                f"The site's event log went backwards: {why}. Nothing is appended until the log"
                " is back."
            )
            taken.notices.append(Notice("feed.rewound", text))
        state.rewound = why

    def _resume(self, state: FeedState, taken: Taken) -> None:
        if state.rewound:
            state.rewound = ""
            text = "The site's event log is back where it was; the feed goes on."
            taken.notices.append(Notice("feed.resumed", text))

    # Audits

    def _take_audit(
        self, state: FeedState, call: Count | Ids | Fetch, answer: Answer, taken: Taken
    ) -> None:
        audit = self._audit
        if audit is None:
            return
        match call:
            case Count():
                audit.counted(call, answer.count, self.known.visible(call.span))
            case Ids():
                self._compare(audit, call, answer.rows, taken)
            case Fetch():
                audit.late += self._take_late(answer.rows, taken)
                full = len(answer.rows) >= call.limit
                audit.fetched(call, answer.rows[-1].id if full else None)
        if audit.next() is None:
            self._end_audit(state, audit, taken)

    def _compare(self, audit: Audit, call: Ids, rows: tuple[Row, ...], taken: Taken) -> None:
        last = rows[-1].id if len(rows) >= call.limit else call.span.last
        ids = {row.id for row in rows}
        for id_ in ids:
            self.known.back(id_)
        expected = self.known.visible_ids(Span(call.span.first, last))
        self._vanish([id_ for id_ in expected if id_ not in ids], taken)
        audit.compared(call, last, sorted(id_ for id_ in ids if self.known.missing(id_)))

    def _end_audit(self, state: FeedState, audit: Audit, taken: Taken) -> None:
        self._audit = None
        state.audits[audit.window.name] = state.observed
        self._startup = False
        lowest_hot = self.known.hot.lowest
        proved = audit.span.last if lowest_hot is None else min(audit.span.last, lowest_hot - 1)
        state.proved_id, state.proved_at = proved, state.anchor_at
        if audit.late:
            text = f"An audit found {audit.late} row(s) that came after their deadline."
            taken.notices.append(Notice("feed.audit_late", text, {"rows": audit.late}))
        if audit.window.back >= self.rules.audit_horizon:
            self._close_old(state)

    def _close_old(self, state: FeedState) -> None:
        oldest = int(state.anchor_at - self.rules.audit_horizon)
        place = bisect_right(state.marks, (oldest, 0))
        if not place:
            return
        horizon = state.marks[place - 1][1]
        self.known.close(horizon, oldest)
        state.floor = max(state.floor, min(horizon, self.known.lowest_missing() or horizon))
        self.known.gone.cut(0, state.floor - 1)


def _thin(marks: list[tuple[int, int]], now: int, horizon: float) -> list[tuple[int, int]]:
    """Keep marks closer together the younger they are: one in twenty of their age."""
    kept: list[tuple[int, int]] = []
    for at, id_ in reversed(marks):
        if not kept or kept[-1][0] - at >= max(MARKS_APART, (now - at) / 20):
            kept.append((at, id_))
            if now - at > horizon:
                break
    return kept[::-1]


def _timeout_elapsed(span: Span, age: float) -> Notice:
    ids = f"id {span.first}" if span.size == 1 else f"ids {span.first} to {span.last}"
    detail = {"event_id": span.first, "last_event_id": span.last, "age_s": round(age, 3)}
    return Notice("feed.timeout_elapsed", f"Timeout elapsed on backlog event {ids}", detail)


def _vanished(ids: list[int]) -> Notice:
    text = f"{len(ids)} known row(s) are not visible any more, the first is event {ids[0]}."
    return Notice("feed.vanished", text, {"event_ids": ids[:10]})
