"""Whether the write-ahead log of a closed database is intact.

SQLite applies a log up to the first invalid frame and ignores the rest: it cannot know whether that
frame was never finished or was damaged later. This module distinguishes the two.
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
_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">6I")
_MAGIC: Final = 0x377F0682
_MASK: Final = 0xFFFFFFFF


class WalDamage(NamedTuple):
    """An invalid frame that is followed by frames of the same log.

    Args:
        frame: Its number, from 1.
        behind: How many frames follow; none of them is used.
    """

    frame: int
    behind: int


def damage_in(path: Path) -> WalDamage | None:
    """Return where a write-ahead log is damaged; None if intact. A cut-off end is not damage.

    Raises:
        OSError: It cannot be read.
    """
    content = path.read_bytes()
    if len(content) < _HEADER.size:
        return None
    magic, _, size, _, *salts, first, second = _HEADER.unpack_from(content)
    # The magic's lowest bit is the byte order of the words that are summed: 1 for big-endian.
    order = sys.byteorder if magic & 1 == (sys.byteorder == "big") else _other_order()
    sums = _summed(content[: _HEADER.size - 8], (0, 0), order)
    if magic & ~1 != _MAGIC or sums != (first, second):
        # The page size cannot be trusted here; 4096 is SQLite's default.
        frames = (len(content) - _HEADER.size) // (_FRAME.size + 4096)
        return WalDamage(0, frames) if frames else None
    return _first_damage(content, size, tuple(salts), sums, order)


def _first_damage(
    content: bytes, size: int, salts: tuple[int, ...], sums: tuple[int, int], order: str
) -> WalDamage | None:
    step = _FRAME.size + size
    starts = range(_HEADER.size, len(content) - step + 1, step)
    for number, start in enumerate(starts, 1):
        _, _, *own_salts, first, second = _FRAME.unpack_from(content, start)
        # The sums run on from frame to frame, over a frame's first two words and its page.
        sums = _summed(content[start : start + 8], sums, order)
        sums = _summed(content[start + _FRAME.size : start + step], sums, order)
        if tuple(own_salts) != salts or sums != (first, second):
            behind = sum(_FRAME.unpack_from(content, at)[2:4] == salts for at in starts[number:])
            return WalDamage(number, behind) if behind else None
    return None


def _summed(content: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    """Return SQLite's checksum of some bytes, continuing from that of the bytes before."""
    words = array.array("I", content)
    if order != sys.byteorder:
        words.byteswap()
    one, two = sums
    numbers = iter(words)
    for even, odd in zip(numbers, numbers, strict=True):
        one = (one + even + two) & _MASK
        two = (two + odd + one) & _MASK
    return one, two


def _other_order() -> str:
    return "big" if sys.byteorder == "little" else "little"
