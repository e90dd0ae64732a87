"""Decide which events are old enough to be removed from the journal."""

from __future__ import annotations

from collections.abc import Collection

from sgevents_core.site import ages
from sgevents_core.state.cursors import lowest_cursor
from sgevents_core.state.protocols import FeedWriter, Reader


def oldest_kept(state_reader: Reader, retention_seconds: float) -> int:
    """Return the creation time of the oldest events to keep, in seconds since 1970; 0 to keep all.

    Args:
        state_reader: The state.
        retention_seconds: How long to keep events, measured back from the site's clock. The clock
            is the median of its newest rows, so a single row with a wrong time has no effect.
    """
    feed_state = state_reader.load_feed()
    return (
        0
        if feed_state is None
        else int(ages.site_clock(feed_state.state, None) - retention_seconds)
    )


def prune(feed_writer: FeedWriter, enabled_plugins: Collection[str], kept_since: int) -> int:
    """Remove some of the oldest events, and return how many.

    Args:
        feed_writer: The state.
        enabled_plugins: The plugins that must finish an event before it is removed.
        kept_since: The creation time of the oldest events to keep, in seconds since 1970.
    """
    first_needed = lowest_cursor(feed_writer, enabled_plugins) + 1
    lowest_deferred = feed_writer.lowest_deferred(enabled_plugins)
    if lowest_deferred is not None:  # its callback gets it again
        first_needed = min(first_needed, lowest_deferred)
    return feed_writer.prune(kept_since, first_needed)
