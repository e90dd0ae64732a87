"""Appending one part of a message to a stream, until its outcome is known."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, NamedTuple, NoReturn, TypeAlias

from sgevents_core.errors import BrokerError, BrokerUnreachable, OutcomeNotKnown, StreamLost
from sgevents_core.state.nats.connection import Broker
from sgevents_core.state.nats.exchange import NO_RESPONDERS
from sgevents_core.state.nats.jetstream import (
    api_error,
    decode_answer,
    is_replicated,
    raise_error,
    read_from_leader,
    stream_info,
)

WRITER_HEADER: Final = "W"
"""The header that names the writer, its number, the part and the count of parts."""
EXPECTED_HEADER: Final = "Nats-Expected-Last-Sequence"
_ANSWER_WITHIN: Final = 2.0
"""How many seconds one attempt waits before it is repeated."""
_RETRY_PAUSE: Final = 0.05


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


class PartAttempt:
    """One part on its way to the stream: sent again until its outcome is known."""

    def __init__(
        self, broker: Broker, stream: str, subject: str, part: bytes, headers: Mapping[str, str]
    ) -> None:
        self._broker = broker
        self._stream = stream
        self._subject = subject
        self._part = part
        self._headers = headers
        self._expected = int(headers[EXPECTED_HEADER])
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
        info = stream_info(self._broker, self._stream)
        state = info["state"]
        if state["last_seq"] < self._expected:
            reason = f"it ends at {state['last_seq']}, and {self._expected} was its last message"
            if is_replicated(info):  # a leader that is no more; readers find out if it is true
                raise BrokerUnreachable(path=str(self._broker), reason=reason)
            raise StreamLost(path=str(self._broker), stream=self._stream, reason=reason)
        return Superseded(place, "") if state["last_seq"] > self._expected else None

    def _give_up(self, error: BrokerError | None, *, is_unsure: bool) -> NoReturn:
        if error is not None and not is_unsure:
            raise error
        reason = error.reason if error is not None else "the server refuses it, and shows no other"
        raise OutcomeNotKnown(what=self._stream, reason=reason) from error
