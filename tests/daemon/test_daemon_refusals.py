"""A daemon that cannot run says why and what to do, without a traceback, with an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from running_daemon import RunningDaemon
from waiting import PATIENCE, wait_until

from sgevents_core.sandbox import Sandbox


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site without records and events."""
    with Sandbox(project=False) as running:
        yield running


@pytest.fixture
def daemon(tmp_path: Path, site: Sandbox) -> RunningDaemon:
    """A daemon for that site."""
    made = RunningDaemon(tmp_path, site)
    made.install_writer("alpha")
    return made


def refusal(daemon: RunningDaemon) -> tuple[int, str]:
    """Run it; return exit code and what it said last."""
    before = daemon.output.stat().st_size if daemon.output.exists() else 0
    with daemon.running() as process:
        code = process.wait(PATIENCE)
    said = daemon.output.read_text()[before:]
    assert "Traceback" not in said
    return code, said[said.find("sgevents: ") :]


def test_second_daemon_is_refused(daemon: RunningDaemon) -> None:
    """One daemon a state: the second names the first, and the first goes on."""
    with daemon.running() as first:
        wait_until(lambda: daemon.output.exists() and daemon.tells("daemon.started"))
        code, said = refusal(daemon)
        assert first.poll() is None
        assert daemon.stop(first) == 0
    assert code == 2
    assert f"process {first.pid} on " in said
    assert "stop that one first" in said


def test_wrong_config_is_told_with_place_and_fix(daemon: RunningDaemon) -> None:
    """All problems at once, before anything is imported or written."""
    daemon.feed = 'poll_interval = "soon"\npage_sise = 50\n'
    code, said = refusal(daemon)
    assert code == 2
    assert "2 problems" in said
    assert "sgevents.toml:7: feed.poll_interval" in said
    assert "did you mean page_size?" in said
    assert "fix: " in said
    assert not (daemon.folder / "state").exists()


def test_wrong_key_is_told(daemon: RunningDaemon, site: Sandbox) -> None:
    """Credentials that the site does not accept end the first start, and are not shown."""
    site.add_script(site.script_name, "another-demo-key")
    code, said = refusal(daemon)
    assert code == 2
    assert f"does not accept script_name '{site.script_name}'" in said
    assert "Check both in [site]" in said
    assert "demo-key" not in daemon.output.read_text()


def test_log_file_that_cannot_be_written_is_told(daemon: RunningDaemon) -> None:
    """A log that cannot be kept is a mistake in the config, told before anything runs."""
    (daemon.folder / "logs").touch()
    daemon.log = '[log]\nfile = "logs/sgevents.log"\n'
    code, said = refusal(daemon)
    assert code == 2
    assert "logs/sgevents.log cannot be written: " in said
    assert "Name another one in [log]" in said
    assert not daemon.calls.exists()


def test_state_folder_that_cannot_be_made_is_told(daemon: RunningDaemon) -> None:
    """The folder is named, with the system's reason."""
    (daemon.folder / "state").touch()
    code, said = refusal(daemon)
    assert code != 0
    assert f"{daemon.folder / 'state'} cannot be used: " in said


def test_wrong_key_at_a_later_start_is_told_and_loses_nothing(
    daemon: RunningDaemon, site: Sandbox
) -> None:
    """A key that expired while the daemon was down ends each start; with a good one it goes on."""
    first = [site.event("Studio_First")]
    assert daemon.drain() == 0
    key = site.api_key
    site.add_script(site.script_name, "another-demo-key")
    missed = [site.event("Studio_Missed") for _ in range(3)]
    code, said = refusal(daemon)
    assert code == 2
    assert f"does not accept script_name '{site.script_name}'" in said
    site.add_script(site.script_name, key)
    assert daemon.drain() == 0
    assert daemon.events_of("alpha") == [*first, *missed]


def test_key_revoked_while_it_runs_is_waited_for(daemon: RunningDaemon, site: Sandbox) -> None:
    """A daemon that the site has answered goes on when the key is good again, by itself."""
    key = site.api_key
    with daemon.running() as process:
        first = [site.event("Studio_First")]
        daemon.wait_for(first, "alpha")
        site.revoke_script(site.script_name)
        wait_until(lambda: daemon.tells("site.failed"), what="it is told")
        missed = [site.event("Studio_Missed") for _ in range(3)]
        site.add_script(site.script_name, key)
        daemon.wait_for(missed, "alpha")
        assert daemon.tells("site.answers")
        assert daemon.stop(process) == 0
    assert daemon.events_of("alpha") == [*first, *missed]
