"""Moving a state from the servers to this host's disk.

The streams stay as they are, and end with a message that says where the state is. This host's copy,
once it has everything before that message, becomes the state on the disk.
"""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from sgevents_core.errors import FrontCut, StateError
from sgevents_core.state.move_record import MoveRecord, write_move
from sgevents_core.state.nats.broker_logs import BrokerLogs
from sgevents_core.state.nats.copy import COPY_FOLDER, Copy
from sgevents_core.state.nats.copy_reader import CopyReader
from sgevents_core.state.nats.copy_snapshots import remake
from sgevents_core.state.nats.messages import Elsewhere, decode_message
from sgevents_core.state.nats.moved_logs import Mark, read_mark, write_mark
from sgevents_core.state.nats.stream_keys import JOURNAL, JOURNAL_ROWS
from sgevents_core.state.register import remove_registers
from sgevents_core.state.sqlite.database import DATABASE
from sgevents_core.state.sqlite.moved_files import export_copy

_READ_WITHIN: Final = 60.0
"""Seconds without news after which the copy should have everything."""
_PAUSE: Final = 0.05


def is_marked(logs: BrokerLogs, move_record: MoveRecord) -> bool:
    """Return whether the journal's stream already ends with this move."""
    mark = read_mark(logs.log(JOURNAL))
    return mark is not None and _is_of(mark, move_record.token)


def move_out(logs: BrokerLogs, folder: Path, host_name: str, move_record: MoveRecord) -> None:
    """Move a state from the servers to a folder; nobody works at it, and no register is left.

    Args:
        logs: The streams.
        folder: The folder, whose lock this process holds.
        host_name: This host.
        move_record: The move, as it is written down in the folder.

    Raises:
        StateError: The servers do not answer, or the disk is full; the same command continues.
    """
    says = Elsewhere(host=host_name, folder=str(folder), target="disk", token=move_record.token)
    _mark_logs(logs, says)
    with closing(Copy(folder, host_name)) as copy:
        _read_to_marks(copy, logs)
    for file_ending in ("-wal", "-shm"):
        (folder / f"{DATABASE}{file_ending}").unlink(missing_ok=True)
    export_copy(folder / COPY_FOLDER, folder / DATABASE)
    remove_registers(folder)
    shutil.rmtree(folder / COPY_FOLDER, ignore_errors=True)
    write_move(folder, replace(move_record, is_complete=True))


def _is_of(mark: Mark, token: str) -> bool:
    """Return whether a mark says that the state is on the disk of a folder."""
    return mark.says.target == "disk" and mark.says.token == token


def _mark_logs(logs: BrokerLogs, says: Elsewhere) -> None:
    """Let each stream end, the journal's first: it decides for all hosts.

    What anybody asks or notes behind its end is refused, as all copies learn; before it, it moves.
    """
    for stream_key in logs.stream_keys():
        log = logs.log(stream_key)
        mark = read_mark(log)
        if mark is None or not _is_of(mark, says.token):
            write_mark(log, says)


def _read_to_marks(copy: Copy, logs: BrokerLogs) -> None:
    """Read until the copy has everything before the marks.

    Raises:
        StateError: It does not get there.
    """
    reader = CopyReader(copy, logs)
    moved_at = time.monotonic()
    while True:
        try:
            has_moved = reader.catch_up()
        except FrontCut as front_cut:
            remake(copy, logs, front_cut)
            has_moved = True
        if has_moved:
            moved_at = time.monotonic()
        elif _has_everything(copy, logs):
            return
        elif time.monotonic() > moved_at + _READ_WITHIN:
            reason_text = "the copy does not get everything that the servers have"
            raise StateError(path=str(copy.folder), reason=reason_text)
        else:
            time.sleep(_PAUSE)
            reader.wake()


def _has_everything(copy: Copy, logs: BrokerLogs) -> bool:
    """Return whether the next message of each stream is its mark."""
    if JOURNAL_ROWS in copy.positions:
        return False
    for stream_key in logs.stream_keys():
        unread = logs.log(stream_key).read_after(copy.positions.get(stream_key, 0))
        if not unread or not isinstance(decode_message(unread[0].data, ""), Elsewhere):
            return False
    return True
