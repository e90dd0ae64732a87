"""A state belongs to one site."""

from __future__ import annotations

from pathlib import Path

from running_daemon import RunningDaemon

from sgevents_core.sandbox import Sandbox


def test_state_of_another_site_is_refused(tmp_path: Path) -> None:
    """The url of another site on an old state: told with the fix, exit code 2, nothing handled."""
    with Sandbox(project=False) as site, Sandbox(project=False) as other:
        daemon = RunningDaemon(tmp_path, site)
        daemon.install_writer("writer")
        site.fill(3)
        assert daemon.drain() == 0
        handled = daemon.noted()
        other.burn(50)
        other.fill(10)
        daemon.site = other
        daemon.host = "localhost"
        assert daemon.drain() == 2
        assert daemon.noted() == handled
        assert "belongs to the site 127.0.0.1" in daemon.output.read_text()


def test_site_that_moved_is_recognised(tmp_path: Path) -> None:
    """The same log at another address has the events taken last: the daemon goes on."""
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.install_writer("writer")
        site.fill(3)
        assert daemon.drain() == 0
        site.fill(2)
        daemon.host = "localhost"
        assert daemon.drain() == 0
        assert daemon.events_of("writer") == list(site.log.visible_ids())
