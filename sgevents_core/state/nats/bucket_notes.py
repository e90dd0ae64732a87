"""What hosts note for each other: keys beside the pointer to the newest snapshot."""

from __future__ import annotations

from typing import Final

from sgevents_core.state.nats.snapshots import SnapshotStore
from sgevents_core.state.nats.stream_names import escape_name
from sgevents_core.state.protocols import StoredNote

_WITHIN: Final = 1.0
"""Seconds to wait: the thread that asks has leases to renew, and asks again."""


class BucketNotes:
    """The notes of one site.

    Args:
        store: The bucket that they are in.
    """

    def __init__(self, store: SnapshotStore) -> None:
        self._store = store

    def read(self, key: str) -> StoredNote | None:
        """Return a note, from the leader; see `protocols.HostNotes`."""
        pointer = self._store.read_pointer(_word_of(key), _WITHIN)
        return None if pointer is None else StoredNote(pointer.text, pointer.revision)

    def replace(self, key: str, content: bytes, revision: int) -> bool:
        """Replace a note; see `protocols.HostNotes`."""
        written = self._store.move_pointer(_word_of(key), content, revision, _WITHIN)
        return written is not None


def _word_of(key: str) -> str:
    """Return a key as the bucket has it: a host may have any name."""
    kind, dot, name = key.partition(".")
    return f"{kind}{dot}{escape_name(name)}"
