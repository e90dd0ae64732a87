"""Checksums of records: SQLite detects a malformed page, but not a flipped byte.

Records written by an older version have no checksum and are accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar
from zlib import crc32

import msgspec

from sgevents_core.errors import StateDamaged
from sgevents_core.state.sqlite.database import Database

_Decoded = TypeVar("_Decoded")
CHECKSUMS_SINCE: Final = 7
"""The version of the schema that first had checksums."""

_LETTER_CHECKSUMS_SINCE: Final = 8
"""The version of the schema that first had checksums of failures."""


def checksum_of(*record_values: Any) -> int:
    """Return the checksum of a record's values as written."""
    return crc32(repr(record_values).encode("utf-8", "surrogatepass"))


def row_checksum(
    feed_era: int, event_id: int, type_bytes: bytes, created_at: int, row_json: bytes
) -> int:
    """Return the checksum of an event's row in the journal, whose type is in UTF-8."""
    numbers_and_type = b"%d %d %d %b " % (feed_era, event_id, created_at, type_bytes)
    return crc32(row_json, crc32(numbers_and_type))


def checksum_column(database: Database) -> str:
    """Return the column of a record's checksum; a database opened for reading may lack it."""
    return "sum" if database.fetch_number("PRAGMA user_version") >= CHECKSUMS_SINCE else "NULL"


def letter_checksum_column(database: Database) -> str:
    """Return the column of a failure's checksum; see `checksum_column`."""
    return (
        "sum" if database.fetch_number("PRAGMA user_version") >= _LETTER_CHECKSUMS_SINCE else "NULL"
    )


def letter_checksum(
    plugin_name: str, callback_name: str, seq: int, event_id: int, row_json: bytes | None
) -> int:
    """Return the checksum of the call that a failure or dead letter is about."""
    return checksum_of(plugin_name, callback_name, seq, event_id, row_json or b"")


def verify_checksum(
    database: Database, record_name: str, stored_checksum: int | None, *record_values: Any
) -> None:
    """Check a record against its checksum.

    Args:
        database: The database that holds the record.
        record_name: The record's name, for people.
        stored_checksum: The checksum stored with it; None for a record of an older version.
        record_values: The record's values.

    Raises:
        StateDamaged: The checksum is wrong.
    """
    if stored_checksum is not None and stored_checksum != checksum_of(*record_values):
        raise StateDamaged(
            path=str(database.file_path), reason=f"{record_name} is not what was written"
        )


def decode_record(
    database: Database,
    record_name: str,
    decode_text: Callable[[str], _Decoded],
    encoded_record: str,
) -> _Decoded:
    """Return the decoded text of a record; see `verify_checksum`.

    Raises:
        StateDamaged: The record cannot be decoded.
    """
    try:
        return decode_text(encoded_record)
    except (ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
        raise StateDamaged(
            path=str(database.file_path), reason=f"{record_name} makes no sense: {error}"
        ) from None
