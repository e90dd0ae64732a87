"""The charts of the overview: events, calls and failures a minute, and how far work is behind."""

from __future__ import annotations

from typing import Final, Literal

from sgevents_core.console.charting import ChartView, Span, chart_of, span_seconds
from sgevents_core.console.page import Page, Query, Visit
from sgevents_core.reading.figures import read_timeline, span_for
from sgevents_core.state.opening import open_state


class ChartQuery(Query, frozen=True, kw_only=True):
    """The chart, and the time that it shows."""

    chart: Literal["load", "lag"] = "load"
    span: Span = "hour"


def read_chart(visit: Visit, query: ChartQuery) -> ChartView:
    """Read one chart of a site."""
    if not open_state(visit.site.state_folder).is_made():
        return ChartView(times=[], series=[])
    seconds = span_seconds(query.span)
    since = visit.now - seconds
    points = read_timeline(visit.site.state_folder, span_for(seconds), since, visit.now)
    if not any(point.calls is not None for point in points):
        return ChartView(times=[], series=[])
    times = [point.starts_at for point in points]
    if query.chart == "lag":
        return chart_of(times, lag=[point.lag for point in points])
    return chart_of(
        times,
        events=[point.events for point in points],
        calls=[point.calls for point in points],
        failures=[point.failures for point in points],
    )


PAGES: Final = (
    Page(
        path="charts",
        title="Charts",
        summary="Chart events, calls and failures a minute, or the seconds of lag, over time.",
        view_type=ChartView,
        query_type=ChartQuery,
        read=read_chart,
        in_navigation=False,
        shared_for=5.0,
    ),
)
