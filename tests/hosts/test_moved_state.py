"""Daemons before and after `sgevents state move`: no event is lost or handled twice on the way."""

from __future__ import annotations

from pathlib import Path

from host_processes import Host, studio_of_hosts
from nats_server import NatsServer

LANES = ["day", "night"]


def keep_state_on_disk(host: Host, *, on_disk: bool, server_url: str) -> None:
    """Write the host's configuration with a state on its disk, or on the servers."""
    servers = f'url = "{server_url}"\nhost = "{host.name}"\nlease = "2s"\n'
    host.daemon.state = 'path = "state"\n' + ("" if on_disk else servers)
    host.daemon.write_config()


def test_one_host_becomes_two_and_one_again(tmp_path: Path, nats_server: NatsServer) -> None:
    """What one host has not handled when it is killed, two hosts do, and then one alone.

    Only the calls that were made at the kill may be made again.
    """
    url = nats_server.url
    with studio_of_hosts(tmp_path, url, ["alpha", "beta"], LANES) as studio:
        alpha, beta = studio.hosts.values()
        keep_state_on_disk(alpha, on_disk=True, server_url=url)
        alpha.start()
        event_ids = [studio.site.event("Studio_Ping") for _ in range(10)]
        studio.await_calls(event_ids)
        alpha.kill()
        event_ids += [studio.site.event("Studio_Ping") for _ in range(10)]
        keep_state_on_disk(alpha, on_disk=False, server_url=url)
        alpha.command("state", "move", "servers")
        for host in (alpha, beta):
            host.start()
        studio.await_spread("alpha", "beta")
        studio.await_calls(event_ids)
        alpha.command("state", "move", "disk", codes=(2,))
        assert [host.stop() for host in (alpha, beta)] == [0, 0]
        event_ids += [studio.site.event("Studio_Ping") for _ in range(10)]
        alpha.command("state", "move", "disk")
        beta.start()
        assert beta.process is not None
        assert beta.process.wait() != 0
        assert "it was moved to the disk of host alpha" in beta.log()
        keep_state_on_disk(alpha, on_disk=True, server_url=url)
        alpha.start()
        studio.await_calls(event_ids)
        assert alpha.stop() == 0
        counts = studio.call_counts()
        assert set(counts) == {(f"plugin_{lane}", number) for lane in LANES for number in event_ids}
        assert counts.total() - len(counts) <= len(LANES)
