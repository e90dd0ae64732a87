"""A stream that an operator deletes while daemons run: they stop, and say what the way out is."""

from __future__ import annotations

from pathlib import Path

from host_processes import studio_of_hosts
from nats_server import NatsServer
from nats_sites import NatsSite, connected
from waiting import PATIENCE

from sgevents_core.state.nats.jetstream import call


def test_deleted_stream_stops_the_daemon_and_is_restored(
    tmp_path: Path, nats_server: NatsServer
) -> None:
    """It ends with 4, which no service restarts; the two commands that it names mend all.

    Nothing is lost, and no call is made twice.
    """
    with studio_of_hosts(tmp_path, nats_server.url, ["alpha"], ["day"]) as studio:
        host, site = studio.hosts["alpha"], studio.site
        host.start()
        event_ids = [site.event("Studio_Ping") for _ in range(5)]
        studio.await_calls(event_ids)
        with connected(nats_server.port) as broker:
            names = NatsSite(broker, site.url).names
            call(broker, "STREAM.DELETE", stream=names.journal)
        event_ids += [site.event("Studio_Ping") for _ in range(5)]
        assert host.process is not None
        assert host.process.wait(PATIENCE) == 4
        last_words = host.log().rpartition("sgevents: ")[2]
        assert f"{names.journal} on the NATS server" in last_words
        assert "it was deleted" in last_words
        for command in ("sgevents cluster init", "sgevents cluster restore"):
            assert command in last_words
            host.command(*command.split()[1:])
        host.start()
        studio.await_calls(event_ids)
        assert studio.call_counts().total() == len(event_ids)
        assert host.stop() == 0
