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
    from sgevents_core.settings.value_kinds import Schema


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

    schemas, definitions = _plugin_schemas(config)
    schema_text = json.dumps(config_schema(schemas, definitions), indent=2, default=str) + "\n"
    if output is None:
        sys.stdout.write(schema_text)
    else:
        output.write_text(schema_text, encoding="utf-8")


def _plugin_schemas(config: Path) -> tuple[dict[str, Schema], dict[str, Schema]]:
    """Return the schemas of the plugins' own settings, and the definitions they refer to."""
    from sgevents_core.crashes.loading_apart import inspect_apart

    try:
        settings = read_configuration(config, secrets_required=False)
    except ConfigError as error:
        consequence = "so the schema knows no plugin's own settings"
        echo(f"The configuration cannot be used, {consequence}.\n{error}", err=True)
        return {}, {}
    plugin_schemas, definitions, missing_reasons = inspect_apart(
        settings, partial(_described_plugins, settings)
    )
    for name, reason in missing_reasons.items():
        echo_line(f"The settings of {name} are not in the schema: {reason}", err=True)
    return plugin_schemas, definitions


def _described_plugins(
    settings: Settings, watch: PluginWatch
) -> tuple[dict[str, Schema], dict[str, Schema], dict[str, str]]:
    """Return the schemas of the plugins' settings, their definitions, and why some are left out."""
    from sgevents_core.classic.finding import without_classic
    from sgevents_core.plugins.discovery import discover
    from sgevents_core.plugins.loading import described_models

    plugin_schemas: dict[str, Schema] = {}
    definitions: dict[str, Schema] = {}
    missing_reasons: dict[str, str] = {}
    for name, described_model in described_models(without_classic(settings), discover(), watch):
        if isinstance(described_model, str):
            missing_reasons[name] = described_model
        else:
            plugin_schemas[name] = described_model[0]
            definitions.update(described_model[1])
    return plugin_schemas, definitions, missing_reasons
