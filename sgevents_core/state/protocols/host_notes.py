"""What hosts that share a state write down for each other, and keep until it is replaced."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class StoredNote(NamedTuple):
    """A note as it is stored.

    Args:
        content: What it says.
        revision: The number that a change of it has to name.
    """

    content: bytes
    revision: int


class HostNotes(Protocol):
    """The notes of one site, by key: a word, or a word, a dot and any name."""

    def read(self, key: str) -> StoredNote | None:
        """Return a note; None if there is none.

        Raises:
            StateError: The servers do not answer.
        """

    def replace(self, key: str, content: bytes, revision: int) -> bool:
        """Replace a note; return False if it is no longer the one that was read.

        Args:
            key: The key.
            content: What it says from now on.
            revision: The revision that was read; 0 if there was none.

        Raises:
            StateError: The servers do not answer.
        """
