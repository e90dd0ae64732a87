"""The database as it is moved to servers and back: read, left without what only copies have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from heapq import merge
from itertools import chain
from pathlib import Path
from typing import Any, Final

from sgevents_core.errors import StateError
from sgevents_core.state.sqlite.backup import flush_to_disk
from sgevents_core.state.sqlite.copy_files import attached, copy_tables
from sgevents_core.state.sqlite.database import DATABASE, Database, Transaction
from sgevents_core.state.sqlite.journal_reading import JOURNAL_TABLES, JournalReader
from sgevents_core.state.sqlite.journal_writing import row_values
from sgevents_core.state.sqlite.log_copy import (
    COPY_TABLES,
    prepare_copy,
    read_tables,
    write_position,
)

MOVED_DATABASE: Final = "sgevents.moved.db"
"""What is left of a database after its state was moved to servers."""


def read_journal(database: Database) -> Iterator[tuple[Any, ...]]:
    """Yield the entries of the journal with all their columns, oldest first."""
    entry_rows = database.fetch_each(
        "SELECT seq, era, event_id, event_type, created_at, late, body, sum, strands FROM journal"
        " ORDER BY seq"
    )
    in_pages = chain.from_iterable(JournalReader(database).pages("TRUE"))
    return merge(entry_rows, map(row_values, in_pages))


def await_requests(folder: Path) -> None:
    """Wait until nobody writes a request any more who did not know of the move when beginning.

    Whoever begins later looks at the folder's record of the move, and is refused.
    """
    if (folder / DATABASE).exists():
        with closing(Database(folder)) as database, database.transaction():
            pass


def newest_number(database: Database) -> int:
    """Return the highest number that a failure or a dead letter ever had."""
    return max(
        database.fetch_number("SELECT coalesce(max(id), 0) FROM failures"),
        database.fetch_number(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'failures'"
        ),
    )


def write_moved_file(database: Database, folder: Path, positions: Mapping[str, int]) -> Path:
    """Write everything but the journal's entries to a database in an empty folder.

    Args:
        database: A connection to the state.
        folder: The folder.
        positions: Stream -> the place behind which hosts that begin with the file go on.

    Returns:
        The file, which is complete by itself.
    """
    with closing(Database(folder)) as target:
        prepare_copy(target)
        with attached(target, database.file_path), target.transaction() as connection:
            copy_tables(connection, read_tables(target) - JOURNAL_TABLES - {*COPY_TABLES})
            _number_asides(connection)
            for stream_key, position in positions.items():
                write_position(connection, stream_key, position)
        target.fetch_all("PRAGMA journal_mode = DELETE")  # so that it is a single file
    return folder / DATABASE


def _number_asides(connection: Transaction) -> None:
    """Number the events set aside from 1 on: messages give numbers from two million on."""
    numbers = connection.execute("SELECT number FROM set_aside ORDER BY number").fetchall()
    for number_after, (number_before,) in enumerate(numbers, 1):
        connection.execute(
            "UPDATE set_aside SET number = ? WHERE number = ?", (number_after, number_before)
        )
    connection.execute(
        "UPDATE sqlite_sequence SET seq = ? WHERE name = 'set_aside'", (len(numbers),)
    )


def export_copy(copy_folder: Path, target_path: Path) -> int:
    """Write what a copy holds to a file as a state has it that is nobody's copy.

    Args:
        copy_folder: The copy's folder.
        target_path: The file, which is replaced at once; it is complete by itself.

    Returns:
        Its size in bytes.
    """
    with closing(Database(copy_folder, read_only=True)) as database:
        return database.back_up(target_path, without_tables=COPY_TABLES)


def set_database_aside(folder: Path) -> None:
    """Give the database of a state that was moved another name; does nothing if it has it."""
    database_path = folder / DATABASE
    if not database_path.exists():
        return
    with closing(Database(folder)) as database:
        database.fetch_all("PRAGMA wal_checkpoint(TRUNCATE)")
    try:
        database_path.replace(folder / MOVED_DATABASE)
        for file_ending in ("-wal", "-shm"):
            database_path.with_name(f"{DATABASE}{file_ending}").unlink(missing_ok=True)
        flush_to_disk(folder)
    except OSError as error:
        raise StateError(path=str(folder), reason=error.strerror or str(error)) from None
