"""Figures over time: what the daemon notes, and how charts and tables get it."""

from __future__ import annotations

import math
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from lane_house import House, raising

from sgevents_core.daemon.figure_keeping import FigureKeeping
from sgevents_core.errors import StateError
from sgevents_core.observe.lasting_failure import LastingFailure
from sgevents_core.reading.figures import (
    read_call_figures,
    read_callback_timeline,
    read_timeline,
    span_for,
)
from sgevents_core.state.call_figures import CallFigure, FeedFigure, MinuteFigures, bucket_of
from sgevents_core.state.opening import open_state

AT = 1_750_000_020
"""The beginning of a minute."""
BUCKET = {bucket_of(0.002): 3}


class FollowingSite(NamedTuple):
    """What follows the site, and why the site does not answer."""

    site_trouble: LastingFailure | None = None
    has_feed: bool = True


def record(folder: Path, at: int, callback: str = "alpha:one", failures: int = 0) -> None:
    """Note three calls of two milliseconds and ten events."""
    with closing(open_state(folder).writer()) as state:
        calls = CallFigure(at, "alpha", callback, 3, failures, BUCKET)
        state.record_figures(MinuteFigures((calls,), (FeedFigure(at, 10, 4, 2.5),)), at)


def test_timeline_has_a_point_for_each_minute(tmp_path: Path) -> None:
    """Without the minute that is not over; one in which no daemon ran has no values."""
    record(tmp_path, AT, failures=1)
    record(tmp_path, AT, "alpha:two")
    record(tmp_path, AT + 120)
    first, second, third = read_timeline(tmp_path, 60, AT + 30, AT + 199)
    assert (first.starts_at, first.events, first.calls, first.failures) == (AT, 20, 6, 1)
    assert (first.behind, first.lag) == (4, 2.5)
    assert first.p50 is not None
    assert first.p99 is not None
    assert math.isclose(first.p50, 0.002, rel_tol=0.2)
    assert (second.starts_at, second.events, second.calls, second.lag) == (
        AT + 60,
        None,
        None,
        None,
    )
    assert third.calls == 3


def test_timeline_of_callbacks(tmp_path: Path) -> None:
    """Each that was called; none while no daemon ran is not the same as no calls."""
    record(tmp_path, AT)
    record(tmp_path, AT + 60, "alpha:two")
    lines = read_callback_timeline(tmp_path, 60, AT, AT + 180, "alpha")
    assert {name: [point.calls for point in points] for name, points in lines.items()} == {
        "alpha:one": [3, 0, None],
        "alpha:two": [0, 3, None],
    }
    assert read_callback_timeline(tmp_path, 60, AT, AT + 180, "beta") == {}


def test_call_figures_by_callback_and_by_hour(tmp_path: Path) -> None:
    """Added up over minutes, or one for each hour."""
    record(tmp_path, AT)
    record(tmp_path, AT + 60)
    record(tmp_path, AT + 3600)
    assert [one.calls for one in read_call_figures(tmp_path, AT)] == [9]
    assert [one.calls for one in read_call_figures(tmp_path, AT + 60)] == [6]
    assert [one.calls for one in read_call_figures(tmp_path, AT, by_hour=True)] == [6, 3]
    assert (span_for(86_400), span_for(90_000 * 2)) == (60, 3600)


def test_daemon_notes_each_minute_once(house: House) -> None:
    """Calls and failures of the lanes, new events, and how far behind the work is."""
    house.plugin("alpha", "one", raising(ValueError("no")))
    with house.running():
        keeping = FigureKeeping(house.state, house.lanes, FollowingSite(), AT + 1)
        keeping.work_briefly(AT + 59)
        assert read_timeline(house.folder, 60, AT, AT + 60)[0].events is None
        house.events(1, 2, 3)
        house.settle()
    keeping.work_briefly(AT + 61)
    (point,) = read_timeline(house.folder, 60, AT, AT + 60)
    assert (point.events, point.behind, point.lag) == (3, 0, 0.0)
    keeping.close(time.time())
    calls = read_call_figures(house.folder, 0)
    assert {one.callback: (one.calls, one.failures) for one in calls} == {
        "alpha:one": (3, 0),
        "alpha:fails": (3, 3),
    }


def test_outage_of_the_site_is_lag(house: House) -> None:
    """As long as it lasts, nobody knows what is missing."""
    trouble = LastingFailure("no answer", AT - 240)
    house.plugin("alpha", "one")
    house.run()
    keeping = FigureKeeping(house.state, [], FollowingSite(trouble), AT)
    keeping.work_briefly(AT + 60)
    (point,) = read_timeline(house.folder, 60, AT, AT + 60)
    assert point.lag == 300


class _Unwritable:
    """A state that cannot be written for a while."""

    def __init__(self, state: Any) -> None:
        self._state = state
        self.is_full = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)

    def record_figures(self, figures: MinuteFigures, current_time: float) -> None:
        """Fail while it is full."""
        if self.is_full:
            raise StateError(path="x", reason="the disk is full")
        self._state.record_figures(figures, current_time)


def test_figures_wait_for_a_state_that_cannot_be_written(house: House) -> None:
    """They are written when it can be again, and nothing else is disturbed."""
    state: Any = _Unwritable(house.state)
    keeping = FigureKeeping(state, [], FollowingSite(), AT)
    keeping.work_briefly(AT + 60)
    state.is_full = False
    keeping.work_briefly(AT + 120)
    assert [point.events for point in read_timeline(house.folder, 60, AT, AT + 120)] == [0, 0]
