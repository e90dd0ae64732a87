"""The logs of one state, as the copy reads them and its writers append to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO, Protocol

from sgevents_core.state.nats.appending import Appended
from sgevents_core.state.nats.stream_log import LogMessage
from sgevents_core.state.protocols import HostNotes, Leases


class Log(Protocol):
    """One stream; see `stream_log.StreamLog`."""

    def last_sequence(self) -> int:
        """Return the place of the newest message ever stored."""

    def append(
        self,
        subject: str,
        data: bytes,
        expected_sequence: int,
        token: str,
        *,
        is_repeat: bool = False,
    ) -> Appended:
        """Append a message right behind the one at a place.

        Raises:
            OutcomeNotKnown: It may be stored; only the same call may follow, as a repeat.
            StateError: It is not stored.
        """

    def read_after(self, sequence: int) -> Sequence[LogMessage]:
        """Return the messages behind a place.

        Raises:
            FrontCut: The next one is no longer kept.
            StreamLost: The log is gone, or ends before the place.
        """

    def cut_front(self, below_sequence: int) -> None:
        """Remove the messages below a place."""


class Logs(Protocol):
    """All logs of one state, and what its hosts share besides them."""

    def log(self, stream_key: str) -> Log:
        """Return a log; see `stream_keys`.

        Raises:
            StreamMissing: There is none; only `sgevents cluster init` makes one.
        """

    def expect(self, identities: Mapping[str, str]) -> None:
        """Let logs count as lost that are not those that were read before.

        Args:
            identities: Key -> what `identity` returned then.
        """

    def identity(self, stream_key: str) -> str:
        """Return what tells a log from another of its name; empty until it was looked at."""

    def stream_keys(self) -> list[str]:
        """Return the keys of all logs that there are."""

    def next_number(self, above: int) -> int:
        """Return a number that nobody else gets, of a failure or a dead letter.

        Args:
            above: The highest that this host knows.
        """

    def listen(self, take_news: Callable[[str | None], None]) -> None:
        """Call a function with the key of a log that has grown, or None if any may have."""

    def put_file(self, file_name: str, source: BinaryIO) -> None:
        """Store a file that hosts share."""

    def get_file(self, file_name: str, target: BinaryIO) -> bool:
        """Read a file that hosts share; return whether there is one of the name."""

    def has_file(self, file_name: str) -> bool:
        """Return whether there is a file that hosts share."""

    def delete_file(self, file_name: str) -> None:
        """Remove a file that hosts share."""

    def read_pointer(self) -> tuple[bytes, int] | None:
        """Return what the newest snapshot's pointer says, and its revision; None without one."""

    def move_pointer(self, text: bytes, revision: int) -> bool:
        """Move the pointer from a revision, 0 for none; return False if another has moved it."""

    def leases(self) -> Leases:
        """Return the leases by which hosts share the work."""

    def host_notes(self) -> HostNotes:
        """Return what hosts note for each other."""

    def close(self) -> None:
        """End the connection."""
