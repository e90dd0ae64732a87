"""`sgevents config`: the values in effect, and a schema for editors."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sgevents_core.cli.printing import (
    echo,
    echo_json,
    echo_line,
    read_configuration,
    read_for_inspection,
)
from sgevents_core.cli.root import config_option
from sgevents_core.errors import ConfigError
from sgevents_core.settings.spelling import dotted_key

if TYPE_CHECKING:
    from sgevents_core.plugins.load_watching import PluginWatch
    from sgevents_core.settings import Settings
    from sgevents_core.settings.effective import EffectiveValue, ValueSources
    from sgevents_core.settings.key_lines import KeyPath
    from sgevents_core.settings.value_kinds import Schema


@click.group()
def config() -> None:
    """Show the configuration in effect.

    Or write a schema of it for editors.
    """


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


@config.command()
@click.argument("table_name", metavar="[TABLE]", default="")
@config_option
@click.option("--changed", "is_changed_only", is_flag=True, help="Leave out defaults.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")
def show(table_name: str, config: Path, is_changed_only: bool, as_json: bool) -> None:
    """Show every value in effect, and where it comes from.

    TABLE limits it to a table and those below it: `feed`, `plugins.NAME`. Secrets are hidden.
    Imports the enabled plugins, to show their own settings with all defaults. Texts in the settings
    of other plugins are hidden too, since only a plugin's model says which of them are secret.
    """
    from sgevents_core.crashes.loading_apart import inspect_apart
    from sgevents_core.settings.effective import DEFAULT_SOURCE, ValueSources, effective_values

    settings, sources = read_for_inspection(config), ValueSources(config)
    own_by_plugin = inspect_apart(settings, partial(_own_values_by_plugin, settings, sources))
    shown_values = [
        effective_value
        for effective_value in effective_values(settings, sources, own_by_plugin)
        if _is_in_table(effective_value.key_path, table_name)
        and not (is_changed_only and effective_value.source_text == DEFAULT_SOURCE)
    ]
    if as_json:
        echo_json({"version": 1, "values": [_value_fields(value) for value in shown_values]})
    elif shown_values:
        _print_values(shown_values)
    else:
        echo_line(f"No value is set below {table_name}." if table_name else "No value is set.")


def _own_values_by_plugin(
    settings: Settings, sources: ValueSources, watch: PluginWatch
) -> dict[str, list[EffectiveValue]]:
    """Return the own settings of every plugin that can be loaded."""
    from sgevents_core.classic.finding import find_plugins
    from sgevents_core.plugins.loading import load
    from sgevents_core.settings.effective import own_values

    loaded_plugins = load(settings, find_plugins(settings), watch=watch).plugins
    return {
        plugin.name: list(
            own_values(
                plugin.settings,
                ("plugins", plugin.name, "settings"),
                sources,
                is_checked=plugin.model is not None,
            )
        )
        for plugin in loaded_plugins
    }


def _is_in_table(key_path: KeyPath, table_name: str) -> bool:
    """Return whether a key is in the table that a person names, or is that key."""
    full_key = dotted_key(key_path)
    return (
        not table_name
        or full_key == table_name
        or full_key.startswith((f"{table_name}.", f"{table_name}["))
    )


def _value_fields(effective_value: EffectiveValue) -> dict[str, str | None]:
    return {
        "key": dotted_key(effective_value.key_path),
        "value": effective_value.value_text or None,
        "source": effective_value.source_text,
    }


def _print_values(shown_values: Sequence[EffectiveValue]) -> None:
    """Print values as TOML, each with its source beside it."""
    for table_path, table_values in groupby(shown_values, lambda value: value.key_path[:-1]):
        echo()
        echo_line(f"[{dotted_key(table_path)}]")
        for effective_value in table_values:
            key_name = dotted_key(effective_value.key_path[-1:])
            value_text = effective_value.value_text or "none"
            echo_line(f"{key_name} = {value_text}  # {effective_value.source_text}")


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
