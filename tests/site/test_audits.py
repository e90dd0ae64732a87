"""Audits: when one is due, what it covers, and that it finds just what is missing."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgevents_core.site.audits import (
    DAY,
    HOUR,
    MINUTE,
    Audit,
    AuditWindow,
    audit_windows,
    due_window,
)
from sgevents_core.site.questions import Count, Fetch, Ids
from sgevents_core.site.ranges import Span

WINDOW = AuditWindow("15m", 60, 900)
HIGHEST = 120


def test_windows_of_the_usual_settings() -> None:
    """A short look back often, a long one seldom, and the ids themselves once a day."""
    assert audit_windows(300, DAY) == (
        AuditWindow("15m", MINUTE, 15 * MINUTE),
        AuditWindow("2h", 15 * MINUTE, 2 * HOUR),
        AuditWindow("24h", 2 * HOUR, DAY),
        AuditWindow("ids", DAY, DAY, by_ids=True),
    )


@settings(max_examples=50)
@given(st.floats(0.01, 7 * DAY), st.floats(0.01, 30 * DAY))
def test_windows_of_any_settings(timeout: float, horizon: float) -> None:
    """No audit runs without pause or looks back beyond the horizon; ids are compared in time."""
    every = audit_windows(timeout, horizon)
    assert len({window.name for window in every}) == 4
    for window in every:
        assert window.interval >= 1
        assert 0 < window.looks_back <= horizon
    assert every[0].interval <= MINUTE
    assert every[-1].by_ids
    assert every[-1].interval <= DAY
    assert every[-1].looks_back == every[-2].looks_back == horizon


def test_the_farthest_reaching_audit_runs_first() -> None:
    """Of several that are due the one that proves most; else it says when the next one is."""
    every = audit_windows(300, DAY)
    last = {"15m": 0.0, "2h": 0.0, "24h": 0.0, "ids": 0.0}
    assert due_window(every, last, 59.0) == (None, 1.0)
    assert due_window(every, last, 60.0) == (every[0], 0.0)
    assert due_window(every, last, 15 * MINUTE) == (every[1], 0.0)
    assert due_window(every, last, 2 * HOUR) == (every[2], 0.0)
    assert due_window(every, last, DAY) == (every[3], 0.0)
    last |= {"2h": 2 * HOUR, "24h": 2 * HOUR, "15m": 2 * HOUR - 10.0}
    assert due_window(every, last, 2 * HOUR) == (None, 50.0)


def test_an_audit_that_never_ran_is_due() -> None:
    """A kind of audit that a state does not know has yet to run."""
    every = audit_windows(300, DAY)
    assert due_window(every, {}, 0.0) == (every[3], 0.0)


class NaiveSite:
    """Ids that show, and those the feed believes to show; answers as a site would."""

    def __init__(self, visible: set[int], known: set[int], *, counts: bool = True) -> None:
        self.visible = sorted(visible)
        self.known = sorted(known)
        self._believed = known
        self.counts = counts
        self.calls = 0
        self.most_spans = 0
        self.new: list[int] = []
        self.vanished: list[int] = []

    def within(self, ids: list[int], span: Span) -> list[int]:
        """The ids of a list that lie in a range."""
        return ids[bisect_left(ids, span.first) : bisect_right(ids, span.last)]

    def run(self, audit: Audit, *, by_ids: bool = False) -> None:
        """Carry an audit through as the follower does."""
        audit.begin(by_ids, counted_ids=10**9)
        while (call := audit.next_call()) is not None:
            self.calls += 1
            assert self.calls < 10_000
            if isinstance(call, Count):
                if not self.counts:
                    audit.counts_refused()
                    continue
                visible = len(self.within(self.visible, call.span))
                audit.take_count(call, visible, len(self.within(self.known, call.span)))
            elif isinstance(call, Ids):
                self._compare(audit, call)
            elif isinstance(call, Fetch):
                self._fetch(audit, call)
            if audit.new and not isinstance(audit.next_call(), Count | Ids):
                assert self.new == []
                audit.plan_fetches(audit.new)

    def _compare(self, audit: Audit, call: Ids) -> None:
        seen = self.within(self.visible, call.span)[: call.limit]
        last = seen[-1] if len(seen) >= call.limit else call.span.last
        believed = self.within(self.known, Span(call.span.first, last))
        self.vanished += sorted(set(believed) - set(seen))
        audit.take_comparison(call, last, [id_ for id_ in seen if id_ not in self._believed])

    def _fetch(self, audit: Audit, call: Fetch) -> None:
        self.most_spans = max(self.most_spans, len(call.spans))
        asked = [id_ for span in call.spans for id_ in self.within(self.visible, span)]
        rows = asked[: call.limit]
        self.new += rows
        audit.take_fetched(call, rows[-1] if len(rows) >= call.limit else None)


some_ids = st.sets(st.integers(1, HIGHEST))


@settings(max_examples=50)
@given(some_ids, some_ids, st.integers(2, 50), st.booleans())
def test_comparing_ids_finds_just_the_differences(
    visible: set[int], known: set[int], limit: int, counts: bool
) -> None:
    """By ids, or where counting is refused: each new row once, each row that vanished once."""
    site = NaiveSite(visible, known, counts=False)
    site.run(Audit(WINDOW, Span(1, HIGHEST), limit), by_ids=counts)
    assert sorted(site.new) == sorted(visible - known)
    assert sorted(site.vanished) == sorted(known - visible)


@settings(max_examples=50)
@given(some_ids, st.data(), st.integers(2, 50))
def test_counting_finds_every_row_that_came(
    known: set[int], data: st.DataObject, limit: int
) -> None:
    """When rows only came, halving the ranges whose counts differ finds all of them."""
    came = data.draw(some_ids) - known
    site = NaiveSite(known | came, known)
    site.run(Audit(WINDOW, Span(1, HIGHEST), limit))
    assert sorted(site.new) == sorted(came)
    assert site.vanished == []


@settings(max_examples=50)
@given(some_ids, st.data(), st.integers(2, 50))
def test_counting_finds_every_row_that_went(
    known: set[int], data: st.DataObject, limit: int
) -> None:
    """When rows only vanished, all of them are found and none is fetched."""
    went = data.draw(st.sets(st.sampled_from(sorted(known)))) if known else set()
    site = NaiveSite(known - went, known)
    site.run(Audit(WINDOW, Span(1, HIGHEST), limit))
    assert sorted(site.vanished) == sorted(went)
    assert site.new == []


def test_equal_counts_are_proof_for_one_call() -> None:
    """A log that is complete costs one count."""
    site = NaiveSite(set(range(1, 100_001)), set(range(1, 100_001)))
    site.run(Audit(WINDOW, Span(1, 100_000), 500))
    assert site.calls == 1


def test_one_row_in_a_hundred_thousand_costs_a_handful_of_calls() -> None:
    """Halving finds one late row among a hundred thousand in some twenty calls."""
    ids = set(range(1, 100_001))
    site = NaiveSite(ids, ids - {77_777})
    site.run(Audit(WINDOW, Span(1, 100_000), 500))
    assert site.new == [77_777]
    assert site.calls <= 22


def test_a_count_refused_midway_goes_on_by_ids() -> None:
    """What was still to be counted is compared by ids instead."""
    audit = Audit(WINDOW, Span(1, 100), 10)
    audit.begin(by_ids=False, counted_ids=10**9)
    first = audit.next_call()
    assert isinstance(first, Count)
    audit.take_count(first, 60, 61)
    audit.counts_refused()
    assert audit.next_call() == Ids(Span(1, 50), 10)


@pytest.mark.parametrize("limit", [10, 5000])
def test_very_many_new_rows_are_fetched_in_questions_of_bearable_size(limit: int) -> None:
    """No fetch asks for more than some hundred ranges at once; all rows come."""
    every_other = set(range(1, 4001, 2))
    site = NaiveSite(every_other, set())
    audit = Audit(WINDOW, Span(1, 4000), limit)
    site.run(audit, by_ids=True)
    assert sorted(site.new) == sorted(every_other)
    assert site.most_spans <= 400
