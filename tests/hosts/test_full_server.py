"""A NATS server without room: nothing is lost, all is shown, and it goes on by itself."""

from __future__ import annotations

import os
from pathlib import Path

from host_processes import studio_of_hosts
from nats_server import NatsServer
from waiting import wait_until

_SYNC = "sync_interval: always"


def test_full_server_delays_everything_and_loses_nothing(tmp_path: Path) -> None:
    """No callback is called whose record is not possible, and a start waits for room too.

    `status` and `check` say so, with what to do; once there is room, every event is handled,
    and no call is repeated but one that a kill has interrupted.
    """
    server = NatsServer(tmp_path / "nats", f"{_SYNC}\nmax_file_store: 600000")
    server.start()
    try:
        with studio_of_hosts(tmp_path, server.url, ["alpha"], ["day"]) as studio:
            host, site = studio.hosts["alpha"], studio.site
            host.start()
            studio.await_spread("alpha")
            event_ids: list[int] = []
            while not (
                host.daemon.tells("feed.not_written") or host.daemon.tells("lane.not_written")
            ):
                event_ids.append(site.event("Studio_Ping", meta={"text": os.urandom(9000).hex()}))
            wait_until(lambda: host.daemon.tells("hosts.leases_unreachable"))
            host.kill()
            host.daemon.output.write_text("")
            host.start()
            wait_until(lambda: host.daemon.tells("hosts.leases_unreachable"))
            shown = " ".join(host.command("status").split())
            assert "nothing could be written to the state" in shown
            assert "stores nothing more" in shown
            checked = " ".join(host.command("check", codes=(1,)).split())
            assert "problem servers it stores nothing more: insufficient resources" in checked
            assert "the running daemon cannot write to it" in checked
            assert len(studio.call_counts()) < len(event_ids)
            server.restart_with(f"{_SYNC}\nmax_file_store: 1GB")
            studio.await_calls(event_ids)
            assert studio.call_counts().total() <= len(event_ids) + 1
            assert host.stop() == 0
    finally:
        server.kill()
