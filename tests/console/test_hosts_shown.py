"""The overview of a state that several hosts share: who works at what, and who differs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from console_visits import console_client
from nats_server import NatsServer, new_site_url
from nats_sites import NatsSite, connected

from sgevents_core.hosts.host_files import HostFiles, PluginVersion
from sgevents_core.hosts.leases import HolderNote
from sgevents_core.hosts.rolling import WANTED_FILES_KEY, WANTED_KEY, files_key
from sgevents_core.hosts.wanted import WantedVersion
from sgevents_core.settings import load_settings
from sgevents_core.state.nats.nats_state import state_on_servers
from sgevents_core.state.opening import kept_open

WANTED = HostFiles("1", {"notify": PluginVersion("studio-notify", "2.0")})
OTHER = HostFiles("1", {"notify": PluginVersion("studio-notify", "1.0")})


def test_hosts_are_shown_with_what_they_have_and_lack(
    tmp_path: Path, nats_server: NatsServer
) -> None:
    """Who follows the site, who has which lane, who waits with what, where a reload stopped."""
    site_url = new_site_url()
    config = tmp_path / "studio.toml"
    config.write_text(
        f'[site]\nurl = "{site_url}"\nscript_name = "a"\napi_key = "key-of-the-script"\n'
        f'[state]\npath = "studio"\nurl = "{nats_server.url}"\nhost = "alpha"\n'
    )
    config.chmod(0o600)
    record = WantedVersion(
        WANTED.version(),
        asked_on="alpha",
        waiting=("beta",),
        stopped_on="beta",
        reason="a <reason>",
    )
    with connected(nats_server.port) as broker:
        site = NatsSite(broker, site_url)
        site.make_streams()
        leases, notes = site.leases(), site.notes()
        for host_name, files in (("alpha", WANTED), ("beta", OTHER)):
            note = HolderNote(host_name, host_name, "1", 1000.0, files.version())
            leases.take(f"host.{host_name}", note.encode())
            notes.replace(files_key(host_name), files.encode(), 0)
        for work_name in ("feed", "lane.default"):
            leases.take(work_name, HolderNote("alpha", "alpha", "1", 2000.0).encode())
        notes.replace(WANTED_KEY, record.encode(), 0)
        notes.replace(WANTED_FILES_KEY, WANTED.encode(), 0)
        settings = load_settings(config)
        state = state_on_servers(settings.state, site_url)
        with closing(state), kept_open(state), console_client([config]) as client:
            (name,) = [shown["slug"] for shown in client.get("/api/v1/sites").json()["sites"]]
            view = client.get(f"/api/v1/sites/{name}/overview").json()
            page = client.get(f"/sites/{name}/").text
    alpha, beta = view["hosts"]
    assert (alpha["name"], alpha["differs"], beta["name"]) == ("alpha", "", "beta")
    assert alpha["feed_since"] is not None
    assert [held["lane"] for held in alpha["lanes"]] == ["default"]
    assert (beta["feed_since"], beta["lanes"]) == (None, [])
    text = "plugin notify: studio-notify 1.0, and studio-notify 2.0 is wanted"
    assert beta["differs"] == text
    assert (view["reload"]["asked_on"], view["reload"]["stopped_on"]) == ("alpha", "beta")
    assert "reload_stopped" in [need["kind"] for need in view["needs"]]
    for shown in (text, "A reload of all hosts was asked for on", "it has stopped at"):
        assert shown in page
    assert "a &lt;reason&gt;" in page
