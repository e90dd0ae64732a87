"""The whole move on a real site: over, through a kill, and back."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from old_studio import OldStudio
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox

KEY = "only-a-demo-key"


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site."""
    with Sandbox(api_key=KEY) as running:
        yield running


@pytest.fixture
def daemon(studio: OldStudio, site: Sandbox) -> RunningDaemon:
    """The daemon that takes over."""
    return RunningDaemon(studio.folder, site)


def migrate(daemon: RunningDaemon, *words: str) -> str:
    """Run `sgevents migrate` as a process; return what it prints."""
    ran = subprocess.run(
        [sys.executable, "-m", "sgevents_core", "migrate", *words],
        cwd=daemon.folder,
        env=daemon.environment(),
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert KEY not in ran.stdout + ran.stderr
    return ran.stdout


def events_of(daemon: RunningDaemon, plugin: str) -> list[int]:
    """The events that a plugin was called for, in order."""
    return [noted.event_id for noted in daemon.noted() if noted.plugin == f"classic:{plugin}"]


def wait_for(daemon: RunningDaemon, plugin: str, ids: Sequence[int]) -> None:
    """Wait until a plugin was called for events."""
    wait_until(lambda: set(ids) <= set(events_of(daemon, plugin)))


def write_conf(studio: OldStudio, site: Sandbox) -> None:
    """Write the configuration of the classic daemon of a site."""
    studio.write_conf(
        daemon="fetch_interval = 0.05\n",
        shotgun=f"server: {site.url}\nname: {site.script_name}\nkey: %(SGEVENTS_TEST_KEY)s\n",
    )


def test_over_through_a_kill_and_back(
    studio: OldStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """No event is lost, and none is repeated but the one in hand when the process was killed."""
    first = list(site.fill(6))
    late = site.late(2)
    missing = [first[-1] + 1, first[-1] + 2]
    second, third = list(site.fill(6)), list(site.fill(6))
    killed = daemon.folder / "killed"
    deed = (
        f"import os, signal, pathlib; done = pathlib.Path({str(killed)!r})\n"
        f"    if event['id'] == {third[2]} and not done.exists():\n"
        "        done.touch(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    studio.write_noting("studio/ahead.py", deed=deed)
    studio.write_noting("studio/behind.py")
    studio.write_noting("studio/new.py")
    write_conf(studio, site)
    studio.write_id(ahead=(second[-1], missing), behind=(first[2], []), gone=(5, []))
    text = migrate(daemon, "shotgunEventDaemon.conf")
    assert "ahead continues after event" in text
    assert "waits for 2 missing ids" in text
    with daemon.started() as process:
        process.wait(60)
    assert killed.exists()
    with daemon.started() as process:
        wait_for(daemon, "studio/behind", third)
        late.commit()
        wait_for(daemon, "studio/ahead", missing)
        wait_for(daemon, "studio/behind", missing)
        assert daemon.stop(process) == 0
    assert sorted(set(events_of(daemon, "studio/ahead"))) == sorted([*missing, *third])
    assert sorted(events_of(daemon, "studio/behind")) == sorted(
        [*first[3:], *missing, *second, *third]
    )
    assert sorted(events_of(daemon, "studio/new")) == third
    twice = {key: n for key, n in Counter(daemon.noted()).items() if n > 1}
    assert {(noted.event_id, noted.plugin) for noted in twice} <= {
        (third[2], "classic:studio/ahead")
    }
    migrate(daemon, "--export-id", "back.id", "shotgunEventDaemon.conf")
    assert studio.positions(daemon.folder / "back.id") == {
        name: (third[-1], []) for name in ("ahead", "behind", "new")
    }


def test_a_backlog_event_that_one_plugin_handled_is_not_repeated(
    studio: OldStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """One plugin failed on an event of its backlog, the other had it: the first one gets it."""
    ids = list(site.fill(6))
    studio.write_noting("studio/failed.py")
    studio.write_noting("studio/worked.py")
    write_conf(studio, site)
    studio.write_id(failed=(ids[-1], [ids[1]]), worked=(ids[-1], []))
    migrate(daemon, "shotgunEventDaemon.conf")
    with daemon.started() as process:
        wait_for(daemon, "studio/failed", [ids[1]])
        newest = site.event("Shotgun_Task_Change")
        wait_for(daemon, "studio/worked", [newest])
        wait_for(daemon, "studio/failed", [newest])
        assert daemon.stop(process) == 0
    assert events_of(daemon, "studio/failed") == [ids[1], newest]
    assert events_of(daemon, "studio/worked") == [newest]


def test_the_positions_are_imported_again_before_the_switch(
    studio: OldStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """The classic daemon went on meanwhile; once sgevents has worked, the import is refused."""
    ids = list(site.fill(6))
    studio.write_noting("studio/notify.py")
    write_conf(studio, site)
    studio.write_id(notify=(ids[0], []))
    migrate(daemon, "shotgunEventDaemon.conf")
    studio.write_id(notify=(ids[3], []))
    assert f"after event {ids[3]}" in migrate(daemon, "--import-id", "shotgunEventDaemon.conf")
    with daemon.started("--drain") as process:
        process.wait(60)
    assert events_of(daemon, "studio/notify") == ids[4:]
    refused = studio.run("--import-id", "shotgunEventDaemon.conf")
    assert refused.exit_code == 2
    assert "have already been called" in refused.output


def test_events_read_for_a_trial_are_not_handled_twice(
    studio: OldStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """The trial reads, a dry run shows, and the last positions are imported before the switch."""
    ids = list(site.fill(6))
    studio.write_noting("studio/notify.py")
    write_conf(studio, site)
    studio.write_id(notify=(ids[0], []))
    migrate(daemon, "shotgunEventDaemon.conf")
    with daemon.started("--safe-mode", "--drain") as process:
        assert process.wait(60) == 0
    tried = subprocess.run(
        [
            *(sys.executable, "-m", "sgevents_core", "replay", f"{ids[1]}-{ids[2]}"),
            *("--dry-run", "--plugin", "classic:studio/notify"),
        ],
        cwd=daemon.folder,
        env=daemon.environment(),
        capture_output=True,
        text=True,
    )
    assert "dry run: 2 events, 2 calls" in tried.stdout
    daemon.calls.unlink()
    late = site.event("Shotgun_Task_Change")
    studio.write_id(notify=(ids[3], []))
    migrate(daemon, "--import-id", "shotgunEventDaemon.conf")
    with daemon.started("--drain") as process:
        assert process.wait(60) == 0
    assert events_of(daemon, "studio/notify") == [*ids[4:], late]


def test_going_back_while_the_daemon_runs_is_refused(
    studio: OldStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """Its positions change, and two daemons would call the same plugins."""
    studio.write_noting("studio/notify.py")
    write_conf(studio, site)
    studio.write_id(notify=(site.event("Shotgun_Task_Change"), []))
    migrate(daemon, "shotgunEventDaemon.conf")
    with daemon.started() as process:
        event = site.event("Shotgun_Task_Change")
        wait_for(daemon, "studio/notify", [event])
        refused = studio.run("--export-id", "back.id")
        assert daemon.stop(process) == 0
    assert refused.exit_code != 0
    assert str(process.pid) in refused.output
    assert not Path(studio.folder / "back.id").exists()
