"""The setting of the demo: the studio on the site, the configuration, a plugin left disabled."""

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

PLUGINS: Final = tuple(plugin for plugins in GROUPS.values() for plugin in plugins)
"""The plugins in call order."""

NOT_ENABLED: Final = "not-enabled"

_CONFIG: Final = Template("""\
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
        tables += [f'[plugins.{name}]\nenabled = true\ngroup = "{group}"\n' for name in plugins]
    tables.append("[plugins.version-burst.settings]\nlimit = 3\n")
    text = _CONFIG.substitute(
        url=json.dumps(site.url),
        script_name=json.dumps(site.script_name),
        api_key=json.dumps(site.api_key),
        start=site.log.next_id,
        tables="\n".join(tables),
    )
    config = folder / "sgevents.toml"
    config.write_text(text, encoding="utf-8")
    return config


def install_not_enabled(folder: Path) -> tuple[Path, Path]:
    """Create an installed package whose plugin leaves a trace when it is imported.

    Returns:
        The folder to put on Python's path, and the file that importing it would write.
    """
    place, trace = folder / "installed", folder / "was-imported"
    about = place / "demo_not_enabled-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: demo-not-enabled\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        f"[sgevents.plugins]\n{NOT_ENABLED} = demo_not_enabled\n"
    )
    code = f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n"
    (place / "demo_not_enabled.py").write_text(code)
    return place, trace


class Studio:
    """The people, shots and tasks of the demo.

    Args:
        site: The site to create them on.
    """

    def __init__(self, site: Sandbox) -> None:
        self.site = site
        self.people = {
            login: _link(site.create("HumanUser", {"name": name, "login": login}))
            for login, name in (("anna", "Anna"), ("ben", "Ben"))
        }
        self.project = _link(site.create("Project", {"name": "Bunny"}))
        self.shots = {code: self._shot(code) for code in ("BUN_010", "BUN_020")}
        self._tasks = {
            (code, step): self._task(code, step)
            for code in self.shots
            for step in ("animation", "lighting")
        }

    def set_task(self, login: str, code: str, step: str, values: dict[str, Any]) -> None:
        """Change a task of a shot as a person."""
        with self.site.transaction(login) as work:
            work.update("Task", self.task(code, step), values)

    def task(self, code: str, step: str) -> int:
        """Return the id of a task of a shot."""
        return self._tasks[code, step]

    def _shot(self, code: str) -> dict[str, Any]:
        values = {"project": self.project, "code": code, "sg_status_list": "rdy"}
        return _link(self.site.create("Shot", values))

    def _task(self, code: str, step: str) -> int:
        values = {"content": step, "project": self.project, "entity": self.shots[code]}
        return int(self.site.create("Task", {**values, "sg_status_list": "rdy"})["id"])


def _link(record: dict[str, Any]) -> dict[str, Any]:
    return {"type": record["type"], "id": record["id"]}
