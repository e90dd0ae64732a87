"""What the state's folder says of a move of the state, so that nobody works at half of one.

A state is on this host's disk, or on the servers of `[state] url`. A move between them is written
down here before anything else changes, and once more when it is complete.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from sgevents_core.choices import MoveTarget
from sgevents_core.errors import StateElsewhere, StateError
from sgevents_core.state.plain_files import make_state_folder, read_plain_file, replace_plain_file

MOVE_FILE: Final = "moved.json"


class MoveRecord(Struct, frozen=True):
    """The last move of a folder's state.

    Args:
        target: Where it was moved.
        token: What tells this folder from others; also in the streams.
        is_complete: Whether the move is complete.
        journal_place: Of a move to the servers: where the journal's stream ended with the snapshot
            that completes it; 0 until that is sent.
    """

    target: MoveTarget
    token: str
    is_complete: bool = False
    journal_place: int = 0


_decode: Final = msgspec.json.Decoder(MoveRecord).decode


def read_move(state_folder: Path) -> MoveRecord | None:
    """Return the last move of a folder's state; None if it was never moved.

    Raises:
        StateError: The record cannot be read.
    """
    try:
        return _decode(read_plain_file(state_folder / MOVE_FILE))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.MsgspecError) as error:
        reason_text = f"{MOVE_FILE}: {error}"
        raise StateError(path=str(state_folder), reason=reason_text) from None


def write_move(state_folder: Path, move_record: MoveRecord) -> None:
    """Write down a move, on the disk.

    Raises:
        StateError: It cannot be written.
    """
    try:
        make_state_folder(state_folder)
        replace_plain_file(state_folder / MOVE_FILE, msgspec.json.encode(move_record))
        descriptor = os.open(state_folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        reason_text = f"{MOVE_FILE}: {error.strerror or error}"
        raise StateError(path=str(state_folder), reason=reason_text) from None


def refuse_elsewhere(state_folder: Path, *, is_on_servers: bool) -> None:
    """Refuse to work at a state that is not where the configuration says.

    Args:
        state_folder: The state's folder.
        is_on_servers: Whether the configuration has `[state] url`.

    Raises:
        StateElsewhere: It was moved, or a move was cut off.
    """
    move_record = read_move(state_folder)
    if move_record is None:
        return
    if not move_record.is_complete:
        reason_text = (
            "moving it is not complete; if that was cut off, continue with `sgevents state move"
            f" {move_record.target}`, with url in [state]"
        )
        raise StateElsewhere(path=str(state_folder), reason=reason_text)
    if move_record.target == "servers" and not is_on_servers:
        reason_text = (
            "it was moved to NATS servers; set url in [state], or move it back with"
            " `sgevents state move disk`"
        )
        raise StateElsewhere(path=str(state_folder), reason=reason_text)
