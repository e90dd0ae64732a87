"""The table of imported positions: reading and writing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

import msgspec

from sgevents_core.state.imported import ImportedPosition
from sgevents_core.state.sqlite.checksums import checksum_of, decode_record, verify_checksum
from sgevents_core.state.sqlite.database import Database

_IMPORTED_SINCE: Final = 11
"""The version of the schema that first had the table."""
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(tuple[tuple[int, int], ...]).decode


def read_imported(db: Database) -> dict[str, ImportedPosition]:
    """Return the imported positions, by plugin."""
    if db.fetch_number("PRAGMA user_version") < _IMPORTED_SINCE:
        return {}
    positions = {}
    for plugin, last_id, missing, checksum in db.fetch_all(
        "SELECT plugin, last_id, missing, sum FROM imported ORDER BY plugin"
    ):
        what = f"the imported position of plugin {plugin}"
        verify_checksum(db, what, checksum, plugin, last_id, missing)
        ranges = decode_record(db, what, _decode, missing)
        positions[plugin] = ImportedPosition(last_id, ranges)
    return positions


def write_imported(db: sqlite3.Connection, positions: Mapping[str, ImportedPosition]) -> None:
    """Write imported positions."""
    for plugin, position in positions.items():
        values = (plugin, position.last_id, _encode(position.missing).decode())
        db.execute("INSERT INTO imported VALUES (?, ?, ?, ?)", (*values, checksum_of(*values)))
