"""One stream as a log: appended to by one writer at a time, each message behind a known one.

Every message names its writer and number in the header `W`, `WRITER/NUMBER/PART/PARTS`, by which a
writer that got no answer finds out whether its message was stored.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from sgevents_core.errors import (
    BrokerUnreachable,
    FrontCut,
    StreamLost,
    StreamMissing,
)
from sgevents_core.state.nats.appending import (
    EXPECTED_HEADER,
    WRITER_HEADER,
    Appended,
    PartAttempt,
    StoredAt,
    Superseded,
)
from sgevents_core.state.nats.connection import REQUEST_WITHIN, Broker
from sgevents_core.state.nats.jetstream import (
    StoredMessage,
    call,
    is_replicated,
    publish,
    read_directly,
    read_from_leader,
    stream_info,
)

PART_BYTES: Final = 512 * 1024
"""The longest message that is sent in one part."""
MOST_MESSAGES: Final = 256
MOST_BYTES: Final = 4 * 1024 * 1024
_RETRY_PAUSE: Final = 0.05
_GONE_AFTER: Final = 3.0
"""For how many seconds a stream has to be missing before it counts as gone."""
_LOOK_EVERY: Final = 5.0
"""After how many seconds the stream itself is looked at: is it still the one it was?"""
_LOOK_WITHIN: Final = 1.0
"""How many seconds a reader spends on that while it can read."""
_BEHIND_FOR: Final = 30.0
"""For how many seconds a stream of several servers has to end too early before it counts as lost.

A leader that is cut off from the others does not know it for ten seconds, and lacks what they have
stored since.
"""


class LogMessage(NamedTuple):
    """One message of a stream, its parts put together.

    Args:
        sequence: Its place, or that of its last part.
        token: The writer and the number that it gave, `WRITER/NUMBER`.
    """

    sequence: int
    subject: str
    token: str
    data: bytes


class StreamLog:
    """One stream; any number of threads may use it.

    Args:
        broker: The servers.
        stream_name: The stream.
        identity: What `identity` returned when it was read before, in this process or another;
            a stream that was made anew since then is noticed.
    """

    def __init__(self, broker: Broker, stream_name: str, identity: str = "") -> None:
        self._broker = broker
        self._stream = stream_name
        self._identity = identity
        self._looked_at = 0.0
        self._looked_over = 0
        self._behind_since: float | None = None

    @property
    def stream_name(self) -> str:
        """The stream's name."""
        return self._stream

    @property
    def identity(self) -> str:
        """What tells the stream from another of its name; empty until it has been looked at."""
        return self._identity

    def last_sequence(self) -> int:
        """Return the sequence of the newest message ever stored, from the leader; 0 if none.

        Raises:
            StreamMissing: There is no such stream.
            BrokerError: The server refused, or did not answer.
        """
        return int(stream_info(self._broker, self._stream)["state"]["last_seq"])

    def message_count(self) -> int:
        """Return how many messages the stream holds; see `last_sequence`."""
        return int(stream_info(self._broker, self._stream)["state"]["messages"])

    def append(
        self,
        subject: str,
        data: bytes,
        expected_sequence: int,
        token: str,
        *,
        within: float = REQUEST_WITHIN,
        is_repeat: bool = False,
    ) -> Appended:
        """Append a message right behind the one that is known to be the last.

        After `OutcomeNotKnown` only the very same call may follow, with `is_repeat`; whoever wants
        to write anything else has to take over anew.

        Args:
            subject: The subject, which says what kind of message it is.
            data: The message, of any length.
            expected_sequence: The last sequence that this writer knows.
            token: The writer and a number that it has never used before, `WRITER/NUMBER`.
            within: For how many seconds to try.
            is_repeat: Whether the same message was sent before, and no outcome was known.

        Raises:
            OutcomeNotKnown: It may be stored, or be stored yet.
            BrokerError: Nothing was stored.
        """
        deadline = time.monotonic() + within
        parts = [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)] or [b""]
        sequence = expected_sequence
        for number, part in enumerate(parts, 1):
            headers = {
                "Nats-Expected-Stream": self._stream,
                EXPECTED_HEADER: str(sequence),
                WRITER_HEADER: f"{token}/{number}/{len(parts)}",
            }
            attempt = PartAttempt(self._broker, self._stream, subject, part, headers)
            outcome = attempt.carry_out(deadline, is_unsure=is_repeat)
            if isinstance(outcome, Superseded):
                return outcome
            sequence = outcome.sequence
        return StoredAt(sequence)

    def add(
        self, subject: str, data: bytes, message_id: str, within: float = REQUEST_WITHIN
    ) -> int:
        """Append a message behind whatever is the last, once, and return its sequence.

        Args:
            subject: The subject.
            data: The message, which has to fit into one part.
            message_id: What tells it from every other message; sent twice, it is stored once.
            within: For how many seconds to try.

        Raises:
            BrokerError: The server refused, or did not answer; the same may be added again.
        """
        headers = {"Nats-Msg-Id": message_id, WRITER_HEADER: f"{message_id}/1/1"}
        return publish(self._broker, subject, data, headers, within)

    def read_after(
        self, sequence: int, most_messages: int = MOST_MESSAGES, most_bytes: int = MOST_BYTES
    ) -> list[LogMessage]:
        """Return the messages behind a place, oldest first; empty if there are none yet.

        Any server that has the stream may answer, and may be a little behind the leader.

        A message in several parts comes once all of them are there, and never if the last one is
        not to come any more.

        Args:
            sequence: The place up to which the reader has read.
            most_messages: About how many messages to return at most.
            most_bytes: About how many bytes to read at most.

        Raises:
            FrontCut: The next message is no longer in the stream.
            StreamLost: The stream is gone, or ends before the place.
            BrokerError: The server refused, or did not answer.
        """
        joined: list[LogMessage] = []
        group = _Group()
        place = sequence
        while True:
            stored = self._read_batch(place, most_messages, most_bytes)
            for message in stored:
                if message.sequence != place + 1:
                    raise FrontCut(stream=self._stream, first=message.sequence, wanted=place + 1)
                place = message.sequence
                joined.extend(group.add(message))
            if joined or not stored:
                return joined

    def cut_front(self, below_sequence: int) -> None:
        """Delete the messages below a place; the newest message always stays.

        Raises:
            BrokerError: The server refused, or did not answer.
        """
        below = min(below_sequence, self.last_sequence())
        if below > 1:
            call(self._broker, "STREAM.PURGE", {"seq": below}, stream=self._stream)

    def clear(self) -> int:
        """Delete all messages, and return the sequence of the newest; the next one follows it.

        Raises:
            BrokerError: The server refused, or did not answer.
        """
        call(self._broker, "STREAM.PURGE", {}, stream=self._stream)
        return self.last_sequence()

    def raise_to(self, place: int) -> None:
        """Let the next message come behind a place; deletes what the stream holds if it does not.

        Raises:
            BrokerError: The server refused, or did not answer.
        """
        if self.last_sequence() < place:
            call(self._broker, "STREAM.PURGE", {"seq": place + 1}, stream=self._stream)

    def last_of_subject(self, subject: str) -> StoredMessage | None:
        """Return the newest message with a subject, from the leader; None if there is none.

        Raises:
            BrokerError: The server refused, or did not answer.
        """
        return read_from_leader(self._broker, self._stream, {"last_by_subj": subject})

    def _read_batch(self, place: int, most_messages: int, most_bytes: int) -> list[StoredMessage]:
        wanted = {"seq": place + 1, "batch": most_messages, "max_bytes": most_bytes}
        try:
            stored = read_directly(self._broker, self._stream, wanted)
        except BrokerUnreachable:
            self._look_at_stream(place)
            raise
        if self._broker.connections != self._looked_over:
            self._look_at_stream(place)
        elif time.monotonic() > self._looked_at + _LOOK_EVERY:
            self._look_if_possible(place)
        return stored

    def _look_if_possible(self, place: int) -> None:
        """Look at the stream, unless it has no leader now: what its servers have can be read."""
        try:
            self._look_at_stream(place, _LOOK_WITHIN)
        except BrokerUnreachable:
            self._looked_at = time.monotonic()

    def _look_at_stream(self, place: int, within: float = REQUEST_WITHIN) -> None:
        """Check that the stream is still the one it was, and reaches up to `place`."""
        connection = self._broker.connections
        info = self._read_info(within)
        self._looked_at, self._looked_over = time.monotonic(), connection
        self._identity = self._identity or info["created"]
        first = info["state"]["first_seq"]
        if info["created"] != self._identity:
            self._raise_lost(
                "it was deleted and made anew, or url in [state] names other servers than before"
            )
        self._check_end(info, place)
        if first > place + 1:
            raise FrontCut(stream=self._stream, first=first, wanted=place + 1)

    def _check_end(self, info: dict[str, Any], place: int) -> None:
        """Check that a stream reaches up to `place`; one server of several may be behind."""
        last = info["state"]["last_seq"]
        if last >= place:
            self._behind_since = None
            return
        reason = f"it ends at message {last}, and {place} was read before"
        current_time = time.monotonic()
        if self._behind_since is None:
            self._behind_since = current_time
        if is_replicated(info) and current_time < self._behind_since + _BEHIND_FOR:
            reason = f"the server that answers for {self._stream} is behind the others: {reason}"
            raise BrokerUnreachable(path=str(self._broker), reason=reason)
        self._raise_lost(reason)

    def _read_info(self, within: float) -> dict[str, Any]:
        """Return what the leader says; a stream that is missing for a while is gone."""
        gone_at = time.monotonic() + _GONE_AFTER
        while True:
            try:
                return stream_info(self._broker, self._stream, within)
            except StreamMissing:
                if not self._identity:
                    raise
                if time.monotonic() > gone_at:
                    self._raise_lost("it was deleted")
            time.sleep(_RETRY_PAUSE)

    def _raise_lost(self, reason: str) -> None:
        self._looked_over = 0  # whoever reads on all the same is told the same
        raise StreamLost(path=str(self._broker), stream=self._stream, reason=reason)


class _Group:
    """The parts of a message as they come, until it is whole."""

    def __init__(self) -> None:
        self._token = ""
        self._parts: list[bytes] = []

    def add(self, message: StoredMessage) -> Iterator[LogMessage]:
        """Yield the whole message that this part completes."""
        token, number, count = _split_token(message.headers.get(WRITER_HEADER, ""))
        if number == 1:
            self._token, self._parts = token, []
        if token != self._token or number != len(self._parts) + 1:
            self._token, self._parts = "", []  # the rest of it will never come
            return
        self._parts.append(message.data)
        if number == count:
            whole = b"".join(self._parts)
            self._token, self._parts = "", []
            yield LogMessage(message.sequence, message.subject, token, whole)


def _split_token(header_text: str) -> tuple[str, int, int]:
    """Return the token in a header, and which part of how many it is of."""
    token, number, count = header_text.rsplit("/", 2)
    return token, int(number), int(count)
