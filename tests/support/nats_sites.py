"""A site's streams on a NATS server, for tests: one site a test, on a server that all share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from nats_server import new_site_url, settings_for

from sgevents_core.choices import ReplicaCount
from sgevents_core.state.nats.bucket_notes import BucketNotes
from sgevents_core.state.nats.connection import Broker
from sgevents_core.state.nats.leases import Leases
from sgevents_core.state.nats.snapshots import SnapshotStore
from sgevents_core.state.nats.stream_log import StreamLog
from sgevents_core.state.nats.stream_names import StreamNames, site_word
from sgevents_core.state.nats.streams import create_streams, definitions, lease_definition


class NatsSite:
    """One site's streams, seen over one connection.

    Args:
        broker: The connection.
        url: The site's address.
    """

    def __init__(self, broker: Broker, url: str) -> None:
        self.broker = broker
        self.url = url
        self.names = StreamNames(site_word(url))

    def make_streams(
        self, lanes: Sequence[str] = ("default",), lease: float = 5.0, replicas: ReplicaCount = 1
    ) -> None:
        """Make all streams of the site."""
        wanted = definitions(self.names, self.url, lanes, replicas=replicas, lease=lease)
        create_streams(self.broker, wanted)

    def journal(self, identity: str = "") -> StreamLog:
        """The journal's stream."""
        return StreamLog(self.broker, self.names.journal, identity)

    def leases(self, seconds: float = 5.0) -> Leases:
        """The leases."""
        bucket = lease_definition(self.names, self.url, replicas=1, lease=seconds)
        return Leases(self.broker, bucket, seconds)

    def notes(self) -> BucketNotes:
        """What hosts note for each other."""
        return BucketNotes(SnapshotStore(self.broker, self.names.bucket))

    @property
    def page(self) -> str:
        """The subject of the journal's pages."""
        return self.names.journal_subject("page")


@contextmanager
def connected(*ports: int) -> Iterator[Broker]:
    """Have a connection to a server or a link while the block lasts."""
    broker = Broker(settings_for(*ports), name="test")
    try:
        broker.connect(60.0)
        yield broker
    finally:
        broker.close()


@contextmanager
def nats_site(port: int, url: str = "") -> Iterator[NatsSite]:
    """Have a site's streams while the block lasts; they are made unless `url` is given."""
    with connected(port) as broker:
        site = NatsSite(broker, url or new_site_url())
        if not url:
            site.make_streams()
        yield site
