"""Leases as servers keep them, in memory and on a clock that a test moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from sgevents_core.errors import StateError
from sgevents_core.state.protocols import HeldLease, LeaseEntry, StoredNote


class StoredKey(NamedTuple):
    """A key, and when it vanishes."""

    holder: bytes
    revision: int
    until: float


@dataclass
class Bucket:
    """The keys that all hosts share, and the clock."""

    now: float = 1000.0
    seconds: float = 5.0
    keys: dict[str, StoredKey] = field(default_factory=dict)
    revisions: count[int] = field(default_factory=lambda: count(1))

    def pass_time(self, seconds: float) -> None:
        """Let time pass; keys that nobody has renewed vanish."""
        self.now += seconds
        self.keys = {key: stored for key, stored in self.keys.items() if stored.until > self.now}


class MemoryLeases:
    """One host's access to the bucket; `is_cut_off` says that the servers do not answer."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self.is_cut_off = False

    @property
    def seconds(self) -> float:
        """How long a lease lasts."""
        return self._bucket.seconds

    def clock(self) -> float:
        """Return the time."""
        return self._bucket.now

    def read_all(self) -> Mapping[str, LeaseEntry]:
        """Return all keys that are held."""
        self._answer()
        return {
            key: LeaseEntry(stored.holder, stored.revision)
            for key, stored in self._bucket.keys.items()
        }

    def take(self, key: str, holder: bytes) -> HeldLease | None:
        """Take a key that nobody holds."""
        self._answer()
        return None if key in self._bucket.keys else self._write(key, holder)

    def inherit(self, key: str, entry: LeaseEntry, holder: bytes) -> HeldLease | None:
        """Take a key over from a process that is known to be dead."""
        self._answer()
        stored = self._bucket.keys.get(key)
        return (
            self._write(key, holder)
            if stored is not None and stored.revision == entry.revision
            else None
        )

    def renew(self, held: HeldLease, holder: bytes | None = None) -> HeldLease | None:
        """Renew a lease; None if it is over."""
        self._answer()
        stored = self._bucket.keys.get(held.key)
        if stored is None or stored.revision != held.revision:
            return None
        return self._write(held.key, held.holder if holder is None else holder)

    def give_back(self, held: HeldLease) -> None:
        """Let others take the key at once."""
        self._answer()
        stored = self._bucket.keys.get(held.key)
        if stored is not None and stored.revision == held.revision:
            del self._bucket.keys[held.key]

    def _write(self, key: str, holder: bytes) -> HeldLease:
        revision, until = next(self._bucket.revisions), self._bucket.now + self.seconds
        self._bucket.keys[key] = StoredKey(holder, revision, until)
        return HeldLease(key, holder, revision, until - 0.3)

    def _answer(self) -> None:
        if self.is_cut_off:
            raise StateError(path="nats://nowhere", reason="it does not answer")


class MemoryNotes:
    """One host's access to the notes that all share; `is_cut_off` as for leases."""

    def __init__(self, stored: dict[str, StoredNote]) -> None:
        self._stored = stored
        self.is_cut_off = False

    def read(self, key: str) -> StoredNote | None:
        """Return a note."""
        self._answer()
        return self._stored.get(key)

    def replace(self, key: str, content: bytes, revision: int) -> bool:
        """Replace a note, unless another did."""
        self._answer()
        before = self._stored.get(key)
        if revision != (0 if before is None else before.revision):
            return False
        self._stored[key] = StoredNote(content, revision + 1)
        return True

    def _answer(self) -> None:
        if self.is_cut_off:
            raise StateError(path="nats://nowhere", reason="it does not answer")
