"""A lane's progress in a few bytes of shared memory: a step costs one write and survives a kill.

The file is mapped into memory. Data written there survives the process at once, but not a reboot,
so a register is trusted within one boot only. Each word is one aligned store of eight
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
from sgevents_core.state.plain_files import open_plain_file, read_plain_file
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
_MAGIC_BYTES: Final = b"sgevreg2"
_OLDER_MAGIC_BYTES: Final = b"sgevreg1"
_WORD_SIZE: Final = 8
_SLOTS_OFFSET: Final = 16
"""The offset of the slots, after the magic and the header's length."""
WORDS_PER_SLOT: Final = 3
"""The number of words in a slot."""
_INDEX_MASK: Final = 0x3FFFF
ATTEMPT_MODULUS: Final = 16
"""The attempts that a word can tell apart; few suffice, since the ledger is at most one behind."""
CALL_BEGUN: Final = 1
CALL_RETURNED: Final = 2
LANE_WORD: Final = 0
"""The word of a strand's own position."""
APART_WORD: Final = 1
"""The word of a plugin that is catching up in the strand."""
_WORKER_WORD: Final = 2


class NotedCall(NamedTuple):
    """The call recorded in one word.

    Args:
        seq: The event's place in the journal.
        key: The callback.
        before: The callbacks that come before it.
        returned: Whether it had returned.
        attempt: If it had not, the number of the attempt, modulo `ATTEMPT_MODULUS`.
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
class NotedSlot:
    """The content of one slot: the progress of its strand, and of the plugin catching up in it."""

    lane: NotedCall | None
    apart: NotedCall | None
    worker: int = 0


EMPTY_SLOT: Final = NotedSlot(None, None)
"""The content of a slot in which nothing is recorded."""


class NotedLane(NamedTuple):
    """The content of a register.

    Args:
        order_by: The key that divides the lane's events into strands; None if the lane has one
            strand.
        slots: The slots in which something is recorded, by strand.
    """

    order_by: OrderBy | None
    slots: Mapping[int, NotedSlot]

    def of(self, strand_number: int = 0) -> NotedSlot:
        """Return the content of the slot of a strand."""
        return self.slots.get(strand_number, EMPTY_SLOT)

    @property
    def highest(self) -> int:
        """The highest `seq` in it; 0 if it is empty."""
        calls = [
            call
            for slot_content in self.slots.values()
            for call in (slot_content.lane, slot_content.apart)
        ]
        return max((call.seq for call in calls if call is not None), default=0)


class Slot:
    """The words of one strand in a lane's register."""

    __slots__ = ("_slot_words",)

    def __init__(self, slot_words: memoryview) -> None:
        self._slot_words = slot_words

    def words(self) -> list[int]:
        """Return its words."""
        return self._slot_words.tolist()

    def begun(self, word: int, seq: int, callback_index: int, attempt_number: int = 1) -> None:
        """Record that a callback is about to be called for an event, and the attempt, from 1."""
        call_bits = attempt_number % ATTEMPT_MODULUS << 20 | callback_index << 2 | CALL_BEGUN
        self._slot_words[word] = seq << 24 | call_bits

    def returned(self, word: int, seq: int, callback_index: int) -> None:
        """Record that a callback is finished for an event."""
        self._slot_words[word] = seq << 24 | (callback_index << 2 | CALL_RETURNED)

    def clear(self, word: int) -> None:
        """Clear a word whose content is in the ledger."""
        self._slot_words[word] = 0

    def serve(self, worker_number: int) -> None:
        """Record which worker serves the strand from now on, from 1."""
        self._slot_words[_WORKER_WORD] = worker_number


class Register:
    """The progress of one lane.

    Args:
        register_path: The register's file; created anew.
        keys: All callbacks in call order; a word holds an index into this list.
        order_by: The key that divides the lane's events into strands; None for one strand.

    Raises:
        StateError: The file cannot be written.
    """

    __slots__ = ("_callback_keys", "_memory_map", "_slot_words", "order_by", "slots")

    def __init__(
        self, register_path: Path, keys: Sequence[CallKey], order_by: OrderBy | None = None
    ) -> None:
        callback_names = [callback_key.encode() for callback_key in keys]
        header = msgspec.json.encode(
            {"boot": boot_id(), "names": callback_names, "order_by": order_by}
        )
        slot_count = _slot_count(order_by)
        header_length = len(header).to_bytes(_WORD_SIZE, sys.byteorder)
        content = (
            _MAGIC_BYTES + header_length + bytes(slot_count * WORDS_PER_SLOT * _WORD_SIZE) + header
        )
        unfinished_path = register_path.with_name(register_path.name + ".new")
        try:
            unfinished_path.unlink(missing_ok=True)
            with open(unfinished_path, "xb", opener=open_plain_file) as file:
                file.write(content)
            with unfinished_path.open("r+b") as file:
                self._memory_map = mmap.mmap(file.fileno(), 0)
            unfinished_path.replace(register_path)
        except OSError as error:
            raise StateError(
                path=str(register_path), reason=error.strerror or str(error)
            ) from error
        slots_end = _SLOTS_OFFSET + slot_count * WORDS_PER_SLOT * _WORD_SIZE
        self._slot_words = memoryview(self._memory_map)[_SLOTS_OFFSET:slots_end].cast("Q")
        self._callback_keys = list(keys)
        self.order_by = order_by
        self.slots = [
            Slot(self._slot_words[word_index : word_index + WORDS_PER_SLOT])
            for word_index in range(0, slot_count * WORDS_PER_SLOT, WORDS_PER_SLOT)
        ]

    def open(self) -> list[tuple[int, int]]:
        """Return the running calls as `(seq, index)`; none once the register is closed."""
        try:
            slot_words = self._slot_words.tolist()
        except ValueError:
            return []
        call_words = [
            word
            for word_index, word in enumerate(slot_words)
            if word_index % WORDS_PER_SLOT != _WORKER_WORD
        ]
        return [
            (word >> 24, word >> 2 & _INDEX_MASK) for word in call_words if word & 3 == CALL_BEGUN
        ]

    def noted(self) -> NotedLane:
        """Return the register's content, empty once it is closed. May be called from any thread."""
        try:
            return NotedLane(
                self.order_by, _noted_slots(self._slot_words.tolist(), self._callback_keys)
            )
        except ValueError:
            return NotedLane(self.order_by, {})

    @property
    def keys(self) -> Sequence[CallKey]:
        """The callbacks, in call order."""
        return self._callback_keys

    def close(self) -> None:
        """Unmap the file."""
        for slot in self.slots:
            slot._slot_words.release()
        self._slot_words.release()
        self._memory_map.close()


def noted_lane_of(
    slot_words: Mapping[int, int], keys: Sequence[CallKey], order_by: OrderBy | None
) -> NotedLane:
    """Return the content of a register whose words are kept elsewhere.

    Args:
        slot_words: Its words that are not 0, by place: `WORDS_PER_SLOT` for each slot.
        keys: The callbacks, in call order.
        order_by: The key that divides the lane's events into strands; None for one strand.
    """
    all_words = [
        slot_words.get(place, 0) for place in range(WORDS_PER_SLOT * _slot_count(order_by))
    ]
    return NotedLane(order_by, _noted_slots(all_words, list(keys)))


def read_register(register_path: Path) -> NotedLane:
    """Return the content of a register left behind; empty if it cannot be trusted."""
    return _read_trusted(register_path) or NotedLane(None, {})


def is_readable(register_path: Path) -> bool:
    """Return whether a register would be trusted at a start."""
    return _read_trusted(register_path) is not None


def _read_trusted(register_path: Path) -> NotedLane | None:
    """Return a register's content; None if it is damaged or from another boot."""
    try:
        return _decode_content(read_plain_file(register_path))
    except (OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError):
        return None


def _decode_content(content: bytes) -> NotedLane | None:
    """Return the content that a register's bytes encode; None if they are from another boot.

    Raises:
        ValueError: The bytes are damaged; `_read_trusted` catches this.
    """
    is_older_format = content.startswith(_OLDER_MAGIC_BYTES)
    if not is_older_format and not content.startswith(_MAGIC_BYTES):
        raise ValueError("this is not a register")
    length_offset = 3 * _WORD_SIZE if is_older_format else _WORD_SIZE
    header_length = int.from_bytes(
        content[length_offset : length_offset + _WORD_SIZE], sys.byteorder
    )
    decoded_header = msgspec.json.decode(content[len(content) - header_length :])
    if decoded_header["boot"] != boot_id() or not decoded_header["boot"]:
        return None
    keys = [CallKey.decode(name) for name in msgspec.convert(decoded_header["names"], list[str])]
    order_by = msgspec.convert(decoded_header.get("order_by"), OrderBy | None)
    if is_older_format:
        slot_words = [*memoryview(content[_WORD_SIZE:length_offset]).cast("Q"), 0]
    else:
        slot_words = (
            memoryview(content[_SLOTS_OFFSET : len(content) - header_length]).cast("Q").tolist()
        )
        if len(slot_words) != WORDS_PER_SLOT * _slot_count(order_by):
            raise ValueError("its slots are not those of its header")
    return NotedLane(order_by, _noted_slots(slot_words, keys))


def _slot_count(order_by: OrderBy | None) -> int:
    """Return how many slots a lane has; a divided one has another for plugins apart as a whole."""
    return 1 if order_by is None else STRANDS + 1


def _noted_slots(slot_words: Sequence[int], keys: list[CallKey]) -> dict[int, NotedSlot]:
    """Return the slots in which something is recorded, by strand."""
    noted_slots = {}
    for strand_number in range(len(slot_words) // WORDS_PER_SLOT):
        live_word, apart_word, worker_number = slot_words[
            strand_number * WORDS_PER_SLOT : (strand_number + 1) * WORDS_PER_SLOT
        ]
        if live_word or apart_word:
            slot_content = NotedSlot(
                _noted_call(live_word, keys), _noted_call(apart_word, keys), worker_number
            )
            noted_slots[strand_number] = slot_content
    return noted_slots


def remove_register(register_path: Path) -> None:
    """Remove a register whose content is in the ledger."""
    with suppress(OSError):  # a start replaces the file; until then it repeats the ledger
        register_path.unlink(missing_ok=True)


def remove_registers(state_folder: Path) -> None:
    """Remove all registers of a folder, whose content is in the ledger."""
    for register_path in (
        *state_folder.glob("lane-*.register"),
        *state_folder.glob("lane-*.own"),
    ):
        remove_register(register_path)


def lane_register_path(state_folder: Path, lane_name: str) -> Path:
    """Return the file of a lane's register, whatever characters the lane's name has."""
    return state_folder / f"lane-{quote(lane_name, safe='')}.register"


def _noted_call(word: int, keys: list[CallKey]) -> NotedCall | None:
    callback_index = word >> 2 & _INDEX_MASK
    if not word or callback_index >= len(keys):
        return None
    attempt_number = (word >> 20) % ATTEMPT_MODULUS
    return NotedCall(
        word >> 24,
        keys[callback_index],
        tuple(keys[:callback_index]),
        word & 3 == CALL_RETURNED,
        attempt_number,
    )


def boot_id() -> str:
    """Return the id of this boot of the machine; empty if it is not known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
