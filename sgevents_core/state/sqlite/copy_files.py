"""A copy of logs as one file, without the rows of the journal, and a copy made from one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sgevents_core.state.sqlite.database import DATABASE, Database, Transaction
from sgevents_core.state.sqlite.journal_reading import JOURNAL_TABLES
from sgevents_core.state.sqlite.log_copy import prepare_copy, read_tables


def write_copy_file(database: Database, folder: Path) -> Path:
    """Write what a copy holds now, without the journal's rows, to a database in an empty folder.

    Others may write meanwhile.

    Args:
        database: A connection to the copy.
        folder: The folder.

    Returns:
        The file, which is complete by itself.
    """
    with closing(Database(folder)) as target:
        prepare_copy(target)
        with attached(target, database.file_path), target.transaction() as connection:
            copy_tables(connection, read_tables(target) - JOURNAL_TABLES)
        target.fetch_all("PRAGMA journal_mode = DELETE")  # so that it is a single file
    return folder / DATABASE


def restore_copy_file(database: Database, source_folder: Path, rows_key: str) -> None:
    """Put what a file holds in place of everything in a copy, in one transaction.

    Args:
        database: The copy's connection.
        source_folder: The folder of the file; its schema is brought up to date.
        rows_key: The stream by which the copy says that its journal is still to be filled.

    Raises:
        StateTooNew: A newer version wrote it.
    """
    with closing(Database(source_folder)) as source:
        prepare_copy(source)
        source.fetch_all("PRAGMA journal_mode = DELETE")
    with attached(database, source_folder / DATABASE), database.transaction() as connection:
        connection.execute("DELETE FROM journal")
        connection.execute("DELETE FROM journal_pages")
        copy_tables(connection, read_tables(database) - JOURNAL_TABLES)
        connection.execute("INSERT INTO log_positions VALUES (?, 0)", (rows_key,))


@contextmanager
def attached(database: Database, other_path: Path) -> Iterator[None]:
    """Have another database as `other` while the block lasts."""
    database.fetch_all("ATTACH ? AS other", str(other_path))
    try:
        yield
    finally:
        database.fetch_all("DETACH other")


def copy_tables(connection: Transaction, table_names: set[str]) -> None:
    """Copy tables of the attached database, among them that of the numbers given last."""
    for table_name in sorted(table_names):
        connection.execute(f'DELETE FROM main."{table_name}"')  # noqa: S608 - SQLite's own names
        connection.execute(
            f'INSERT INTO main."{table_name}" SELECT * FROM other."{table_name}"'  # noqa: S608 - the same
        )
