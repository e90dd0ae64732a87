"""What a copy of logs knows besides the state: how far it has read, and which message holds a row.

These tables are in copies only.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from sgevents_core.state.feed_values import LONGEST_ASIDE_TEXT, SetAside
from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.sqlite.journal_reading import JournalReader
from sgevents_core.state.sqlite.shared_registers import REGISTER_TABLES

_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS log_positions (stream TEXT PRIMARY KEY, position INTEGER NOT NULL)"
    " WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS log_pages (first_seq INTEGER PRIMARY KEY, position INTEGER NOT"
    " NULL)",
    "CREATE TABLE IF NOT EXISTS log_requests (position INTEGER PRIMARY KEY, first_number INTEGER"
    " NOT NULL)",
    "CREATE TABLE IF NOT EXISTS log_identities (stream TEXT PRIMARY KEY, identity TEXT NOT NULL)"
    " WITHOUT ROWID",
    *REGISTER_TABLES,
)
COPY_TABLES: Final = (
    "log_positions",
    "log_pages",
    "log_requests",
    "log_identities",
    "log_registers",
    "log_words",
)
"""The names of the tables that only copies have."""
_KEPT_NUMBERS: Final = 1_000
"""Messages for which the copy remembers the number of their first request."""


def prepare_copy(database: Database) -> None:
    """Make the tables of a copy if they are missing."""
    with database.transaction() as connection:
        for sql_statement in _TABLES:
            connection.execute(sql_statement)


def read_tables(database: Database) -> set[str]:
    """Return the names of the tables."""
    return {
        str(name)
        for (name,) in database.fetch_all("SELECT name FROM sqlite_master WHERE type = 'table'")
    }


def read_positions(database: Database) -> dict[str, int]:
    """Return the position in each stream up to which the copy has applied it."""
    return dict(database.fetch_all("SELECT stream, position FROM log_positions"))


def write_position(connection: sqlite3.Connection, stream_key: str, position: int) -> None:
    """Write how far a stream is applied, in the transaction that applies it."""
    connection.execute("INSERT OR REPLACE INTO log_positions VALUES (?, ?)", (stream_key, position))


def read_identities(database: Database) -> dict[str, str]:
    """Return what tells each stream from another of its name, as far as it was looked at."""
    return dict(database.fetch_all("SELECT stream, identity FROM log_identities"))


def write_identity(connection: sqlite3.Connection, stream_key: str, identity: str) -> None:
    """Write what tells a stream from another of its name."""
    connection.execute("INSERT OR IGNORE INTO log_identities VALUES (?, ?)", (stream_key, identity))


def forget_position(connection: sqlite3.Connection, stream_key: str) -> None:
    """Forget how far a stream is applied."""
    connection.execute("DELETE FROM log_positions WHERE stream = ?", (stream_key,))


def write_page_position(connection: sqlite3.Connection, first_seq: int, position: int) -> None:
    """Write which message of the journal's stream holds the rows from a `seq` on."""
    connection.execute("INSERT OR REPLACE INTO log_pages VALUES (?, ?)", (first_seq, position))


def forget_pages(connection: sqlite3.Connection, first_kept_seq: int) -> None:
    """Forget the messages whose rows were all removed, but for the last of them.

    Behind it, the first message begins that is still needed, with all its parts.
    """
    connection.execute(
        "DELETE FROM log_pages WHERE first_seq < (SELECT max(first_seq) FROM log_pages WHERE"
        " first_seq < (SELECT max(first_seq) FROM log_pages WHERE first_seq <= ?))",
        (first_kept_seq,),
    )


def write_first_number(connection: sqlite3.Connection, position: int, first_number: int) -> None:
    """Write the number of the first request that a message made."""
    connection.execute("INSERT INTO log_requests VALUES (?, ?)", (position, first_number))
    connection.execute("DELETE FROM log_requests WHERE position < ?", (position - _KEPT_NUMBERS,))


def read_first_number(database: Database, position: int) -> int | None:
    """Return the number of the first request that a message made, if it is not long ago."""
    number_row = database.fetch_one(
        "SELECT first_number FROM log_requests WHERE position = ?", position
    )
    return None if number_row is None else int(number_row[0])


def is_aside(database: Database, event_aside: SetAside) -> bool:
    """Return whether an event is set aside already."""
    return (
        database.fetch_one(
            "SELECT 1 FROM set_aside WHERE era = ? AND event = ? AND place = ?",
            event_aside.era,
            event_aside.event[:LONGEST_ASIDE_TEXT],
            event_aside.where,
        )
        is not None
    )


def last_removed_page(database: Database) -> int:
    """Return the position of the last message of which the journal keeps no row; 0 without one."""
    return database.fetch_number(
        "SELECT coalesce(max(position), 0) FROM log_pages WHERE first_seq <"
        " (SELECT max(first_seq) FROM log_pages WHERE first_seq <= ?)",
        JournalReader(database).lowest(),
    )


def first_known_page(database: Database) -> int:
    """Return the position of the first message with rows that is known; 0 without one.

    Nothing behind it was cut off for this copy.
    """
    return database.fetch_number("SELECT coalesce(min(position), 0) FROM log_pages")


def dump_tables(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Return everything that a copy holds, for comparing copies, except which streams it saw."""
    tables = sorted(read_tables(database) - {"log_identities"})
    return {
        table_name: sorted(
            database.fetch_all(f'SELECT * FROM "{table_name}"'),  # noqa: S608 - SQLite's own names
            key=repr,
        )
        for table_name in tables
    }
