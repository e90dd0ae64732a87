"""Folders of classic plugins, and configurations that name them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from sgevents_core.classic.finding import find_plugins
from sgevents_core.plugins.loading import Loaded, load
from sgevents_core.settings import Settings, read_settings

NOTING = """
import os

def registerCallbacks(reg):
    reg.registerCallback("studio", "studio-demo-key", note, {match}, {args}, {stop})

def note(sg, logger, event, args):
    with open({calls!r}, "a") as calls:
        calls.write("%s {name} note 1\\n" % event["id"])
    {deed}
"""


class ClassicStudio:
    """A studio's folders of classic plugins, below one folder.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls.txt"

    def write(self, name: str, text: str) -> Path:
        """Write a file, `studio/notify.py`; return its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def write_noting(
        self,
        name: str,
        *,
        match: str = "None",
        args: str = "None",
        stop: bool = True,
        deed: str = "pass",
    ) -> Path:
        """Write a plugin that records its calls as `RunningDaemon` reads them, then acts."""
        shown = f"classic:{name.removesuffix('.py')}"
        text = NOTING.format(
            calls=str(self.calls), name=shown, match=match, args=args, stop=stop, deed=deed
        )
        return self.write(name, text)

    def settings(self, *folders: str, tables: str = "") -> Settings:
        """Return the settings of a configuration that names folders."""
        return read_settings(config_text(folders, tables), self.folder / "sgevents.toml")

    def load(self, *folders: str, tables: str = "") -> Loaded:
        """Load the plugins of folders."""
        settings = self.settings(*folders, tables=tables)
        return load(settings, find_plugins(settings))


def config_text(folders: Sequence[str], tables: str = "", url: str = "http://127.0.0.1:1") -> str:
    """Return a configuration that names folders of classic plugins."""
    site = f'[site]\nurl = "{url}"\nscript_name = "s"\napi_key = "demo-key"\n'
    return site + paths_text(folders) + textwrap.dedent(tables)


def paths_text(folders: Sequence[str]) -> str:
    """Return the tables that name folders of classic plugins."""
    return "".join(f'[[classic.paths]]\npath = "{folder}"\n' for folder in folders)
