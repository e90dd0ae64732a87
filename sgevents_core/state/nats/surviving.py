"""What streams that were not lost hold beyond a host's copy, before a restore from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sgevents_core.errors import FrontCut, StreamLost
from sgevents_core.printable import counted
from sgevents_core.state.nats.broker_logs import BrokerLogs
from sgevents_core.state.nats.copy import Copy
from sgevents_core.state.nats.messages import Elsewhere, decode_message
from sgevents_core.state.nats.moved_logs import elsewhere_error


class LeftBehind(NamedTuple):
    """Messages on the servers that a restored state would not have.

    Args:
        stream_name: Their stream.
        reason: How many there are, and why the copy cannot take them.
    """

    stream_name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.stream_name}: {self.reason}"


def read_on(copy: Copy, logs: BrokerLogs) -> int:
    """Apply what the streams that were not lost hold beyond a copy; return how many messages.

    Raises:
        StateError: The servers do not answer, or the copy cannot be written.
    """
    logs.expect(copy.identities())
    applied_count = 0
    while newly_applied := sum(_read_on(copy, logs, key) for key in logs.stream_keys()):
        applied_count += newly_applied
    return applied_count


def find_left_behind(copy: Copy, logs: BrokerLogs) -> list[LeftBehind]:
    """Return what the servers hold that a copy cannot take; see `read_on`, which comes before.

    Raises:
        StateElsewhere: The state was moved from these servers since the copy was made.
        StateError: The servers do not answer.
    """
    return [
        LeftBehind(logs.log(stream_key).stream_name, reason)
        for stream_key in logs.stream_keys()
        for reason in _reasons(copy, logs, stream_key)
    ]


def _read_on(copy: Copy, logs: BrokerLogs, stream_key: str) -> int:
    place = copy.positions.get(stream_key, 0)
    try:
        log_messages = logs.log(stream_key).read_after(place)
    except (FrontCut, StreamLost):
        return 0
    return copy.apply(stream_key, place, log_messages) or 0


def _reasons(copy: Copy, logs: BrokerLogs, stream_key: str) -> Iterator[str]:
    log, place = logs.log(stream_key), copy.positions.get(stream_key, 0)
    try:
        unread = log.read_after(place)
    except FrontCut as front_cut:
        yield f"its messages up to {front_cut.first - 1} are cut off, and the copy ends at {place}"
        return
    except StreamLost as error:
        message_count = log.message_count()
        if message_count:
            yield f"{error.reason}, and holds {counted(message_count, 'message')}"
        return
    if not unread:
        return
    first_message = decode_message(unread[0].data, "")
    if isinstance(first_message, Elsewhere):
        raise elsewhere_error(first_message)
    message_count = log.last_sequence() - place
    yield f"{counted(message_count, 'message')} that rest on others that are lost"
