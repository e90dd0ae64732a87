"""One stream as a log: appended to by one writer at a time, each message behind a known one.

Every message names its writer and number in the header `W`, `WRITER/NUMBER/PART/PARTS`, by which a
writer that got no answer finds out whether its message was stored.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

from sgevents_core.errors import (
    BrokerError,
    BrokerUnreachable,
    FrontCut,
    OutcomeNotKnown,
    StreamLost,
    StreamMissing,
)
from sgevents_core.state.nats.connection import REQUEST_WITHIN, Broker
from sgevents_core.state.nats.exchange import Reply
from sgevents_core.state.nats.jetstream import (
    NO_RESPONDERS,
    StoredMessage,
    api_error,
    call,
    decode_answer,
    publish,
    raise_error,
    read_directly,
    read_from_leader,
    stream_info,
)

WRITER_HEADER: Final = "W"
_EXPECTED_HEADER: Final = "Nats-Expected-Last-Sequence"
PART_BYTES: Final = 512 * 1024
"""The longest message that is sent in one part."""
MOST_MESSAGES: Final = 256
MOST_BYTES: Final = 4 * 1024 * 1024
_ANSWER_WITHIN: Final = 2.0
"""How many seconds one attempt waits before it is repeated."""
_RETRY_PAUSE: Final = 0.05
_GONE_AFTER: Final = 3.0
"""For how many seconds a stream has to be missing before it counts as gone."""
_LOOK_EVERY: Final = 5.0
"""After how many seconds the stream itself is looked at: is it still the one it was?"""


class StoredAt(NamedTuple):
    """The message is in the stream; this is its sequence, or that of its last part."""

    sequence: int


class Superseded(NamedTuple):
    """Another writer has appended there; nothing of this message will ever count.

    Args:
        sequence: The place.
        token: The token of the message there; empty if it has been cut off.
    """

    sequence: int
    token: str


Appended: TypeAlias = StoredAt | Superseded


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
        self._news = threading.Event()
        self._is_listening = False
        self._identity = identity
        self._looked_at = 0.0
        self._looked_over = 0

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
                _EXPECTED_HEADER: str(sequence),
                WRITER_HEADER: f"{token}/{number}/{len(parts)}",
            }
            attempt = _Attempt(self._broker, self._stream, subject, part, headers)
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
        self._news.clear()
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

    def wait_for_news(self, seconds: float) -> bool:
        """Wait until something was appended since the last `read_after` began.

        Args:
            seconds: For how long to wait.

        Returns:
            Whether there may be something; a new connection counts.
        """
        if not self._is_listening:
            self._is_listening = True
            config = stream_info(self._broker, self._stream)["config"]
            for subject in config.get("subjects", ()):
                self._broker.listen(f"hint.{subject}", self._take_hint)
            return True  # for what came before the first hint could
        return self._news.wait(seconds)

    def cut_front(self, below_sequence: int) -> None:
        """Delete the messages below a place; the newest message always stays.

        Raises:
            BrokerError: The server refused, or did not answer.
        """
        below = min(below_sequence, self.last_sequence())
        if below > 1:
            call(self._broker, "STREAM.PURGE", {"seq": below}, stream=self._stream)

    def _take_hint(self, hint: Reply | None) -> None:
        self._news.set()

    def _read_batch(self, place: int, most_messages: int, most_bytes: int) -> list[StoredMessage]:
        wanted = {"seq": place + 1, "batch": most_messages, "max_bytes": most_bytes}
        try:
            stored = read_directly(self._broker, self._stream, wanted)
        except BrokerUnreachable:
            self._look_at_stream(place)
            raise
        is_new_connection = self._broker.connections != self._looked_over
        if is_new_connection or time.monotonic() > self._looked_at + _LOOK_EVERY:
            self._look_at_stream(place)
        return stored

    def _look_at_stream(self, place: int) -> None:
        """Check that the stream is still the one it was, and reaches up to `place`."""
        connection = self._broker.connections
        info = self._read_info()
        self._looked_at, self._looked_over = time.monotonic(), connection
        self._identity = self._identity or info["created"]
        first, last = info["state"]["first_seq"], info["state"]["last_seq"]
        if info["created"] != self._identity:
            self._raise_lost("it was deleted and made anew")
        if last < place:
            self._raise_lost(f"it ends at message {last}, and {place} was read before")
        if first > place + 1:
            raise FrontCut(stream=self._stream, first=first, wanted=place + 1)

    def _read_info(self) -> dict[str, Any]:
        """Return what the leader says; a stream that is missing for a while is gone."""
        gone_at = time.monotonic() + _GONE_AFTER
        while True:
            try:
                return stream_info(self._broker, self._stream)
            except StreamMissing:
                if not self._identity:
                    raise
                if time.monotonic() > gone_at:
                    self._raise_lost("it was deleted")
            time.sleep(_RETRY_PAUSE)

    def _raise_lost(self, reason: str) -> None:
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


class _Attempt:
    """One part on its way to the stream: sent again until its outcome is known."""

    def __init__(
        self, broker: Broker, stream: str, subject: str, part: bytes, headers: Mapping[str, str]
    ) -> None:
        self._broker = broker
        self._stream = stream
        self._subject = subject
        self._part = part
        self._headers = headers
        self._expected = int(headers[_EXPECTED_HEADER])
        self._token = headers[WRITER_HEADER]
        broker.check_size(part, headers)

    def carry_out(self, deadline: float, *, is_unsure: bool) -> Appended:
        """Send the part until it is known whether it is stored.

        Args:
            deadline: When to give up, by the monotonic clock.
            is_unsure: Whether it may have been stored before.
        """
        while True:
            try:
                outcome = self._send(max(deadline - time.monotonic(), _RETRY_PAUSE))
            except BrokerUnreachable as error:
                is_unsure = is_unsure or error.is_sent
                if time.monotonic() >= deadline:
                    self._give_up(error, is_unsure=is_unsure)
                time.sleep(_RETRY_PAUSE)
                continue
            except BrokerError as error:
                self._give_up(error, is_unsure=is_unsure)
            if outcome is not None:
                return outcome
            is_unsure = True  # an earlier copy is on its way
            if time.monotonic() >= deadline:
                self._give_up(None, is_unsure=True)
            time.sleep(_RETRY_PAUSE)

    def _send(self, remaining: float) -> Appended | None:
        """Send it once; None if neither its place nor another message is there yet."""
        reply = self._broker.request(
            self._subject, self._part, self._headers, min(remaining, _ANSWER_WITHIN)
        )
        if reply.status == NO_RESPONDERS:
            stream_info(self._broker, self._stream)  # raises if it is gone
            raise BrokerUnreachable(path=str(self._broker), reason=f"{self._stream} has no leader")
        answer = decode_answer(reply)
        error = api_error(answer)
        if error is not None and not error.is_wrong_sequence:
            raise_error(self._broker, error, self._stream)
        return self._settle() if error is not None else self._stored_at(int(answer["seq"]))

    def _stored_at(self, sequence: int) -> StoredAt:
        assert sequence == self._expected + 1  # noqa: S101 - the server's own condition
        return StoredAt(sequence)

    def _settle(self) -> Appended | None:
        """Find out from the leader whose message stands behind the expected one."""
        place = self._expected + 1
        message = read_from_leader(self._broker, self._stream, {"seq": place})
        if message is not None:
            token = message.headers.get(WRITER_HEADER, "")
            return StoredAt(place) if token == self._token else Superseded(place, token)
        state = stream_info(self._broker, self._stream)["state"]
        if state["last_seq"] < self._expected:
            reason = f"it ends at {state['last_seq']}, and {self._expected} was its last message"
            raise StreamLost(path=str(self._broker), stream=self._stream, reason=reason)
        return Superseded(place, "") if state["last_seq"] > self._expected else None

    def _give_up(self, error: BrokerError | None, *, is_unsure: bool) -> NoReturn:
        if error is not None and not is_unsure:
            raise error
        reason = error.reason if error is not None else "the server refuses it, and shows no other"
        raise OutcomeNotKnown(what=self._stream, reason=reason) from error
