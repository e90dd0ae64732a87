"""The samples in the texts: what a newcomer copies first has to work as it stands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomli

ROOT = Path(__file__).resolve().parents[2]
SITE = '[site]\nurl = "https://studio.example"\nscript_name = "sgevents"\napi_key = "demo-key"\n'


def samples(text: str, language: str) -> list[str]:
    """The samples of a language in a text, in order."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / text).read_text(), re.DOTALL)


def install(folder: Path, module: str, project: str) -> str:
    """Install a sample's module as its pyproject.toml says; returns the plugin's name."""
    about = tomli.loads(project)["project"]
    ((plugin, target),) = about["entry-points"]["sgevents.plugins"].items()
    (folder / f"{target}.py").write_text(module)
    info = folder / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n"
    (info / "METADATA").write_text(head)
    (info / "entry_points.txt").write_text(f"[sgevents.plugins]\n{plugin} = {target}\n")
    return str(plugin)


@pytest.mark.parametrize("text", ["README.md", "docs/tutorial/first-plugin.md"])
def test_first_plugin_of_a_text_loads(text: str, tmp_path: Path) -> None:
    """The plugin that a text has you write is found, enabled and loaded with its callback."""
    plugin = install(tmp_path, samples(text, "python")[0], samples(text, "toml")[0])
    config = tmp_path / "sgevents.toml"
    config.write_text(f"{SITE}[plugins.{plugin}]\nenabled = true\n")
    path = [str(tmp_path), *map(os.path.abspath, filter(None, sys.path))]
    run = subprocess.run(
        [sys.executable, "-m", "sgevents_core", "plugins", "list", "--json", "-c", str(config)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
    )
    listed = {status["name"]: status for status in json.loads(run.stdout)["plugins"]}
    assert (listed[plugin]["status"], listed[plugin]["callbacks"]) == ("enabled", 1), run.stderr


def test_configuration_of_the_readme_is_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configuration in the README is read without a problem or a warning."""
    from sgevents_core.settings import load_settings

    monkeypatch.setenv("SGEVENTS_API_KEY", "demo-key")
    config = tmp_path / "sgevents.toml"
    config.write_text(samples("README.md", "toml")[1])
    settings = load_settings(config)
    assert settings.plugins["hello"].enabled
    assert settings.warnings == ()


def test_settings_of_the_example_plugins_are_valid(tmp_path: Path) -> None:
    """The tables that the example's README gives can be copied as they are."""
    from sgevents_core.settings import load_settings

    (tables,) = samples("sgevents_plugins_example/README.md", "toml")
    config = tmp_path / "sgevents.toml"
    config.write_text(SITE + tables)
    enabled = {name for name, table in load_settings(config).plugins.items() if table.enabled}
    assert enabled == {"shot-status", "note-notify", "version-burst"}
