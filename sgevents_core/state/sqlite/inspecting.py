"""Inspecting a database: a record that SQLite can read may still be damaged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from sgevents_core.errors import StateDamaged, StateError
from sgevents_core.state.inspection import FormatVersion, InspectedLetter, Integrity
from sgevents_core.state.sqlite import schema
from sgevents_core.state.sqlite.checksums import letter_checksum, letter_checksum_column
from sgevents_core.state.sqlite.database import DATABASE, Database


class SqliteInspection:
    """An inspection over a connection of its own, for one thread at a time.

    Args:
        folder: The state's folder.

    Raises:
        StateError: The database cannot be opened, or was written by a newer version.
    """

    def __init__(self, folder: Path) -> None:
        self._db = Database(folder, read_only=True)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def format_version(self) -> FormatVersion:
        """Return the version of the schema."""
        return FormatVersion(self._db.fetch_number("PRAGMA user_version"), len(schema.migrations()))

    def integrity(self, most: int, *, quick: bool) -> Integrity:
        """Check every page of the database."""
        pragma = "quick_check" if quick else "integrity_check"
        try:
            errors = [str(row[0]) for row in self._db.fetch_all(f"PRAGMA {pragma}({most})")]
        except StateDamaged as error:  # damaged so badly that SQLite cannot even check it
            errors = [error.reason]
        if errors == ["ok"]:
            return Integrity(DATABASE, (), ())
        return Integrity(DATABASE, errors, [*self._unreadable()])

    def _unreadable(self) -> Iterator[str]:
        """Yield the tables and indexes that cannot be read completely."""
        for kind, name, table in self._db.fetch_all(
            "SELECT type, name, tbl_name FROM sqlite_master ORDER BY name"
        ):
            how = "NOT INDEXED" if kind == "table" else f'INDEXED BY "{name}"'
            try:
                for _ in self._db.fetch_each(f'SELECT * FROM "{table}" {how}'):  # noqa: S608 - SQLite's own names
                    pass
            except StateDamaged:
                yield f"{kind} {name}"
            except StateError:
                continue  # a partial index cannot be read like this

    def stores(self) -> list[str]:
        """Return the plugins that have a store, by name."""
        rows = self._db.fetch_all("SELECT DISTINCT plugin FROM stores ORDER BY plugin")
        return [plugin for (plugin,) in rows]

    def letters(self) -> Iterator[InspectedLetter]:
        """Yield the dead letters, oldest first."""
        columns = f"id, plugin, callback, seq, event_id, body, {letter_checksum_column(self._db)}"
        for number, *about, checksum in self._db.fetch_each(
            f"SELECT {columns} FROM failures WHERE dead = 1 ORDER BY id"  # noqa: S608 - our own columns
        ):
            plugin, callback, seq, event_id, body = about
            whole = not body or _is_row_of(event_id, body)
            if whole and checksum is not None:
                whole = checksum == letter_checksum(plugin, callback, seq, event_id, body)
            yield InspectedLetter(number, event_id, whole)


def _is_row_of(event_id: int, body: bytes) -> bool:
    try:
        return bool(json.loads(body).get("id") == event_id)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return False
