"""The logs of a state as streams of NATS servers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO, Final

from sgevents_core.settings.state_settings import StateSettings
from sgevents_core.state.nats.appending import Appended
from sgevents_core.state.nats.bucket_notes import BucketNotes
from sgevents_core.state.nats.connection import CONNECT_WITHIN, Broker
from sgevents_core.state.nats.counter import Counter
from sgevents_core.state.nats.exchange import Reply
from sgevents_core.state.nats.jetstream import StoredMessage
from sgevents_core.state.nats.leases import Leases
from sgevents_core.state.nats.messages import WORDS
from sgevents_core.state.nats.snapshots import SnapshotStore
from sgevents_core.state.nats.stream_keys import JOURNAL, REQUESTS, lane_key, lane_of
from sgevents_core.state.nats.stream_log import LogMessage, StreamLog
from sgevents_core.state.nats.stream_names import HINT, StreamNames, site_names, unescape_name
from sgevents_core.state.nats.streams import lane_streams, lease_definition

_POINTER: Final = "snapshot"


class BrokerLog:
    """One stream, whose messages this process gives subjects by their kind."""

    def __init__(self, stream_log: StreamLog, subject_start: str) -> None:
        self._stream_log = stream_log
        self._subject_start = subject_start

    @property
    def identity(self) -> str:
        """What tells the stream from another of its name; empty until it was looked at."""
        return self._stream_log.identity

    @property
    def stream_name(self) -> str:
        """The stream's name on the servers."""
        return self._stream_log.stream_name

    def message_count(self) -> int:
        """Return how many messages the stream holds."""
        return self._stream_log.message_count()

    def last_sequence(self) -> int:
        """Return the place of the newest message ever stored."""
        return self._stream_log.last_sequence()

    def append(
        self,
        subject: str,
        data: bytes,
        expected_sequence: int,
        token: str,
        *,
        is_repeat: bool = False,
    ) -> Appended:
        """Append a message right behind the one at a place; see `StreamLog.append`."""
        return self._stream_log.append(
            f"{self._subject_start}.{subject}",
            data,
            expected_sequence,
            token,
            is_repeat=is_repeat,
        )

    def read_after(self, sequence: int) -> Sequence[LogMessage]:
        """Return the messages behind a place; see `StreamLog.read_after`."""
        return self._stream_log.read_after(sequence)

    def cut_front(self, below_sequence: int) -> None:
        """Remove the messages below a place."""
        self._stream_log.cut_front(below_sequence)

    def clear(self) -> int:
        """Remove all messages, and return the place of the newest."""
        return self._stream_log.clear()

    def raise_to(self, place: int) -> None:
        """Let the next message come behind a place; see `StreamLog.raise_to`."""
        self._stream_log.raise_to(place)

    def last_of_kind(self, subject: str) -> StoredMessage | None:
        """Return the newest message of a kind; see `append`."""
        return self._stream_log.last_of_subject(f"{self._subject_start}.{subject}")


class BrokerLogs:
    """All streams of a site, over one connection.

    Args:
        settings: `[state]`.
        site_url: The site.
        client_name: This connection's name, for the server's operator.
        connect_within: For how many seconds to wait for a connection.

    Raises:
        StateError: The servers do not answer, or refuse.
    """

    def __init__(
        self,
        settings: StateSettings,
        site_url: str,
        client_name: str,
        connect_within: float = CONNECT_WITHIN,
    ) -> None:
        self._settings = settings
        self._site_url = site_url
        self._names: StreamNames = site_names(site_url)
        self._broker = Broker(settings, client_name)
        try:
            self._broker.connect(connect_within)
        except BaseException:
            self._broker.close()
            raise
        self._counter = Counter(self._broker, self._names.numbers, self._names.number_subject)
        self._store = SnapshotStore(self._broker, self._names.bucket)
        self._logs: dict[str, BrokerLog] = {}
        self._identities: dict[str, str] = {}
        self._lock = threading.Lock()

    def __str__(self) -> str:
        """Return the servers' address, for people."""
        return str(self._broker)

    def log(self, stream_key: str) -> BrokerLog:
        """Return a stream."""
        with self._lock:
            if stream_key not in self._logs:
                self._logs[stream_key] = self._open_log(stream_key)
            return self._logs[stream_key]

    def expect(self, identities: Mapping[str, str]) -> None:
        """Let streams count as lost that are not those that were read before."""
        with self._lock:
            self._identities = dict(identities)
            self._logs.clear()

    def identity(self, stream_key: str) -> str:
        """Return what tells a stream from another of its name; empty until it was looked at."""
        return self.log(stream_key).identity

    def stream_keys(self) -> list[str]:
        """Return the keys of all streams that there are."""
        lane_names = filter(None, map(self._names.lane_of, lane_streams(self._broker, self._names)))
        return [JOURNAL, REQUESTS, *sorted(map(lane_key, lane_names))]

    def next_number(self, above: int) -> int:
        """Return a number that nobody else gets, higher than one that is known."""
        return self._counter.number_above(above)

    def raise_numbers(self, least_number: int) -> None:
        """Let the next number be higher than another."""
        self._counter.raise_to(least_number)

    def listen(self, take_news: Callable[[str | None], None]) -> None:
        """Call a function when a stream has grown; see `protocols`."""
        journal, shared = self._names.journal_subject(""), self._names.request_subject
        lane_start = self._names.lane_subject("", "")[:-1]

        def take_hint(reply: Reply | None) -> None:
            subject = "" if reply is None else reply.subject.removeprefix(f"{HINT}.")
            if subject.startswith(journal):
                take_news(JOURNAL)
            elif subject == shared:
                take_news(REQUESTS)
            elif subject.startswith(lane_start):
                if subject.endswith(f".{WORDS}"):
                    return
                take_news(self._lane_key(subject.removeprefix(lane_start).partition(".")[0]))
            else:
                take_news(None)

        self._broker.listen(self._names.hints, take_hint)

    def put_file(self, file_name: str, source: BinaryIO) -> None:
        """Store a file that hosts share."""
        self._store.put(file_name, source)

    def get_file(self, file_name: str, target: BinaryIO) -> bool:
        """Read a file that hosts share; return whether there is one of the name."""
        return self._store.get(file_name, target)

    def has_file(self, file_name: str) -> bool:
        """Return whether there is a file that hosts share."""
        return self._store.has(file_name)

    def delete_file(self, file_name: str) -> None:
        """Remove a file that hosts share."""
        self._store.delete(file_name)

    def read_pointer(self) -> tuple[bytes, int] | None:
        """Return what the newest snapshot's pointer says, and its revision; None without one."""
        pointer = self._store.read_pointer(_POINTER)
        return None if pointer is None else (pointer.text, pointer.revision)

    def move_pointer(self, text: bytes, revision: int) -> bool:
        """Move the pointer from a revision, 0 for none; return False if another has moved it."""
        return self._store.move_pointer(_POINTER, text, revision) is not None

    def leases(self) -> Leases:
        """Return the leases by which hosts share the work."""
        state = self._settings
        bucket = lease_definition(
            self._names, self._site_url, replicas=state.replicas, lease=state.lease
        )
        return Leases(self._broker, bucket, state.lease)

    def host_notes(self) -> BucketNotes:
        """Return what hosts note for each other."""
        return BucketNotes(self._store)

    def close(self) -> None:
        """End the connection."""
        self._broker.close()

    def _open_log(self, stream_key: str) -> BrokerLog:
        if stream_key == JOURNAL:
            stream, subject = self._names.journal, self._names.journal_subject("x")
        elif stream_key == REQUESTS:
            stream, subject = self._names.requests, self._names.request_subject
        else:
            lane_name = lane_of(stream_key)
            stream, subject = self._names.lane(lane_name), self._names.lane_subject(lane_name, "x")
        identity = self._identities.get(stream_key, "")
        return BrokerLog(StreamLog(self._broker, stream, identity), subject.rpartition(".")[0])

    def _lane_key(self, word: str) -> str:
        return lane_key(unescape_name(word))
