"""A worker's progress in a few bytes of shared memory: a step costs a memory write, and survives.

The file is mapped into memory; what is written there outlives the process at once, and the machine
not at all, so a register is trusted within one boot. Each word is one aligned store of eight bytes:
a kill leaves the old word or the new one, never half of each.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

_MAGIC: Final = b"sgevreg1"
_WORDS: Final = 24
"""Where the header's length stands, behind the magic and two words."""
_HEADER: Final = 32
BEGUN: Final = 1
RETURNED: Final = 2
LANE: Final = 1
"""The word of the lane's own place."""
APART: Final = 2
"""The word of a plugin that catches up on its own."""


class Progress(NamedTuple):
    """What one word says: event `seq`, callback, and whether it had returned."""

    seq: int
    callback: str
    before: tuple[str, ...]
    returned: bool

    @property
    def done(self) -> frozenset[str]:
        """The callbacks that are finished for the event, if they were to be called at all."""
        return frozenset((*self.before, self.callback) if self.returned else self.before)


@dataclass(frozen=True, slots=True)
class Found:
    """A register left behind: how far its lane was, and the plugin catching up."""

    lane: Progress | None
    apart: Progress | None


class Register:
    """The progress of one worker.

    Args:
        path: The register's file; made anew.
        names: Names of all callbacks in call order; a word holds a place in this list.
    """

    __slots__ = ("_map", "_words")

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        header = msgspec.json.encode({"boot": boot_id(), "names": list(names)})
        content = _MAGIC + bytes(16) + len(header).to_bytes(8, "little") + header
        fresh = path.with_name(path.name + ".new")
        fresh.write_bytes(content)
        fresh.replace(path)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._words = memoryview(self._map)[:_HEADER].cast("Q")

    def begun(self, word: int, seq: int, place: int) -> None:
        """Note that a callback is about to be called for an event."""
        self._words[word] = seq << 24 | place << 2 | BEGUN

    def returned(self, word: int, seq: int, place: int) -> None:
        """Note that a callback is finished for an event."""
        self._words[word] = seq << 24 | place << 2 | RETURNED

    def clear(self, word: int) -> None:
        """Forget a word: what it said is in the ledger."""
        self._words[word] = 0

    def close(self) -> None:
        """Unmap the file."""
        self._words.release()
        self._map.close()


def read(path: Path) -> Found:
    """Return what a register says that was left behind; nothing if it cannot be trusted."""
    try:
        content = path.read_bytes()
        size = int.from_bytes(content[_WORDS:_HEADER], "little")
        header = msgspec.json.decode(content[_HEADER : _HEADER + size])
        trusted = content.startswith(_MAGIC) and header["boot"] == boot_id() != ""
        names: list[str] = header["names"]
    except (OSError, ValueError, KeyError, TypeError):
        return Found(None, None)
    if not trusted:
        return Found(None, None)
    words = memoryview(content[:_HEADER]).cast("Q")
    return Found(_progress(words[LANE], names), _progress(words[APART], names))


def _progress(word: int, names: list[str]) -> Progress | None:
    place = word >> 2 & 0x3FFFFF
    if not word or place >= len(names):
        return None
    return Progress(word >> 24, names[place], tuple(names[:place]), word & 3 == RETURNED)


def boot_id() -> str:
    """Return what tells one boot of this machine from another, empty where it cannot be told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
