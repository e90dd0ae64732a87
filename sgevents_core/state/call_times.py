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
from sgevents_core.state.call_figures import CallCounts
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plain_files import open_plain_file, read_plain_file

MOST_CALLS_KEPT: Final = 100_000
"""Calls in one file; with two files, at least this many recent calls are kept."""
MOST_CALLS_BUFFERED: Final = 20_000
"""The most calls kept in memory; they are then written before a second is over."""
WRITE_INTERVAL: Final = 1.0
"""Seconds between two writes; a kill loses the calls since the last one."""
# The file: a line of JSON, the names of the callbacks; then one record of 24 bytes per call.
_CALL_RECORD: Final = struct.Struct("<QdfI")
"""One record: the event's `seq`, the start (seconds since 1970), the duration (seconds), and the
callback's index in the list at the beginning of the file, with its highest bit set if it failed.
"""
_FAILED: Final = 1 << 31
_pack_call_record: Final = _CALL_RECORD.pack_into


@dataclass(frozen=True, slots=True)
class TimedCall:
    """One call of a callback that returned or raised.

    Args:
        key: The callback.
        called_at: When it was called, in seconds since 1970.
        duration: The seconds it took.
    """

    key: CallKey
    called_at: float
    duration: float


class CallTimes(CallObserver):
    """The call times of one lane, collected in memory and written once a second.

    Args:
        state_folder: The state's folder.
        lane_name: The lane's name.
        keys: All callbacks in call order; a record holds an index into this list.
    """

    def __init__(self, state_folder: Path, lane_name: str, keys: Sequence[CallKey]) -> None:
        self._calls_path, self._older_calls_path = call_times_paths(state_folder, lane_name)
        self._file_header = msgspec.json.encode([key.encode() for key in keys]) + b"\n"
        self._call_buffer = bytearray(MOST_CALLS_BUFFERED * _CALL_RECORD.size)
        self._used_bytes = 0
        self._clock_offset = time.time() - time.perf_counter()
        self._next_write_at = time.perf_counter() + WRITE_INTERVAL
        self.counts: Final = CallCounts(keys, _CALL_RECORD.size)

    def ended(
        self, call: ObservedCall, began: float, seconds: float, error: ObservedError | None
    ) -> None:
        """Record a call, unless a person requested it."""
        callback_index = call.number_in_lane
        if callback_index is None:
            return
        if error is not None:
            callback_index |= _FAILED
        if self._used_bytes == len(self._call_buffer):
            self.write(now=True)
        since_1970 = began + self._clock_offset
        _pack_call_record(
            self._call_buffer, self._used_bytes, call.seq, since_1970, seconds, callback_index
        )
        self._used_bytes += _CALL_RECORD.size

    def write(self, *, now: bool = False) -> None:
        """Write the recorded calls, at most once a second unless `now`."""
        if not self._used_bytes or not (now or time.perf_counter() >= self._next_write_at):
            return
        content = bytes(memoryview(self._call_buffer)[: self._used_bytes])
        self._used_bytes = 0
        current_time = time.time()
        self.counts.add(content, content[_CALL_RECORD.size - 1 :: _CALL_RECORD.size], current_time)
        self._clock_offset = current_time - time.perf_counter()  # the clock may have been changed
        self._next_write_at = time.perf_counter() + WRITE_INTERVAL
        with suppress(OSError):
            if self._calls_path.exists() and not self._can_append():
                self._calls_path.replace(self._older_calls_path)
            with open(self._calls_path, "ab", buffering=0, opener=open_plain_file) as file:
                file.write(content if file.tell() else self._file_header + content)

    def _can_append(self) -> bool:
        """Return whether the file can be appended to: same names, intact and not full."""
        with os.fdopen(open_plain_file(self._calls_path, os.O_RDONLY), "rb") as file:
            records_size = file.seek(0, os.SEEK_END) - len(self._file_header)
            file.seek(0)
            is_same_header = file.read(len(self._file_header)) == self._file_header
        return (
            is_same_header
            and records_size % _CALL_RECORD.size == 0
            and records_size < MOST_CALLS_KEPT * _CALL_RECORD.size
        )


def calls_for_event(state_folder: Path, lane_name: str, seq: int) -> list[TimedCall]:
    """Return the known calls for an event, oldest first.

    Args:
        state_folder: The state's folder.
        lane_name: The lane's name.
        seq: The event's place in the journal.
    """
    calls = [
        call
        for calls_path in call_times_paths(state_folder, lane_name)
        for call in _read_timed_calls(calls_path, seq)
    ]
    return sorted(calls, key=lambda call: call.called_at)


def is_readable(calls_path: Path) -> bool:
    """Return whether a file of call times looks intact."""
    try:
        encoded_names, line_end, content = read_plain_file(calls_path).partition(b"\n")
        callback_names = msgspec.json.decode(encoded_names, type=list[str])
    except (OSError, msgspec.MsgspecError):
        return False
    if not line_end or len(content) % _CALL_RECORD.size:
        return False
    call_records = _CALL_RECORD.iter_unpack(content)
    return all(
        callback_index & ~_FAILED < len(callback_names) and seconds >= 0 and began > 0
        for _, began, seconds, callback_index in call_records
    )


def call_times_paths(state_folder: Path, lane_name: str) -> tuple[Path, Path]:
    """Return the file of a lane's last calls, and the file of the calls before those."""
    calls_path = state_folder / f"lane-{quote(lane_name, safe='')}.calls"
    return calls_path, calls_path.with_name(f"{calls_path.name}.1")


def _read_timed_calls(calls_path: Path, seq: int) -> Iterator[TimedCall]:
    try:
        encoded_names, _, content = read_plain_file(calls_path).partition(b"\n")
        keys = [CallKey.decode(name) for name in msgspec.json.decode(encoded_names, type=list[str])]
    except (OSError, ValueError):
        return
    complete_size = len(content) - len(content) % _CALL_RECORD.size
    for of, began, seconds, callback_index in _CALL_RECORD.iter_unpack(
        memoryview(content)[:complete_size]
    ):
        if of == seq and callback_index & ~_FAILED < len(keys):
            yield TimedCall(keys[callback_index & ~_FAILED], began, seconds)
