"""Inspect a database: a record that SQLite can read may still be damaged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from sgevents_core.errors import StateDamaged, StateError
from sgevents_core.state.batches import BatchedEvent
from sgevents_core.state.deferred import DeferredEvent
from sgevents_core.state.inspection import FormatVersion, InspectedLetter, Integrity
from sgevents_core.state.sqlite import schema
from sgevents_core.state.sqlite.batches import read_all_batched
from sgevents_core.state.sqlite.checksums import letter_checksum, letter_checksum_column
from sgevents_core.state.sqlite.database import DATABASE, Database
from sgevents_core.state.sqlite.deferred import inspected_deferred


class SqliteInspection:
    """An inspection with a connection of its own, for one thread at a time.

    Args:
        state_folder: The state's folder.

    Raises:
        StateError: The database cannot be opened, or was written by a newer version.
    """

    def __init__(self, state_folder: Path) -> None:
        self._database = Database(state_folder, read_only=True)

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def format_version(self) -> FormatVersion:
        """Return the version of the schema."""
        return FormatVersion(
            self._database.fetch_number("PRAGMA user_version"), len(schema.migrations())
        )

    def integrity(self, error_limit: int, *, skip_indexes: bool) -> Integrity:
        """Check every page of the database."""
        check_pragma = "quick_check" if skip_indexes else "integrity_check"
        try:
            found_errors = [
                str(pragma_row[0])
                for pragma_row in self._database.fetch_all(f"PRAGMA {check_pragma}({error_limit})")
            ]
        except StateDamaged as state_damaged:  # the database is too damaged for SQLite to check
            found_errors = [state_damaged.reason]
        if found_errors == ["ok"]:
            return Integrity(DATABASE, (), ())
        return Integrity(DATABASE, found_errors, [*self._unreadable_objects()])

    def _unreadable_objects(self) -> Iterator[str]:
        """Yield the tables and indexes that cannot be read completely."""
        for object_kind, object_name, table_name in self._database.fetch_all(
            "SELECT type, name, tbl_name FROM sqlite_master ORDER BY name"
        ):
            index_clause = (
                "NOT INDEXED" if object_kind == "table" else f'INDEXED BY "{object_name}"'
            )
            try:
                for _ in self._database.fetch_each(f'SELECT * FROM "{table_name}" {index_clause}'):  # noqa: S608 - SQLite's own names
                    pass
            except StateDamaged:
                yield f"{object_kind} {object_name}"
            except StateError:
                continue  # a partial index cannot be read like this

    def stores(self) -> list[str]:
        """Return the plugins that have a store, by name."""
        plugin_rows = self._database.fetch_all("SELECT DISTINCT plugin FROM stores ORDER BY plugin")
        return [plugin_name for (plugin_name,) in plugin_rows]

    def letters(self) -> Iterator[InspectedLetter]:
        """Yield the dead letters, oldest first."""
        letter_columns = (
            f"id, plugin, callback, seq, event_id, body, {letter_checksum_column(self._database)}"
        )
        for letter_number, *call_values, stored_checksum in self._database.fetch_each(
            f"SELECT {letter_columns} FROM failures WHERE dead = 1 ORDER BY id"  # noqa: S608 - our own columns
        ):
            plugin_name, callback_name, seq, event_id, row_json = call_values
            is_intact = not row_json or _is_row_of(event_id, row_json)
            if is_intact and stored_checksum is not None:
                is_intact = stored_checksum == letter_checksum(
                    plugin_name, callback_name, seq, event_id, row_json
                )
            yield InspectedLetter(letter_number, event_id, is_intact)

    def batched(self) -> Iterator[BatchedEvent]:
        """Yield the events of batches, and of the dead letters of batches, in order."""
        yield from read_all_batched(self._database)

    def deferred(self) -> Iterator[DeferredEvent]:
        """Yield the calls that are put off, in the order of their events."""
        yield from inspected_deferred(self._database)


def _is_row_of(event_id: int, row_json: bytes) -> bool:
    try:
        return bool(json.loads(row_json).get("id") == event_id)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return False
