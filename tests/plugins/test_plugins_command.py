"""The command `sgevents plugins list`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest
from installed_packages import Packages

from sgevents_core.cli.root import sgevents

Run: TypeAlias = "Callable[..., Told]"

CONFIG = """
[site]
url = "http://127.0.0.1:1"
script_name = "sgevents"
api_key = "demo-key"

[[groups]]
name = "last"
lane = "slow"

[plugins.a_fine]
enabled = true

[plugins.z_fine]
enabled = true
group = "last"

[plugins.bad]
enabled = true

[plugins.gone]
enabled = true

[plugins."[b]odd[/b]"]
enabled = true
"""
FINE = (
    "from sgevents_core import hookimpl\n@hookimpl\ndef on_new(event): ...\ndef on_event(): ...\n"
)


@pytest.fixture
def config(packages: Packages, tmp_path: Path) -> Path:
    """Install plugins; return a configuration that enables some of them."""
    for name in ("a_fine", "z_fine"):
        packages.install_module(name, FINE)
    packages.install_module("bad", "raise RuntimeError('[red]no[/red] luck')")
    packages.install_module("trap", "raise SystemExit('imported')")
    file = tmp_path / "sgevents.toml"
    file.write_text(CONFIG, encoding="utf-8")
    return file


class Told(NamedTuple):
    """What the command printed, and its exit code."""

    output: str
    errors: str
    code: object


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return what runs the command, on a screen that is wide enough for any table."""
    monkeypatch.setenv("COLUMNS", "200")

    def told(*arguments: str) -> Told:
        with pytest.raises(SystemExit) as ended:
            sgevents.main(["plugins", "list", *arguments], prog_name="sgevents")
        return Told(*capsys.readouterr(), ended.value.code)

    return told


def test_the_table_tells_order_status_and_what_helps(config: Path, run: Run) -> None:
    """Those that run first, in call order; below it, what is wrong and the fix."""
    output = run("--config", str(config)).output
    rows = [line.split() for line in output.splitlines()]
    assert ["1", "z_fine", "enabled", "last", "slow", "dist-z_fine", "1.0", "1"] in rows
    assert ["2", "a_fine", "enabled", "default", "default", "dist-a_fine", "1.0", "1"] in rows
    assert ["bad", "broken", "default", "default", "dist-bad", "1.0"] in rows
    assert ["[b]odd[/b]", "not", "installed", "default", "default"] in rows
    assert ["trap", "disabled", "dist-trap", "1.0"] in rows
    assert "bad is broken: importing bad raised RuntimeError: [red]no[/red] luck" in output
    assert "    fix: Fix the plugin" in output
    assert "RuntimeError: [red]no[/red] luck" in output
    assert "gone is not installed: " in output
    idle = r"not enabled: .*\btrap\b.*\n    to enable one: enabled = true in \[plugins.NAME\]"
    assert re.search(idle, output)
    assert "a_fine: warning: " in output
    assert "trap" not in sys.modules


def test_json_has_the_same_for_programs(config: Path, run: Run) -> None:
    """A list in the same order, one object for each plugin."""
    listed = json.loads(run("--json", "--config", str(config)).output)["plugins"]
    by_name = {plugin["name"]: plugin for plugin in listed}
    assert [plugin["order"] for plugin in listed if plugin["status"] == "enabled"] == [1, 2]
    assert by_name["z_fine"]["lane"] == "slow"
    assert by_name["bad"]["status"] == "broken"
    assert by_name["bad"]["fix"]
    assert by_name["trap"] == {
        "name": "trap",
        "status": "disabled",
        "reason": "it is not enabled",
        "fix": "To enable it: enabled = true in [plugins.trap].",
        "distribution": "dist-trap",
        "version": "1.0",
        "group": None,
        "lane": None,
        "order": None,
        "callbacks": None,
        "warnings": [],
        "traceback": None,
        "problems": [],
        "running": None,
    }


def test_without_a_configuration_it_lists_what_is_installed(
    config: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first thing one does after pip install; nothing is imported."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    result = run("--json")
    names = {plugin["name"] for plugin in json.loads(result.output)["plugins"]}
    assert names >= {"bad", "trap", "a_fine"}
    assert "There is no sgevents.toml here" in result.errors
    assert {"trap", "bad", "a_fine"}.isdisjoint(sys.modules)


def test_a_configuration_that_was_named_has_to_be_there(tmp_path: Path, run: Run) -> None:
    """A typing error must not look like an empty configuration."""
    missing = str(tmp_path / "missing.toml")
    result = run("--config", missing)
    assert result.code == 2
    assert missing in result.errors


def test_distributions_that_cannot_be_read_are_told(
    config: Path, run: Run, packages: Packages
) -> None:
    """On the error stream, so that JSON stays JSON."""
    info = packages.install("bad-metadata", {}, {})
    (info / "entry_points.txt").write_text("[sgevents.plugins]\nbroken\n")
    result = run("--json", "--config", str(config))
    assert json.loads(result.output)["plugins"]
    assert f"unreadable: {info}" in result.errors
