"""Rows of an event log, and a journal that holds them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any

from sgevents_core.state.entries import Row, TakenRow
from sgevents_core.state.feed_values import FeedChange, FeedState
from sgevents_core.state.protocols import Writer

AT = 1_750_000_000
"""When the rows were created, in seconds since 1970."""
CREATED = "2025-06-15T15:06:40Z"


def event_row(event_id: int, kind: str = "Shotgun_Task_Change", at: int = AT, **more: Any) -> Row:
    """One row as the feed takes it."""
    fields = {"id": event_id, "type": "EventLogEntry", "event_type": kind, "created_at": CREATED}
    return Row(event_id, at, kind, json.dumps({**fields, **more}).encode())


def grow(state: Writer, rows: Iterable[Row], late: Collection[int] = (), era: int = 1) -> int:
    """Append rows to the journal as the feed does; return its end."""
    taken = [TakenRow(row, row.id in late) for row in rows]
    feed = state.load_feed()
    frontier = max([one.row.id for one in taken] + [feed.state.frontier if feed else 0])
    change = FeedChange(FeedState(era=era, frontier=frontier, anchor_at=AT))
    return state.append(state.end(), taken, change)
