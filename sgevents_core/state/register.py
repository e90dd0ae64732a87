"""A lane's progress in a few bytes of shared memory: a step costs one write, and survives.

The file is mapped into memory; what is written there survives the process at once but never the
machine, so a register is trusted within one boot only. Each word is one aligned store of eight
bytes: a kill leaves the old word or the new one, never half of each.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from sgevents_core.choices import OrderBy
from sgevents_core.errors import StateError
from sgevents_core.state.keys import CallKey
from sgevents_core.state.own_files import open_own, read_own
from sgevents_core.state.progress import Progress
from sgevents_core.state.strands import STRANDS

# The file:  bytes 0-7    the magic
#            bytes 8-15   the length of the header, in the machine's byte order as all numbers here
#            bytes 16-    a slot of three words for each strand: LIVE, APART, WORKER; the last one
#                         is of plugins that are separate from a divided lane as a whole
#            behind them  the header, JSON: the boot's id, the names of the callbacks, and what
#                         divides the lane's events into strands (none: the lane has one slot)
#
# LIVE and APART, the calls of the strand itself and of a plugin that catches up in it:
#            bits 0-1     BEGUN or RETURNED; the whole word is 0 if nothing is recorded
#            bits 2-19    the callback's index in those names
#            bits 20-23   the attempt modulo ATTEMPTS; 0 once returned
#            bits 24-63   the event's `seq`
#
# WORKER:    the number of the worker that serves the strand, from 1; 0 before the first
#
# A file of the version before has another magic, LIVE and APART in bytes 8-23, the length of the
# header in bytes 24-31, and one slot without WORKER.
_MAGIC: Final = b"sgevreg2"
_MAGIC_BEFORE: Final = b"sgevreg1"
_WORD: Final = 8
_SLOTS: Final = 16
"""The offset of the slots, after the magic and the header's length."""
_SLOT: Final = 3
"""The number of words in a slot."""
_INDEX: Final = 0x3FFFF
ATTEMPTS: Final = 16
"""A word distinguishes this many attempts, which is enough: the ledger is at most one behind."""
BEGUN: Final = 1
RETURNED: Final = 2
LANE: Final = 0
"""The word of a strand's own position."""
APART: Final = 1
"""The word of a plugin that is catching up in the strand."""
_WORKER: Final = 2


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
    """The content of one slot: the progress of its strand, and of the plugin catching up in it."""

    lane: NotedCall | None
    apart: NotedCall | None
    worker: int = 0


NOTHING: Final = Noted(None, None)
"""The content of a slot in which nothing is recorded."""


class NotedLane(NamedTuple):
    """The content of a register.

    Args:
        order_by: What divides the lane's events into strands; None if it has one.
        slots: The slots in which something is recorded, by strand.
    """

    order_by: OrderBy | None
    slots: Mapping[int, Noted]

    def of(self, strand: int = 0) -> Noted:
        """Return the content of the slot of a strand."""
        return self.slots.get(strand, NOTHING)

    @property
    def highest(self) -> int:
        """The highest `seq` in it; 0 if it is empty."""
        words = [word for noted in self.slots.values() for word in (noted.lane, noted.apart)]
        return max((word.seq for word in words if word is not None), default=0)


class Slot:
    """The words of one strand in a lane's register."""

    __slots__ = ("_words",)

    def __init__(self, words: memoryview) -> None:
        self._words = words

    def begun(self, word: int, seq: int, index: int, attempt: int = 1) -> None:
        """Record that a callback is about to be called for an event, and the attempt, from 1."""
        self._words[word] = seq << 24 | attempt % ATTEMPTS << 20 | index << 2 | BEGUN

    def returned(self, word: int, seq: int, index: int) -> None:
        """Record that a callback is finished for an event."""
        self._words[word] = seq << 24 | index << 2 | RETURNED

    def clear(self, word: int) -> None:
        """Clear a word whose content is in the ledger."""
        self._words[word] = 0

    def serve(self, worker: int) -> None:
        """Record which worker serves the strand from now on, from 1."""
        self._words[_WORKER] = worker


class Register:
    """The progress of one lane.

    Args:
        path: The register's file; created anew.
        keys: All callbacks in call order; a word holds an index into this list.
        order_by: What divides the lane's events into strands; None for one strand.

    Raises:
        StateError: The file cannot be written.
    """

    __slots__ = ("_keys", "_map", "_words", "order_by", "slots")

    def __init__(
        self, path: Path, keys: Sequence[CallKey], order_by: OrderBy | None = None
    ) -> None:
        names = [key.encode() for key in keys]
        header = msgspec.json.encode({"boot": boot_id(), "names": names, "order_by": order_by})
        count = _slots_of(order_by)
        length = len(header).to_bytes(_WORD, sys.byteorder)
        content = _MAGIC + length + bytes(count * _SLOT * _WORD) + header
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
        end = _SLOTS + count * _SLOT * _WORD
        self._words = memoryview(self._map)[_SLOTS:end].cast("Q")
        self._keys = list(keys)
        self.order_by = order_by
        self.slots = [Slot(self._words[n : n + _SLOT]) for n in range(0, count * _SLOT, _SLOT)]

    def open(self) -> list[tuple[int, int]]:
        """Return the running calls as `(seq, index)`; nothing once it is closed."""
        try:
            words = self._words.tolist()
        except ValueError:
            return []
        calls = [word for n, word in enumerate(words) if n % _SLOT != _WORKER]
        return [(word >> 24, word >> 2 & _INDEX) for word in calls if word & 3 == BEGUN]

    def noted(self) -> NotedLane:
        """Return its content; nothing once it is closed. May be called from any thread."""
        try:
            return NotedLane(self.order_by, _noted_slots(self._words.tolist(), self._keys))
        except ValueError:
            return NotedLane(self.order_by, {})

    def close(self) -> None:
        """Unmap the file."""
        for slot in self.slots:
            slot._words.release()
        self._words.release()
        self._map.close()


def read(path: Path) -> NotedLane:
    """Return the content of a register left behind; nothing if it cannot be trusted."""
    return _trusted(path) or NotedLane(None, {})


def is_readable(path: Path) -> bool:
    """Return whether a register would be trusted at a start."""
    return _trusted(path) is not None


def _trusted(path: Path) -> NotedLane | None:
    """Return a register's content; None if it is damaged or from another boot."""
    try:
        return _content(read_own(path))
    except (OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError):
        return None


def _content(content: bytes) -> NotedLane | None:
    """Return what the bytes of a register say; None if they are from another boot.

    Raises:
        ValueError: They are damaged, as all that `_trusted` expects.
    """
    before = content.startswith(_MAGIC_BEFORE)
    if not before and not content.startswith(_MAGIC):
        raise ValueError("this is no register")
    at = 3 * _WORD if before else _WORD
    size = int.from_bytes(content[at : at + _WORD], sys.byteorder)
    header = msgspec.json.decode(content[len(content) - size :])
    if header["boot"] != boot_id() or not header["boot"]:
        return None
    keys = [CallKey.decode(name) for name in msgspec.convert(header["names"], list[str])]
    order_by = msgspec.convert(header.get("order_by"), OrderBy | None)
    if before:
        words = [*memoryview(content[_WORD:at]).cast("Q"), 0]
    else:
        words = memoryview(content[_SLOTS : len(content) - size]).cast("Q").tolist()
        if len(words) != _SLOT * _slots_of(order_by):
            raise ValueError("its slots are not those of its header")
    return NotedLane(order_by, _noted_slots(words, keys))


def _slots_of(order_by: OrderBy | None) -> int:
    """Return how many slots a lane has; a divided one has another for plugins apart as a whole."""
    return 1 if order_by is None else STRANDS + 1


def _noted_slots(words: Sequence[int], keys: list[CallKey]) -> dict[int, Noted]:
    """Return the slots in which something is recorded, by strand."""
    slots = {}
    for strand in range(len(words) // _SLOT):
        live, apart, worker = words[strand * _SLOT : (strand + 1) * _SLOT]
        if live or apart:
            noted = Noted(_noted_call(live, keys), _noted_call(apart, keys), worker)
            slots[strand] = noted
    return slots


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
