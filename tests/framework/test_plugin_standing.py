"""`sgevents plugins list`: what is held or paused, and what a daemon runs that is not installed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from installed_packages import Packages

from sgevents_core import __version__
from sgevents_core.cli.root import sgevents
from sgevents_core.reading.overview import read_overview
from sgevents_core.state.lock import StateLock
from sgevents_core.state.opening import open_state
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.running import Running, write_running_daemon
from sgevents_core.state.steps import Step

Run: TypeAlias = Callable[..., Any]
CONFIG = """
[site]
url = "http://127.0.0.1:1"
script_name = "sgevents"
api_key = "demo-key"
[plugins.one]
enabled = true
[plugins.two]
enabled = true
[plugins.three]
"""


@pytest.fixture
def state(packages: Packages, tmp_path: Path) -> Path:
    """Install three plugins; return the folder of a state, in which nothing has run."""
    for name in ("one", "two", "three"):
        text = "from sgevents_core import hookimpl\n@hookimpl\ndef on_new(event): ...\n"
        packages.install_module(name, text)
    (tmp_path / "sgevents.toml").write_text(CONFIG, encoding="utf-8")
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def listed(state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return what runs the command; with --json, it returns the plugins by name."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*options: str) -> Any:
        with pytest.raises(SystemExit) as ended:
            sgevents.main(["plugins", "list", "-c", str(state.parent / "sgevents.toml"), *options])
        assert ended.value.code == 0
        told = capsys.readouterr()
        if "--json" in options:
            return {one["name"]: one for one in json.loads(told.out)["plugins"]}
        return told.out

    return run


def record(state: Path, *records: PluginRecord) -> None:
    """Write records of plugins into the ledger."""
    with closing(open_state(state).writer()) as db:
        db.record("default", db.take_lane("default"), Step(plugins=list(records)))


def test_held_and_paused_plugins_say_why_and_what_to_do(state: Path, listed: Run) -> None:
    """As the ledger has it; their place in the order stays."""
    record(
        state,
        PluginRecord("one", "default", state="paused", reason="20 failures in a row"),
        PluginRecord("two", "default", state="held", reason="no route", retry_at=time.time() + 60),
        PluginRecord("three", "default", state="paused", reason="of old"),
    )
    shown = listed()
    assert "one is paused: 20 failures in a row\n    fix: Fix the cause, then: sgevents" in shown
    assert "two is held: no route\n    fix: Nothing: it is called again automatically" in shown
    found = listed("--json")
    assert (found["one"]["status"], found["one"]["order"]) == ("paused", 1)
    assert (found["two"]["status"], found["two"]["order"]) == ("held", 2)
    assert found["three"]["status"] == "disabled"


def test_plugin_whose_startup_failed_is_told_as_not_started(state: Path, listed: Run) -> None:
    """With the reason and what helps; its place in the order stays, as it was loaded."""
    told = "its startup failed: OSError: no farm"
    not_started = PluginRecord("one", "default", apart=True)
    not_started.fail_to_start("OSError: no farm")
    record(state, not_started)
    found = listed("--json")["one"]
    assert (found["status"], found["reason"], found["order"]) == ("not started", told, 1)
    assert f"one is not started: {told}\n    fix: Fix the cause" in listed()


def test_plugin_that_waits_for_a_call_is_not_to_be_resumed(state: Path, listed: Run) -> None:
    """A hold without an end waits for a call that hangs, which no request can end."""
    record(state, PluginRecord("two", "default", state="held", reason="two:run hangs"))
    found = listed("--json")["two"]
    assert found["status"] == "held"
    assert "restart the daemon" in found["fix"]
    assert "resume" not in found["fix"]


def test_what_a_running_daemon_has_loaded_is_compared_with_what_is_installed(
    state: Path, listed: Run
) -> None:
    """Upgraded, added and removed since it started; each with the way to take it up."""
    open_state(state).writer().close()
    with closing(StateLock(state)):
        plugins: dict[str, str | None] = {"one": "0.9", "three": "1.0"}
        write_running_daemon(
            state, Running(pid=os.getpid(), run="1", version="0.0.1", plugins=plugins)
        )
        shown = listed()
        found = listed("--json")
    assert f"sgevents: the daemon runs 0.0.1, this is {__version__}" in shown
    assert "one: the daemon runs 0.9, installed is 1.0; `sgevents reload` applies it" in shown
    assert "two: the daemon has not loaded it; `sgevents reload` applies it" in shown
    assert "three: the daemon still runs 1.0; `sgevents reload` applies it" in shown
    assert [found[name]["running"] for name in ("one", "two", "three")] == ["0.9", None, "1.0"]
    assert "the daemon" not in listed(), "once it has ended, there is nothing to compare"


def test_a_reload_is_not_advised_where_it_would_be_refused(
    state: Path, packages: Packages, listed: Run
) -> None:
    """A plugin that runs and cannot be loaded any more has to be put right first."""
    (packages.folder / "one.py").write_text("raise OSError('no farm')\n", encoding="utf-8")
    open_state(state).writer().close()
    with closing(StateLock(state)):
        plugins: dict[str, str | None] = {"one": "1.0", "two": "1.0"}
        write_running_daemon(
            state, Running(pid=os.getpid(), run="1", version=__version__, plugins=plugins)
        )
        shown = listed()
    assert "one: the daemon still runs 1.0; `sgevents reload` is refused until it is" in shown


def test_the_same_versions_need_no_words(state: Path, listed: Run) -> None:
    """Nothing is said where nothing has changed."""
    open_state(state).writer().close()
    with closing(StateLock(state)):
        plugins: dict[str, str | None] = {"one": "1.0", "two": "1.0"}
        write_running_daemon(
            state, Running(pid=os.getpid(), run="1", version=__version__, plugins=plugins)
        )
        assert "daemon" not in listed()


def test_a_state_that_cannot_be_read_hides_no_plugin(
    state: Path, listed: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list comes without what the ledger knows."""
    (state / "sgevents.db").write_text(
        "this is no database, and long enough to be read as one" * 99
    )
    assert listed("--json")["one"]["status"] == "enabled"


def test_status_tells_what_the_running_daemon_has_not_loaded(state: Path) -> None:
    """It goes nowhere, so it is not catching up; without a daemon nobody knows."""
    record(
        state,
        PluginRecord("one", "default", apart=True),
        PluginRecord("two", "default", apart=True),
        PluginRecord("three", "default", apart=True, state="paused"),
    )

    def states() -> list[str]:
        found = read_overview(state, frozenset({"one", "two", "three"}))
        assert found is not None
        by_name = {one.name: one.state for one in found.plugins}
        return [by_name[name] for name in ("one", "two", "three")]

    with closing(StateLock(state)):
        write_running_daemon(
            state, Running(pid=os.getpid(), run="1", version="1", plugins={"two": "1.0"})
        )
        assert states() == ["not loaded", "catching up", "paused"]
    assert states() == ["catching up", "catching up", "paused"]
