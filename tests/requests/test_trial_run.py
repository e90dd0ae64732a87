"""`sgevents run --dry-run`: plugins are called on a copy of the state, and nothing changes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from running_daemon import RunningDaemon

from sgevents_core.sandbox import Sandbox
from sgevents_core.state.opening import open_state

PLUGIN = """
    from sgevents_core import hookimpl, match

    @hookimpl(specname="on_event")
    @match(event_type="Studio_*")
    def create(event, ctx):
        ctx.store["calls"] = ctx.store.get("calls", 0) + 1
        made = ctx.sg.create("Shot", {{"code": f"of {{event.id}}", "project": {project}}})
        text = f"{{ctx.store['calls']}} {{ctx.dry_run}}"
        ctx.sg.update("Shot", made["id"], {{"description": text}})
"""


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site."""
    with Sandbox(api_key="only-a-demo-key") as running:
        yield running


def plugin_text(site: Sandbox) -> str:
    """The plugin, for a project of the site."""
    project = site.find("Project", [["is_template", "is", False]])[0]
    return PLUGIN.format(project={"type": "Project", "id": project["id"]})


def shots(site: Sandbox, *events: int) -> list[str]:
    """The shots that the plugin created for events."""
    codes = [f"of {event}" for event in events]
    return [shot["code"] for shot in site.find("Shot", [["code", "in", codes]], ["code"])]


def tried(daemon: RunningDaemon, *options: str) -> list[str]:
    """Run a trial; return what its log says would be written."""
    daemon.write_config()
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "sgevents_core", "run", "-c", str(daemon.config)),
            *("--dry-run", *options),
        ],
        env=daemon.environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    records = [json.loads(line) for line in ran.stderr.splitlines() if line.startswith("{")]
    return [record["message"] for record in records if record["action"] == "trial.write"]


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_writes_are_shown_and_not_made(tmp_path: Path, site: Sandbox, executor: str) -> None:
    """Each with its event and callback; the state stays where it was, and the daemon goes on."""
    daemon = RunningDaemon(tmp_path, site)
    daemon.log = f'[lanes.default]\nexecutor = "{executor}"\n'
    daemon.install("maker", plugin_text(site))
    daemon.feed = 'poll_interval = "50ms"\nstart = "now"\n'
    assert daemon.drain() == 0
    first = site.event("Studio_First")
    assert daemon.drain() == 0
    assert shots(site, first) == [f"of {first}"]
    second = site.event("Studio_Second")
    lines = tried(daemon, "--drain")
    assert f'event {second} maker create: would create Shot {{"code": "of {second}"' in lines[0]
    assert lines[1].startswith(f"event {second} maker create: would update Shot -")
    assert '{"description": "2 True"}' in lines[1]
    assert shots(site, second) == []
    with closing(open_state(tmp_path / "state").reader()) as state:
        assert state.store("maker") == {"calls": 1}
    assert tried(daemon, "--drain")[0] == lines[0]
    assert daemon.drain() == 0
    assert shots(site, second) == [f"of {second}"]


def test_a_trial_needs_no_state(tmp_path: Path, site: Sandbox) -> None:
    """It begins where a first start would, and leaves none behind."""
    daemon = RunningDaemon(tmp_path, site)
    daemon.install("maker", plugin_text(site))
    event = site.event("Studio_First")
    daemon.feed = f'poll_interval = "50ms"\nstart = {event}\n'
    assert any(f"event {event} maker create" in line for line in tried(daemon, "--drain"))
    assert not (tmp_path / "state" / "sgevents.db").exists()


def test_a_trial_runs_beside_the_daemon(tmp_path: Path, site: Sandbox) -> None:
    """The daemon has its state to itself, and the trial a copy."""
    daemon = RunningDaemon(tmp_path, site)
    daemon.install("maker", plugin_text(site))
    daemon.feed = 'poll_interval = "50ms"\nstart = "now"\n'
    with daemon.running() as process:
        tried(daemon, "--drain")
        assert process.poll() is None
        assert daemon.stop(process) == 0
