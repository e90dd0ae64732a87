"""What the servers hold for a site: its streams, their sizes, and who works at what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sgevents_core.state.nats.connection import Broker
from sgevents_core.state.nats.leases import read_entries
from sgevents_core.state.nats.stream_names import StreamNames
from sgevents_core.state.nats.streams import StreamDefinition, find_stream


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
        key: What it is about, such as `feed`.
        holder: What its holder wrote.
    """

    key: str
    holder: str


def read_streams(broker: Broker, wanted: Sequence[StreamDefinition]) -> list[StreamFigures]:
    """Return all streams of a site, those that are missing too.

    Raises:
        BrokerError: The servers do not answer.
    """
    return [_read_stream(broker, definition) for definition in wanted]


def _read_stream(broker: Broker, definition: StreamDefinition) -> StreamFigures:
    info = find_stream(broker, definition.name)
    if info is None:
        return StreamFigures(definition.name, definition.purpose, is_there=False)
    state = info["state"]
    return StreamFigures(
        definition.name,
        definition.purpose,
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
    return [HeldKey(key, entries[key].holder.decode("utf-8", "replace")) for key in sorted(entries)]
