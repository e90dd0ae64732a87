"""The state as protocols; a home of it is a room beside this one, and `opening` chooses it.

They fit a distributed log: what must be written together is one call about one key, which a stale
writer is refused. Reading is separate from writing, so that a home may read from a copy.
"""

from sgevents_core.state.protocols.homes import Presence, State, Storage
from sgevents_core.state.protocols.reading import Connection, Letters, Past, Reader
from sgevents_core.state.protocols.writing import (
    FeedWriter,
    LaneWriter,
    RecordedLane,
    Requests,
    Writer,
)

__all__ = [
    "Connection",
    "FeedWriter",
    "LaneWriter",
    "Letters",
    "Past",
    "Presence",
    "Reader",
    "RecordedLane",
    "Requests",
    "State",
    "Storage",
    "Writer",
]
