"""The backlog: the missing ids to wait for, when to look for them and when to stop. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Final, NamedTuple

from sgevents_core.site.audits import halved_range
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
DUE_SOON: Final = 0.5
"""Seconds by which ids may be looked for early, which keeps looks few."""
MOST_SPANS: Final = 400
"""The most missing ranges requested in one look."""
LONGEST_PUT_OFF: Final = 600.0
"""The longest time between two looks for an id on which the site fails, in seconds."""
FAILURES_BEFORE_REPORT: Final = 6
"""Failed looks for a single id before it is set aside by name."""


class LookTurn(NamedTuple):
    """When to look for the missing ids of a range; ids found meanwhile leave holes in the range."""

    at: float
    first: int
    last: int


class Backlog:
    """The decisions when to look for which missing ids, and when to stop waiting for them.

    Every hot id has one turn: waiting, due, to be looked for first, in a part of a failed look, or
    in the look under way. Gaps found at a start are looked for first, in the order of ids. If more
    ids are due than can be requested in time, half of each look is for the newest ids and half for
    those that have waited longest.

    Args:
        feed_rules: Set how long to wait for an id.
        known_ids: The feed's memory of each id; its hot ranges are the backlog.
    """

    def __init__(self, feed_rules: Rules, known_ids: Known) -> None:
        self._rules = feed_rules
        self._known = known_ids
        self._waiting_turns: list[LookTurn] = []
        self._due_turns: OrderedDict[LookTurn, None] = OrderedDict()
        self._newest_turns: list[tuple[int, LookTurn]] = []
        self._ranges_to_look_first: deque[Span] = deque(id_span for id_span, _ in known_ids.hot)
        self._parts_of_failed: list[tuple[Span, ...]] = []
        self._is_part = False
        self._largest_part = 0
        self._asked_ranges: tuple[Span, ...] = ()
        self._failed_ranges: tuple[Span, ...] = ()
        self._failures_by_id: dict[int, int] = {}
        self._single_turns: list[LookTurn] = []
        self._single_comes_next = False
        self._undated_gaps: deque[int] = deque()
        self._size = Size(MOST_SPANS)

    def open_gap(self, id_span: Span, missing_hole: Hole, look_at: float) -> None:
        """Wait for a range from now on and look for it first at a time (monotonic seconds)."""
        self._known.hot.add(*id_span, missing_hole)
        self._undated_gaps.append(id_span.first)
        heappush(self._waiting_turns, LookTurn(look_at, *id_span))

    # Looking

    def next_look(self, current_time: float, observed_seconds: float) -> Look | None:
        """Return the look that is due, None if no look is.

        Args:
            current_time: The host's monotonic clock, in seconds.
            observed_seconds: Observed time, in seconds.
        """
        self._look_again_first(self._asked_ranges)  # the last look was not answered
        self._asked_ranges = ()
        if self._failed_ranges:
            return None
        while self._parts_of_failed and not self._asked_ranges:
            self._asked_ranges = tuple(self._hot_ranges(self._parts_of_failed.pop()))
        self._is_part = bool(self._asked_ranges)
        look_choices = (self._next_single, self._next_due)
        for choose_look in look_choices if self._single_comes_next else reversed(look_choices):
            self._asked_ranges = self._asked_ranges or choose_look(current_time)
        if not self._asked_ranges:
            return None
        return Look(self._asked_ranges, self._rules.page_size, observed_seconds)

    def seconds_to_look(self, current_time: float) -> float:
        """Return the seconds until the next look; infinite if the backlog is empty."""
        if self._failed_ranges:
            return float("inf")
        if self._due_turns or self._parts_of_failed or self._ranges_to_look_first:
            return 0.0
        next_waits = [
            look_turns[0].at - current_time
            for look_turns in (self._waiting_turns, self._single_turns)
            if look_turns
        ]
        return min(next_waits, default=float("inf"))

    def _next_single(self, current_time: float) -> tuple[Span, ...]:
        """Return a look for a single id that failed before; the next look is for other ids."""
        self._single_comes_next = False
        while self._single_turns and self._single_turns[0].at <= current_time:
            look_turn = heappop(self._single_turns)
            id_spans = tuple(self._hot_ranges([Span(look_turn.first, look_turn.last)]))
            if id_spans:
                return id_spans
        return ()

    def _next_due(self, current_time: float) -> tuple[Span, ...]:
        while self._waiting_turns and self._waiting_turns[0].at <= current_time:
            self._add_due_turn(heappop(self._waiting_turns))
        self._fill_look(current_time + DUE_SOON)
        self._single_comes_next = True
        # `_newest_turns` still holds turns popped as the oldest: rebuild it once they prevail.
        if len(self._newest_turns) > 2 * len(self._due_turns) + MOST_SPANS:
            self._newest_turns = sorted(
                (-look_turn.first, look_turn) for look_turn in self._due_turns
            )
        id_spans: list[Span] = []
        most_spans = self._size.current
        take_newest = False
        while self._due_turns and len(id_spans) < (
            most_spans // 2 or 1 if self._ranges_to_look_first else most_spans
        ):
            look_turn = (
                self._pop_newest_turn() if take_newest else self._due_turns.popitem(last=False)[0]
            )
            # Alternate with the newest only while turns wait longer than they should.
            take_newest = not take_newest and current_time - look_turn.at > LONGEST_BETWEEN_LOOKS
            remaining_ranges = self._fill_spans(
                id_spans, Span(look_turn.first, look_turn.last), most_spans
            )
            if remaining_ranges is not None:
                self._add_due_turn(look_turn._replace(first=remaining_ranges.first))
        while self._ranges_to_look_first and len(id_spans) < most_spans:
            remaining_ranges = self._fill_spans(
                id_spans, self._ranges_to_look_first.popleft(), most_spans
            )
            if remaining_ranges is not None:
                self._ranges_to_look_first.appendleft(remaining_ranges)
        return tuple(sorted(id_spans))

    def _fill_look(self, due_until: float) -> None:
        """Fill the room left in a look with ids that are due soon."""
        while self._waiting_turns and 0 < len(self._due_turns) < self._size.current:
            if self._waiting_turns[0].at > due_until:
                return
            self._add_due_turn(heappop(self._waiting_turns))

    def _add_due_turn(self, look_turn: LookTurn) -> None:
        self._due_turns[look_turn] = None
        heappush(self._newest_turns, (-look_turn.first, look_turn))

    def _pop_newest_turn(self) -> LookTurn:
        while (look_turn := heappop(self._newest_turns)[1]) not in self._due_turns:
            pass  # it was popped as the oldest
        del self._due_turns[look_turn]
        return look_turn

    def _fill_spans(self, id_spans: list[Span], id_span: Span, range_limit: int) -> Span | None:
        """Add the missing parts of a range to a look's spans; return the parts that do not fit."""
        for missing_part in self._hot_ranges([id_span]):
            if len(id_spans) == range_limit:
                return Span(missing_part.first, id_span.last)
            id_spans.append(missing_part)
        return None

    def _hot_ranges(
        self, id_spans: Iterator[Span] | list[Span] | tuple[Span, ...]
    ) -> Iterator[Span]:
        for id_span in id_spans:
            yield from (missing_part for missing_part, _ in self._known.hot.within(*id_span))

    def _look_again_first(self, id_spans: tuple[Span, ...]) -> None:
        self._ranges_to_look_first.extendleft(reversed(id_spans))

    # Results

    def take_look(self, look_call: Look, site_answer: Answer, current_time: float) -> list[Notice]:
        """Handle the answer to a look whose rows are already taken; return the ids given up.

        A full page says nothing about ids above its last row: look for those before any others, so
        that rows arriving by the thousand are handled in id order.
        """
        self._asked_ranges = ()
        self._learn_size(len(look_call.spans))
        cut_off_at = reach_of(look_call, site_answer)
        complete_to = look_call.spans[-1].last if cut_off_at is None else cut_off_at
        given_up: list[tuple[Span, float]] = []
        unanswered_ranges = [
            Span(max(id_span.first, complete_to + 1), id_span.last)
            for id_span in look_call.spans
            if id_span.last > complete_to
        ]
        self._look_again_first(tuple(unanswered_ranges))
        for id_span in look_call.spans:
            self._failures_by_id.pop(id_span.first, None)
            for missing_range, missing_hole in list(
                self._known.hot.within(id_span.first, min(id_span.last, complete_to))
            ):
                age_seconds = look_call.observed - missing_hole.noticed
                if self._looked_in_vain(missing_range, age_seconds, current_time):
                    given_up.append((missing_range, age_seconds))
        return backlog_timed_out(given_up)

    def _learn_size(self, id_spans: int) -> None:
        """Learn how many ranges the site answers in one query, mostly from failed looks."""
        self._size.succeeded(id_spans)
        if self._is_part:
            self._largest_part = max(self._largest_part, id_spans)
            if not self._parts_of_failed:
                self._size.current, self._largest_part = self._largest_part, 0

    def _looked_in_vain(self, id_span: Span, age_seconds: float, current_time: float) -> bool:
        """Note that a look did not find a range; return whether it is old enough to give up."""
        seconds_left = self._rules.backlog_timeout - age_seconds
        if seconds_left <= 0:
            self._known.stop_waiting(id_span)
            return True
        next_wait = min(
            max(age_seconds / LOOKS_PER_AGE, FIRST_LOOK), LONGEST_BETWEEN_LOOKS, seconds_left
        )
        heappush(
            self._waiting_turns,
            LookTurn(current_time + max(next_wait, LEAST_BETWEEN_LOOKS), *id_span),
        )
        return False

    def look_failed(self, look_call: Look) -> None:
        """Note a failed look, and put it off until it is known whether the site answers at all."""
        self._asked_ranges, self._failed_ranges = (), look_call.spans

    def site_failed(self) -> None:
        """Note that the site answers no call: the failed look says nothing about its query."""
        self._look_again_first(self._failed_ranges)
        self._failed_ranges = ()

    def site_answers(self, current_time: float) -> list[Odd]:
        """Note that the site answers, so the failed look must have asked for too much at once.

        Look for its two halves one after the other. An id that fails alone does not delay others:
        it is looked for less and less often, and returned once it has failed several times.
        """
        id_spans, self._failed_ranges = self._failed_ranges, ()
        if not id_spans:
            return []
        if len(id_spans) > 1:
            if not self._is_part:
                self._size.failed(len(id_spans))
            middle_index = len(id_spans) // 2
            self._parts_of_failed += [id_spans[middle_index:], id_spans[:middle_index]]
            return []
        (id_span,) = id_spans
        if id_span.size > 1:
            self._parts_of_failed += [
                (half_ranges,) for half_ranges in reversed(halved_range(id_span))
            ]
            return []
        failure_count = self._failures_by_id[id_span.first] = (
            self._failures_by_id.get(id_span.first, 0) + 1
        )
        next_wait = min(2.0 ** min(failure_count, 10), LONGEST_PUT_OFF)
        heappush(self._single_turns, LookTurn(current_time + next_wait, *id_span))
        is_reported = failure_count == FAILURES_BEFORE_REPORT
        return [Odd(str(id_span.first), "the site fails when its row is requested")] * is_reported

    def date_gaps(self, site_time: int, observed_seconds: float, *, catching_up: bool) -> None:
        """Limit gaps that were already old when noticed, by the site's clock, to a single look.

        Args:
            site_time: The site's clock, in seconds since 1970.
            observed_seconds: Observed time, in seconds.
            catching_up: Whether more rows follow; if so, a gap that seems young may still prove
                old.
        """
        timeout_seconds = self._rules.backlog_timeout
        while self._undated_gaps:
            known_gap = self._known.hot.get(self._undated_gaps[0])
            if known_gap is not None:
                id_span, missing_hole = known_gap
                if missing_hole.below_at > site_time - timeout_seconds:
                    break
                noticed_at = min(missing_hole.noticed, observed_seconds - timeout_seconds)
                self._known.hot.put(id_span.first, missing_hole._replace(noticed=noticed_at))
            self._undated_gaps.popleft()
        if not catching_up:
            self._undated_gaps.clear()

    def note_failed_call(self) -> None:
        """Note that a call failed: the time until the next answer does not count as observed."""
        self._undated_gaps.clear()
