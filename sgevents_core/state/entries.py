"""Events of the journal: rows as they are appended, entries as they are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct

MOST_ENTRIES_PRUNED: Final = 500
"""Entries removed at once, in a transaction of some milliseconds, while other writers wait."""

Route: TypeAlias = tuple[str, str | None, str | None, int | None]
"""An event's type, attribute, entity type and project as its row says: see `events.route_of`."""
IsWanted: TypeAlias = Callable[[str, Route | None], bool]
"""Says of an event's type, and its route if that is known, whether somebody may want the event."""


class Row(Struct, frozen=True, gc=False):
    """One row of the site's event log, as read; of all its values, only plain ones.

    Args:
        id: The event's id on the site.
        at: Its `created_at`, in seconds since 1970 on the site's clock.
        event_type: Its type, for reading the journal without decoding bodies.
        body: The whole row as JSON.
        dated: Whether the row has a valid time of its own; if not, `at` is its neighbour's.
        strands: Its strands, as `strands.strands_of` packs them; None to find them from the body.
        route: Its route, if the row says it in so many words; None to find it from the body.
    """

    id: int
    at: int
    event_type: str
    body: bytes
    dated: bool = True
    strands: int | None = None
    route: Route | None = None


IN_TURN: Final = 0
LATE: Final = 1
LATE_BY_AUDIT: Final = 2


class TakenRow(Struct, frozen=True, gc=False):
    """A row that the feed takes, and whether it came late (a higher id was appended before it).

    Args:
        row: The row.
        late: `IN_TURN`; `LATE` if a search for missing ids found it, `LATE_BY_AUDIT` if an audit.
    """

    row: Row
    late: int


class Entry(Struct, frozen=True, gc=False):
    """One event in the journal; of all its values, only plain ones, so it is quickly made.

    Args:
        seq: Its place in the journal.
        event_id: Its id on the site.
        event_type: Its type.
        created: Its `created_at`, in seconds since 1970.
        late: Whether a row with a higher id was appended before it.
        body: The whole row as JSON.
        era: The feed's era when it was appended.
        whole: Whether its checksum is right; None if an older version wrote it without one.
        strands: Its strands, as `strands.strands_of` packs them; None if an older version wrote it.
        by_audit: Whether an audit found it, late; older versions did not say so.
        route: Its route, where that is stored beside the row; None to find it from the body.
    """

    seq: int
    event_id: int
    event_type: str
    created: int
    late: bool
    body: bytes
    era: int = 1
    whole: bool | None = None
    strands: int | None = None
    by_audit: bool = False
    route: Route | None = None


class JournalStart(NamedTuple):
    """The oldest event from which the journal is complete; `created` is in seconds since 1970."""

    event_id: int
    created: int
