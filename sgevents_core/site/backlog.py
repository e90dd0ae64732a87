"""The backlog: missing ids that are waited for, when to look for which, and when to stop. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

from sgevents_core.journal.base import Row
from sgevents_core.site.calls import Look
from sgevents_core.site.known import Hole, Known
from sgevents_core.site.ranges import Span
from sgevents_core.site.rules import Notice, Rules, timeout_elapsed

FIRST_LOOK: Final = 1.0
LONGEST_BETWEEN_LOOKS: Final = 15.0
LOOKS_PER_AGE: Final = 4
LEAST_BETWEEN_LOOKS: Final = 0.01
MOST_SPANS: Final = 400
"""Missing ranges asked for in one look."""


class Turn(NamedTuple):
    """When to look for the missing ids of a range; those found meanwhile leave holes in it."""

    at: float
    first: int
    last: int


class Backlog:
    """Decides when to look for which missing ids, and which are no longer waited for.

    Every hot id has one turn: in the heap, or in the look that is under way.

    Args:
        rules: Hold how long ids are waited for.
        known: What is known of each id; its hot ranges are the backlog.
    """

    def __init__(self, rules: Rules, known: Known) -> None:
        self._rules = rules
        self._known = known
        self._turns: list[Turn] = [Turn(0.0, *span) for span, _ in known.hot]
        self._asked: tuple[Span, ...] = ()
        self._first_seen: deque[int] = deque()

    def open(self, span: Span, hole: Hole, at: float) -> None:
        """Wait for a range from now on and look for it first at a time (monotonic seconds)."""
        self._known.hot.add(*span, hole)
        self._first_seen.append(span.first)
        heappush(self._turns, Turn(at, *span))

    def look(self, now: float, observed: float) -> Look | None:
        """Return the look that is due, None when none is.

        Args:
            now: The host's monotonic clock, in seconds.
            observed: Observed time, in seconds.
        """
        for span in self._asked:  # the look for these was not answered
            heappush(self._turns, Turn(0.0, *span))
        spans: list[Span] = []
        while self._turns and self._turns[0].at <= now and len(spans) < MOST_SPANS:
            turn = heappop(self._turns)
            for span, _ in self._known.hot.within(turn.first, turn.last):
                if len(spans) == MOST_SPANS:
                    heappush(self._turns, Turn(turn.at, span.first, turn.last))
                    break
                spans.append(span)
        self._asked = tuple(sorted(spans))
        return Look(self._asked, self._rules.page_size, observed) if spans else None

    def wait(self, now: float) -> float:
        """Return the seconds until the next look; infinite when nothing is waited for."""
        return self._turns[0].at - now if self._turns else float("inf")

    def looked(self, call: Look, rows: Sequence[Row], now: float) -> list[Notice]:
        """Take a look's answer, its rows already taken; return which ids are given up.

        A full page says nothing about ids above its last row: they are looked for before all else,
        so that rows which come by the thousand come in id order.
        """
        self._asked = ()
        reach = rows[-1].id if len(rows) >= call.limit else call.spans[-1].last
        notices: list[Notice] = []
        for span in call.spans:
            covered = list(self._known.hot.within(span.first, min(span.last, reach)))
            for part, hole in covered:
                notices += self._passed(part, call.observed - hole.noticed, now)
            if span.last > reach:
                heappush(self._turns, Turn(0.0, max(span.first, reach + 1), span.last))
        return notices

    def _passed(self, span: Span, age: float, now: float) -> list[Notice]:
        """Take that a range was looked for in vain at an age in observed seconds."""
        left = self._rules.backlog_timeout - age
        if left <= 0:
            self._known.cool(span)
            return [timeout_elapsed(span, age)]
        wait = min(max(age / LOOKS_PER_AGE, FIRST_LOOK), LONGEST_BETWEEN_LOOKS, left)
        heappush(self._turns, Turn(now + max(wait, LEAST_BETWEEN_LOOKS), *span))
        return []

    def age(self, clock: int, observed: float, *, catching_up: bool) -> None:
        """See to it that ids already old when first seen, by the site's clock, get one look only.

        Args:
            clock: The site's clock, in seconds since 1970.
            observed: Observed time, in seconds.
            catching_up: Whether more rows wait: then what is young now may prove old.
        """
        timeout = self._rules.backlog_timeout
        while self._first_seen:
            held = self._known.hot.get(self._first_seen[0])
            if held is not None:
                span, hole = held
                if hole.below_at > clock - timeout:
                    break
                noticed = min(hole.noticed, observed - timeout)
                self._known.hot.put(span.first, hole._replace(noticed=noticed))
            self._first_seen.popleft()
        if not catching_up:
            self._first_seen.clear()

    def failed(self) -> None:
        """Note that a call failed: what time passes from here on was not observed."""
        self._first_seen.clear()
