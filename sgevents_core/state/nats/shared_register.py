"""A lane's register whose words go to the lane's stream, so that another host can go on from there.

What has returned goes together with what begins next, and a callback is called only once both are
stored. The words of several workers go together while one of them waits for its answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from sgevents_core.errors import StateError
from sgevents_core.observe.liveness import report_alive
from sgevents_core.state.lane_trouble import LaneTrouble
from sgevents_core.state.plain_files import read_plain_file, replace_plain_file
from sgevents_core.state.register import (
    WORDS_PER_SLOT,
    NotedLane,
    Register,
    Slot,
    is_readable,
    lane_register_path,
    read_register,
)

SendWords = Callable[[Mapping[int, int]], None]
QUICK_CALL: Final = 0.002
"""Seconds that a call takes at most for its words to be gathered."""
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


class SharedWords:
    """The words of one register on their way to the stream; any thread of the lane may use it.

    Args:
        send: Stores words by place, and returns once they are stored.
        gather_seconds: For how long the words of quick calls are gathered; 0 not to.
        stopping: Set when the lane must end.
        trouble: Takes notice of words that cannot be stored.
    """

    def __init__(
        self,
        send: SendWords,
        gather_seconds: float,
        stopping: threading.Event,
        trouble: LaneTrouble,
    ) -> None:
        self._send = send
        self._gather_seconds = gather_seconds
        self._stopping = stopping
        self._trouble = trouble
        self._pending: dict[int, int] = {}
        self._noted = threading.Lock()
        self._sending = threading.Lock()
        self._sent_at = 0.0
        self._last_number = 0
        self._sent_number = 0

    def note(self, place: int, word: int) -> int:
        """Note a word that goes with the next one that has to; return its number."""
        with self._noted:
            self._pending[place] = word
            self._last_number += 1
            return self._last_number

    def may_gather(self, seconds: float) -> bool:
        """Return whether the next call may begin before its words are stored.

        Args:
            seconds: How long the call before it took.
        """
        if not self._gather_seconds or seconds >= QUICK_CALL:
            return False
        return time.monotonic() < self._sent_at + self._gather_seconds

    def store(self, number: int) -> None:
        """Wait until a word is stored, with all that were noted before; send them if need be.

        Raises:
            StaleWriter: Another host has taken the lane over.
            StateError: It cannot be stored, and the lane must end.
        """
        pause = _FIRST_PAUSE
        while number > self._sent_number:
            try:
                with self._sending:
                    if number > self._sent_number:
                        self._send_pending()
            except StateError as error:
                if error.is_lasting:
                    raise
                self._trouble.record_failure(error)
                report_alive(pause)
                if self._stopping.wait(pause):
                    raise
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _send_pending(self) -> None:
        with self._noted:
            words, last_number = dict(self._pending), self._last_number
        self._send(words)
        self._trouble.record_success()
        self._sent_number, self._sent_at = last_number, time.monotonic()
        with self._noted:
            for place, word in words.items():
                if self._pending.get(place) == word:
                    del self._pending[place]


class SharedSlot(Slot):
    """The words of one strand, which go to the stream too."""

    __slots__ = ("_began_at", "_first_place", "_shared_words")

    def __init__(self, slot: Slot, first_place: int, shared_words: SharedWords) -> None:
        super().__init__(slot._slot_words)
        self._first_place = first_place
        self._shared_words = shared_words
        self._began_at = 0.0

    def begun(self, word: int, seq: int, callback_index: int, attempt_number: int = 1) -> None:
        """Record that a callback is about to be called, and wait until that is stored."""
        last_seconds = time.monotonic() - self._began_at
        super().begun(word, seq, callback_index, attempt_number)
        number = self._note(word)
        if not self._shared_words.may_gather(last_seconds):
            self._shared_words.store(number)
        self._began_at = time.monotonic()

    def returned(self, word: int, seq: int, callback_index: int) -> None:
        """Record that a callback is finished for an event."""
        super().returned(word, seq, callback_index)
        self._note(word)

    def clear(self, word: int) -> None:
        """Clear a word whose content is in the ledger."""
        super().clear(word)
        self._note(word)

    def serve(self, worker_number: int) -> None:
        """Record which worker serves the strand from now on, from 1."""
        super().serve(worker_number)
        self._note(WORDS_PER_SLOT - 1)

    def _note(self, word: int) -> int:
        return self._shared_words.note(self._first_place + word, self._slot_words[word])


def share_slots(register: Register, shared_words: SharedWords) -> None:
    """Let the words of a register go to the stream too."""
    register.slots = [
        SharedSlot(slot, WORDS_PER_SLOT * number, shared_words)
        for number, slot in enumerate(register.slots)
    ]


def mark_own(state_folder: Path, lane_name: str, place: int) -> None:
    """Note that the lane's register on this disk is the one that a message opened."""
    replace_plain_file(_mark_path(state_folder, lane_name), str(place).encode())


def read_own(state_folder: Path, lane_name: str, place: int) -> NotedLane | None:
    """Return the content of the lane's register on this disk, if a message opened that very one.

    It says more than the stream: what was not sent yet.
    """
    register_path = lane_register_path(state_folder, lane_name)
    try:
        is_own = read_plain_file(_mark_path(state_folder, lane_name)) == str(place).encode()
    except OSError:
        return None
    return read_register(register_path) if is_own and is_readable(register_path) else None


def _mark_path(state_folder: Path, lane_name: str) -> Path:
    return lane_register_path(state_folder, lane_name).with_suffix(".own")
