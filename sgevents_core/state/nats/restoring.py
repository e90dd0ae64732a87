"""A host's copy as the state that is moved to the servers, after a stream was lost."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sgevents_core.errors import MoveRefused, RestoreRefused
from sgevents_core.state.move_record import MoveRecord, read_move, write_move
from sgevents_core.state.nats.broker_logs import BrokerLogs
from sgevents_core.state.nats.copy import COPY_FOLDER, Copy
from sgevents_core.state.nats.stream_keys import JOURNAL_ROWS
from sgevents_core.state.nats.surviving import find_left_behind, read_on
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


def has_restored(folder: Path, move_record: MoveRecord) -> bool:
    """Return whether the copy was made the database of the folder before, by a command cut off.

    Raises:
        MoveRefused: There is no whole copy, or another database in the folder.
    """
    if database_exists(folder):
        if read_move(folder) == move_record:
            return True
        reason_text = "there is a state in this folder already; move its sgevents.db elsewhere"
        raise MoveRefused(path=str(folder), reason=reason_text)
    copy_folder = folder / COPY_FOLDER
    if not database_exists(copy_folder):
        raise MoveRefused(path=str(folder), reason="this host has no copy of it")
    with closing(Database(copy_folder, read_only=True)) as database:
        if JOURNAL_ROWS in read_positions(database):
            raise MoveRefused(path=str(folder), reason="this host's copy is not whole")
    return False


def complete_copy(folder: Path, host_name: str, logs: BrokerLogs, *, is_forced: bool) -> int:
    """Let the copy have what streams that were not lost hold; return how many messages it lacked.

    Args:
        folder: The state's folder.
        host_name: This host.
        logs: The streams.
        is_forced: Whether what the copy cannot take may be lost.

    Raises:
        RestoreRefused: The servers hold what the copy cannot take.
        StateElsewhere: The state was moved from these servers.
    """
    with closing(Copy(folder, host_name)) as copy:
        applied_count = read_on(copy, logs)
        left_behind = find_left_behind(copy, logs)
    if left_behind and not is_forced:
        listing = "\n".join(map(str, left_behind))
        raise RestoreRefused(path=str(folder / COPY_FOLDER), listing=listing)
    return applied_count


def restore_database(folder: Path, move_record: MoveRecord) -> None:
    """Make the copy the database of the state's folder; see `has_restored`."""
    with closing(Database(folder / COPY_FOLDER, read_only=True)) as database:
        write_move(folder, move_record)
        database.back_up(folder / DATABASE)
