"""A worker's progress in a few bytes of shared memory: a step costs one write, and survives.

The file is mapped into memory; what is written there survives the process at once but never the
machine, so a register is trusted within one boot only. Each word is one aligned store of eight
bytes: a kill leaves the old word or the new one, never half of each.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from sgevents_core.errors import StateError
from sgevents_core.state.keys import CallKey
from sgevents_core.state.own_files import open_own, read_own
from sgevents_core.state.progress import Progress

# The file:  bytes 0-7    the magic
#            bytes 8-15   the word LANE, in the machine's byte order, as all numbers here
#            bytes 16-23  the word APART
#            bytes 24-31  the length of the header
#            bytes 32-    the header, JSON: the boot's id and the names of the callbacks
#
# A word:    bits 0-1     BEGUN or RETURNED; the whole word is 0 if nothing is recorded
#            bits 2-19    the callback's index in those names
#            bits 20-23   the attempt modulo ATTEMPTS; 0 once returned
#            bits 24-63   the event's `seq`
_MAGIC: Final = b"sgevreg1"
_WORDS: Final = 24
"""The offset of the header's length, after the magic and two words."""
_HEADER: Final = 32
_INDEX: Final = 0x3FFFF
ATTEMPTS: Final = 16
"""A word distinguishes this many attempts, which is enough: the ledger is at most one behind."""
BEGUN: Final = 1
RETURNED: Final = 2
LANE: Final = 1
"""The word of the lane's own position."""
APART: Final = 2
"""The word of a plugin that is catching up."""


class NotedCall(NamedTuple):
    """The call recorded in one word.

    Args:
        seq: The event's place in the journal.
        key: The callback.
        before: The callbacks that come before it.
        returned: Whether it had returned.
        attempt: If it had not, the number of the attempt, modulo `ATTEMPTS`.
    """

    seq: int
    key: CallKey
    before: tuple[CallKey, ...]
    returned: bool
    attempt: int = 0

    @property
    def done(self) -> frozenset[CallKey]:
        """The callbacks finished for the event, including those that did not want it."""
        return frozenset((*self.before, self.key) if self.returned else self.before)

    @property
    def progress(self) -> Progress:
        """The progress of the lane or plugin that made the call."""
        return Progress.at(self.seq, self.done)


@dataclass(frozen=True, slots=True)
class Noted:
    """The content of a register: the progress of its lane, and of the plugin catching up."""

    lane: NotedCall | None
    apart: NotedCall | None


NOTHING: Final = Noted(None, None)
"""The content of a register that is missing or cannot be trusted."""


class Register:
    """The progress of one worker.

    Args:
        path: The register's file; created anew.
        keys: All callbacks in call order; a word holds an index into this list.

    Raises:
        StateError: The file cannot be written.
    """

    __slots__ = ("_keys", "_map", "_words")

    def __init__(self, path: Path, keys: Sequence[CallKey]) -> None:
        names = [key.encode() for key in keys]
        header = msgspec.json.encode({"boot": boot_id(), "names": names})
        content = _MAGIC + bytes(16) + len(header).to_bytes(8, sys.byteorder) + header
        fresh = path.with_name(path.name + ".new")
        try:
            fresh.unlink(missing_ok=True)
            with open(fresh, "xb", opener=open_own) as file:
                file.write(content)
            with fresh.open("r+b") as file:
                self._map = mmap.mmap(file.fileno(), 0)
            fresh.replace(path)
        except OSError as error:
            raise StateError(path=str(path), reason=error.strerror or str(error)) from error
        self._words = memoryview(self._map)[:_HEADER].cast("Q")
        self._keys = list(keys)

    def begun(self, word: int, seq: int, index: int, attempt: int = 1) -> None:
        """Record that a callback is about to be called for an event, and the attempt, from 1."""
        self._words[word] = seq << 24 | attempt % ATTEMPTS << 20 | index << 2 | BEGUN

    def returned(self, word: int, seq: int, index: int) -> None:
        """Record that a callback is finished for an event."""
        self._words[word] = seq << 24 | index << 2 | RETURNED

    def open(self) -> list[tuple[int, int]]:
        """Return the running calls as `(seq, index)`; nothing once it is closed."""
        try:
            words = (self._words[LANE], self._words[APART])
        except ValueError:
            return []
        return [(word >> 24, word >> 2 & _INDEX) for word in words if word & 3 == BEGUN]

    def noted(self) -> Noted:
        """Return its content; nothing once it is closed. May be called from any thread."""
        try:
            words = (self._words[LANE], self._words[APART])
        except ValueError:
            return NOTHING
        return Noted(*(_noted_call(word, self._keys) for word in words))

    def clear(self, word: int) -> None:
        """Clear a word whose content is in the ledger."""
        self._words[word] = 0

    def close(self) -> None:
        """Unmap the file."""
        self._words.release()
        self._map.close()


def read(path: Path) -> Noted:
    """Return the content of a register left behind; nothing if it cannot be trusted."""
    found = _trusted(path)
    if found is None:
        return NOTHING
    words, keys = found
    return Noted(_noted_call(words[LANE], keys), _noted_call(words[APART], keys))


def is_readable(path: Path) -> bool:
    """Return whether a register would be trusted at a start."""
    return _trusted(path) is not None


def _trusted(path: Path) -> tuple[memoryview, list[CallKey]] | None:
    """Return a register's words and callbacks; None if it is damaged or from another boot."""
    try:
        content = read_own(path)
        size = int.from_bytes(content[_WORDS:_HEADER], sys.byteorder)
        header = msgspec.json.decode(content[_HEADER : _HEADER + size])
        trusted = content.startswith(_MAGIC) and header["boot"] == boot_id() != ""
        keys = [CallKey.decode(name) for name in msgspec.convert(header["names"], list[str])]
    except (OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError):
        return None
    return (memoryview(content[:_HEADER]).cast("Q"), keys) if trusted else None


def forget(path: Path) -> None:
    """Remove a register whose content is in the ledger."""
    with suppress(OSError):  # it is soon replaced; until then it repeats the ledger
        path.unlink(missing_ok=True)


def path_of(folder: Path, lane: str) -> Path:
    """Return the file of a lane's register; a lane's name may hold anything."""
    return folder / f"lane-{quote(lane, safe='')}.register"


def _noted_call(word: int, keys: list[CallKey]) -> NotedCall | None:
    index = word >> 2 & _INDEX
    if not word or index >= len(keys):
        return None
    attempt = (word >> 20) % ATTEMPTS
    return NotedCall(word >> 24, keys[index], tuple(keys[:index]), word & 3 == RETURNED, attempt)


def boot_id() -> str:
    """Return the id of this boot of the machine; empty if it is not known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
