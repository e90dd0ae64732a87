"""The plugin version-burst, loaded as the daemon loads it, on the events of a sandbox site."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from desk import Desk, version
from hypothesis import given
from hypothesis import strategies as st

from sgevents_plugins_example.version_burst import BurstWatch

Told = Callable[[], list[str]]
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def test_burst_is_warned_of(desk: Desk, told: Told) -> None:
    """So many versions of one shot as the settings say make one warning."""
    desk.enable("version-burst", limit=3, minutes=5)
    for number in range(4):
        version(desk, f"v{number}")
    desk.catch_up()
    assert told() == ["3 versions of BUN_010 within 0:05:00"]


@given(st.lists(st.integers(0, 3600), max_size=30))
def test_no_burst_where_versions_are_far_apart(gaps: list[int]) -> None:
    """A burst is told exactly when the last so many versions came within the time."""
    limit, within = 3, timedelta(minutes=10)
    watch, made = BurstWatch(limit, within), NOON
    since: list[datetime] = []
    for gap in gaps:
        made += timedelta(seconds=gap)
        since = [*since, made][-limit:]
        burst = len(since) == limit and made - since[0] <= within
        assert watch.is_burst(1, made) == burst
        since = [] if burst else since
