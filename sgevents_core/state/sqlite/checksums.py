"""Checksums of records: SQLite detects a malformed page, but not a flipped byte.

A record written by an older version has no checksum and is accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar
from zlib import crc32

import msgspec

from sgevents_core.errors import StateDamaged
from sgevents_core.state.sqlite.database import Database

_T = TypeVar("_T")
CHECKSUMS_SINCE: Final = 7
"""The version of the schema that first had checksums."""

_LETTERS_SINCE: Final = 8
"""The version of the schema that first had checksums of failures."""


def checksum_of(*values: Any) -> int:
    """Return the checksum of a record's values as written."""
    return crc32(repr(values).encode("utf-8", "surrogatepass"))


def row_checksum(era: int, event_id: int, event_type: str, created: int, body: bytes) -> int:
    """Return the checksum of an event's row in the journal."""
    head = b"%d %d %d %b " % (era, event_id, created, event_type.encode("utf-8", "surrogatepass"))
    return crc32(body, crc32(head))


def checksum_column(db: Database) -> str:
    """Return the column of a record's checksum; a database opened for reading may lack it."""
    return "sum" if db.fetch_number("PRAGMA user_version") >= CHECKSUMS_SINCE else "NULL"


def letter_checksum_column(db: Database) -> str:
    """Return the column of a failure's checksum; see `checksum_column`."""
    return "sum" if db.fetch_number("PRAGMA user_version") >= _LETTERS_SINCE else "NULL"


def letter_checksum(plugin: str, callback: str, seq: int, event_id: int, body: bytes | None) -> int:
    """Return the checksum of the call that a failure or dead letter is about."""
    return checksum_of(plugin, callback, seq, event_id, body or b"")


def verify_checksum(db: Database, record_name: str, stored: int | None, *values: Any) -> None:
    """Check that a record is what was written.

    Args:
        db: The database it was read from.
        record_name: What it is, for people.
        stored: The checksum stored with it; None for a record of an older version.
        values: Its values.

    Raises:
        StateDamaged: It is not.
    """
    if stored is not None and stored != checksum_of(*values):
        raise StateDamaged(path=str(db.path), reason=f"{record_name} is not what was written")


def decode_record(db: Database, record_name: str, decode: Callable[[str], _T], text: str) -> _T:
    """Return the decoded text of a record; see `verify_checksum`.

    Raises:
        StateDamaged: It cannot be decoded.
    """
    try:
        return decode(text)
    except (ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
        raise StateDamaged(
            path=str(db.path), reason=f"{record_name} makes no sense: {error}"
        ) from None
