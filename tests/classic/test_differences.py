"""What differs from the classic daemon: its defects, and what happens here instead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from classic_files import ClassicStudio, paths_text
from commanding import Commands
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site without records and events."""
    with Sandbox(project=False) as running:
        yield running


@pytest.fixture
def daemon(tmp_path: Path, site: Sandbox) -> RunningDaemon:
    """A daemon for that site, with one classic folder."""
    made = RunningDaemon(tmp_path, site)
    made.log = paths_text(["studio"])
    made.feed = 'poll_interval = "50ms"\nstart = 1\n'
    return made


def test_a_gap_and_a_late_row_hold_up_and_repeat_nothing(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """There, 500 events behind a gap are read again for five minutes, and a late row repeats all.

    Here, newer events never wait for it, and it comes once, when it turns up.
    """
    studio.write_noting("studio/a.py")
    first = site.event("Studio_A")
    late = site.late(1)
    after = list(site.fill(1200))
    with daemon.running() as process:
        wait_until(lambda: daemon.calls_noted() == 1201)
        late.commit()
        wait_until(lambda: daemon.calls_noted() == 1202)
        last = site.event("Studio_A")
        wait_until(lambda: daemon.calls_noted() == 1203)
        assert daemon.stop(process) == 0
    assert [one.event_id for one in daemon.noted()] == [first, *after, *late.ids, last]


def test_a_wrong_signature_costs_its_own_plugin_only(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """There, it ends the daemon. Here, the plugin is paused, or each event set aside."""
    text = "def registerCallbacks(reg):\n"
    text += "    reg.registerCallback('a', 'b-demo-key', few, None, None, {stop})\n"
    text += "def few(sg, logger): pass\n"
    studio.write("studio/pauses.py", text.format(stop=True))
    studio.write("studio/sets_aside.py", text.format(stop=False))
    studio.write_noting("studio/works.py")
    events = [site.event("Studio_A") for _ in range(3)]
    assert daemon.drain() == 0
    assert [one.event_id for one in daemon.noted()] == events
    failed = [one for one in daemon.told() if "takes 2 positional arguments" in one["message"]]
    assert {one["plugin"] for one in failed} == {
        "classic:studio/pauses",
        "classic:studio/sets_aside",
    }
    dead = Commands(daemon)("dead-letters", "list", "--json").json["dead_letters"]
    assert [letter["event_id"] for letter in dead] == events


def test_a_change_of_the_event_is_seen_by_nobody_else(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """There, all callbacks of all plugins get the same dict."""
    studio.write_noting("studio/a.py", deed="event.clear()")
    studio.write_noting("studio/b.py")
    event = site.event("Studio_A")
    assert daemon.drain() == 0
    assert [(one.event_id, one.plugin) for one in daemon.noted()] == [
        (event, "classic:studio/a"),
        (event, "classic:studio/b"),
    ]


def test_a_plugin_that_has_been_behind_loses_nothing(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """There, a restart begins each callback of the event at which it was stopped again."""
    studio.write_noting("studio/a.py", deed="if event['id'] == 2: 1 / 0")
    events = [site.event("Studio_A") for _ in range(4)]
    assert daemon.drain() == 0
    assert daemon.tells("plugin.paused")
    studio.write_noting("studio/a.py")
    assert Commands(daemon)("resume", "classic:studio/a").code == 0
    assert daemon.drain() == 0
    assert [one.event_id for one in daemon.noted()] == [1, 2, *events[1:]]


def test_commands_know_classic_plugins(
    studio: ClassicStudio,
    daemon: RunningDaemon,
    site: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`plugins list`, `plan`, `explain`, `status` and `check`, as for any other.

    Commands that need no callbacks do not execute the files.
    """
    monkeypatch.chdir(studio.folder)
    studio.write_noting("studio/a.py", match='{"Studio_A": ["x", "y"]}')
    studio.write("studio/broken.py", "registerCallbacks(\n")
    event = site.event("Studio_A")
    assert daemon.drain() == 0
    command = Commands(daemon)
    listed = {one["name"]: one for one in command("plugins", "list", "--json").json["plugins"]}
    assert listed["classic:studio/a"]["status"] == "enabled"
    assert listed["classic:studio/a"]["group"] == "studio"
    assert "broken.py:1: '(' was never closed" in listed["classic:studio/broken"]["reason"]
    planned = command("plan", "Studio_A", "--json").text
    assert "classic:studio/a" in planned
    assert "matchEvents=Studio_A(x|y)" in planned
    explained = command("explain", event).text
    assert "attribute None is not 'x' or 'y'" in explained
    assert "classic:studio/a" in command("status").text
    studio.write("studio/b.py", "open('executed', 'w')\n# registerCallbacks\n")
    assert command("config", "schema").code == 0
    assert command("no-such-command").code == 2
    assert not Path("executed").exists()
    checked = command("check").text
    assert "classic:studio/broken" in checked


def test_a_folder_that_is_not_there_is_warned_of(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """There, the daemon does not start; here, its plugins start when it is mounted."""
    site.event("Studio_A")
    with daemon.running() as process:
        wait_until(lambda: daemon.output.exists() and daemon.tells("daemon.started"))
        studio.write_noting("studio/a.py")
        wait_until(lambda: daemon.tells("lane.replaced"))
        event = site.event("Studio_A")
        wait_until(daemon.calls.exists)
        assert daemon.stop(process) == 0
    assert [one.event_id for one in daemon.noted()] == [event]
    warnings = [one["message"] for one in daemon.told() if one["action"] == "config.warning"]
    assert any("cannot be read: No such file" in warning for warning in warnings)
