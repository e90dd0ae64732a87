"""The table of imported positions: reading and writing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

import msgspec

from sgevents_core.state.imported import ImportedPosition
from sgevents_core.state.sqlite.checksums import checksum_of, decode_record, verify_checksum
from sgevents_core.state.sqlite.database import Database

_IMPORTED_SINCE_VERSION: Final = 11
"""The version of the schema that first had the table of imported positions."""
_encode_json: Final = msgspec.json.Encoder().encode
_decode_ranges: Final = msgspec.json.Decoder(tuple[tuple[int, int], ...]).decode


def read_imported(database: Database) -> dict[str, ImportedPosition]:
    """Return the imported positions, by plugin."""
    if database.fetch_number("PRAGMA user_version") < _IMPORTED_SINCE_VERSION:
        return {}
    positions = {}
    for plugin_name, last_id, encoded_ranges, stored_checksum in database.fetch_all(
        "SELECT plugin, last_id, missing, sum FROM imported ORDER BY plugin"
    ):
        record_name = f"the imported position of plugin {plugin_name}"
        verify_checksum(
            database, record_name, stored_checksum, plugin_name, last_id, encoded_ranges
        )
        missing_ranges = decode_record(database, record_name, _decode_ranges, encoded_ranges)
        positions[plugin_name] = ImportedPosition(last_id, missing_ranges)
    return positions


def write_imported(
    connection: sqlite3.Connection, positions: Mapping[str, ImportedPosition]
) -> None:
    """Write imported positions, in place of earlier ones."""
    connection.execute("DELETE FROM imported")
    for plugin_name, imported_position in positions.items():
        column_values = (
            plugin_name,
            imported_position.last_id,
            _encode_json(imported_position.missing).decode(),
        )
        connection.execute(
            "INSERT INTO imported VALUES (?, ?, ?, ?)",
            (*column_values, checksum_of(*column_values)),
        )
