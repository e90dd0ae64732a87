"""Appending to one stream: one message after another, each with a known outcome."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from typing import Final, NamedTuple

from sgevents_core.errors import OutcomeNotKnown, StaleWriter
from sgevents_core.state.nats.appending import StoredAt
from sgevents_core.state.nats.copy import Copy
from sgevents_core.state.nats.logs import Log
from sgevents_core.state.nats.messages import AnyMessage, encode_message
from sgevents_core.state.nats.stream_keys import JOURNAL_ROWS


class _Pending(NamedTuple):
    """A message whose outcome is not known.

    Args:
        origin: What it was made from.
        message: The message.
        data: Its bytes.
        token: Its token.
        expected: The place behind which it was sent.
    """

    origin: object
    message: AnyMessage
    data: bytes
    token: str
    expected: int


class StreamWriter:
    """A writer of one stream, for any thread of this process.

    Args:
        what: What it writes, for people.
        stream_key: The stream.
        log: The stream's log.
        copy: The copy from which its messages are made.
        writer_name: This process, in a text that no other process uses.
        is_shared: Whether others write to the stream too; else another writer's message ends this
            one for good.
        is_strict: Whether a message with an origin whose outcome is not known is to be sent again
            by its own caller before anything else is: what others write rests on its outcome.
    """

    _numbers: Final = itertools.count(1)

    def __init__(
        self,
        what: str,
        stream_key: str,
        log: Log,
        copy: Copy,
        writer_name: str,
        *,
        is_shared: bool = False,
        is_strict: bool = False,
    ) -> None:
        self._what = what
        self._is_strict = is_strict
        self.stream_key: Final = stream_key
        self._log = log
        self._copy = copy
        self._writer_name = writer_name
        self._is_shared = is_shared
        self.lock: Final = threading.RLock()
        self._last_sequence: int | None = None
        self._named: dict[str, int] = {}
        self._pending: _Pending | None = None
        self._is_stale = False
        self.position = 0
        """The place of the last message that was stored."""

    @property
    def is_stale(self) -> bool:
        """Whether another writer has taken over."""
        return self._is_stale

    def send(self, message: AnyMessage, origin: object = None) -> int:
        """Append a message, and return its place.

        Args:
            message: The message.
            origin: What it was made from: a message made again from the same, after its outcome
                was not known, is the same message.

        Raises:
            StaleWriter: Another writer has taken over; it is not stored.
            OutcomeNotKnown: It may be stored; `send` or `settle` find out.
            StateError: It is not stored.
        """
        with self.lock:
            settled = self.settle(origin)
            if settled is not None and origin is not None and settled[0] is origin:
                return self.position
            message.after = self._new_places()
            if self._last_sequence is None:
                self._last_sequence = self._log.last_sequence()
            token = f"{self._writer_name}/{next(self._numbers)}"
            data = encode_message(message)
            return self._append(_Pending(origin, message, data, token, self._last_sequence))

    def settle(self, origin: object = None) -> tuple[object, AnyMessage] | None:
        """Find out the outcome of the last message; return its origin and itself if it was open.

        Args:
            origin: What the caller is about to write, or to write again.

        Raises:
            StaleWriter: Another writer has taken over; it is not stored.
            OutcomeNotKnown: It is not known yet, or others have to find it out.
        """
        with self.lock:
            if self._is_stale:
                raise StaleWriter(what=self._what)
            pending = self._pending
            if pending is None:
                return None
            if self._is_strict and pending.origin is not None and pending.origin is not origin:
                reason = "no answer came, and whoever wrote it has to send it again first"
                raise OutcomeNotKnown(what=self._what, reason=reason)
            self._append(pending, is_repeat=True)
            return pending.origin, pending.message

    def settled_message(self, origin: object) -> AnyMessage | None:
        """Return the message that was made from something before, once it is stored; see `send`."""
        with self.lock:
            settled = self.settle(origin)
            return settled[1] if settled is not None and settled[0] is origin else None

    def take_over(self, fence: AnyMessage) -> int:
        """Append the message that ends all other writers, and return its place.

        Raises:
            StateError: It is not known whether it is stored; a new writer may try again.
        """
        with self.lock:
            while True:
                self._last_sequence = self._log.last_sequence()
                try:
                    return self.send(fence)
                except StaleWriter:
                    self._is_stale = False  # it lost a race, and nobody knows it yet

    def _append(self, pending: _Pending, *, is_repeat: bool = False) -> int:
        """Append a message until its outcome is known."""
        while True:
            try:
                outcome = self._log.append(
                    pending.message.subject_kind,
                    pending.data,
                    pending.expected,
                    pending.token,
                    is_repeat=is_repeat,
                )
            except OutcomeNotKnown:
                self._pending = pending
                raise
            self._pending = None
            if isinstance(outcome, StoredAt):
                self._last_sequence = self.position = outcome.sequence
                self._named.update(pending.message.after)
                return outcome.sequence
            if not self._is_shared:
                self._is_stale = True
                raise StaleWriter(what=self._what)
            is_repeat = False
            pending = pending._replace(expected=self._log.last_sequence())

    def _new_places(self) -> dict[str, int]:
        """Return how far the copy has read other streams, where this one does not say so yet."""
        positions: Mapping[str, int] = self._copy.positions
        return {
            stream_key: place
            for stream_key, place in positions.items()
            if stream_key not in {self.stream_key, JOURNAL_ROWS}
            and place > self._named.get(stream_key, 0)
        }
