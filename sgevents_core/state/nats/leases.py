"""Who works at what: keys that vanish unless they are renewed. They never say who may write."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from sgevents_core.errors import BrokerUnreachable
from sgevents_core.state.nats.connection import REQUEST_WITHIN, Broker
from sgevents_core.state.nats.jetstream import (
    StoredMessage,
    read_directly,
    read_from_leader,
    write_expecting,
)
from sgevents_core.state.nats.stream_names import escape_name, unescape_name
from sgevents_core.state.nats.streams import StreamDefinition, create_stream, find_stream
from sgevents_core.state.protocols import HeldLease, LeaseEntry

SAFETY_SECONDS: Final = 0.3
"""How much earlier than the servers its holder takes a lease to be over."""
_EXPECTED_REVISION: Final = "Nats-Expected-Last-Subject-Sequence"
_OPERATION: Final = "KV-Operation"
_DELETED: Final = {"DEL", "PURGE"}
_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_seconds() -> float:
    """Return the seconds since the machine started, those of a suspension included."""
    return time.clock_gettime(_BOOT_CLOCK)


class Leases:
    """The leases of one site; any number of threads may use them.

    Args:
        broker: The servers.
        bucket: The stream of the bucket, `KV_...`, and how it is made anew if it is gone.
        seconds: How long a lease lasts.
        clock: A clock that also counts suspension.
    """

    def __init__(
        self,
        broker: Broker,
        bucket: StreamDefinition,
        seconds: float,
        clock: Callable[[], float] = boot_seconds,
    ) -> None:
        self._broker = broker
        self._bucket = bucket
        self._start = f"$KV.{bucket.name.removeprefix('KV_')}."
        self.seconds = seconds
        self.clock = clock

    def read_all(self) -> dict[str, LeaseEntry]:
        """Return all keys that are held, as any server has them; one may be out of date.

        Raises:
            BrokerError: The server refused, or did not answer.
        """
        try:
            entries = read_entries(self._broker, self._bucket.name, self._within)
        except BrokerUnreachable:
            if not self._remake_bucket():
                raise
            return {}
        return {key_of(word): entry for word, entry in entries.items()}

    def take(self, key: str, holder: bytes) -> HeldLease | None:
        """Take a key that nobody holds; None if somebody does.

        Args:
            key: The key: `feed`, or `lane.` or `host.` and a name.
            holder: This process, in a text that no other process uses.

        Raises:
            BrokerError: The server refused, or did not answer.
        """
        held = self._write(key, holder, revision=0)
        if held is not None:
            return held
        newest = self._newest(key)
        if newest is None:
            return self._write(key, holder, revision=0)
        if _is_marker(newest) or newest.data == holder:  # given back, or an answer was lost
            return self._write(key, holder, newest.sequence)
        return None

    def inherit(self, key: str, entry: LeaseEntry, holder: bytes) -> HeldLease | None:
        """Take a key over from a process that is known to be dead; None if it has changed.

        Args:
            key: The key.
            entry: As it was read.
            holder: This process, in a text that no other process uses.

        Raises:
            BrokerError: The server refused, or did not answer.
        """
        held = self._write(key, holder, entry.revision)
        return held or self.take(key, holder)

    def renew(self, held: HeldLease, holder: bytes | None = None) -> HeldLease | None:
        """Renew a lease; None if it is over, and somebody else may hold it.

        Args:
            held: The lease.
            holder: What is written from now on; by default the same.

        Raises:
            BrokerError: The server refused, or did not answer; it may be tried again.
        """
        written = held.holder if holder is None else holder
        renewed = self._write(held.key, written, held.revision)
        if renewed is not None:
            return renewed
        newest = self._newest(held.key)
        if newest is None or _is_marker(newest) or newest.data not in {held.holder, written}:
            return None
        return self._write(held.key, written, newest.sequence)  # an answer was lost

    def give_back(self, held: HeldLease) -> None:
        """Let others take the key at once; does nothing if it is no longer this process's.

        Raises:
            BrokerError: The server refused, or did not answer.
        """
        self._write(held.key, b"", held.revision, {_OPERATION: "DEL"})

    @property
    def _within(self) -> float:
        """A request that takes longer is of no use."""
        return self.seconds / 2

    def _write(
        self, key: str, holder: bytes, revision: int, headers: dict[str, str] | None = None
    ) -> HeldLease | None:
        """Write a key if its revision is the expected one; None if it is not."""
        sent_at = self.clock()
        conditions = {_EXPECTED_REVISION: str(revision), **(headers or {})}
        try:
            written = write_expecting(
                self._broker, f"{self._start}{_word_of(key)}", holder, conditions, self._within
            )
        except BrokerUnreachable as error:
            if error.is_sent or not self._remake_bucket():
                raise
            return None
        if written is None:
            return None
        return HeldLease(key, holder, written, sent_at + self.seconds - SAFETY_SECONDS)

    def _remake_bucket(self) -> bool:
        """Make the bucket anew if it was deleted, since nothing rests on it; return whether."""
        if find_stream(self._broker, self._bucket.name) is not None:
            return False
        create_stream(self._broker, self._bucket)
        return True

    def _newest(self, key: str) -> StoredMessage | None:
        wanted = {"last_by_subj": f"{self._start}{_word_of(key)}"}
        return read_from_leader(self._broker, self._bucket.name, wanted, self._within)


def read_entries(
    broker: Broker, bucket_stream: str, within: float = REQUEST_WITHIN
) -> dict[str, LeaseEntry]:
    """Return all keys of a bucket that have a value, as any server has them.

    Args:
        broker: The servers.
        bucket_stream: The stream of the bucket, `KV_...`.
        within: For how many seconds to wait.

    Raises:
        BrokerError: The server refused, or did not answer.
    """
    start = f"$KV.{bucket_stream.removeprefix('KV_')}."
    messages = read_directly(broker, bucket_stream, {"multi_last": [f"{start}>"]}, within)
    return {
        message.subject.removeprefix(start): LeaseEntry(message.data, message.sequence)
        for message in messages
        if not _is_marker(message)
    }


def _word_of(key: str) -> str:
    """Return a key as the bucket has it."""
    kind, dot, name = key.partition(".")
    return f"{kind}{dot}{escape_name(name)}"


def key_of(word: str) -> str:
    """Return the key that a word of the bucket stands for."""
    kind, dot, name = word.partition(".")
    return f"{kind}{dot}{unescape_name(name)}"


def _is_marker(message: StoredMessage) -> bool:
    return message.headers.get(_OPERATION) in _DELETED
