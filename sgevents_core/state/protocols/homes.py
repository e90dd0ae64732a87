"""A state as a whole, and its files on disk; each implementation is a package of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from sgevents_core.state.inspection import Inspection, LogDamage
from sgevents_core.state.protocols.host_notes import HostNotes
from sgevents_core.state.protocols.leases import Leases
from sgevents_core.state.protocols.reading import Letters, Past, Reader
from sgevents_core.state.protocols.writing import FeedWriter, LaneWriter, Requests, Writer


class Presence(Protocol):
    """A watch on whether the state in use is still the one that was opened; for one thread."""

    def look(self) -> None:
        """Check that the state still exists and is readable.

        Raises:
            StateGone: One of its files was deleted or replaced.
            StateDamaged: The state can no longer be read.
        """

    def close(self) -> None:
        """End the watch; only when this process has no open connection."""


class State(Protocol):
    """One state. Each thread opens its own connections; nothing is open before."""

    @property
    def folder(self) -> Path:
        """The folder of this host's files: the lock, the registers, the running daemon's record."""

    def leases(self) -> Leases | None:
        """Return the leases by which hosts share the work; None if nobody shares this state."""

    def host_notes(self) -> HostNotes | None:
        """Return what hosts note for each other; None if nobody shares this state."""

    def is_made(self) -> bool:
        """Return whether the state exists.

        Raises:
            StateError: Its folder cannot be accessed.
        """

    def reader(self) -> Reader:
        """Open a connection that reads."""

    def feed_writer(self) -> FeedWriter:
        """Open the feed's connection; creates or upgrades the state if necessary."""

    def lane_writer(self) -> LaneWriter:
        """Open the connection of a lane; creates or upgrades the state if necessary."""

    def writer(self) -> Writer:
        """Open a connection that writes everything a start needs; see `feed_writer`."""

    def requests(self) -> Requests:
        """Open the requests; creates or upgrades the state if necessary."""

    def letters(self) -> Letters:
        """Open the dead letters."""

    def past(self) -> Past:
        """Open the past events."""

    def presence(self) -> Presence:
        """Open the watch on the state's continued existence."""


class ServerRemark(NamedTuple):
    """Something about servers that is not as it should be, and prevents no run.

    Args:
        stream: The stream that it is about; empty for the servers.
        problem: What is wrong.
        fix: What to do about it.
    """

    stream: str
    problem: str
    fix: str


class ServerTrial(Protocol):
    """Servers that are tried before a state on them is opened."""

    @property
    def has_outcome(self) -> bool:
        """Whether a server has answered, or an attempt has failed; else it is still connecting."""

    def carry_out(self) -> Sequence[ServerRemark]:
        """Try the servers once, and return what is wrong with them and prevents no run.

        Raises:
            BrokerUnreachable: They do not answer now.
            BrokerRefused: One refuses this user, or what answers is none.
            ClusterNotReadyError: They cannot keep the state.
        """

    def close(self) -> None:
        """End the connection."""


class Storage(Protocol):
    """The part of a state on this host's disk, for maintenance."""

    @property
    def folder(self) -> Path:
        """The state's folder."""

    @property
    def files(self) -> Sequence[str]:
        """Names of the files that a start opens for writing, besides the lock."""

    @property
    def repair(self) -> str:
        """The remedy for damage, for people."""

    def is_outdated(self) -> bool:
        """Return whether an older version wrote it and the next writer will upgrade it.

        Raises:
            StateError: The state cannot be read.
        """

    def inspection(self) -> Inspection:
        """Open an inspection of the state; see `sgevents state check`."""

    def log_damage(self) -> LogDamage | None:
        """Return where a log that was left behind is damaged; None if it is intact.

        Raises:
            OSError: The log cannot be read.
        """

    def back_up(self, target_path: Path) -> int:
        """Copy the state as it is now to a file, and return its size in bytes."""
