"""Calls of JetStream's own interface, and what its errors mean here."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, NoReturn

import msgspec

from sgevents_core.errors import BrokerError, BrokerFull, BrokerUnreachable, StreamMissing
from sgevents_core.state.nats.connection import REQUEST_WITHIN, Broker
from sgevents_core.state.nats.exchange import NO_RESPONDERS, Reply

API: Final = "$JS.API"
NOT_FOUND: Final = 404
_ANSWER_WITHIN: Final = 2.0
"""How many seconds one attempt waits before it is repeated."""
_RETRY_PAUSE: Final = 0.05
_STREAM_NOT_FOUND: Final = 10059
_NO_MESSAGE_FOUND: Final = 10037
_WRONG_SEQUENCE: Final = frozenset({10070, 10071, 10164})
_NO_ROOM: Final = frozenset({10002, 10023, 10028, 10047, 10077})
"""Resources, memory and storage exceeded; the stream's limits, or its disk."""


class ApiError(NamedTuple):
    """An error as JetStream answers it."""

    code: int
    err_code: int
    description: str

    @property
    def is_wrong_sequence(self) -> bool:
        """Whether the expected last sequence was not the last."""
        return self.err_code in _WRONG_SEQUENCE


class StoredMessage(NamedTuple):
    """A message as a stream has it."""

    sequence: int
    subject: str
    headers: Mapping[str, str]
    data: bytes


def api_error(answer: Mapping[str, Any]) -> ApiError | None:
    """Return the error in an answer."""
    error = answer.get("error")
    if error is None:
        return None
    return ApiError(error.get("code", 0), error.get("err_code", 0), error.get("description", ""))


def decode_answer(reply: Reply) -> dict[str, Any]:
    """Return the JSON object that a reply holds."""
    return dict(msgspec.json.decode(reply.data)) if reply.data else {}


def call(
    broker: Broker,
    operation: str,
    argument: Mapping[str, Any] | None = None,
    *,
    stream: str = "",
    within: float = REQUEST_WITHIN,
) -> dict[str, Any]:
    """Carry out an operation of JetStream and return its answer.

    Args:
        broker: The servers.
        operation: Such as `STREAM.INFO`.
        argument: Its argument, if it takes one.
        stream: The stream that it is about.
        within: For how many seconds to wait.

    Raises:
        StreamMissing: There is no such stream.
        BrokerError: The server refused, or did not answer.
    """
    subject = ".".join(filter(None, [API, operation, stream]))
    data = msgspec.json.encode(argument) if argument is not None else b""
    reply = broker.request(subject, data, within=within)
    if reply.status == NO_RESPONDERS:
        raise BrokerUnreachable(path=str(broker), reason="JetStream does not answer on it")
    answer = decode_answer(reply)
    error = api_error(answer)
    if error is not None:
        raise_error(broker, error, stream)
    return answer


def raise_error(broker: Broker, error: ApiError, stream: str) -> NoReturn:
    """Raise what an error of JetStream means here."""
    if error.err_code == _STREAM_NOT_FOUND:
        raise StreamMissing(path=str(broker), stream=stream, reason=error.description)
    if error.err_code in _NO_ROOM:
        raise BrokerFull(path=str(broker), reason=error.description)
    where = f"{stream}: " if stream else ""
    if error.code == NO_RESPONDERS:
        raise BrokerUnreachable(path=str(broker), reason=f"{where}{error.description}")
    raise BrokerError(path=str(broker), reason=f"{where}{error.description}")


def stream_info(broker: Broker, stream: str, within: float = REQUEST_WITHIN) -> dict[str, Any]:
    """Return what the leader of a stream says about it; see `call`."""
    return call(broker, "STREAM.INFO", stream=stream, within=within)


def is_replicated(info: Mapping[str, Any]) -> bool:
    """Return whether several servers store a stream: then one may say what is no longer true."""
    return int(info["config"]["num_replicas"]) > 1


def read_from_leader(
    broker: Broker, stream: str, wanted: Mapping[str, Any], within: float = REQUEST_WITHIN
) -> StoredMessage | None:
    """Return one message as the leader of its stream has it; None if there is none.

    Args:
        broker: The servers.
        stream: The stream.
        wanted: `seq`, or `last_by_subj`.
        within: For how many seconds to wait.
    """
    reply = broker.request(
        f"{API}.STREAM.MSG.GET.{stream}", msgspec.json.encode(wanted), within=within
    )
    if reply.status == NO_RESPONDERS:
        raise BrokerUnreachable(path=str(broker), reason="JetStream does not answer on it")
    answer = decode_answer(reply)
    error = api_error(answer)
    if error is not None and error.err_code == _NO_MESSAGE_FOUND:
        return None
    if error is not None:
        raise_error(broker, error, stream)
    message = answer["message"]
    return StoredMessage(
        message["seq"],
        message["subject"],
        parse_headers(base64.b64decode(message.get("hdrs", ""))),
        base64.b64decode(message.get("data", "")),
    )


def parse_headers(header_block: bytes) -> dict[str, str]:
    """Return the headers of a stored message."""
    headers = {}
    for line in header_block.decode().split("\r\n")[1:]:
        name, separator, text = line.partition(":")
        if separator:
            headers[name.strip()] = text.strip()
    return headers


def read_directly(
    broker: Broker, stream: str, wanted: Mapping[str, Any], within: float = REQUEST_WITHIN
) -> list[StoredMessage]:
    """Return several messages in one go, from any server that has the stream.

    Args:
        broker: The servers.
        stream: The stream; it must allow direct reading.
        wanted: The request: `seq`, `batch` and `max_bytes`, or `multi_last`.
        within: For how many seconds to wait.

    Raises:
        BrokerUnreachable: Nothing answers for the stream: it is gone, or has no leader now.
    """
    replies = broker.request_many(
        f"{API}.DIRECT.GET.{stream}",
        msgspec.json.encode(wanted),
        None,
        within,
        is_last=lambda reply: bool(reply.status),
    )
    status = replies[-1].status
    if status in {NO_RESPONDERS, 408, 413}:
        reason = f"{stream} cannot be read ({replies[-1].headers.get('Description', status)})"
        raise BrokerUnreachable(path=str(broker), reason=reason)
    return [_stored_message(reply) for reply in replies[:-1]]


def _stored_message(reply: Reply) -> StoredMessage:
    headers = reply.headers
    return StoredMessage(
        int(headers["Nats-Sequence"]), headers["Nats-Subject"], headers, reply.data
    )


def publish(
    broker: Broker,
    subject: str,
    data: bytes = b"",
    headers: Mapping[str, str] | None = None,
    within: float = REQUEST_WITHIN,
) -> int:
    """Store a message without any condition, and return its sequence.

    It is sent again until it is answered, so it may be stored twice, unless `Nats-Msg-Id` is among
    the headers.

    Raises:
        BrokerError: The server refused, or did not answer.
    """
    deadline = time.monotonic() + within
    broker.check_size(data, headers or {})
    while True:
        try:
            attempt_within = min(max(deadline - time.monotonic(), 0.05), _ANSWER_WITHIN)
            sequence = write_expecting(broker, subject, data, headers, attempt_within)
        except BrokerUnreachable:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_PAUSE)
            continue
        assert sequence is not None  # noqa: S101 - there is no condition
        return sequence


def write_expecting(
    broker: Broker,
    subject: str,
    data: bytes,
    headers: Mapping[str, str] | None,
    within: float = REQUEST_WITHIN,
) -> int | None:
    """Store a message once, on the condition in its headers; None if that does not hold.

    Raises:
        BrokerUnreachable: No answer came; `is_sent` says whether it may be stored.
        BrokerError: The server refused; nothing was stored.
    """
    reply = broker.request(subject, data, headers, within)
    if reply.status == NO_RESPONDERS:
        raise BrokerUnreachable(path=str(broker), reason=f"no stream takes {subject} now")
    answer = decode_answer(reply)
    error = api_error(answer)
    if error is None:
        return int(answer["seq"])
    if not error.is_wrong_sequence:
        raise_error(broker, error, str(answer.get("stream", "")))
    return None
