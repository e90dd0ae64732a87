"""Figures of calls and of the feed, per minute and per hour."""

from __future__ import annotations

import random
import struct
from contextlib import closing

import pytest

from sgevents_core.state.call_figures import (
    HOUR,
    KEPT_FOR,
    MINUTE,
    CallCounts,
    CallFigure,
    FeedFigure,
    MinuteFigures,
    added_up,
    bucket_of,
)
from sgevents_core.state.keys import CallKey
from sgevents_core.state.protocols import State, Writer

RECORD = struct.Struct("<QdfI")
KEYS = [CallKey("alpha", "alpha:one"), CallKey("beta", "beta:two")]
DAY = 86_400
AT = 20_000 * DAY + 90 * MINUTE


def records(*calls: tuple[float, int]) -> bytes:
    """Calls as a lane records them: seconds and index."""
    return b"".join(RECORD.pack(7, 1.0, seconds, index) for seconds, index in calls)


def figure(at: int = AT, callback: str = "one", calls: int = 1, failures: int = 0) -> CallFigure:
    """Some calls of one millisecond."""
    return CallFigure(at, "alpha", callback, calls, failures, {bucket_of(0.001): calls})


def test_calls_are_counted_by_minute_callback_and_duration() -> None:
    """Failures apart; an index that no callback has counts for nothing."""
    counts = CallCounts(KEYS, RECORD.size)
    counts.add(records((0.001, 0), (0.001, 0), (2.0, 1), (1.0, 9)), bytes(4), AT + 59.9)
    counts.add(records((0.001, 0), (0.5, 1)), bytes([0, 0x80]), AT + 60)
    assert counts.collect(AT) == []
    assert counts.collect(AT + 60) == [
        CallFigure(AT, "alpha", "alpha:one", 2, 0, {bucket_of(0.001): 2}),
        CallFigure(AT, "beta", "beta:two", 1, 0, {bucket_of(2.0): 1}),
    ]
    assert [one[3:5] for one in counts.collect(AT + 999)] == [(1, 0), (1, 1)]
    assert counts.collect(AT + 999) == []


def test_counts_nobody_collects_are_bounded() -> None:
    """The oldest minutes are forgotten; another lane's counts are taken over whole."""
    counts, other = CallCounts(KEYS, RECORD.size), CallCounts(KEYS[:1], RECORD.size)
    for minute in range(100):
        counts.add(records((0.001, 0)), bytes(1), AT + minute * MINUTE)
    other.add(records((0.001, 0)), bytes([1]), AT + 99 * MINUTE)
    counts.take_over(other)
    figures = counts.collect(AT + DAY)
    assert len(figures) == 60
    assert figures[-1] == CallFigure(
        AT + 99 * MINUTE, "alpha", "alpha:one", 2, 1, {bucket_of(0.001): 2}
    )
    assert other.collect(AT + DAY) == []


def test_mean_and_quantiles_are_right_to_a_tenth() -> None:
    """Whatever the durations, from microseconds to an hour."""
    rng = random.Random(5)
    for scale in (1e-6, 0.003, 2.0, 600.0):
        seconds = [rng.lognormvariate(0, 1) * scale for _ in range(5_000)]
        counts = CallCounts(KEYS, RECORD.size)
        counts.add(records(*((one, 0) for one in seconds)), bytes(5_000), AT)
        (found,) = counts.collect(AT + MINUTE)
        seconds.sort()
        for fraction in (0.5, 0.95, 0.99):
            exact = seconds[int(fraction * 5_000) - 1]
            assert found.quantile(fraction) == pytest.approx(exact, rel=0.1)
        assert found.mean == pytest.approx(sum(seconds) / 5_000, rel=0.05)


def test_nothing_has_a_mean_and_a_quantile_too() -> None:
    """They are zero, and a call that took no time is one."""
    assert CallFigure(AT, "a", "b", 0, 0, {}).mean == 0
    assert CallFigure(AT, "a", "b", 0, 0, {}).quantile(0.5) == 0
    assert CallFigure(AT, "a", "b", 1, 0, {bucket_of(0.0): 1}).quantile(0.99) < 1e-30


def test_figures_are_added_to_those_of_the_minute_and_the_hour(home: State, state: Writer) -> None:
    """Also by another process, which continues the minute of the one before it."""
    for behind, at in ((3, AT), (1, AT), (2, AT + MINUTE)):
        feed = FeedFigure(at, 10, behind, behind / 2)
        state.record_figures(MinuteFigures((figure(at),), (feed,)), AT + 90)
    state.record_figures(MinuteFigures((figure(callback="two", failures=1),)), AT + 90)
    with closing(home.past()) as past:
        assert past.feed_figures(60, 0) == [
            FeedFigure(AT, 20, 3, 1.5),
            FeedFigure(AT + MINUTE, 10, 2, 1.0),
        ]
        hour = AT // HOUR * HOUR
        assert past.feed_figures(3600, hour) == [FeedFigure(hour, 30, 3, 1.5)]
        assert past.call_figures(60, AT) == [
            figure(calls=2),
            figure(callback="two", failures=1),
            figure(AT + MINUTE),
        ]
        assert past.call_figures(60, AT + 1) == [figure(AT + MINUTE)]
        assert past.call_figures(3600, 0) == [
            figure(hour, calls=3),
            figure(hour, "two", failures=1),
        ]
        total = added_up(past.call_figures(60, 0))
        assert [(one.callback, one.calls, one.failures) for one in total] == [
            ("one", 3, 0),
            ("two", 1, 1),
        ]


def test_old_figures_are_forgotten(home: State, state: Writer) -> None:
    """Minutes after a day, hours after a month, so that a state does not grow without bound."""
    state.record_figures(MinuteFigures((figure(),), (FeedFigure(AT, 1, 0, 0.0),)), AT)
    with closing(home.past()) as past:
        state.record_figures(MinuteFigures(), AT + KEPT_FOR[60] + 1)
        assert (past.call_figures(60, 0), past.feed_figures(60, 0)) == ([], [])
        assert (len(past.call_figures(3600, 0)), len(past.feed_figures(3600, 0))) == (1, 1)
        state.record_figures(MinuteFigures(), AT + KEPT_FOR[3600] + 1)
        assert (past.call_figures(3600, 0), past.feed_figures(3600, 0)) == ([], [])
