"""Daemons that start while their NATS server is away, and what is shown meanwhile."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from host_processes import Host, Studio, studio_of_hosts
from nats_server import NatsServer, new_site_url, running_nats
from waiting import wait_until

from sgevents_core.daemon import server_wait
from sgevents_core.daemon.server_wait import ServerWait
from sgevents_core.errors import BrokerRefused, ClusterNotReadyError
from sgevents_core.settings import Settings, load_settings
from sgevents_core.state.nats.nats_state import state_on_servers
from sgevents_core.state.pulse import read_last_pulse


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server of the test's own."""
    made = NatsServer(tmp_path / "nats")
    made.start()
    yield made
    made.kill()


@pytest.fixture
def studio(tmp_path: Path, server: NatsServer) -> Iterator[Studio]:
    """One host, not started, whose streams are there."""
    with studio_of_hosts(tmp_path, server.url, ["alpha"], ["day"]) as made:
        yield made


def readiness(host: Host) -> tuple[int, str]:
    """Return what `/readyz` answers."""
    (address,) = (one["address"] for one in host.daemon.told() if "address" in one)
    try:
        with urllib.request.urlopen(f"http://{address}/readyz") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_start_waits_for_a_server_that_is_away_and_goes_on_by_itself(
    studio: Studio, server: NatsServer
) -> None:
    """Meanwhile the log, `status` and `/readyz` say why; a stop ends the wait in order."""
    (host,) = studio.hosts.values()
    host.daemon.log += '[metrics]\nlisten = "127.0.0.1:0"\n'
    host.daemon.write_config()
    server.kill()
    host.start()
    wait_until(lambda: host.daemon.tells("servers.awaited"))
    code, reason = readiness(host)
    assert (code, "waits for the NATS servers: nothing listens there" in reason) == (503, True)
    assert host.stop() == 0
    assert not host.daemon.tells("daemon.started")
    host.daemon.output.write_text("")
    host.start()
    wait_until(lambda: host.daemon.tells("servers.awaited"))
    server.start()
    event_ids = [studio.site.event("Studio_Ping") for _ in range(3)]
    studio.await_calls(event_ids)
    assert host.daemon.tells("servers.answer")
    wait_until(lambda: readiness(host) == (200, "ok\n"))
    assert host.stop() == 0


def configure(folder: Path, url: str, *keys: str) -> Settings:
    """Return settings with servers."""
    config = folder / "sgevents.toml"
    config.write_text(
        f'[site]\nurl = "{new_site_url()}"\nscript_name = "a"\napi_key = "k"\n'
        f'[state]\nurl = "{url}"\n' + "\n".join(keys)
    )
    config.chmod(0o600)
    settings = load_settings(config)
    settings.state.path.mkdir()
    return settings


def wait_for_servers(settings: Settings, report_reason: Callable[[str], None]) -> None:
    """Wait like a daemon that starts, without pauses."""
    home = state_on_servers(settings.state, settings.site.url)
    waiting = ServerWait(settings, lambda seconds: False, report_reason)
    assert waiting.open_writer(home) is None


def test_servers_that_come_back_without_the_streams_end_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at once, since they may still be reading; then with the command that makes streams."""
    monkeypatch.setattr(server_wait, "_FORMING_SECONDS", 0.3)
    server = NatsServer(tmp_path / "nats")
    server.start()
    server.kill()
    reasons: list[str] = []

    def report(reason: str) -> None:
        reasons.append(reason)
        if len(reasons) == 1:
            server.start()

    settings = configure(tmp_path, server.url)
    try:
        with pytest.raises(ClusterNotReadyError, match="sgevents cluster init"):
            wait_for_servers(settings, report)
    finally:
        server.kill()
    assert all("nothing listens there" in reason for reason in reasons)
    assert read_last_pulse(settings.state.path) is None


def test_refused_login_ends_the_start(tmp_path: Path) -> None:
    """No waiting makes the password right."""
    users = "authorization { users: [{ user: anna, password: right }] }"
    with running_nats(tmp_path / "nats", more=users) as server:
        settings = configure(tmp_path, server.url, 'user = "anna"', 'password = "wrong-secret"')
        with pytest.raises(BrokerRefused, match="Authorization Violation"):
            wait_for_servers(settings, lambda reason: None)
