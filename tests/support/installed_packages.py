"""Distributions with plugins, written as pip would leave them, where Python looks for packages."""

from __future__ import annotations

import importlib
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sgevents_core.plugins.discovery import discover
from sgevents_core.plugins.loading import Loaded, load
from sgevents_core.settings import (
    GroupSettings,
    PluginSettings,
    Secret,
    Settings,
    SiteSettings,
)

NO_CONTEXT: Any = None
"""Stands for a context where callbacks ignore theirs."""


class Packages:
    """A folder of installed distributions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self,
        distribution: str,
        plugins: Mapping[str, str],
        modules: Mapping[str, str],
        *,
        version: str = "1.0",
        requires: Sequence[str] = (),
        folder: Path | None = None,
    ) -> Path:
        """Write one distribution: plugin name -> entry point, module file -> its text."""
        place = folder or self.folder
        info = place / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        headers = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
        headers += [f"Requires-Dist: {requirement}" for requirement in requires]
        (info / "METADATA").write_text("\n".join(headers) + "\n", encoding="utf-8")
        lines = ["[sgevents.plugins]", *(f"{name} = {value}" for name, value in plugins.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        for name, text in modules.items():
            file = place / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text), encoding="utf-8")
        importlib.invalidate_caches()
        return info

    def install_module(self, name: str, text: str) -> None:
        """Install a distribution with one plugin, `name`, that is the module `name`."""
        self.install(f"dist-{name}", {name: name}, {f"{name}.py": text})

    def load(
        self,
        *enabled: str,
        groups: Sequence[GroupSettings] = (),
        tables: Mapping[str, PluginSettings] | None = None,
        strict: bool = False,
    ) -> Loaded:
        """Load with the plugins `enabled`, or with `tables` as the configuration has them."""
        return load(settings_for(*enabled, groups=groups, tables=tables), discover(), strict=strict)


def settings_for(
    *enabled: str,
    groups: Sequence[GroupSettings] = (),
    tables: Mapping[str, PluginSettings] | None = None,
) -> Settings:
    """Return settings that enable plugins."""
    return Settings(
        path=Path("/nowhere/sgevents.toml"),
        site=SiteSettings(url="http://127.0.0.1:1", script_name="s", api_key=Secret("demo-key")),
        groups=tuple(groups),
        plugins={**{name: PluginSettings(enabled=True) for name in enabled}, **(tables or {})},
    )
