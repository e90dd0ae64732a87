"""The logs of a state in this process's memory: streams as the servers have them, without any."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, BinaryIO

from leases_in_memory import Bucket, MemoryLeases, MemoryNotes

from sgevents_core.errors import FrontCut, OutcomeNotKnown
from sgevents_core.state.nats.appending import Appended, StoredAt, Superseded
from sgevents_core.state.nats.messages import WORDS, decode_message
from sgevents_core.state.nats.stream_log import LogMessage


class MemoryLog:
    """One stream."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._messages: list[LogMessage] = []
        self._cut = 0
        self._lock = threading.Lock()
        self._tell = tell
        self.losses: list[str] = []
        """What happens to the next messages: `answer` or `message` is lost; empty for neither."""

    def last_sequence(self) -> int:
        """The place of the newest message."""
        return self._cut + len(self._messages)

    def first_sequence(self) -> int:
        """The place of the oldest message."""
        return self._cut + 1

    def append(
        self,
        subject: str,
        data: bytes,
        expected_sequence: int,
        token: str,
        *,
        is_repeat: bool = False,
    ) -> Appended:
        """Append behind a place, or find out that the same message is there."""
        loss = self.losses.pop(0) if self.losses else ""
        if loss == "message":
            raise OutcomeNotKnown(what="log", reason="no answer came")
        outcome = self._append(subject, data, expected_sequence, token)
        if loss == "answer":
            raise OutcomeNotKnown(what="log", reason="no answer came")
        return outcome

    def _append(self, subject: str, data: bytes, expected_sequence: int, token: str) -> Appended:
        with self._lock:
            place = expected_sequence + 1
            if expected_sequence != self.last_sequence():
                there = self._messages[expected_sequence - self._cut]
                return StoredAt(place) if there.token == token else Superseded(place, there.token)
            self._messages.append(LogMessage(place, subject, token, data))
        if subject != WORDS:
            self._tell()
        return StoredAt(place)

    def read_after(self, sequence: int) -> Sequence[LogMessage]:
        """The messages behind a place."""
        with self._lock:
            if sequence < self._cut:
                raise FrontCut(stream="log", first=self._cut + 1, wanted=sequence + 1)
            return self._messages[sequence - self._cut :][:64]

    def cut_front(self, below_sequence: int) -> None:
        """Forget the messages below a place, except for the newest."""
        with self._lock:
            below = min(below_sequence, self.last_sequence())
            del self._messages[: max(below - self._cut - 1, 0)]
            self._cut = max(self._cut, below - 1)


class MemoryLogs:
    """All streams of a state; any number of hosts use one object."""

    def __init__(self, lane_names: Sequence[str]) -> None:
        self._listeners: list[Callable[[str | None], None]] = []
        self._numbers = itertools.count(1)
        self._pointer: tuple[bytes, int] | None = None
        self.files: dict[str, bytes] = {}
        self._logs = {
            key: MemoryLog(partial(self._tell, key))
            for key in ["journal", "requests", *(f"lane:{name}" for name in lane_names)]
        }

    def _tell(self, stream_key: str) -> None:
        for listener in self._listeners:
            listener(stream_key)

    def log(self, stream_key: str) -> MemoryLog:
        """A stream."""
        return self._logs[stream_key]

    def stream_keys(self) -> list[str]:
        """All streams."""
        return list(self._logs)

    def last_places(self) -> dict[str, int]:
        """The place of the newest message of each stream that has one."""
        places = {key: log.last_sequence() for key, log in self._logs.items()}
        return {key: place for key, place in places.items() if place}

    def next_number(self, above: int) -> int:
        """A number that comes once."""
        return next(self._numbers)

    def expect(self, identities: Mapping[str, str]) -> None:
        """Streams in memory are never made anew."""

    def identity(self, stream_key: str) -> str:
        """Nothing tells a stream from another."""
        return ""

    def listen(self, take_news: Callable[[str | None], None]) -> None:
        """Call a function after each message."""
        self._listeners.append(take_news)

    def put_file(self, file_name: str, source: BinaryIO) -> None:
        """Store a file."""
        self.files[file_name] = source.read()

    def get_file(self, file_name: str, target: BinaryIO) -> bool:
        """Read a file."""
        if file_name not in self.files:
            return False
        target.write(self.files[file_name])
        return True

    def has_file(self, file_name: str) -> bool:
        """Return whether there is a file."""
        return file_name in self.files

    def delete_file(self, file_name: str) -> None:
        """Remove a file."""
        self.files.pop(file_name, None)

    def read_pointer(self) -> tuple[bytes, int] | None:
        """What the pointer says."""
        return self._pointer

    def move_pointer(self, text: bytes, revision: int) -> bool:
        """Move it, if nobody else did."""
        if revision != (0 if self._pointer is None else self._pointer[1]):
            return False
        self._pointer = (text, revision + 1)
        return True

    def leases(self) -> MemoryLeases:
        """The leases, which nobody else has here."""
        return MemoryLeases(Bucket())

    def host_notes(self) -> MemoryNotes:
        """The notes, which nobody else has here."""
        return MemoryNotes({})

    def close(self) -> None:
        """Nothing is open."""


class _SeenLog:
    """A stream as one host has seen it: what others wrote since it looked is hidden."""

    def __init__(self, log: MemoryLog, show: Callable[[Mapping[str, int]], None]) -> None:
        self._log = log
        self._seen = 0
        self._show = show
        self.last_sequence = log.last_sequence
        self.first_sequence = log.first_sequence
        self.cut_front = log.cut_front

    def show(self, place: int) -> None:
        """See everything up to a place."""
        self._seen = max(self._seen, place)

    def append(self, *values: Any, is_repeat: bool = False) -> Appended:
        """Append, and see up to there."""
        outcome = self._log.append(*values, is_repeat=is_repeat)
        if isinstance(outcome, StoredAt):
            self.show(outcome.sequence)
        return outcome

    def read_after(self, sequence: int) -> Sequence[LogMessage]:
        """The messages behind a place, as far as they are seen, and with what they name."""
        found = [one for one in self._log.read_after(sequence) if one.sequence <= self._seen]
        for log_message in found:
            self._show(decode_message(log_message.data, "here").after)
        return found


class ViewOfLogs(MemoryLogs):
    """The streams as one host sees them, which looks only when it is told."""

    def __init__(self, shared: MemoryLogs) -> None:
        self._shared = shared
        self._views = {
            key: _SeenLog(shared.log(key), self._show_all) for key in shared.stream_keys()
        }
        for name in ("listen", "next_number", "read_pointer", "move_pointer", "files"):
            setattr(self, name, getattr(shared, name))

    def look(self) -> None:
        """See everything that is written."""
        self._show_all(self._shared.last_places())

    def _show_all(self, places: Mapping[str, int]) -> None:
        for stream_key, place in places.items():
            self._views[stream_key].show(place)

    def log(self, stream_key: str) -> Any:
        """A stream as it is seen."""
        return self._views[stream_key]

    def stream_keys(self) -> list[str]:
        """All streams."""
        return self._shared.stream_keys()
