"""Which events have become old enough to leave the journal."""

from __future__ import annotations

from collections.abc import Collection

from sgevents_core.site import ages
from sgevents_core.state.cursors import lowest_cursor
from sgevents_core.state.protocols import FeedWriter, Reader


def oldest_kept(state: Reader, retention: float) -> int:
    """Return since when events stay, in seconds since 1970; 0 if all do.

    Args:
        state: The state.
        retention: How long events stay, in seconds before now by the site's clock, as its newest
            rows show it: a single row with a wrong time does not decide what is old.
    """
    feed = state.load_feed()
    return 0 if feed is None else int(ages.site_clock(feed.state, None) - retention)


def prune(state: FeedWriter, enabled: Collection[str], before: int) -> int:
    """Remove some of the oldest events, and return how many.

    Args:
        state: The state.
        enabled: The plugins whose events stay until they have finished them.
        before: Since when events stay, in seconds since 1970.
    """
    return state.prune(before, lowest_cursor(state, enabled) + 1)
