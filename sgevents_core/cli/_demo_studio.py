"""The demo's setting: the studio on the site, the configuration, and a disabled plugin."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import Any, Final

from sgevents_core.sandbox import Sandbox

GROUPS: Final = {
    "tracking": ("shot-status", "user-activity"),
    "people": ("note-notify", "version-burst"),
    "audit": ("event-log",),
}
"""The groups in configuration order, not alphabetical; their plugins by name."""

PLUGIN_NAMES: Final = tuple(plugin for plugins in GROUPS.values() for plugin in plugins)
"""The plugins in call order."""

NOT_ENABLED_PLUGIN: Final = "not-enabled"

_CONFIG_TEMPLATE: Final = Template("""\
[site]
url = $url
script_name = $script_name
api_key = $api_key

[feed]
start = $start
poll_interval = "50ms"
idle_interval = "100ms"

[state]
path = "state"

[log]
level = "debug"
format = "json"

$tables
# Installed too, but not enabled, and so never imported: not-enabled
""")


def write_config(folder: Path, site: Sandbox) -> Path:
    """Write a configuration for all events from now on into `folder`; return the file."""
    tables = [f'[[groups]]\nname = "{group}"\n' for group in GROUPS]
    for group, plugins in GROUPS.items():
        tables += [
            f'[plugins.{plugin_name}]\nenabled = true\ngroup = "{group}"\n'
            for plugin_name in plugins
        ]
    tables.append("[plugins.version-burst.settings]\nlimit = 3\n")
    config_text = _CONFIG_TEMPLATE.substitute(
        url=json.dumps(site.url),
        script_name=json.dumps(site.script_name),
        api_key=json.dumps(site.api_key),
        start=site.log.next_id,
        tables="\n".join(tables),
    )
    config_path = folder / "sgevents.toml"
    config_path.write_text(config_text, encoding="utf-8")
    return config_path


def install_not_enabled(folder: Path) -> tuple[Path, Path]:
    """Create an installed package whose plugin leaves a trace when it is imported.

    Returns:
        The folder to put on Python's path, and the file that importing it would write.
    """
    packages_folder, trace_file = folder / "installed", folder / "was-imported"
    metadata_folder = packages_folder / "demo_not_enabled-1.0.dist-info"
    metadata_folder.mkdir(parents=True)
    (metadata_folder / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: demo-not-enabled\nVersion: 1.0\n"
    )
    (metadata_folder / "entry_points.txt").write_text(
        f"[sgevents.plugins]\n{NOT_ENABLED_PLUGIN} = demo_not_enabled\n"
    )
    module_code = f"import pathlib\npathlib.Path({str(trace_file)!r}).touch()\n"
    (packages_folder / "demo_not_enabled.py").write_text(module_code)
    return packages_folder, trace_file


class Studio:
    """The people, shots and tasks of the demo.

    Args:
        site: The site to create them on.
    """

    def __init__(self, site: Sandbox) -> None:
        self.site = site
        self.people = {
            login: _entity_link(site.create("HumanUser", {"name": person_name, "login": login}))
            for login, person_name in (("anna", "Anna"), ("ben", "Ben"))
        }
        self.project = _entity_link(site.create("Project", {"name": "Bunny"}))
        self.shots = {shot: self._create_shot(shot) for shot in ("BUN_010", "BUN_020")}
        self._task_ids = {
            (shot, step): self._create_task(shot, step)
            for shot in self.shots
            for step in ("animation", "lighting")
        }

    def set_task(self, login: str, shot: str, step: str, values: dict[str, Any]) -> None:
        """Change a task of a shot as a person."""
        with self.site.transaction(login) as transaction:
            transaction.update("Task", self.task_id(shot, step), values)

    def task_id(self, shot: str, step: str) -> int:
        """Return the id of a task of a shot."""
        return self._task_ids[shot, step]

    def _create_shot(self, shot: str) -> dict[str, Any]:
        values = {"project": self.project, "code": shot, "sg_status_list": "rdy"}
        return _entity_link(self.site.create("Shot", values))

    def _create_task(self, shot: str, step: str) -> int:
        values = {"content": step, "project": self.project, "entity": self.shots[shot]}
        return int(self.site.create("Task", {**values, "sg_status_list": "rdy"})["id"])


def _entity_link(record: dict[str, Any]) -> dict[str, Any]:
    return {"type": record["type"], "id": record["id"]}
