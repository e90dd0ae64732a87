"""Desk: a sandbox site with a shot to work on, and a way to hand its events to one plugin."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from shotgun_api3.shotgun import Shotgun

from sgevents_core import Event
from sgevents_core.plugins.discovery import discover
from sgevents_core.plugins.loading import LoadedPlugin, load
from sgevents_core.sandbox import Sandbox
from sgevents_core.settings import load_settings

EVENT_FIELDS = ["event_type", "attribute_name", "meta", "entity", "user", "project", "created_at"]


@dataclass
class Desk:
    """A site, a shot on it and one plugin.

    Args:
        site: The site.
        folder: A folder to write to.
        plugin: The plugin, once `enable` has loaded it.
    """

    site: Sandbox
    folder: Path
    plugin: LoadedPlugin | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    dry_run: bool = False

    def __post_init__(self) -> None:
        self.sg = Shotgun(self.site.url, self.site.script_name, self.site.api_key)
        self.people = {
            name: self.link("HumanUser", name=name, login=name.lower()) for name in ("Anna", "Ben")
        }
        self.project = self.link("Project", name="Bunny")
        self.shot = self.link("Shot", code="BUN_010", project=self.project, sg_status_list="wtg")
        self._read = self.site.log.next_id - 1

    def link(self, entity_type: str, **values: Any) -> dict[str, Any]:
        """Create a record as the script; returns a link to it."""
        made = self.site.create(entity_type, values)
        return {"type": entity_type, "id": made["id"]}

    def create(self, entity_type: str, login: str = "anna", **values: Any) -> dict[str, Any]:
        """Create a record in the project as a person; returns a link to it."""
        with self.site.transaction(login) as work:
            made = work.create(entity_type, {"project": self.project, **values})
        return {"type": entity_type, "id": made.id}

    def enable(self, name: str, **settings: Any) -> None:
        """Load one plugin, as the daemon does."""
        tables = "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
        config = self.folder / "sgevents.toml"
        config.write_text(
            f'[site]\nurl = "{self.site.url}"\nscript_name = "a"\napi_key = "demo-key"\n'
            f"[plugins.{name}]\nenabled = true\n[plugins.{name}.settings]\n{tables}\n"
        )
        (self.plugin,) = load(load_settings(config), discover(), strict=True).plugins
        self.settings = settings

    def catch_up(self) -> list[str]:
        """Hand the plugin all events that are new; returns the names of the callbacks called."""
        assert self.plugin is not None
        filters = [["id", "greater_than", self._read]]
        rows: Any = self.sg.find("EventLogEntry", filters, EVENT_FIELDS)
        called = []
        for row in sorted(rows, key=lambda row: row["id"]):
            event, self._read = Event(row), row["id"]
            for callback in self.plugin.callbacks:
                if callback.matches(event):
                    callback.function(event, self._context(callback.name, event))
                    called.append(callback.name.partition(":")[2])
        return called

    def read(self, record: dict[str, Any], name: str) -> Any:
        """Return a field of a record, as the site has it now."""
        found: Any = self.sg.find_one(record["type"], [["id", "is", record["id"]]], [name])
        return found[name]

    def _context(self, callback: str, event: Event) -> Any:
        name = self.plugin.name if self.plugin else ""
        return SimpleNamespace(
            sg=self.sg,
            logger=logging.getLogger(f"sgevents.plugin.{name}"),
            settings=self.settings,
            store={},
            attempt=1,
            key=f"{event.id}:{callback}",
            plugin=name,
            dry_run=self.dry_run,
        )
