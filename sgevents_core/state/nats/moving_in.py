"""Moving a state from this host's disk to the servers.

The rows of the journal go into its stream, everything else into a snapshot, with which every host
begins. Until the pointer names the snapshot, the first message of the journal says that the state
is not there yet; so a move that was cut off is begun anew.
"""

from __future__ import annotations

import gzip
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import starmap
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from sgevents_core.errors import StateDamaged, StateError
from sgevents_core.state.move_record import MoveRecord, write_move
from sgevents_core.state.nats.appending import StoredAt
from sgevents_core.state.nats.broker_logs import BrokerLogs
from sgevents_core.state.nats.copy import COPY_FOLDER
from sgevents_core.state.nats.copy_snapshots import SnapshotPointer, read_snapshot_pointer
from sgevents_core.state.nats.messages import (
    Elsewhere,
    MovedRow,
    MovedRows,
    decode_message,
    encode_message,
)
from sgevents_core.state.nats.moved_logs import is_moved_in, write_mark
from sgevents_core.state.nats.stream_keys import JOURNAL
from sgevents_core.state.register import remove_registers
from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.sqlite.moved_files import (
    await_requests,
    newest_number,
    read_journal,
    set_database_aside,
    write_moved_file,
)

ROWS_AT_ONCE: Final = 500
BYTES_AT_ONCE: Final = 2_000_000
"""The most bytes of rows in one message, unless a single row has more."""


def move_in(logs: BrokerLogs, folder: Path, host_name: str, move_record: MoveRecord) -> None:
    """Move a state from a folder to the servers, where nobody works at it.

    Args:
        logs: The streams; what they hold is lost.
        folder: The state's folder, whose lock this process holds, with no register left.
        host_name: This host.
        move_record: The move, as it is written down in the folder.

    Raises:
        StateError: The state cannot be read, or the servers do not answer; the same command
            begins anew.
    """
    write_move(folder, move_record)
    await_requests(folder)
    if not is_moved_in(logs, move_record):
        move_record = _send_state(logs, folder, host_name, move_record)
    set_database_aside(folder)
    remove_registers(folder)
    shutil.rmtree(folder / COPY_FOLDER, ignore_errors=True)
    write_move(folder, replace(move_record, is_complete=True))


def _send_state(
    logs: BrokerLogs, folder: Path, host_name: str, move_record: MoveRecord
) -> MoveRecord:
    """Put everything on the servers, and return the move with the place that completes it."""
    begin = Elsewhere(host=host_name, folder=str(folder), target="servers", token=move_record.token)
    positions = _empty_logs(logs, begin)
    with (
        closing(Database(folder)) as database,
        tempfile.TemporaryDirectory(prefix="move-", dir=folder) as work_folder,
    ):
        logs.raise_numbers(newest_number(database))
        positions[JOURNAL] = _send_rows(logs, database, positions[JOURNAL])
        file_path = write_moved_file(database, Path(work_folder), positions)
        packed_path = Path(work_folder) / "packed"
        with file_path.open("rb") as source, gzip.open(packed_path, "wb", 3) as packed:
            shutil.copyfileobj(source, packed)
        file_name = f"snapshot-{secrets.token_hex(8)}.db.gz"
        with packed_path.open("rb") as packed_file:
            logs.put_file(file_name, packed_file)
        size = packed_path.stat().st_size
    move_record = replace(move_record, journal_place=positions[JOURNAL])
    write_move(folder, move_record)
    _complete(logs, folder, SnapshotPointer(file_name, size, positions))
    return move_record


def _complete(logs: BrokerLogs, folder: Path, pointer: SnapshotPointer) -> None:
    """Let all hosts begin with the snapshot; what was the newest before is removed."""
    before, revision = read_snapshot_pointer(logs)
    if not logs.move_pointer(msgspec.json.encode(pointer), revision):
        raise StateError(path=str(folder), reason="another host made a snapshot meanwhile")
    for old_name in () if before is None else (before.file, before.file_before):
        if old_name:
            logs.delete_file(old_name)


def _empty_logs(logs: BrokerLogs, begin: Elsewhere) -> dict[str, int]:
    """Remove what the streams hold; return where each ends, the journal's with its mark.

    A journal's stream that was made anew goes on behind the place that the pointer names: else that
    one would seem to complete this move.
    """
    pointer, _ = read_snapshot_pointer(logs)
    if pointer is not None:
        logs.log(JOURNAL).raise_to(pointer.positions.get(JOURNAL, 0))
    positions = {JOURNAL: write_mark(logs.log(JOURNAL), begin)}
    logs.log(JOURNAL).cut_front(positions[JOURNAL])
    for stream_key in logs.stream_keys():
        if stream_key != JOURNAL:
            positions[stream_key] = logs.log(stream_key).clear()
    return positions


def _send_rows(logs: BrokerLogs, database: Database, place: int) -> int:
    """Append all entries of the journal; return the place of the last message."""
    log = logs.log(JOURNAL)
    for number, rows in enumerate(_pages(database), 1):
        data = encode_message(MovedRows(rows=rows))
        _check_rows(data, database.file_path)
        token = f"move-{secrets.token_hex(8)}/{number}"
        outcome = log.append(MovedRows.subject_kind, data, place, token)
        if not isinstance(outcome, StoredAt):
            reason_text = "another process writes to the journal on the servers"
            raise StateError(path=str(database.file_path), reason=reason_text)
        place = outcome.sequence
    return place


def _pages(database: Database) -> Iterator[list[MovedRow]]:
    rows: list[MovedRow] = []
    page_bytes = 0
    for row in starmap(MovedRow, read_journal(database)):
        if rows and (len(rows) == ROWS_AT_ONCE or page_bytes + len(row.body) > BYTES_AT_ONCE):
            yield rows
            rows, page_bytes = [], 0
        rows.append(row)
        page_bytes += len(row.body)
    if rows:
        yield rows


def _check_rows(data: bytes, file_path: Path) -> None:
    """Check that hosts can read what is sent.

    Raises:
        StateDamaged: An entry has values of the wrong kind.
    """
    try:
        decode_message(data, "")
    except ValueError as error:
        raise StateDamaged(path=str(file_path), reason=f"its journal: {error}") from None
