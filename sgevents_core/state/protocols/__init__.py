"""The state as protocols. Packages beside this one implement them; `opening` chooses one.

The protocols suit a distributed log: records that must be written together are one call about one
key, and a stale writer is refused. Reading is separate from writing, so that an implementation may
read from a copy.
"""

from sgevents_core.state.protocols.homes import (
    Presence,
    ServerRemark,
    ServerTrial,
    State,
    Storage,
)
from sgevents_core.state.protocols.host_notes import HostNotes, StoredNote
from sgevents_core.state.protocols.leases import HeldLease, LeaseEntry, Leases
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
    "HeldLease",
    "HostNotes",
    "LaneWriter",
    "LeaseEntry",
    "Leases",
    "Letters",
    "Past",
    "Presence",
    "Reader",
    "RecordedLane",
    "Requests",
    "ServerRemark",
    "ServerTrial",
    "State",
    "Storage",
    "StoredNote",
    "Writer",
]
