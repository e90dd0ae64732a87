"""The streams and buckets of one site: what they must be like, and making them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sgevents_core.errors import StreamMissing
from sgevents_core.settings import Settings
from sgevents_core.state.nats.connection import Broker
from sgevents_core.state.nats.jetstream import call, stream_info
from sgevents_core.state.nats.stream_names import HINT, StreamNames, escape_name, site_names

SITE_KEY: Final = "sgevents-site"
"""The key of a stream's metadata under which its site's address stands."""
SECOND: Final = 1_000_000_000
"""In the unit of JetStream's configurations."""
_REQUEST_DAYS: Final = 30


class StreamDefinition(NamedTuple):
    """A stream as it must be.

    Args:
        name: Its name.
        purpose: What is in it, for people.
        config: What it is made with, in JetStream's own words.
        is_changeable: Whether it may be changed while hosts use it: nothing rests on it.
    """

    name: str
    purpose: str
    config: Mapping[str, Any]
    is_changeable: bool = False


def definitions(
    names: StreamNames, site_url: str, lane_names: Iterable[str], *, replicas: int, lease: float
) -> list[StreamDefinition]:
    """Return everything that a site needs.

    Args:
        names: The site's names.
        site_url: The site's address, which is written into the streams.
        lane_names: The lanes of the configuration.
        replicas: On how many servers each is stored.
        lease: How many seconds a lease lasts.
    """

    def log(name: str, purpose: str, subjects: str, **more: Any) -> StreamDefinition:
        return StreamDefinition(
            name, purpose, _log_config(name, subjects, site_url, replicas) | more
        )

    start = f"sge.{names.site}"
    month = _REQUEST_DAYS * 86400 * SECOND
    bucket = {"subject": f"$KV.{names.bucket}.>", "name": f"KV_{names.bucket}"}
    return [
        log(names.journal, "the journal", f"{start}.j.>"),
        *(
            log(names.lane(lane), f"the lane {lane}", f"{start}.l.{escape_name(lane)}.>")
            for lane in sorted(lane_names)
        ),
        log(
            names.requests,
            "people's requests",
            f"{start}.a.>",
            max_age=month,
            duplicate_window=120 * SECOND,
        ),
        log(names.numbers, "a counter", f"{start}.n.>", max_msgs=1, discard="old"),
        lease_definition(names, site_url, replicas=replicas, lease=lease),
        StreamDefinition(
            bucket["name"],
            "the pointer to the newest snapshot",
            _bucket_config(bucket["name"], [bucket["subject"]], site_url, replicas),
        ),
        StreamDefinition(
            f"OBJ_{names.bucket}",
            "snapshots",
            _bucket_config(
                f"OBJ_{names.bucket}",
                [f"$O.{names.bucket}.C.>", f"$O.{names.bucket}.M.>"],
                site_url,
                replicas,
            )
            | {"max_msgs_per_subject": -1},
        ),
    ]


def wanted_streams(settings: Settings) -> list[StreamDefinition]:
    """Return everything that a configuration needs on its servers."""
    return definitions(
        site_names(settings.site.url),
        settings.site.url,
        settings.lanes,
        replicas=settings.state.replicas,
        lease=settings.state.lease,
    )


def lease_definition(
    names: StreamNames, site_url: str, *, replicas: int, lease: float
) -> StreamDefinition:
    """Return the bucket of the leases, which a daemon may make anew: nothing rests on it."""
    stream = f"KV_{names.lease_bucket}"
    config = _bucket_config(stream, [f"$KV.{names.lease_bucket}.>"], site_url, replicas)
    config["max_age"] = int(lease * SECOND)
    return StreamDefinition(stream, "the leases", config, is_changeable=True)


def _log_config(name: str, subjects: str, site_url: str, replicas: int) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": [subjects],
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "num_replicas": replicas,
        "allow_direct": True,
        "republish": {"src": subjects, "dest": f"{HINT}.{subjects}", "headers_only": True},
        "metadata": {SITE_KEY: site_url},
    }


def _bucket_config(
    name: str, subjects: Sequence[str], site_url: str, replicas: int
) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": list(subjects),
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "num_replicas": replicas,
        "allow_direct": True,
        "allow_rollup_hdrs": True,
        "max_msgs_per_subject": 1,
        "metadata": {SITE_KEY: site_url},
    }


def create_stream(broker: Broker, definition: StreamDefinition) -> None:
    """Make a stream; does nothing if it is there and just like that.

    Raises:
        BrokerError: It cannot be made, or another one of that name is there.
    """
    call(broker, "STREAM.CREATE", definition.config, stream=definition.name)


def create_streams(broker: Broker, wanted: Iterable[StreamDefinition]) -> list[str]:
    """Make the streams that are missing, and return their names. Only for `cluster init`.

    Raises:
        BrokerError: One cannot be made.
    """
    made = []
    for definition in wanted:
        if find_stream(broker, definition.name) is None:
            create_stream(broker, definition)
            made.append(definition.name)
    return made


def update_stream(broker: Broker, definition: StreamDefinition) -> None:
    """Change a stream to what it must be; only for one that nothing rests on.

    Raises:
        BrokerError: It cannot be changed.
    """
    call(broker, "STREAM.UPDATE", definition.config, stream=definition.name)


def lane_streams(broker: Broker, names: StreamNames) -> list[str]:
    """Return the names of the streams of all lanes that there are, whoever has them.

    Raises:
        BrokerError: The servers do not answer.
    """
    prefix = names.lane_subject("", "")[:-2]
    stream_names: list[str] = []
    while True:
        argument = {"subject": f"{prefix}.>", "offset": len(stream_names)}
        answer = call(broker, "STREAM.NAMES", argument)
        stream_names += answer.get("streams") or []
        if len(stream_names) >= answer.get("total", 0):
            return stream_names


def find_stream(broker: Broker, name: str) -> dict[str, Any] | None:
    """Return what the server says about a stream; None if there is none."""
    try:
        return stream_info(broker, name)
    except StreamMissing:
        return None
