"""`sgevents plugins new --example`: a package that begins as an example, with its tests."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
import tomli
from click.testing import CliRunner, Result
from installed_packages import Packages

from sgevents_core.cli import example_package
from sgevents_core.cli.root import sgevents

EXAMPLES = sorted(entry.name for entry in distribution("sgevents-plugins-example").entry_points)


def new(folder: Path, example: str) -> Result:
    """Run the command."""
    words = ["plugins", "new", "studio-fresh", "-d", str(folder), "--example", example]
    return CliRunner().invoke(sgevents, words)


def texts(folder: Path) -> dict[str, str]:
    """Return all files of a package."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in files}


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_becomes_a_package_of_ones_own(tmp_path: Path, example: str) -> None:
    """Nothing in it is named as in the example, and it asks for the tools of its tests."""
    assert new(tmp_path, example).exit_code == 0
    written = texts(tmp_path / "studio-fresh")
    project = tomli.loads(written["pyproject.toml"])["project"]
    assert project["entry-points"]["sgevents.plugins"] == {"studio-fresh": "studio_fresh.plugin"}
    assert f"the example `{example}`" in written["README.md"]
    for path, text in written.items():
        assert "sgevents_plugins_example" not in text, path
        if path.endswith(".py"):
            compile(text, path, "exec")
            assert f'"{example}"' not in text, path
    uses_hypothesis = "hypothesis" in written["tests/test_plugin.py"]
    tools = project["optional-dependencies"]["dev"]
    assert uses_hypothesis == any(tool.startswith("hypothesis>") for tool in tools)
    uses_apprise = example == "publish-notify"
    assert uses_apprise == any(name.startswith("apprise>") for name in project["dependencies"])


@pytest.mark.parametrize("example", ["note-notify", "status-rules"])
def test_its_tests_pass(tmp_path: Path, example: str) -> None:
    """One that is a module, and one that is a package."""
    new(tmp_path, example)
    package = tmp_path / "studio-fresh"
    Packages(package).install("studio-fresh", {"studio-fresh": "studio_fresh.plugin"}, {})
    completed = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=package,
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout
    assert " passed" in completed.stdout


def test_unknown_example_is_refused_with_those_there_are(tmp_path: Path) -> None:
    """Nothing is written."""
    refused = new(tmp_path, "status-rule")
    assert refused.exit_code == 2
    assert "Did you mean status-rules?" in refused.stderr
    assert "note-notify, publish-notify" in new(tmp_path, "wholly-different").stderr
    assert list(tmp_path.iterdir()) == []


def test_missing_distribution_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that installs it."""
    monkeypatch.setattr(example_package, "EXAMPLE_DISTRIBUTION", "sgevents-of-nobody")
    refused = new(tmp_path, "note-notify")
    assert refused.exit_code == 2
    assert "pip install sgevents-of-nobody" in refused.stderr
