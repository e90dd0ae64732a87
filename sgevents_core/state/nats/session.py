"""What the connections of one process share: the copy, its reader, and the writers of streams."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sgevents_core.errors import OutcomeNotKnown, StaleWriter, UnconfirmedWrite
from sgevents_core.state.feed_values import FeedState
from sgevents_core.state.nats.copy import Copy
from sgevents_core.state.nats.copy_reader import CopyReader
from sgevents_core.state.nats.feed_words import copied
from sgevents_core.state.nats.logs import Logs
from sgevents_core.state.nats.messages import AnyMessage, FeedFence, LaneFence, LaneWords, Page
from sgevents_core.state.nats.snapshot_keeping import SnapshotKeeping
from sgevents_core.state.nats.stream_keys import JOURNAL, REQUESTS, lane_key
from sgevents_core.state.nats.stream_writing import StreamWriter
from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.sqlite.journal_reading import END_QUERY, known_event_ids
from sgevents_core.state.sqlite.reading import read_feed_state

_LOOK_EVERY: Final = 0.5
_READ_BACK_WITHIN: Final = 30.0
"""Seconds within which the copy must have what this process wrote."""


class HeldFeed:
    """The feed, which this process has taken over.

    Args:
        writer: The journal's writer.
        database: A connection to the copy.
    """

    def __init__(self, writer: StreamWriter, database: Database) -> None:
        self.writer: Final = writer
        self._database = database
        self.end = database.fetch_number(END_QUERY)
        self.last_state: FeedState | None = read_feed_state(database)
        self.is_stated = False
        """Whether a message of this writer has given the feed's state whole."""
        self._unapplied: deque[tuple[int, int, set[int]]] = deque()

    def note_page(self, page: Page) -> None:
        """Take notice of a page that is stored."""
        self.end = page.base + len(page.rows)
        self.note_state(page.feed.change(self.last_state).state)
        event_ids = {page_row.event_id for page_row in page.rows}
        if event_ids:
            self._unapplied.append((self.writer.position, page.era, event_ids))

    def note_state(self, feed_state: FeedState) -> None:
        """Take notice of the feed's state in a message that is stored."""
        self.last_state, self.is_stated = copied(feed_state), True

    def find_known(self, feed_era: int, event_ids: set[int], applied_place: int) -> set[int]:
        """Return those of some ids that the journal holds already."""
        while self._unapplied and self._unapplied[0][0] <= applied_place:
            self._unapplied.popleft()
        known = set(known_event_ids(self._database.fetch_all, feed_era, event_ids))
        for _, page_era, page_ids in self._unapplied:
            known |= event_ids & page_ids if page_era == feed_era else set()
        return known

    def close(self) -> None:
        """Close the connection."""
        self._database.close()


class HeldLane:
    """A lane that this process has taken over.

    Args:
        writer: The lane's writer.
        fence: Its fence, for connections.
    """

    def __init__(self, writer: StreamWriter, fence: int) -> None:
        self.writer: Final = writer
        self.fence: Final = fence


class Session:
    """The copy and the writers of one process.

    Args:
        state_folder: The state's folder.
        logs: The logs.
        host_name: This host.
        gather_seconds: For how long the words of quick calls are gathered; 0 not to.
    """

    def __init__(
        self, state_folder: Path, logs: Logs, host_name: str, gather_seconds: float = 0.0
    ) -> None:
        self.folder: Final = state_folder
        self.gather_seconds: Final = gather_seconds
        self.logs: Final = logs
        self.host_name: Final = host_name
        self.copy: Final = Copy(state_folder, host_name)
        logs.expect(self.copy.identities())
        self.reader: Final = CopyReader(self.copy, logs)
        self._writer_name = f"{host_name}-{secrets.token_hex(6)}"
        self._lock = threading.RLock()
        self._written: dict[str, int] = {}
        self._lanes: dict[str, HeldLane] = {}
        self._feed: HeldFeed | None = None
        self._shared: StreamWriter | None = None
        self.reader.start()
        self._snapshots = SnapshotKeeping(self.copy, logs, lambda: self.held_feed() is not None)

    def close(self) -> None:
        """End the reader, and close everything."""
        self._snapshots.stop()
        self.reader.stop()
        if self._feed is not None:
            self._feed.close()
        self.copy.close()
        self.logs.close()

    def wait_until_read(self) -> None:
        """Wait until the copy has what the logs held when this process opened them.

        Raises:
            StateError: They cannot be read.
        """
        while not self.reader.wait_until_read(_LOOK_EVERY):
            problem = self.copy.failure or self.reader.trouble
            if problem is not None:
                raise problem

    # What this process wrote

    def note_written(self, stream_key: str, place: int) -> None:
        """Let readers of this process wait for a message that it wrote."""
        with self._lock:
            self._written[stream_key] = max(place, self._written.get(stream_key, 0))
        self.reader.wake(stream_key)

    def wait_for_own(self) -> None:
        """Wait until the copy has everything that this process wrote.

        Raises:
            StateError: It does not get there.
        """
        if self.copy.failure is not None:
            raise self.copy.failure
        if not self.copy.has(self._written):
            with self._lock:
                wanted = dict(self._written)
            self.copy.wait_for(wanted, _READ_BACK_WITHIN)

    def send(self, writer: StreamWriter, message: AnyMessage, origin: object = None) -> int:
        """Append a message, and return its place; readers of this process wait for its effect.

        Words of a register have none for them: nobody waits until the copy has them.

        Raises:
            StaleWriter: Another host has taken over; it is not stored.
            StateError: It is not stored, or that is not known: only a call with the same origin
                may follow.
        """
        if self.copy.failure is not None:
            raise self.copy.failure
        with self.translated(writer):
            place = writer.send(message, origin)
        if not isinstance(message, LaneWords):
            self.note_written(writer.stream_key, place)
        return place

    @contextmanager
    def translated(self, writer: StreamWriter) -> Iterator[None]:
        """Raise what is not known as an UnconfirmedWrite, for which callers try again."""
        try:
            yield
        except OutcomeNotKnown as error:
            path = str(self.copy.folder.parent)
            raise UnconfirmedWrite(path=path, what=error.what, reason=error.reason) from error

    # Writers

    def shared_writer(self) -> StreamWriter:
        """Return the writer of the stream to which anybody may write."""
        with self._lock:
            if self._shared is None:
                self._shared = self._make_writer("the requests", REQUESTS, is_shared=True)
            return self._shared

    def share(self, message: AnyMessage, origin: object = None) -> int:
        """Append a message to the stream to which anybody may write, and return its place."""
        return self.send(self.shared_writer(), message, origin)

    def take_lane(self, lane_name: str) -> int:
        """Take over a lane, and return its fence in this process."""
        writer = self._make_writer(f"lane {lane_name}", lane_key(lane_name), is_strict=True)
        with self.translated(writer):
            place = writer.take_over(LaneFence(host=self.host_name))
        self.note_written(writer.stream_key, place)
        self.copy.wait_for({writer.stream_key: place}, _READ_BACK_WITHIN)
        with self.copy.applying_lock:
            fence = self.copy.database.fetch_number(
                "SELECT fence FROM lanes WHERE name = ?", lane_name
            )
        with self._lock:
            self._lanes[lane_name] = HeldLane(writer, fence)
        return fence

    def held_lane(self, lane_name: str, fence: int) -> HeldLane:
        """Return a lane that this process holds.

        Raises:
            StaleWriter: It does not, or has taken it again since it got the fence.
        """
        held_lane = self._lanes.get(lane_name)
        if held_lane is None or held_lane.fence != fence or held_lane.writer.is_stale:
            raise StaleWriter(what=f"lane {lane_name}")
        return held_lane

    def find_held_lane(self, lane_name: str) -> HeldLane | None:
        """Return a lane if this process holds it."""
        held_lane = self._lanes.get(lane_name)
        return None if held_lane is None or held_lane.writer.is_stale else held_lane

    def held_lanes(self) -> dict[str, HeldLane]:
        """Return the lanes that this process holds, by name."""
        with self._lock:
            lanes = dict(self._lanes)
        return {name: held for name, held in lanes.items() if not held.writer.is_stale}

    def held_feed(self) -> HeldFeed | None:
        """Return the feed if this process holds it."""
        feed = self._feed
        return None if feed is None or feed.writer.is_stale else feed

    def take_feed(self, *, anew: bool = False) -> HeldFeed:
        """Take over the feed, unless this process holds it.

        Args:
            anew: Whether to take it over even so: another host may have had it meanwhile.
        """
        with self._lock:
            feed = self.held_feed()
            if feed is not None and not anew:
                return feed
            writer = self._make_writer("the journal", JOURNAL)
            with self.translated(writer):
                place = writer.take_over(FeedFence(host=self.host_name))
            self.note_written(JOURNAL, place)
            self.copy.wait_for({JOURNAL: place}, _READ_BACK_WITHIN)
            if self._feed is not None:
                self._feed.close()
            self._feed = HeldFeed(writer, Database(self.copy.folder, read_only=True))
            return self._feed

    def _make_writer(
        self, what: str, stream_key: str, *, is_shared: bool = False, is_strict: bool = False
    ) -> StreamWriter:
        return StreamWriter(
            what,
            stream_key,
            self.logs.log(stream_key),
            self.copy,
            self._writer_name,
            is_shared=is_shared,
            is_strict=is_strict,
        )
