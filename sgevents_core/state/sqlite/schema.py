"""The schema of the state's database: its settings and its numbered migrations."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from sgevents_core.errors import StateError, StateTooNew
from sgevents_core.state.sqlite.backup import back_up_before_upgrade

_WAL_MODE_TIMEOUT: Final = 5.0
_PAGE_SIZE: Final = 16_384
"""The size of a new database's pages, in bytes.

Appending and reading events costs less than with SQLite's 4 KiB: there are a quarter of the pages.
"""
_PAGES_SINCE_VERSION: Final = 17


def prepare_for_writing(connection: sqlite3.Connection) -> None:
    """Prepare a connection for writing and bring the schema up to date."""
    if _schema_version(connection) > len(migrations()):
        return  # `check_version` raises; a newer schema is left untouched
    connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")  # without effect once it has tables
    _set_wal_mode(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    if _schema_version(connection) < len(migrations()):
        _apply_migrations(connection)


def check_version(
    connection: sqlite3.Connection, database_path: Path, oldest_version: int = 0
) -> None:
    """Check that this version knows the schema.

    Args:
        connection: A connection.
        database_path: The database's file, for people.
        oldest_version: The oldest version of the schema that is sufficient.

    Raises:
        StateError: A newer version of sgevents wrote the schema, or one that is too old.
    """
    schema_version, newest_version = _schema_version(connection), len(migrations())
    if schema_version < oldest_version:
        reason_text = (
            f"its schema has version {schema_version}, this needs {oldest_version};"
            " start the daemon once, which brings it up to date"
        )
        raise StateError(path=str(database_path), reason=reason_text)
    if schema_version > newest_version:
        reason_text = (
            f"its schema has version {schema_version}, this version of sgevents knows up to"
            f" {newest_version}; install the version that wrote it or restore the backup made"
            " before the upgrade"
        )
        raise StateTooNew(path=str(database_path), reason=reason_text)


def has_pages(connection: sqlite3.Connection) -> bool:
    """Return whether the schema has pages of the journal; a later start may add them."""
    return _schema_version(connection) >= _PAGES_SINCE_VERSION


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """Return the number and text of each migration, in order."""
    migrations_folder = resources.files("sgevents_core.state.sqlite") / "migrations"
    migration_files = sorted(
        (migration_file.name, migration_file)
        for migration_file in migrations_folder.iterdir()
        if migration_file.name.endswith(".sql")
    )
    return tuple(
        (int(file_name[:4]), migration_file.read_text("utf-8"))
        for file_name, migration_file in migration_files
    )


def _set_wal_mode(connection: sqlite3.Connection) -> None:
    """Set the journal mode; wait here for another process, since SQLite itself does not."""
    wait_until = time.monotonic() + _WAL_MODE_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > wait_until:
                raise
        time.sleep(0.01)


def _schema_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _apply_migrations(connection: sqlite3.Connection) -> None:
    """Apply the missing migrations, all or none, while other processes wait."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        schema_version = _schema_version(connection)
        if 0 < schema_version < len(migrations()):
            _back_up_over_second_connection(connection, schema_version)
        for _, migration_script in migrations()[schema_version:]:
            for sql_statement in filter(str.strip, migration_script.split(";")):
                connection.execute(sql_statement)
        connection.execute(f"PRAGMA user_version = {len(migrations())}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _back_up_over_second_connection(connection: sqlite3.Connection, schema_version: int) -> None:
    """Keep a copy over a second connection: a connection with the write lock cannot copy itself."""
    database_path = connection.execute("PRAGMA database_list").fetchone()[2]
    with closing(sqlite3.connect(database_path)) as second_connection:
        back_up_before_upgrade(second_connection, schema_version)
