"""The page on JSON output has every key that the commands write, at every level."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from commanding import Commands, installed_here
from doc_pages import DOCS
from running_daemon import RunningDaemon

from sgevents_core.sandbox import Sandbox

PAGE = (DOCS / "reference" / "json.md").read_text("utf-8")
FREE: dict[str, tuple[str, ...]] = {
    "explain": ("event",),
    "dead-letters show": ("event",),
    "tail": ("plugins",),
    "plugins show": ("plugin", "store"),
    "plan": ("types[].calls",),
    "events": ("events[].failures",),
}
"""Keys whose values are a site's own, or go by the names of plugins."""
TABLES = (DOCS / "reference" / "commands.md").read_text("utf-8")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")
TIMES = {"at", "since", "until", "began", "started", "asked_at", "answered_at", "created_at"}
FICKLE = """
    from sgevents_core import hookimpl

    @hookimpl
    def on_other(event, ctx):
        if event.event_type == "Studio_Bad":
            raise ValueError("not today")

    @hookimpl
    def on_new(event): ...
"""
BROKEN = "from sgevents_core import hookimpl\n@hookimpl\ndef on_newt(event): ...\n"
MODEL = """
    import dataclasses
    from sgevents_core import hookimpl

    @dataclasses.dataclass
    class Chat:
        channel: str

    @hookimpl
    def settings_model():
        return Chat
"""


def documented(command: str) -> set[str]:
    """The keys on the page below the heading of a command."""
    _, _, below = PAGE.partition(f"## `sgevents {command}`\n")
    return set(re.findall(r"^\| `([a-z0-9_.\[\]]+)` \|", below.partition("\n## ")[0], re.MULTILINE))


def keys(value: Any, free: tuple[str, ...], path: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of a JSON value as the page writes them, with their values."""
    if isinstance(value, dict):
        for name, inner in value.items():
            here = f"{path}.{name}".lstrip(".")
            yield here, inner
            if here not in free:
                yield from keys(inner, free, here)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner, free, f"{path}[]")


@pytest.fixture(scope="module")
def sgevents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Commands for a state with dead letters, requests, and plugins that are broken."""
    with Sandbox() as site:
        daemon = RunningDaemon(tmp_path_factory.mktemp("json"), site)
        daemon.install("fickle", FICKLE, keys="max_attempts = 1\nsettings.posts = 3")
        daemon.install("broken", BROKEN)
        daemon.install("chat", MODEL)
        daemon.write_config()
        bad = site.event("Studio_Bad")
        with installed_here(daemon) as commands:
            assert commands("run", "--drain").code == 0
            commands("pause", "fickle", "--reason", "to see")
            commands.event = bad  # type: ignore[attr-defined]  # known to this module alone
            yield commands


COMMANDS = {
    "status": ("status",),
    "requests": ("requests",),
    "plugins list": ("plugins", "list"),
    "plugins show": ("plugins", "show", "fickle"),
    "config show": ("config", "show"),
    "plan": ("plan", "Studio_Bad"),
    "explain": ("explain", "{event}"),
    "events": ("events", "--limit", "2"),
    "stats": ("stats", "--hours"),
    "tail": ("tail", "-n", "1"),
    "dead-letters list": ("dead-letters", "list"),
    "dead-letters show": ("dead-letters", "show", "1"),
    "feed parked": ("feed", "parked"),
    "feed aside": ("feed", "aside"),
    "check": ("check",),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_key_is_on_the_page(sgevents: Commands, command: str) -> None:
    """None is missing there, every time has the one form, and nothing is an empty text."""
    event = sgevents.event  # type: ignore[attr-defined]  # as above
    found = sgevents(*(word.format(event=event) for word in COMMANDS[command]), "--json").json
    assert next(iter(found)) == "version"
    assert found["version"] == 1
    written = list(keys(found, FREE.get(command, ())))
    assert {name for name, _ in written} <= documented(command)
    for name, value in written:
        assert value != "", name
        last = name.rpartition(".")[2]
        if value is not None and (last in TIMES or last.endswith("_at")):
            assert MOMENT.fullmatch(value), (name, value)


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"status", "feed parked", "feed aside"}))
def test_no_key_is_on_the_page_that_is_not_written(sgevents: Commands, command: str) -> None:
    """Where the command has something to show at every level."""
    event = sgevents.event  # type: ignore[attr-defined]  # as above
    words = [word.format(event=event) for word in COMMANDS[command]]
    found = {name for name, _ in keys(sgevents(*words, "--json").json, FREE.get(command, ()))}
    if command == "dead-letters list":
        groups = sgevents(*words, "--groups", "--json").json
        found |= {name for name, _ in keys(groups, ())}
    if command == "plan":
        found |= {name for name, _ in keys(sgevents("plan", "--json").json, FREE["plan"])}
    assert documented(command) <= found


def test_commands_with_json_are_on_the_page() -> None:
    """Whoever adds one says what it writes."""
    sections = TABLES.split("\n### `sgevents ")[1:]
    described = {one.partition("`")[0] for one in sections if "\n| `--json` |" in one}
    elsewhere = {"state check", "cluster status"}  # the latter with the tests of the servers
    assert described - elsewhere == set(COMMANDS)
