"""What the servers hold for a site: its streams, their sizes, and who works at what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sgevents_core.state.nats.connection import Broker
from sgevents_core.state.nats.leases import key_of, read_entries
from sgevents_core.state.nats.stream_names import StreamNames
from sgevents_core.state.nats.streams import StreamDefinition, find_stream, lane_streams


class StreamFigures(NamedTuple):
    """A stream as it is.

    Args:
        name: Its name.
        purpose: What is in it, for people.
        is_there: Whether there is such a stream; if not, nothing else is known.
        messages: How many messages it holds.
        first: The sequence of the oldest.
        last: The sequence of the newest.
        size: How many bytes it takes on the disk of one server.
        replicas: On how many servers it is stored.
    """

    name: str
    purpose: str
    is_there: bool
    messages: int = 0
    first: int = 0
    last: int = 0
    size: int = 0
    replicas: int = 0


class HeldKey(NamedTuple):
    """A lease.

    Args:
        key: What it is about: `feed`, or `lane.` or `host.` and a name.
        holder: What its holder wrote.
    """

    key: str
    holder: bytes


def read_streams(
    broker: Broker, names: StreamNames, wanted: Sequence[StreamDefinition]
) -> list[StreamFigures]:
    """Return all streams of a site: those that are missing too, and those of former lanes.

    Raises:
        BrokerError: The servers do not answer.
    """
    purposes = {definition.name: definition.purpose for definition in wanted}
    former = {
        stream_name: f"the lane {lane_name}, which is not in the configuration"
        for stream_name in lane_streams(broker, names)
        if stream_name not in purposes and (lane_name := names.lane_of(stream_name)) is not None
    }
    return [_read_stream(broker, name, purpose) for name, purpose in (purposes | former).items()]


def _read_stream(broker: Broker, stream_name: str, purpose: str) -> StreamFigures:
    info = find_stream(broker, stream_name)
    if info is None:
        return StreamFigures(stream_name, purpose, is_there=False)
    state = info["state"]
    return StreamFigures(
        stream_name,
        purpose,
        is_there=True,
        messages=state["messages"],
        first=state["first_seq"],
        last=state["last_seq"],
        size=state["bytes"],
        replicas=info["config"]["num_replicas"],
    )


def read_held_keys(broker: Broker, names: StreamNames) -> list[HeldKey]:
    """Return all leases that are held, by key; empty if their bucket is missing.

    Raises:
        BrokerError: The servers do not answer.
    """
    if find_stream(broker, f"KV_{names.lease_bucket}") is None:
        return []
    entries = read_entries(broker, f"KV_{names.lease_bucket}")
    return sorted(HeldKey(key_of(word), entry.holder) for word, entry in entries.items())
