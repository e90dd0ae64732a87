"""Plugins as people install them: real wheels in an environment of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "{version}"
dependencies = ["sgevents-core>=0.1"]

[project.entry-points."sgevents.plugins"]
{plugin} = "{package}.plugin"
"""
FINE = """
from sgevents_core import Event, hookimpl, match


@hookimpl
@match(entity_type="Task")
def on_new(event: Event) -> None:
    event.id
"""
TRAP = """
from pathlib import Path

Path(__file__).with_name("imported").touch()
"""
CONFIG = """
[site]
url = "http://127.0.0.1:1"
script_name = "sgevents"
api_key = "demo-key"

[plugins.status]
enabled = true
distribution = "studio-status"

[plugins.trap]
enabled = false
"""


def build(folder: Path, name: str, plugin: str, plugin_source: str, init: str = "") -> Path:
    """Build the wheel of a distribution with one plugin; return it."""
    package = folder / name / name.replace("-", "_")
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(init)
    (package / "plugin.py").write_text(plugin_source)
    project = PROJECT.format(name=name, version="1.2.3", plugin=plugin, package=package.name)
    (package.parent / "pyproject.toml").write_text(project)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    subprocess.run(command, cwd=package.parent, check=True, capture_output=True)
    return next(package.parent.glob("dist/*.whl"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with two plugins installed by pip; return the folder of its packages.

    The core and what it needs come from where these tests run.
    """
    folder = tmp_path_factory.mktemp("wheels")
    wheels = [
        build(folder, "studio-status", "status", FINE),
        build(folder, "studio-trap", "trap", TRAP, init=TRAP),
    ]
    venv.create(folder / "venv", with_pip=False)
    packages = next((folder / "venv").glob("lib/python*/site-packages"))
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*install, "--target", packages, *wheels], check=True, capture_output=True)
    places = [str(ROOT), *(entry for entry in sys.path if entry.endswith("site-packages"))]
    (packages / "core.pth").write_text("\n".join(places))
    (folder / "sgevents.toml").write_text(CONFIG)
    return packages


def test_an_installed_plugin_is_loaded_and_a_trap_is_not(environment: Path) -> None:
    """The daemon's own command lists both; the one that is not enabled was not imported."""
    folder = environment.parents[3]
    script = "from sgevents_core.cli import main; main()"
    listed = subprocess.run(
        [folder / "venv" / "bin" / "python", "-c", script, "plugins", "list", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert listed.returncode == 0, listed.stderr
    by_name = {plugin["name"]: plugin for plugin in json.loads(listed.stdout)["plugins"]}
    status, trap = by_name["status"], by_name["trap"]
    assert (status["status"], status["distribution"], status["version"]) == (
        "enabled",
        "studio-status",
        "1.2.3",
    )
    assert (status["order"], status["callbacks"], status["warnings"]) == (1, 1, [])
    assert (trap["status"], trap["distribution"]) == ("disabled", "studio-trap")
    assert not (environment / "studio_trap" / "imported").exists()


def test_the_trap_would_have_been_noticed(environment: Path) -> None:
    """Importing it leaves its trace, so that the other test can be believed."""
    python = environment.parents[2] / "bin" / "python"
    subprocess.run([python, "-c", "import studio_trap.plugin"], check=True)
    trace = environment / "studio_trap" / "imported"
    assert trace.exists()
    trace.unlink()
