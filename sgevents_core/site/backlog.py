"""The backlog: missing ids that are waited for, when to look for them and when to stop. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Final, NamedTuple

from sgevents_core.site.audits import halves
from sgevents_core.site.follower_values import Rules
from sgevents_core.site.known import Hole, Known
from sgevents_core.site.notices import Notice, backlog_timed_out
from sgevents_core.site.questions import Answer, Look, Odd, reach_of
from sgevents_core.site.ranges import Span
from sgevents_core.site.sizes import Size

FIRST_LOOK: Final = 1.0
LONGEST_BETWEEN_LOOKS: Final = 15.0
LOOKS_PER_AGE: Final = 4
LEAST_BETWEEN_LOOKS: Final = 0.01
MOST_SPANS: Final = 400
"""The most missing ranges asked for in one look."""
LONGEST_PUT_OFF: Final = 600.0
"""The longest time between two looks for an id that the site fails on, in seconds."""
FAILURES_TOLD: Final = 6
"""Failed looks for a single id before it is set aside by name."""


class LookTurn(NamedTuple):
    """When to look for the missing ids of a range; ids found meanwhile leave holes in it."""

    at: float
    first: int
    last: int


class Backlog:
    """Decisions on when to look for which missing ids, and when to stop waiting for them.

    Every hot id has one turn: waiting, due, to be looked for first, in a part of a look that
    failed, or in the look under way. What a start finds is looked for first, in the order of ids.
    If more is due than can be asked for in time, half of a look is for the newest ids and half for
    those that have waited longest.

    Args:
        rules: Hold how long ids are waited for.
        known: What is known of each id; its hot ranges are the backlog.
    """

    def __init__(self, rules: Rules, known: Known) -> None:
        self._rules = rules
        self._known = known
        self._waiting: list[LookTurn] = []
        self._due: OrderedDict[LookTurn, None] = OrderedDict()
        self._newest: list[tuple[int, LookTurn]] = []
        self._first: deque[Span] = deque(span for span, _ in known.hot)
        self._parts: list[tuple[Span, ...]] = []
        self._part = False
        self._largest_part = 0
        self._asked: tuple[Span, ...] = ()
        self._failed: tuple[Span, ...] = ()
        self._failures: dict[int, int] = {}
        self._alone: list[LookTurn] = []
        self._alone_next = False
        self._first_seen: deque[int] = deque()
        self._size = Size(MOST_SPANS)

    def open(self, span: Span, hole: Hole, at: float) -> None:
        """Wait for a range from now on and look for it first at a time (monotonic seconds)."""
        self._known.hot.add(*span, hole)
        self._first_seen.append(span.first)
        heappush(self._waiting, LookTurn(at, *span))

    # Looking

    def look(self, now: float, observed: float) -> Look | None:
        """Return the look that is due, None if none is.

        Args:
            now: The host's monotonic clock, in seconds.
            observed: Observed time, in seconds.
        """
        self._again(self._asked)  # the last look was not answered
        self._asked = ()
        if self._failed:
            return None
        while self._parts and not self._asked:
            self._asked = tuple(self._hot(self._parts.pop()))
        self._part = bool(self._asked)
        kinds = (self._next_alone, self._next_due)
        for kind in kinds if self._alone_next else reversed(kinds):
            self._asked = self._asked or kind(now)
        if not self._asked:
            return None
        return Look(self._asked, self._rules.page_size, observed)

    def wait(self, now: float) -> float:
        """Return the seconds until the next look; infinite if nothing is waited for."""
        if self._failed:
            return float("inf")
        if self._due or self._parts or self._first:
            return 0.0
        heads = [turns[0].at - now for turns in (self._waiting, self._alone) if turns]
        return min(heads, default=float("inf"))

    def _next_alone(self, now: float) -> tuple[Span, ...]:
        """Return an id that has failed before, alone; the next look is for others."""
        self._alone_next = False
        while self._alone and self._alone[0].at <= now:
            turn = heappop(self._alone)
            spans = tuple(self._hot([Span(turn.first, turn.last)]))
            if spans:
                return spans
        return ()

    def _next_due(self, now: float) -> tuple[Span, ...]:
        while self._waiting and self._waiting[0].at <= now:
            self._note_due(heappop(self._waiting))
        self._alone_next = True
        # `_newest` still holds turns that were popped as the oldest: rebuild it once they prevail.
        if len(self._newest) > 2 * len(self._due) + MOST_SPANS:
            self._newest = sorted((-turn.first, turn) for turn in self._due)
        spans: list[Span] = []
        most = self._size.now
        newest = False
        while self._due and len(spans) < (most // 2 or 1 if self._first else most):
            turn = self._pop_newest() if newest else self._due.popitem(last=False)[0]
            # Alternate with the newest only while turns wait longer than they should.
            newest = not newest and now - turn.at > LONGEST_BETWEEN_LOOKS
            rest = self._fill(spans, Span(turn.first, turn.last), most)
            if rest is not None:
                self._note_due(turn._replace(first=rest.first))
        while self._first and len(spans) < most:
            rest = self._fill(spans, self._first.popleft(), most)
            if rest is not None:
                self._first.appendleft(rest)
        return tuple(sorted(spans))

    def _note_due(self, turn: LookTurn) -> None:
        self._due[turn] = None
        heappush(self._newest, (-turn.first, turn))

    def _pop_newest(self) -> LookTurn:
        while (turn := heappop(self._newest)[1]) not in self._due:
            pass  # it was popped as the oldest
        del self._due[turn]
        return turn

    def _fill(self, spans: list[Span], span: Span, most: int) -> Span | None:
        """Add the missing parts of a range to some ranges; return the rest if they are too many."""
        for part in self._hot([span]):
            if len(spans) == most:
                return Span(part.first, span.last)
            spans.append(part)
        return None

    def _hot(self, spans: Iterator[Span] | list[Span] | tuple[Span, ...]) -> Iterator[Span]:
        for span in spans:
            yield from (part for part, _ in self._known.hot.within(*span))

    def _again(self, spans: tuple[Span, ...]) -> None:
        self._first.extendleft(reversed(spans))

    # Results

    def looked(self, call: Look, answer: Answer, now: float) -> list[Notice]:
        """Handle a look's answer, whose rows were already taken; return which ids are given up.

        A full page says nothing about ids above its last row: they are looked for before anything
        else, so that rows which arrive by the thousand are handled in id order.
        """
        self._asked = ()
        self._learn(len(call.spans))
        cut = reach_of(call, answer)
        reach = call.spans[-1].last if cut is None else cut
        elapsed: list[tuple[Span, float]] = []
        rest = [Span(max(s.first, reach + 1), s.last) for s in call.spans if s.last > reach]
        self._again(tuple(rest))
        for span in call.spans:
            self._failures.pop(span.first, None)
            for part, hole in list(self._known.hot.within(span.first, min(span.last, reach))):
                age = call.observed - hole.noticed
                if self._passed(part, age, now):
                    elapsed.append((part, age))
        return backlog_timed_out(elapsed)

    def _learn(self, spans: int) -> None:
        """Note that the site answers for that many ranges; parts of a failed look teach most."""
        self._size.worked(spans)
        if self._part:
            self._largest_part = max(self._largest_part, spans)
            if not self._parts:
                self._size.now, self._largest_part = self._largest_part, 0

    def _passed(self, span: Span, age: float, now: float) -> bool:
        """Note that a range was looked for in vain at an age; return whether it is given up."""
        left = self._rules.backlog_timeout - age
        if left <= 0:
            self._known.cool(span)
            return True
        wait = min(max(age / LOOKS_PER_AGE, FIRST_LOOK), LONGEST_BETWEEN_LOOKS, left)
        heappush(self._waiting, LookTurn(now + max(wait, LEAST_BETWEEN_LOOKS), *span))
        return False

    def look_failed(self, call: Look) -> None:
        """Note that a look failed; it waits until it is known whether the site answers at all."""
        self._asked, self._failed = (), call.spans

    def site_failed(self) -> None:
        """Note that the site answers nothing: a failed look says nothing about its question."""
        self._again(self._failed)
        self._failed = ()

    def site_answers(self, now: float) -> list[Odd]:
        """Note that the site answers, so that a look which failed has asked for too much.

        Its halves are looked for one after the other. An id that fails alone does not delay others;
        it is looked for less and less often, and returned once it has failed several times.
        """
        spans, self._failed = self._failed, ()
        if not spans:
            return []
        if len(spans) > 1:
            if not self._part:
                self._size.failed(len(spans))
            middle = len(spans) // 2
            self._parts += [spans[middle:], spans[:middle]]
            return []
        (span,) = spans
        if span.size > 1:
            self._parts += [(half,) for half in reversed(halves(span))]
            return []
        failures = self._failures[span.first] = self._failures.get(span.first, 0) + 1
        wait = min(2.0 ** min(failures, 10), LONGEST_PUT_OFF)
        heappush(self._alone, LookTurn(now + wait, *span))
        told = failures == FAILURES_TOLD
        return [Odd(str(span.first), "the site fails when it is asked for its row")] * told

    def age(self, clock: int, observed: float, *, catching_up: bool) -> None:
        """Give ids that were already old when first seen, by the site's clock, one look only.

        Args:
            clock: The site's clock, in seconds since 1970.
            observed: Observed time, in seconds.
            catching_up: Whether more rows wait: then what seems young now may prove old.
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
        """Note that a call failed: the time from now on was not observed."""
        self._first_seen.clear()
