"""A site's event log in simulated time."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from sgevents_core.site.questions import (
    After,
    Answer,
    Call,
    Count,
    Fetch,
    Ids,
    Look,
    Newest,
    Page,
    PageRange,
    Recent,
    Since,
)
from sgevents_core.site.ranges import Span
from sgevents_core.state.entries import Row

EPOCH = 1_750_000_000


class Refused(NamedTuple):
    """A question that the site fails on: whether it has understood it and said no."""

    answers: bool


@dataclass
class SimulatedSite:
    """Hands out ids, shows rows when their transaction commits; time is `now`, in seconds.

    Args:
        now: Seconds since the site's beginning.
        next_id: The id it hands out next.
        tells_date: Whether its answers tell its clock.
        counts: Whether it counts rows for this script.
        lag: Seconds by which what it answers is behind, as of a replica.
        most_named: Ids or ranges that one question may name; it refuses more.
        longest_page: Rows that it gives in one page; it fails where more are there.
        most_counted: Ids of a range that it counts; it fails on more.
        undated: Ids whose rows tell no time.
        unreadable: Ids on which it fails, whenever their row would be in its answer.
    """

    now: float = 0.0
    next_id: int = 1
    tells_date: bool = False
    counts: bool = True
    lag: float = 0.0
    most_named: int | None = None
    longest_page: int | None = None
    most_counted: int | None = None
    unreadable: set[int] = field(default_factory=set)
    undated: set[int] = field(default_factory=set)
    visible: dict[int, int] = field(default_factory=dict)
    hidden: dict[int, int] = field(default_factory=dict)
    shown_at: dict[int, float] = field(default_factory=dict)
    _ids: list[int] = field(default_factory=list)
    _due: list[tuple[float, int, tuple[int, ...], int]] = field(default_factory=list)

    def transaction(
        self, rows: int = 1, delay: float | None = 0.0, *, clock: int | None = None
    ) -> list[int]:
        """Hand out ids now; their rows show after `delay` seconds, never for None.

        Their `created_at` is the site's clock unless `clock` says another.
        """
        ids = list(range(self.next_id, self.next_id + rows))
        self.next_id += rows
        if delay is not None:
            at = self.clock if clock is None else clock
            heapq.heappush(self._due, (self.now + delay, ids[0], tuple(ids), at))
            self.advance(self.now)
        return ids

    def rows(self, *ids: int) -> None:
        """Show rows with just these ids now, those between them never unless shown later."""
        for id_ in ids:
            self._show(id_, self.clock, self.now)
        self.next_id = max(self.next_id, max(ids) + 1)

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

    def rewind(self, to_id: int) -> None:
        """Forget all rows above an id, as restoring a backup does; the ids are given again."""
        for id_ in self._ids[bisect_right(self._ids, to_id) :]:
            del self.visible[id_]
        del self._ids[bisect_right(self._ids, to_id) :]
        self._due.clear()
        self.next_id = to_id + 1

    def _show(self, id_: int, clock: int, at: float) -> None:
        self.visible[id_] = clock
        self.shown_at[id_] = at
        insort(self._ids, id_)

    def commit_all(self) -> None:
        """Commit whatever is under way."""
        self.advance(max([self.now, *(due[0] for due in self._due)]))

    @property
    def is_limited(self) -> bool:
        """Whether it has failed, or will, on questions that another site answers."""
        limits = (self.most_named, self.longest_page, self.most_counted)
        return any(limit is not None for limit in limits) or bool(self.unreadable)

    def fails(self, call: Call) -> Refused | None:
        """Return how it fails on a question: whether it has understood it. None if it does not."""
        named = sum(min(span.size, 5) for span in getattr(call, "spans", ()))
        if self.most_named is not None and named > self.most_named:
            return Refused(answers=True)
        if isinstance(call, Count):
            too_many = self.most_counted is not None and call.span.size > self.most_counted
            return Refused(answers=False) if too_many else None
        found = self._found(call, self._seen())
        if self.longest_page is not None and len(found) > self.longest_page:
            return Refused(answers=False)
        if not isinstance(call, Ids | After) and self.unreadable.intersection(found):
            return Refused(answers=False)
        return None

    def answer(self, call: Call) -> Answer:
        """Answer as the real site's API would."""
        date = self.clock if self.tells_date else None
        if isinstance(call, Count):
            return Answer(count=len(_within(self._seen(), [call.span])), date=date)
        found = self._found(call, self._seen())
        return Answer(tuple(self.row(id_) for id_ in found), date=date)

    def row(self, id_: int) -> Row:
        """Return a visible row as it is read."""
        if id_ in self.undated:
            return Row(id_, 0, "Type", b"{}", dated=False)
        return Row(id_, self.visible[id_], "Type", b"{}")

    def _seen(self) -> list[int]:
        if not self.lag:
            return self._ids
        return [id_ for id_ in self._ids if self.shown_at[id_] <= self.now - self.lag]

    def _found(self, call: Call, ids: list[int]) -> list[int]:
        match call:
            case Page() | After():
                start = bisect_right(ids, call.above)
                return ids[start : start + call.limit]
            case Newest():
                end = len(ids) if call.below is None else bisect_left(ids, call.below)
                return ids[max(end - call.limit, 0) : end][::-1]
            case Since():
                return [id_ for id_ in ids if self.visible[id_] >= call.at][:1]
            case PageRange() | Look() | Recent() | Fetch():
                return _within(ids, call.spans)[: call.limit]
            case Ids() | Count():
                return _within(ids, [call.span])[: getattr(call, "limit", None)]


def _within(ids: list[int], spans: Iterable[Span]) -> list[int]:
    found = []
    for span in spans:
        found += ids[bisect_left(ids, span.first) : bisect_right(ids, span.last)]
    return found
