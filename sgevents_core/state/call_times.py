"""The times and durations of a lane's last calls, only shown to people."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from sgevents_core.observe.observers import CallObserver, ObservedCall, ObservedError
from sgevents_core.state.keys import CallKey
from sgevents_core.state.own_files import open_own, read_own

MOST: Final = 100_000
"""Calls in one file; there are two files, so at least this many recent calls are kept."""
MOST_NOTED: Final = 20_000
"""The most calls kept in memory; they are then written before a second is over."""
WRITE_EVERY: Final = 1.0
"""Seconds between two writes; a kill loses the calls since the last one."""
# The file: a line of JSON, the names of the callbacks; then one record of 24 bytes per call.
_CALL: Final = struct.Struct("<QdfI")
"""One record: the event's `seq`, the start (seconds since 1970), the duration (seconds), and the
callback's index in the list at the beginning of the file.
"""
_pack_into: Final = _CALL.pack_into


@dataclass(frozen=True, slots=True)
class TimedCall:
    """One call of a callback that returned or raised.

    Args:
        key: The callback.
        began: When it was called, in seconds since 1970.
        seconds: How long it took.
    """

    key: CallKey
    began: float
    seconds: float


class CallTimes(CallObserver):
    """The call times of one lane, collected in memory and written once a second.

    Args:
        folder: The state's folder.
        lane: The lane's name.
        keys: All callbacks in call order; a record holds an index into this list.
    """

    def __init__(self, folder: Path, lane: str, keys: Sequence[CallKey]) -> None:
        self._path, self._older = paths_of(folder, lane)
        self._head = msgspec.json.encode([key.encode() for key in keys]) + b"\n"
        self._noted = bytearray(MOST_NOTED * _CALL.size)
        self._used = 0
        self._since_1970 = time.time() - time.perf_counter()
        self._write_at = time.perf_counter() + WRITE_EVERY

    def ended(
        self, call: ObservedCall, began: float, seconds: float, error: ObservedError | None
    ) -> None:
        """Record a call, unless a person asked for it."""
        number = call.number_in_lane
        if number is None:
            return
        if self._used == len(self._noted):
            self.write(now=True)
        since_1970 = began + self._since_1970
        _pack_into(self._noted, self._used, call.seq, since_1970, seconds, number)
        self._used += _CALL.size

    def write(self, *, now: bool = False) -> None:
        """Write what was noted, at most once a second unless `now`."""
        if not self._used or not (now or time.perf_counter() >= self._write_at):
            return
        content = bytes(memoryview(self._noted)[: self._used])
        self._used = 0
        self._since_1970 = time.time() - time.perf_counter()  # the clock may have been changed
        self._write_at = time.perf_counter() + WRITE_EVERY
        with suppress(OSError):
            if self._path.exists() and not self._fits():
                self._path.replace(self._older)
            with open(self._path, "ab", buffering=0, opener=open_own) as file:
                file.write(content if file.tell() else self._head + content)

    def _fits(self) -> bool:
        """Return whether the file can be appended to: same names, intact and not full."""
        with os.fdopen(open_own(self._path, os.O_RDONLY), "rb") as file:
            size = file.seek(0, os.SEEK_END) - len(self._head)
            file.seek(0)
            mine = file.read(len(self._head)) == self._head
        return mine and size % _CALL.size == 0 and size < MOST * _CALL.size


def calls_of(folder: Path, lane: str, seq: int) -> list[TimedCall]:
    """Return the known calls for an event, oldest first.

    Args:
        folder: The state's folder.
        lane: The lane's name.
        seq: The event's place in the journal.
    """
    calls = [call for path in paths_of(folder, lane) for call in _read(path, seq)]
    return sorted(calls, key=lambda call: call.began)


def is_readable(path: Path) -> bool:
    """Return whether a file of call times looks intact."""
    try:
        head, line_end, content = read_own(path).partition(b"\n")
        names = msgspec.json.decode(head, type=list[str])
    except (OSError, msgspec.MsgspecError):
        return False
    if not line_end or len(content) % _CALL.size:
        return False
    calls = _CALL.iter_unpack(content)
    return all(
        index < len(names) and seconds >= 0 and began > 0 for _, began, seconds, index in calls
    )


def paths_of(folder: Path, lane: str) -> tuple[Path, Path]:
    """Return the file of a lane's last calls, and the file of the calls before those."""
    path = folder / f"lane-{quote(lane, safe='')}.calls"
    return path, path.with_name(f"{path.name}.1")


def _read(path: Path, seq: int) -> Iterator[TimedCall]:
    try:
        head, _, content = read_own(path).partition(b"\n")
        keys = [CallKey.decode(name) for name in msgspec.json.decode(head, type=list[str])]
    except (OSError, ValueError):
        return
    whole = len(content) - len(content) % _CALL.size
    for of, began, seconds, index in _CALL.iter_unpack(memoryview(content)[:whole]):
        if of == seq and index < len(keys):
            yield TimedCall(keys[index], began, seconds)
