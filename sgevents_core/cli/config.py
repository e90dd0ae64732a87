"""`sgevents config`: help with the configuration file."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sgevents_core.cli.printing import echo, echo_line, read_configuration
from sgevents_core.cli.root import config_option
from sgevents_core.errors import ConfigError

if TYPE_CHECKING:
    from sgevents_core.plugins.load_watching import PluginWatch
    from sgevents_core.settings import Settings
    from sgevents_core.settings.kinds import Schema


@click.group()
def config() -> None:
    """Help with the configuration file."""


@config.command()
@config_option
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write it.  [default: the terminal]",
)
def schema(config: Path, output: Path | None) -> None:
    """Write a JSON schema of the configuration, for editors.

    It covers all keys, and the settings of the enabled plugins that declare a model; these plugins
    are imported. Without a configuration it covers only the keys.
    """
    from sgevents_core.settings.json_schema import config_schema

    plugins, parts = _of_plugins(config)
    text = json.dumps(config_schema(plugins, parts), indent=2, default=str) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


def _of_plugins(config: Path) -> tuple[dict[str, Schema], dict[str, Schema]]:
    """Return the schemas of the plugins' own settings, and the definitions they refer to."""
    from sgevents_core.crashes.loading_apart import looked_at_apart

    try:
        settings = read_configuration(config, secrets=False)
    except ConfigError as error:
        told = "so the schema knows no plugin's own settings"
        echo(f"The configuration cannot be used, {told}.\n{error}", err=True)
        return {}, {}
    plugins, parts, missing = looked_at_apart(settings, partial(_described, settings))
    for name, reason in missing.items():
        echo_line(f"The settings of {name} are not in the schema: {reason}", err=True)
    return plugins, parts


def _described(
    settings: Settings, watch: PluginWatch
) -> tuple[dict[str, Schema], dict[str, Schema], dict[str, str]]:
    """Return the schemas of the plugins' settings, their definitions, and why some are left out."""
    from sgevents_core.plugins.discovery import discover
    from sgevents_core.plugins.loading import described_models

    plugins: dict[str, Schema] = {}
    parts: dict[str, Schema] = {}
    missing: dict[str, str] = {}
    for name, found in described_models(settings, discover(), watch):
        if isinstance(found, str):
            missing[name] = found
        else:
            plugins[name] = found[0]
            parts.update(found[1])
    return plugins, parts, missing
