"""Snapshots of the state: made by the host that holds the feed, and where new copies begin.

The streams of lanes are cut up to the snapshot before the newest: a copy that is a little behind
still finds its next message. The journal is cut by what was pruned, since its rows are in no
snapshot.
"""

from __future__ import annotations

import gzip
import logging
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, field

from sgevents_core.errors import FrontCut, StreamLost
from sgevents_core.state.nats.copy import Copy
from sgevents_core.state.nats.logs import Logs
from sgevents_core.state.nats.stream_keys import JOURNAL, JOURNAL_ROWS, REQUESTS
from sgevents_core.state.sqlite.copy_files import write_copy_file
from sgevents_core.state.sqlite.database import DATABASE, Database
from sgevents_core.state.sqlite.log_copy import last_removed_page, read_positions

logger = logging.getLogger(__name__)
_FOLDER_PREFIX: Final = "snapshot-"


class SnapshotPointer(Struct):
    """What says which snapshot is the newest.

    Args:
        file: Its name.
        size: Its size in bytes.
        positions: Stream -> the place up to which it holds the stream.
        file_before: The name of the one before it; empty for the first.
    """

    file: str
    size: int
    positions: dict[str, int] = field(default_factory=dict)
    file_before: str = ""


_decode_pointer: Final = msgspec.json.Decoder(SnapshotPointer).decode


def read_snapshot_pointer(logs: Logs) -> tuple[SnapshotPointer | None, int]:
    """Return which snapshot is the newest, and the pointer's revision; None and 0 without one."""
    pointer = logs.read_pointer()
    return (None, 0) if pointer is None else (_decode_pointer(pointer[0]), pointer[1])


def make_snapshot(copy: Copy, logs: Logs, *, is_missing: bool = False) -> bool:
    """Make a snapshot of a copy, and cut the streams; return whether it is the newest now.

    Any host may do this at any time. One whose copy is behind the newest snapshot does nothing.

    Args:
        copy: The copy.
        logs: The logs.
        is_missing: Whether the newest snapshot was lost, so that one of the same place is wanted.

    Raises:
        StateError: The servers do not answer, or the disk is full.
    """
    if JOURNAL_ROWS in copy.positions:
        return False
    before, revision = read_snapshot_pointer(logs)
    with closing(Database(copy.folder, read_only=True)) as database:
        removed_to = last_removed_page(database)  # before: what is removed later, the next one cuts
    with tempfile.TemporaryDirectory(prefix=_FOLDER_PREFIX, dir=copy.folder) as folder:
        packed_path, positions = _pack(copy, Path(folder))
        if before is not None and not (
            _is_ahead(positions, before.positions) or (is_missing and positions == before.positions)
        ):
            return False
        file_name = f"{_FOLDER_PREFIX}{secrets.token_hex(8)}.db.gz"
        size = packed_path.stat().st_size
        with packed_path.open("rb") as packed_file:
            logs.put_file(file_name, packed_file)
    file_before = "" if before is None else before.file
    pointer = SnapshotPointer(file_name, size, positions, file_before)
    if not logs.move_pointer(msgspec.json.encode(pointer), revision):
        logs.delete_file(file_name)
        return False
    if before is not None:
        _cut_streams(logs, before, removed_to)
    logger.info(
        "A snapshot of the state has %d bytes",
        size,
        extra={"action": "snapshot.made", "bytes": size},
    )
    return True


def remake(copy: Copy, logs: Logs, front_cut: FrontCut | None = None) -> None:
    """Make a copy anew from the newest snapshot; the rows of the journal come afterwards.

    Args:
        copy: The copy.
        logs: The logs.
        front_cut: What the copy lacks; None for a new copy.

    Raises:
        StreamLost: No snapshot holds what the copy lacks.
        StateTooNew: A newer version made it.
    """
    pointer, _ = read_snapshot_pointer(logs)
    if pointer is None or not _has_more(pointer.positions, copy.positions):
        if front_cut is None:
            return
        reason_text = (
            f"it begins with message {front_cut.first}, the copy needs {front_cut.wanted}, and no"
            " snapshot holds it"
        )
        raise StreamLost(path=str(logs), stream=front_cut.stream, reason=reason_text)
    with tempfile.TemporaryDirectory(prefix=_FOLDER_PREFIX, dir=copy.folder) as folder:
        packed_path = Path(folder) / "packed"
        with packed_path.open("wb") as packed_file:
            if not logs.get_file(pointer.file, packed_file):
                reason_text = f"its snapshot {pointer.file} is gone"
                raise StreamLost(path=str(logs), stream=JOURNAL, reason=reason_text)
        with gzip.open(packed_path) as packed, (Path(folder) / DATABASE).open("wb") as target:
            shutil.copyfileobj(packed, target)
        copy.restore(Path(folder))
    logger.info(
        "The copy of the state is made anew from a snapshot; the rows of the journal follow",
        extra={"action": "copy.remade"},
    )


def _pack(copy: Copy, folder: Path) -> tuple[Path, dict[str, int]]:
    """Write a copy to a compressed file; return it, and how far the copy had come."""
    with closing(Database(copy.folder, read_only=True)) as database:
        file_path = write_copy_file(database, folder)
    with closing(Database(folder, read_only=True)) as written:
        positions = read_positions(written)
    packed_path = folder / "packed"
    with file_path.open("rb") as source, gzip.open(packed_path, "wb", compresslevel=3) as packed:
        shutil.copyfileobj(source, packed)
    return packed_path, positions


def _is_ahead(positions: Mapping[str, int], before: Mapping[str, int]) -> bool:
    """Return whether positions are nowhere behind others, and not the same."""
    return positions != before and all(
        positions.get(stream_key, 0) >= place for stream_key, place in before.items()
    )


def _has_more(positions: Mapping[str, int], others: Mapping[str, int]) -> bool:
    """Return whether positions are ahead of others in any stream."""
    return any(place > others.get(stream_key, 0) for stream_key, place in positions.items())


def _cut_streams(logs: Logs, before: SnapshotPointer, removed_to: int) -> None:
    """Cut off what no copy needs any more, and remove the snapshot before the last two.

    Args:
        logs: The logs.
        before: The snapshot before the one that was just made.
        removed_to: The position of the journal's last message of which no row is kept.
    """
    for stream_key, place in before.positions.items():
        if stream_key not in {JOURNAL, REQUESTS}:
            logs.log(stream_key).cut_front(place + 1)
    if removed_to:
        logs.log(JOURNAL).cut_front(min(removed_to, before.positions.get(JOURNAL, 0)) + 1)
    if before.file_before:
        logs.delete_file(before.file_before)
