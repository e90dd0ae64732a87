"""The data of charts over time, in the form that the pages' script draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from sgevents_core.console.page import View

Span: TypeAlias = Literal["hour", "day"]
"""The time that a chart shows, up to now."""
_SPANS: Final[dict[Span, int]] = {"hour": 3600, "day": 86400}


class ChartSeries(View, frozen=True, kw_only=True):
    """One line of a chart: a value for each time, or null where there is none."""

    name: str
    values: list[float | None]


class ChartView(View, frozen=True, kw_only=True):
    """The data of a chart."""

    times: list[int]
    """When each period begins, in seconds since 1970, ascending."""
    series: list[ChartSeries]


def span_seconds(span: Span) -> int:
    """Return the seconds of a span."""
    return _SPANS[span]


def chart_of(times: Sequence[int], **series: Sequence[float | None]) -> ChartView:
    """Return a chart of several lines, each named by its keyword, with `_` for spaces."""
    return ChartView(
        times=list(times),
        series=[
            ChartSeries(name=name.replace("_", " "), values=list(values))
            for name, values in series.items()
        ],
    )
