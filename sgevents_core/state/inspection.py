"""An inspection of a state, which checks each record against its checksum. Only reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from sgevents_core.state.batches import BatchedEvent
from sgevents_core.state.deferred import DeferredEvent


class FormatVersion(NamedTuple):
    """The version of a state's format, and the newest one that this version of sgevents knows."""

    version: int
    newest: int


class Integrity(NamedTuple):
    """Whether the storage is intact.

    Args:
        name: The object checked, for people.
        errors: The errors found; empty if there are none.
        unreadable: The parts that cannot be read completely.
    """

    name: str
    errors: Sequence[str]
    unreadable: Sequence[str]


class InspectedLetter(NamedTuple):
    """A dead letter, and whether its event matches the checksum."""

    number: int
    event_id: int
    whole: bool


class LogDamage(NamedTuple):
    """An invalid frame in a log, followed by frames that are not used.

    Args:
        name: The log's name, for people.
        frame: The frame's number, from 1.
        behind: How many frames follow; none of them is used.
    """

    name: str
    frame: int
    behind: int


class Inspection(Protocol):
    """An open inspection, for one thread at a time; every method raises StateError if it fails."""

    def close(self) -> None:
        """Close its connection."""

    def format_version(self) -> FormatVersion:
        """Return the version of the state's format."""

    def integrity(self, error_limit: int, *, skip_indexes: bool) -> Integrity:
        """Check the storage.

        Args:
            error_limit: The most errors to return.
            skip_indexes: Whether to skip comparing each index with its table.
        """

    def stores(self) -> list[str]:
        """Return the plugins that have a store, by name."""

    def letters(self) -> Iterator[InspectedLetter]:
        """Yield the dead letters, oldest first."""

    def batched(self) -> Iterator[BatchedEvent]:
        """Yield the events of batches, and of the dead letters of batches, in order."""

    def deferred(self) -> Iterator[DeferredEvent]:
        """Yield the calls that are put off, in the order of their events."""
