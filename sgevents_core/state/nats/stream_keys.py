"""The short names of a state's streams, in positions and messages, whatever the site is."""

from __future__ import annotations

from typing import Final

JOURNAL: Final = "journal"
"""The stream of the feed."""
JOURNAL_ROWS: Final = "journal rows"
"""While a copy is made anew: how far the journal's rows were read from its stream again."""
REQUESTS: Final = "requests"
"""The stream to which anybody may write."""
_LANE_PREFIX: Final = "lane:"


def lane_key(lane_name: str) -> str:
    """Return the key of a lane's stream."""
    return _LANE_PREFIX + lane_name


def lane_of(stream_key: str) -> str:
    """Return the lane that a stream is of.

    Raises:
        ValueError: It is none's.
    """
    if not stream_key.startswith(_LANE_PREFIX):
        raise ValueError(f"the stream {stream_key} is no lane's")
    return stream_key.removeprefix(_LANE_PREFIX)
