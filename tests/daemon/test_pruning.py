"""What leaves the journal: old events, by the site's clock, and no others."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from simulated_feed import SimulatedFeed
from simulated_site import SimulatedSite

from sgevents_core.site.ageing import oldest_kept, prune
from sgevents_core.site.follower_values import Rules
from sgevents_core.state.opening import open_state

DAY = 86400


@pytest.mark.parametrize("future", [0, 400 * DAY])
def test_one_row_from_the_future_prunes_nothing_early(tmp_path: Path, future: int) -> None:
    """Events stay for the retention before what the last nine rows, in the middle, say is now."""
    site = SimulatedSite()
    for _ in range(41):
        site.transaction(1)
        site.advance(site.now + DAY)
    if future:
        site.transaction(1, clock=site.clock + future)
    feed = SimulatedFeed(site, Rules(start=1))
    feed.run(10)
    change = feed.follower.take_changes()
    assert change is not None
    with closing(open_state(tmp_path).writer()) as state:
        state.append(0, feed.journal.rows, change)
        prune(state, (), oldest_kept(state, 10 * DAY))
        kept = state.end() - state.lowest() + 1
    assert kept == 10 + 5
