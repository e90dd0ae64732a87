"""What lanes of other hosts have noted in their registers; only copies have these tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from sgevents_core.choices import OrderBy
from sgevents_core.state.keys import CallKey
from sgevents_core.state.register import NotedLane, noted_lane_of
from sgevents_core.state.sqlite.database import Database

REGISTER_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS log_registers (lane TEXT PRIMARY KEY, position INTEGER NOT NULL,"
    " order_by TEXT, names TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS log_words (lane TEXT NOT NULL, place INTEGER NOT NULL,"
    " word INTEGER NOT NULL, PRIMARY KEY (lane, place)) WITHOUT ROWID",
)
_encode_json: Final = msgspec.json.Encoder().encode


class SharedRegister(NamedTuple):
    """A register as the lane's stream has it.

    Args:
        position: The place of the message that opened it.
        noted_lane: Its content.
    """

    position: int
    noted_lane: NotedLane


def write_shared_register(
    connection: sqlite3.Connection,
    lane_name: str,
    position: int,
    order_by: OrderBy | None,
    names: Sequence[str],
) -> None:
    """Begin a lane's register anew, in the caller's transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO log_registers VALUES (?, ?, ?, ?)",
        (lane_name, position, order_by, _encode_json(names).decode()),
    )
    connection.execute("DELETE FROM log_words WHERE lane = ?", (lane_name,))


def write_shared_words(
    connection: sqlite3.Connection, lane_name: str, words: Mapping[int, int]
) -> None:
    """Write words of a lane's register, in the caller's transaction."""
    connection.executemany(
        "INSERT OR REPLACE INTO log_words VALUES (?, ?, ?)",
        ((lane_name, place, word) for place, word in words.items()),
    )


def read_shared_register(database: Database, lane_name: str) -> SharedRegister | None:
    """Return the register of a lane; None if it never had one."""
    register_row = database.fetch_one(
        "SELECT position, order_by, names FROM log_registers WHERE lane = ?", lane_name
    )
    if register_row is None:
        return None
    position, order_text, encoded_names = register_row
    order_by: OrderBy | None = msgspec.convert(order_text, OrderBy | None)
    keys = [CallKey.decode(name) for name in msgspec.json.decode(encoded_names)]
    words = dict(database.fetch_all("SELECT place, word FROM log_words WHERE lane = ?", lane_name))
    return SharedRegister(position, noted_lane_of(words, keys, order_by))
