"""A host's copy as the state that is moved to the servers, after a stream was lost."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sgevents_core.errors import MoveRefused
from sgevents_core.state.move_record import MoveRecord, read_move, write_move
from sgevents_core.state.nats.copy import COPY_FOLDER
from sgevents_core.state.nats.stream_keys import JOURNAL_ROWS
from sgevents_core.state.register import NotedLane
from sgevents_core.state.sqlite.database import DATABASE, Database, database_exists
from sgevents_core.state.sqlite.log_copy import prepare_copy, read_positions
from sgevents_core.state.sqlite.shared_registers import read_shared_register
from sgevents_core.state.sqlite.sqlite_state import SqliteWriter


class RestoredWriter(SqliteWriter):
    """A connection to a copy that is nobody's copy any more: registers are those in it."""

    def noted_lane(self, lane_name: str) -> NotedLane:
        """Return what a lane had noted, as far as the copy knows."""
        shared_register = read_shared_register(self._database, lane_name)
        return NotedLane(None, {}) if shared_register is None else shared_register.noted_lane

    def forget_registers(self) -> None:
        """Remove the registers, whose content is in the ledger."""
        with self._database.transaction(durable=True) as connection:
            connection.execute("DELETE FROM log_registers")
            connection.execute("DELETE FROM log_words")


def open_restored(folder: Path) -> RestoredWriter:
    """Open the database that was made of a copy."""
    with closing(Database(folder)) as database:
        prepare_copy(database)
    return RestoredWriter(folder)


def restore_database(folder: Path, move_record: MoveRecord) -> None:
    """Make the copy the database of the state's folder, unless a move of it has begun.

    Raises:
        MoveRefused: There is no whole copy, or another database in the folder.
    """
    if database_exists(folder):
        if read_move(folder) == move_record:
            return
        reason_text = "there is a state in this folder already; move its sgevents.db elsewhere"
        raise MoveRefused(path=str(folder), reason=reason_text)
    copy_folder = folder / COPY_FOLDER
    if not database_exists(copy_folder):
        raise MoveRefused(path=str(folder), reason="this host has no copy of it")
    with closing(Database(copy_folder, read_only=True)) as database:
        if JOURNAL_ROWS in read_positions(database):
            raise MoveRefused(path=str(folder), reason="this host's copy is not whole")
        write_move(folder, move_record)
        database.back_up(folder / DATABASE)
