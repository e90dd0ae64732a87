"""The position of a plugin in the daemon that called it before this one, as a value. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final, NamedTuple

from sgevents_core.state.feed_values import FeedState
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import BEGINNING

IMPORTED_ERA: Final = 1
"""The only era of the feed in which the ids of imported positions are valid: the first."""


class ImportedPosition(NamedTuple):
    """The events that a plugin got before this state began and does not get again.

    Args:
        last_id: The last event that the plugin got.
        missing: Ranges of ids up to `last_id`, both ends included and ascending, whose events the
            plugin had not got.
    """

    last_id: int
    missing: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, last_id: int, missing_ids: Iterable[int]) -> ImportedPosition:
        """Return the position after an event, with earlier events that the plugin missed."""
        return cls(last_id, tuple(ranges_of(id_ for id_ in missing_ids if id_ <= last_id)))

    def has_had(self, event_id: int) -> bool:
        """Return whether the plugin got an event."""
        return event_id <= self.last_id and not self.is_missing(event_id)

    def is_missing(self, event_id: int) -> bool:
        """Return whether an event is one that the plugin missed."""
        range_index = bisect_right(self.missing, (event_id, self.last_id)) - 1
        return range_index >= 0 and self.missing[range_index][1] >= event_id

    @property
    def first_needed(self) -> int:
        """The lowest id whose event the plugin needs."""
        return self.missing[0][0] if self.missing else self.last_id + 1


class JournalStanding(NamedTuple):
    """The progress of a state, which decides whether positions may be imported into it.

    Args:
        feed: The feed's state; None before its first answer, or a first import.
        end: The highest `seq`.
        has_called: Whether a plugin may have been called.
    """

    feed: FeedState | None
    end: int
    has_called: bool

    @classmethod
    def of(
        cls, feed: FeedState | None, end: int, records: Iterable[PluginRecord]
    ) -> JournalStanding:
        """Return the standing of a state with these records of plugins."""
        called = any(not record.apart or record.progress != BEGINNING for record in records)
        return cls(feed, end, called)

    def takes(self, floor: int) -> bool:
        """Return whether the state accepts positions that need all events from an id."""
        if self.has_called:
            return False
        if not self.end or self.feed is None:
            return True
        return self.feed.era == IMPORTED_ERA and self.feed.floor <= floor

    @property
    def keeps_feed(self) -> bool:
        """Whether the feed has already read events and continues from its position."""
        return self.end > 0


def ranges_of(ids: Iterable[int]) -> list[tuple[int, int]]:
    """Return ids as ascending ranges, both ends included."""
    ranges: list[tuple[int, int]] = []
    for id_ in sorted(set(ids)):
        if ranges and ranges[-1][1] == id_ - 1:
            ranges[-1] = (ranges[-1][0], id_)
        else:
            ranges.append((id_, id_))
    return ranges
