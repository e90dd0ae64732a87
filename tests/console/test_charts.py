"""Charts of a whole site: the figures that the daemon has noted, minute by minute."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest
from console_visits import config_file, console_client

from sgevents_core.state.call_figures import CallFigure, FeedFigure, MinuteFigures, bucket_of
from sgevents_core.state.opening import open_state

API = "/api/v1/sites/studio/charts"


@pytest.mark.parametrize(
    ("chart", "series"),
    [
        ("load", {"events": 30, "calls": 12, "failures": 2}),
        ("lag", {"lag": 4.5}),
    ],
)
@pytest.mark.parametrize(("span", "points"), [("hour", 60), ("day", 1440)])
def test_charts(
    tmp_path: Path, chart: str, series: dict[str, float], span: str, points: int
) -> None:
    """A point for each minute; one in which no daemon ran has no value."""
    (tmp_path / "studio").mkdir()
    minute = int(time.time()) // 60 * 60 - 120
    with closing(open_state(tmp_path / "studio").writer()) as state:
        calls = CallFigure(minute, "notify", "notify:on_new", 12, 2, {bucket_of(0.1): 12})
        feed = FeedFigure(minute, 30, 7, 4.5)
        state.record_figures(MinuteFigures((calls,), (feed,)), minute)
    with console_client([config_file(tmp_path)]) as client:
        view = client.get(API, params={"chart": chart, "span": span}).json()
    place = view["times"].index(minute)
    assert len(view["times"]) == points
    assert {one["name"]: one["values"][place] for one in view["series"]} == series
    assert all(one["values"][0] is None for one in view["series"])


def test_nothing_recorded(tmp_path: Path) -> None:
    """Without a state, or without figures, there is no point."""
    with console_client([config_file(tmp_path)]) as client:
        assert client.get(API, params={"chart": "lag"}).json()["times"] == []
        (tmp_path / "studio").mkdir()
        open_state(tmp_path / "studio").writer().close()
        assert client.get(API, params={"chart": "lag", "span": "day"}).json()["times"] == []
