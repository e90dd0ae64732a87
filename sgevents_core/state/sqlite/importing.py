"""Beginning a state where another daemon ended."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from sgevents_core.state.feed_values import FeedChange
from sgevents_core.state.imported import ImportedPosition
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.sqlite.feed_writing import write_feed
from sgevents_core.state.sqlite.imported import write_imported
from sgevents_core.state.sqlite.progress_records import write_plugin_record


def write_import(
    connection: sqlite3.Connection,
    change: FeedChange | None,
    positions: Mapping[str, ImportedPosition],
    lane_name: str,
) -> None:
    """Write imported positions, in the caller's transaction.

    Args:
        connection: The connection.
        change: The feed's state there; None to leave the feed's own.
        positions: Each plugin's position, by name; each gets a record at the journal's beginning,
            in place of all others.
        lane_name: The lane of these records.
    """
    if change is not None:
        connection.execute("DELETE FROM missing")
        write_feed(connection, change)
    connection.execute("DELETE FROM plugins")
    write_imported(connection, positions)
    for plugin_name in positions:
        write_plugin_record(connection, PluginRecord(plugin_name, lane_name, apart=True))
