"""Desk: a sandbox site with a shot to work on, and a plugin that is handed its events."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgevents_core.sandbox import Sandbox
from sgevents_core.testing import Harness


@dataclass
class Desk:
    """A site, a shot on it and one plugin.

    Args:
        site: The site.
        folder: A folder to write to.
    """

    site: Sandbox
    folder: Path

    def __post_init__(self) -> None:
        self.people = {
            name: self.link("HumanUser", name=name, login=name.lower()) for name in ("Anna", "Ben")
        }
        self.project = self.link("Project", name="Bunny")
        self.shot = self.link("Shot", code="BUN_010", project=self.project, sg_status_list="wtg")
        self.harness = Harness(site=self.site)

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
        """Enable one plugin."""
        self.harness.enable(name, settings=settings)

    def catch_up(self) -> list[str]:
        """Hand the plugin all events that are new; returns the names of the callbacks called."""
        return self.harness.catch_up().raise_errors().called

    def read(self, record: dict[str, Any], name: str) -> Any:
        """Return a field of a record, as the site has it now."""
        (found,) = self.site.find(record["type"], [["id", "is", record["id"]]], [name])
        return found[name]


def task(desk: Desk, status: str = "wtg") -> dict[str, Any]:
    """Make a task of the desk's shot."""
    return desk.create("Task", content="anim", entity=desk.shot, sg_status_list=status)


def set_status(desk: Desk, record: dict[str, Any], status: str) -> None:
    """Let Anna set the status of a record."""
    with desk.site.transaction("anna") as work:
        work.update(record["type"], record["id"], {"sg_status_list": status})


def version(desk: Desk, code: str = "v1") -> dict[str, Any]:
    """Make a version of the desk's shot, by Ben."""
    return desk.create("Version", "ben", code=code, entity=desk.shot, user=desk.people["Ben"])


def note(desk: Desk, login: str, links: list[dict[str, Any]]) -> None:
    """Let somebody write a note."""
    desk.create("Note", login, subject="Ears", note_links=links)
