"""The leases of a state that several hosts share: who works at what, never who may write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class LeaseEntry(NamedTuple):
    """A key as the servers have it.

    Args:
        holder: What its holder wrote.
        revision: The number of that.
    """

    holder: bytes
    revision: int


class HeldLease(NamedTuple):
    """A lease of this process.

    Args:
        key: What it is about.
        holder: What this process wrote.
        revision: The number of that.
        valid_until: When the right to begin something ends, on the leases' clock.
    """

    key: str
    holder: bytes
    revision: int
    valid_until: float


class Leases(Protocol):
    """The leases of one site: keys that vanish unless they are renewed."""

    @property
    def seconds(self) -> float:
        """How long a lease lasts."""

    def clock(self) -> float:
        """Return the time by which leases end."""

    def read_all(self) -> Mapping[str, LeaseEntry]:
        """Return all keys that are held.

        Raises:
            StateError: The servers do not answer.
        """

    def take(self, key: str, holder: bytes) -> HeldLease | None:
        """Take a key that nobody holds; None if somebody does.

        Raises:
            StateError: The servers do not answer.
        """

    def inherit(self, key: str, entry: LeaseEntry, holder: bytes) -> HeldLease | None:
        """Take a key over from a process that is known to be dead; None if it is gone meanwhile.

        Raises:
            StateError: The servers do not answer.
        """

    def renew(self, held: HeldLease, holder: bytes | None = None) -> HeldLease | None:
        """Renew a lease; None if it is over, and somebody else may hold it.

        Raises:
            StateError: The servers do not answer; it may be tried again.
        """

    def give_back(self, held: HeldLease) -> None:
        """Let others take the key at once.

        Raises:
            StateError: The servers do not answer.
        """
