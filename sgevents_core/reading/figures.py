"""Figures over time, as charts and tables show them. Only reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sgevents_core.state.call_figures import (
    HOUR,
    KEPT_FOR,
    MINUTE,
    CallFigure,
    FeedFigure,
    Span,
    added_up,
)
from sgevents_core.state.opening import open_state


@dataclass(frozen=True, slots=True)
class TimePoint:
    """Everything together in one span of time.

    Args:
        starts_at: When the span begins, in seconds since 1970.
        events: Events appended to the journal; None if no daemon noted anything in this span.
        calls: Calls that returned or raised.
        failures: Those that raised.
        behind: The most events that a lane had before it.
        lag: The most seconds by which the work was behind.
        p50: The duration that half of the calls did not exceed, in seconds.
        p99: The duration that 99 % of them did not exceed.
    """

    starts_at: int
    events: int | None
    calls: int | None
    failures: int | None
    behind: int | None
    lag: float | None
    p50: float | None = None
    p99: float | None = None


def read_timeline(state_folder: Path, span: Span, since: float, until: float) -> list[TimePoint]:
    """Return one point for each span between two times, also for those without figures.

    Args:
        state_folder: The state's folder.
        span: The seconds of one point.
        since: The earliest time, in seconds since 1970; the point that it lies in is the first.
        until: The latest time; the span that it lies in is left out, since it is not over.

    Raises:
        StateError: The state cannot be read.
    """
    first = int(since) // span * span
    with closing(open_state(state_folder).past()) as past:
        feed_figures = {figure.starts_at: figure for figure in past.feed_figures(span, first)}
        calls_by_start = _by_start(past.call_figures(span, first))
    return [
        _time_point(starts_at, feed_figures.get(starts_at), calls_by_start.get(starts_at, []))
        for starts_at in range(first, int(until) // span * span, span)
    ]


def read_callback_timeline(
    state_folder: Path, span: Span, since: float, until: float, plugin: str
) -> dict[str, list[TimePoint]]:
    """Return the timeline of each callback of a plugin that was called, by the callback's name.

    Args: see `read_timeline`.

    Raises:
        StateError: The state cannot be read.
    """
    first_start = int(since) // span * span
    with closing(open_state(state_folder).past()) as past:
        figures = [
            figure for figure in past.call_figures(span, first_start) if figure.plugin == plugin
        ]
        noted_starts = {figure.starts_at for figure in past.feed_figures(span, first_start)}
    figures_by_callback = {
        callback: _by_start(figure for figure in figures if figure.callback == callback)
        for callback in {figure.callback for figure in figures}
    }
    point_starts = range(first_start, int(until) // span * span, span)
    return {
        callback: [
            _callback_point(
                starts_at, by_start.get(starts_at, []), is_noted=starts_at in noted_starts
            )
            for starts_at in point_starts
        ]
        for callback, by_start in sorted(figures_by_callback.items())
    }


def read_call_figures(
    state_folder: Path, since: float, *, by_hour: bool = False
) -> list[CallFigure]:
    """Return the figures of each callback since a time, in whole minutes if they are still kept.

    Args:
        state_folder: The state's folder.
        since: The earliest time, in seconds since 1970.
        by_hour: Whether to return one figure for each hour and callback, the oldest first, instead
            of one for each callback.

    Raises:
        StateError: The state cannot be read.
    """
    with closing(open_state(state_folder).past()) as past:
        if by_hour:
            return past.call_figures(3600, int(since) // HOUR * HOUR)
        return added_up(past.call_figures(60, int(since) // MINUTE * MINUTE))


def span_for(seconds: float) -> Span:
    """Return the span of points for a timeline of so many seconds: a minute, if they are kept."""
    return 60 if seconds <= KEPT_FOR[60] else 3600


def _by_start(figures: Iterable[CallFigure]) -> Mapping[int, list[CallFigure]]:
    figures_by_start: dict[int, list[CallFigure]] = {}
    for figure in figures:
        figures_by_start.setdefault(figure.starts_at, []).append(figure)
    return figures_by_start


def _time_point(starts_at: int, feed: FeedFigure | None, calls: list[CallFigure]) -> TimePoint:
    if feed is None and not calls:
        return TimePoint(starts_at, None, None, None, None, None)
    total = _total(calls)
    return TimePoint(
        starts_at,
        feed.events if feed else None,
        total.calls,
        total.failures,
        feed.behind if feed else None,
        feed.lag if feed else None,
        total.quantile(0.5) if total.calls else None,
        total.quantile(0.99) if total.calls else None,
    )


def _callback_point(starts_at: int, calls: list[CallFigure], *, is_noted: bool) -> TimePoint:
    point = _time_point(starts_at, None, calls)
    if not calls and is_noted:
        return TimePoint(starts_at, None, 0, 0, None, None)
    return point


def _total(calls: list[CallFigure]) -> CallFigure:
    total = CallFigure(0, "", "", 0, 0, {})
    for figure in calls:
        total = total.plus(figure)
    return total
