"""`sgevents plugins show` and `plan` without a type: asked before a plugin is touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from commanding import Commands, installed_here
from running_daemon import RunningDaemon

from sgevents_core.sandbox import Sandbox

PLUGIN = """
    import dataclasses
    from sgevents_core import Secret, hookimpl, match

    @dataclasses.dataclass
    class Chat:
        token: Secret
        room: str = "general"

    @hookimpl
    def settings_model():
        return Chat

    @hookimpl
    @match(entity_type="Task", on_error="pause", timeout="5s")
    def on_change(event, ctx):
        ctx.store["seen"] = event.id

    @hookimpl
    def on_other(event, ctx):
        raise ValueError("not\\x1b[2J today")
"""
KEYS = """max_attempts = 1
timeout = "20s"
[plugins.chat.settings]
token = "hidden-words"
"""


@pytest.fixture(scope="module")
def sgevents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Commands for a plugin that has failed on one event and handled another."""
    with Sandbox() as site:
        daemon = RunningDaemon(tmp_path_factory.mktemp("show"), site)
        daemon.install("chat", PLUGIN, keys=KEYS)
        daemon.install("broken", "raise OSError('no luck')")
        daemon.write_config()
        site.event("Studio_Bad")
        site.event("Shotgun_Task_Change", entity={"type": "Task", "id": 3})
        site.event("Shotgun_Shot_New", entity={"type": "Shot", "id": 4})
        with installed_here(daemon) as commands:
            assert commands("run", "--drain").code == 0
            yield commands


def test_plugin_is_shown_with_all_that_decides_what_it_does(sgevents: Commands) -> None:
    """Its place, its callbacks with their limits, its settings with defaults, its failures."""
    shown = " ".join(sgevents("plugins", "show", "chat").stdout.split())
    assert "chat is enabled" in shown
    assert "called as number 1, in group default, lane default" in shown
    assert "1 dead letter: " in shown
    assert r"not\x1b[2J today" in shown
    assert "on_change" in shown
    assert "pause 5s" in shown
    assert "dead-letter 20s" in shown
    assert "token = *** #" in shown
    assert 'room = "general" # default' in shown
    assert "1 value in its store" in shown
    assert "hidden-words" not in shown


def test_json_has_the_store(sgevents: Commands) -> None:
    """As last committed."""
    details = sgevents("plugins", "show", "chat", "--json").json
    assert list(details["store"]) == ["seen"]
    assert (details["dead_letters"], details["behind"]) == (1, 0)


def test_broken_plugin_is_shown_with_the_reason(sgevents: Commands) -> None:
    """And nothing that only a loaded one has."""
    shown = sgevents("plugins", "show", "broken")
    assert shown.code == 0
    assert "broken is broken" in shown.text
    assert "sgevents_core" not in shown.text.partition("Traceback")[2]
    assert "no luck" in shown.text
    assert "called as number" not in shown.text


def test_unknown_plugin_is_refused_with_the_likely_one(sgevents: Commands) -> None:
    """Or with the command that lists them."""
    misspelled = sgevents("plugins", "show", "chatt")
    assert misspelled.code == 2
    assert "no plugin chatt is installed or configured; did you mean chat?" in misspelled.stderr
    assert "sgevents plugins list" in sgevents("plugins", "show", "wholly").stderr


def test_plan_without_a_type_lists_those_seen(sgevents: Commands) -> None:
    """Each with its callbacks, and those apart that no callback wants."""
    shown = sgevents("plan")
    assert "chat on_change" in " ".join(shown.stdout.split())
    assert "Studio_Bad" in shown.stdout
    unwanted = shown.stdout.partition("No callback wants: ")[2]
    assert "Shotgun_Shot_New" in unwanted
    assert "Studio_Bad" not in unwanted


def test_plan_before_the_first_event_says_that_no_type_is_known(tmp_path: Path) -> None:
    """It does not pretend that nothing is called."""
    with Sandbox() as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.write_config()
        with installed_here(daemon) as commands:
            assert "no event type is known" in commands("plan").stdout
