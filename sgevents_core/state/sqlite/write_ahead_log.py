"""Whether the write-ahead log of a closed database is intact.

SQLite applies a log up to the first invalid frame and ignores the rest: it cannot tell an
unfinished frame from one damaged later. This module can.
"""

from __future__ import annotations

import array
import struct
import sys
from pathlib import Path
from typing import Final, NamedTuple

# The header: magic, version, page size, checkpoint number, two salts, two checksums.
# A frame: page number, size of the database or 0, two salts, two checksums; then the page.
# All are big-endian; see https://sqlite.org/fileformat2.html#the_write_ahead_log.
_LOG_HEADER: Final = struct.Struct(">8I")
_FRAME_HEADER: Final = struct.Struct(">6I")
_MAGIC_NUMBER: Final = 0x377F0682
_CHECKSUM_MASK: Final = 0xFFFFFFFF


class WalDamage(NamedTuple):
    """An invalid frame that is followed by frames of the same log.

    Args:
        frame: Its number, from 1.
        behind: How many frames follow; none of them is used.
    """

    frame: int
    behind: int


def find_wal_damage(log_path: Path) -> WalDamage | None:
    """Return where a write-ahead log is damaged; None if intact. A cut-off end is not damage.

    Raises:
        OSError: The log cannot be read.
    """
    content = log_path.read_bytes()
    if len(content) < _LOG_HEADER.size:
        return None
    magic_number, _, page_size, _, *log_salts, first_sum, second_sum = _LOG_HEADER.unpack_from(
        content
    )
    # The magic's lowest bit is the byte order of the words that are summed: 1 for big-endian.
    byte_order = (
        sys.byteorder if magic_number & 1 == (sys.byteorder == "big") else _foreign_byte_order()
    )
    running_sums = _continue_checksum(content[: _LOG_HEADER.size - 8], (0, 0), byte_order)
    if magic_number & ~1 != _MAGIC_NUMBER or running_sums != (first_sum, second_sum):
        # The page size cannot be trusted here; 4096 is SQLite's default.
        frame_count = (len(content) - _LOG_HEADER.size) // (_FRAME_HEADER.size + 4096)
        return WalDamage(0, frame_count) if frame_count else None
    return _find_first_damage(content, page_size, tuple(log_salts), running_sums, byte_order)


def _find_first_damage(
    content: bytes,
    page_size: int,
    log_salts: tuple[int, ...],
    running_sums: tuple[int, int],
    byte_order: str,
) -> WalDamage | None:
    frame_step = _FRAME_HEADER.size + page_size
    starts = range(_LOG_HEADER.size, len(content) - frame_step + 1, frame_step)
    for frame_number, start in enumerate(starts, 1):
        _, _, *frame_salts, first_sum, second_sum = _FRAME_HEADER.unpack_from(content, start)
        # The sums run on from frame to frame, over a frame's first two words and its page.
        running_sums = _continue_checksum(content[start : start + 8], running_sums, byte_order)
        running_sums = _continue_checksum(
            content[start + _FRAME_HEADER.size : start + frame_step], running_sums, byte_order
        )
        if tuple(frame_salts) != log_salts or running_sums != (first_sum, second_sum):
            ignored_frames = sum(
                _FRAME_HEADER.unpack_from(content, later_start)[2:4] == log_salts
                for later_start in starts[frame_number:]
            )
            return WalDamage(frame_number, ignored_frames) if ignored_frames else None
    return None


def _continue_checksum(
    summed_bytes: bytes, running_sums: tuple[int, int], byte_order: str
) -> tuple[int, int]:
    """Return SQLite's checksum of some bytes, continuing from that of the bytes before."""
    checksum_words = array.array("I", summed_bytes)
    if byte_order != sys.byteorder:
        checksum_words.byteswap()
    even_sum, odd_sum = running_sums
    word_pairs = iter(checksum_words)
    for even, odd in zip(word_pairs, word_pairs, strict=True):
        even_sum = (even_sum + even + odd_sum) & _CHECKSUM_MASK
        odd_sum = (odd_sum + odd + even_sum) & _CHECKSUM_MASK
    return even_sum, odd_sum


def _foreign_byte_order() -> str:
    return "big" if sys.byteorder == "little" else "little"
