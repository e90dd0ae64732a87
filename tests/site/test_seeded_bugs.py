"""The random schedules are worth something: each of these bugs, put in on purpose, is caught."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from random_schedules import Schedule, check, check_pace, check_ranges
from simulated_feed import SimulatedJournal

from sgevents_core.site import ages
from sgevents_core.site.anchoring import Anchoring
from sgevents_core.site.auditing import Auditor
from sgevents_core.site.audits import Audit
from sgevents_core.site.backlog import Backlog
from sgevents_core.site.follower import Follower
from sgevents_core.site.known import Hole, Known
from sgevents_core.site.paging import Paging
from sgevents_core.site.questions import Answer, Call, Look, Odd, PageRange
from sgevents_core.site.ranges import Span
from sgevents_core.site.read_ahead import ReadAhead
from sgevents_core.site.sizes import Budget
from sgevents_core.state.entries import TakenRow
from sgevents_core.state.feed_values import FeedChange, FeedRecord, FeedState

Patch = pytest.MonkeyPatch


def frontier_before_rows(patch: Patch) -> None:
    """The state is committed with one step, its rows only with the next."""
    real_append, real_load = SimulatedJournal.append, SimulatedJournal.load
    waiting: list[TakenRow] = []

    def append(self: SimulatedJournal, rows: list[TakenRow], change: FeedChange) -> None:
        real_append(self, list(waiting), change)
        waiting[:] = rows

    def load(self: SimulatedJournal) -> FeedRecord | None:
        waiting.clear()
        return real_load(self)

    patch.setattr(SimulatedJournal, "append", append)
    patch.setattr(SimulatedJournal, "load", load)


def expiry_without_a_look(patch: Patch) -> None:
    """A gap is given up when its time is over, whether or not anybody has looked."""
    real = Backlog.date_gaps

    def age(self: Backlog, clock: int, observed: float, *, catching_up: bool) -> None:
        real(self, clock, observed, catching_up=catching_up)
        known = self._known
        for span, hole in list(known.hot):
            if observed - hole.noticed >= self._rules.backlog_timeout:
                known.stop_waiting(span)

    patch.setattr(Backlog, "date_gaps", age)


def error_counted_as_a_look(patch: Patch) -> None:
    """A look that failed counts as one that found nothing."""
    real = Follower.take_failure

    def failed(self: Follower, call: Call, now: float) -> None:
        if isinstance(call, Look):
            self.take_answer(call, Answer(), now)
        else:
            real(self, call, now)

    patch.setattr(Follower, "take_failure", failed)


def full_look_taken_as_complete(patch: Patch) -> None:
    """A full page of a look counts for all ids that were asked for."""
    real = Backlog.take_look

    def looked(self: Backlog, call: Look, answer: Answer, now: float) -> Any:
        return real(self, dataclasses.replace(call, limit=10**9), answer, now)

    patch.setattr(Backlog, "take_look", looked)


def gap_behind_a_full_page_dropped(patch: Patch) -> None:
    """Ids missing between the last row of a full page and the next page are not noticed."""
    real = Follower._open_gap

    def open_gap(self: Follower, state: FeedState, below: int, *rest: Any) -> None:
        if not (self._paging.full_in_a_row and below == state.anchor_id == state.recent[-1][0]):
            real(self, state, below, *rest)

    patch.setattr(Follower, "_open_gap", open_gap)


def gone_rows_appended_again(patch: Patch) -> None:
    """A row that vanished and shows again is taken for a new one."""
    real = Known.note_found
    patch.setattr(Known, "note_found", lambda self, id_: real(self, id_) or self.note_back(id_))


def wide_gaps_ignored(patch: Patch) -> None:
    """Ranges of more ids than a transaction is thought to have are not waited for."""
    real = Backlog.open_gap

    def open_(self: Backlog, span: Span, hole: Hole, at: float) -> None:
        if span.size <= 20:
            real(self, span, hole, at)

    patch.setattr(Backlog, "open_gap", open_)


def no_audits(patch: Patch) -> None:
    """Nothing proves that nothing is missing."""
    patch.setattr(Auditor, "next_call", lambda *_: (None, float("inf")))


def cold_at_the_first_look(patch: Patch) -> None:
    """Whatever the first look does not find is given up."""
    real = Backlog._looked_in_vain
    patch.setattr(Backlog, "_looked_in_vain", lambda self, span, _, now: real(self, span, 1e9, now))


def anchor_check_skipped(patch: Patch) -> None:
    """Pages are taken without looking whether they come from the log that is followed."""
    patch.setattr(Anchoring, "is_anchored", lambda *_: True)


def gaps_forgotten_at_a_restart(patch: Patch) -> None:
    """A new process knows the frontier, and not what is missing below it."""
    real = Known._load
    patch.setattr(Known, "_load", lambda self, record: real(self, record._replace(missing=[])))


def late_rows_taken_for_others(patch: Patch) -> None:
    """Of several late rows in one answer only the first is appended."""
    real = Known.take_rows
    patch.setattr(Known, "take_rows", lambda self, rows: real(self, rows)[:1])


def failed_looks_asked_whole_again(patch: Patch) -> None:
    """A look that the site refuses is asked again as it was."""

    def site_answers(self: Backlog, now: float) -> list[Odd]:
        self.site_failed()
        return []

    patch.setattr(Backlog, "site_answers", site_answers)


def part_of_a_failed_look_lost(patch: Patch) -> None:
    """Only one half of a look that failed is looked for again."""
    real = Backlog.site_answers

    def site_answers(self: Backlog, now: float) -> list[Odd]:
        self._failed_ranges = self._failed_ranges[: (len(self._failed_ranges) + 1) // 2]
        return real(self, now)

    patch.setattr(Backlog, "site_answers", site_answers)


def pages_stop_at_a_row_that_fails(patch: Patch) -> None:
    """A page is asked for again and again, whatever is in its way."""
    patch.setattr(Paging, "take_probe", lambda self, *_: setattr(self, "_is_probing", False))


def budget_ignored(patch: Patch) -> None:
    """Looks are asked as soon as they are due, however many that are."""
    patch.setattr(Budget, "seconds_to_wait", lambda *_: 0.0)


def guessed_times_taken_for_true(patch: Patch) -> None:
    """The log is recognised by the time that a row without one was given."""
    patch.setattr(ages, "known_at", lambda row: row.at)
    patch.setattr(ages, "is_same", lambda row, at: at is None or row.at == at)


def audits_stop_at_a_count_that_fails(patch: Patch) -> None:
    """A count that the site does not make is asked for again and again."""
    patch.setattr(Audit, "count_less", lambda *_: None)
    patch.setattr(Auditor, "counts_refused", lambda *_: None)


def ranges_taken_out_of_order(patch: Patch) -> None:
    """Of ranges that were asked for at the same time, the second is taken first."""
    real = ReadAhead._extend

    def extend(self: ReadAhead, state: FeedState, limit: int) -> None:
        had = len(self._ranges)
        real(self, state, limit)
        if had == 0 and len(self._ranges) > 1:
            self._ranges[0], self._ranges[1] = self._ranges[1], self._ranges[0]

    patch.setattr(ReadAhead, "_extend", extend)


def remainder_of_a_range_skipped(patch: Patch) -> None:
    """Behind a full answer the next range is taken, not the rest of this one."""
    real = ReadAhead.took_range

    def took_range(self: ReadAhead, *args: Any, is_full: bool) -> None:
        real(self, *args, is_full=False)

    patch.setattr(ReadAhead, "took_range", took_range)


def anchor_of_ranges_not_checked(patch: Patch) -> None:
    """Ranges are taken without looking whether they come from the log that is followed."""
    real = Anchoring.is_anchored

    def holds(self: Anchoring, state: FeedState, call: Any, rows: Any, taken: Any) -> bool:
        return isinstance(call, PageRange) or real(self, state, call, rows, taken)

    patch.setattr(Anchoring, "is_anchored", holds)


def failure_keeps_the_ranges_above(patch: Patch) -> None:
    """A range that fails is left out, and the next one taken."""

    def failed(self: ReadAhead) -> None:
        self.connections.failed()
        if self._ranges:
            self._ranges.popleft()

    patch.setattr(ReadAhead, "failed", failed)


def frontier_at_the_end_of_a_range(patch: Patch) -> None:
    """All ids of a range count as seen, also those above its last row."""
    real = Follower._take_page

    def take_page(self: Follower, state: FeedState, call: Any, *args: Any) -> None:
        before = state.frontier
        real(self, state, call, *args)
        if isinstance(call, PageRange) and state.frontier > before:
            state.frontier = call.last

    patch.setattr(Follower, "_take_page", take_page)


def ranges_kept_when_the_anchor_is_lost(patch: Patch) -> None:
    """After an answer of another log the ranges that were asked for with it are still taken."""
    real = ReadAhead.discard

    def discard(self: ReadAhead) -> None:
        if self.connections.now == 1 or not self._ranges:
            real(self)

    patch.setattr(ReadAhead, "discard", discard)


def far_behind(seed: int) -> None:
    """A schedule of a feed that catches up in ranges."""
    feed = Schedule(seed).run_far_behind()
    check(feed)
    check_ranges(feed)


def far_behind_another(seed: int) -> None:
    """A schedule in which a backup is restored while ranges are under way."""
    check(Schedule(seed).run_far_behind_another())


def limited(seed: int) -> None:
    """A schedule of a site that refuses large questions, fails on rows and tells no times."""
    feed = Schedule(seed).run_limited()
    check(feed)
    check_pace(feed)


def back_and_forth(seed: int) -> None:
    """A schedule in which a backup is restored."""
    check(Schedule(seed).run_back_and_forth())


def hiding(seed: int) -> None:
    """A schedule in which rows vanish and come back."""
    check(Schedule(seed).run(hiding=True))


def plain(seed: int) -> None:
    """A schedule of late, burnt and failed transactions, failures and crashes."""
    check(Schedule(seed).run())


@pytest.mark.parametrize(
    ("bug", "schedule", "seeds"),
    [
        (frontier_before_rows, plain, range(2, 20)),
        (expiry_without_a_look, plain, range(6, 30)),
        (error_counted_as_a_look, plain, range(4, 30)),
        (full_look_taken_as_complete, plain, range(20)),
        (gap_behind_a_full_page_dropped, plain, range(20)),
        (gone_rows_appended_again, hiding, range(131, 160)),
        (wide_gaps_ignored, plain, range(20)),
        (no_audits, plain, range(20)),
        (cold_at_the_first_look, plain, range(3, 20)),
        (anchor_check_skipped, back_and_forth, range(303, 320)),
        (gaps_forgotten_at_a_restart, plain, range(2, 20)),
        (late_rows_taken_for_others, plain, range(20)),
        (failed_looks_asked_whole_again, limited, range(400, 424)),
        (part_of_a_failed_look_lost, limited, range(400, 424)),
        (pages_stop_at_a_row_that_fails, limited, range(400, 424)),
        (budget_ignored, limited, range(400, 424)),
        (guessed_times_taken_for_true, limited, range(400, 424)),
        (audits_stop_at_a_count_that_fails, limited, range(400, 424)),
        (ranges_taken_out_of_order, far_behind, range(500, 516)),
        (remainder_of_a_range_skipped, far_behind, range(500, 516)),
        (anchor_of_ranges_not_checked, far_behind_another, range(600, 606)),
        (failure_keeps_the_ranges_above, far_behind, range(500, 516)),
        (frontier_at_the_end_of_a_range, far_behind, range(500, 516)),
        (ranges_kept_when_the_anchor_is_lost, far_behind, range(500, 516)),
    ],
)
def test_the_schedules_catch_it(
    bug: Callable[[Patch], None],
    schedule: Callable[[int], None],
    seeds: range,
    monkeypatch: Patch,
) -> None:
    """With the bug some schedule fails that passes without it."""
    bug(monkeypatch)
    for seed in seeds:
        try:
            schedule(seed)
        except AssertionError:
            monkeypatch.undo()
            schedule(seed)
            return
    pytest.fail("no schedule noticed the bug")
