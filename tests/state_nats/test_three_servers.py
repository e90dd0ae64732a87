"""Streams on three servers: the leader is lost, and all goes on with what was confirmed."""

from __future__ import annotations

import threading
from pathlib import Path

from nats_server import NatsServer, new_site_url, running_cluster
from nats_sites import NatsSite, connected
from waiting import PATIENCE, wait_until

from sgevents_core.errors import BrokerError
from sgevents_core.state.nats.appending import StoredAt
from sgevents_core.state.nats.jetstream import stream_info
from sgevents_core.state.nats.streams import create_streams, definitions


def leader_of(site: NatsSite, servers: list[NatsServer]) -> NatsServer | None:
    """The server that leads the journal's stream; None while there is none."""
    try:
        name = stream_info(site.broker, site.names.journal)["cluster"].get("leader", "")
    except BrokerError:
        return None
    return servers[int(name[1:])] if name else None


def test_a_leader_that_is_lost_costs_nothing(tmp_path: Path) -> None:
    """Killed under a writer: each message is stored once, in order."""
    with running_cluster(tmp_path) as servers, connected(*(one.port for one in servers)) as broker:
        site = NatsSite(broker, new_site_url())
        wait_until(lambda: can_make_streams(site), what="the servers to find each other")
        log, count, stop = site.journal(), [0], threading.Event()

        def write() -> None:
            while not stop.is_set():
                number = count[0]
                outcome = log.append(
                    site.page, f"{number}".encode(), number, f"w-1/{number}", within=PATIENCE
                )
                assert outcome == StoredAt(number + 1)
                count[0] = number + 1

        thread = threading.Thread(target=write)
        thread.start()
        wait_until(lambda: count[0] > 20, what="the first messages")
        leader = leader_of(site, servers)
        assert leader is not None
        leader.kill()
        reached = count[0]
        wait_until(lambda: count[0] > reached + 20, what="another leader")
        stop.set()
        thread.join()
        stored: list[bytes] = []
        while len(stored) < count[0]:  # a server that is asked may be a little behind
            stored += [message.data for message in log.read_after(len(stored))]
        assert stored == [f"{number}".encode() for number in range(count[0])]


def can_make_streams(site: NatsSite) -> bool:
    """Make the streams, once the servers can."""
    try:
        wanted = definitions(site.names, site.url, (), replicas=3, lease=5.0)
        create_streams(site.broker, wanted[:1])  # the journal
    except BrokerError:
        return False
    return True
