"""`sgevents config`: what there is to say about the configuration file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sgevents_core.cli.printing import echo, read_configuration
from sgevents_core.cli.root import config_option
from sgevents_core.errors import ConfigError

if TYPE_CHECKING:
    from sgevents_core.settings.schema import Schema


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

    It knows all keys, and the own settings of the plugins that the configuration enables and that
    declare a model; those are imported. Without a configuration it knows the keys alone.
    """
    from sgevents_core.settings.schema import config_schema  # noqa: PLC0415 - not for --help

    plugins, parts = _of_plugins(config)
    text = json.dumps(config_schema(plugins, parts), indent=2, default=str) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


def _of_plugins(config: Path) -> tuple[dict[str, Schema], dict[str, Schema]]:
    """Return the schemas of the plugins' own settings, and the parts that they refer to."""
    from sgevents_core.plugins.discovery import discover  # noqa: PLC0415
    from sgevents_core.plugins.loading import models  # noqa: PLC0415
    from sgevents_core.plugins.model_schema import schema_of  # noqa: PLC0415

    plugins: dict[str, Schema] = {}
    parts: dict[str, Schema] = {}
    try:
        settings = read_configuration(config, secrets=False)
    except ConfigError as error:
        told = "so the schema knows no plugin's own settings"
        echo(f"The configuration cannot be used, {told}.\n{error}", err=True)
        return plugins, parts
    for name, model in models(settings, discover()).items():
        try:
            plugins[name], own = schema_of(name, model)
        except Exception as error:  # a type of the plugin's own that no schema describes
            text = f"{type(error).__name__}: {error}"
            echo(f"The settings of {name} are not in the schema: {text}", err=True)
        else:
            parts.update(own)
    return plugins, parts
