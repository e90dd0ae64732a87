"""Printing the output of commands: secrets are removed, and foreign text is only shown as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sgevents_core.cli.tables import wrapped
from sgevents_core.printable import lines, one_line, wants_colours

if TYPE_CHECKING:
    from rich.text import Text

    from sgevents_core.observe.redaction import Redactor
    from sgevents_core.settings import Settings

_REDACTOR_KEY: Final = "sgevents.redactor"
"""The key in click's context for the secrets known to this command line."""


def read_configuration(
    config: Path, *, secrets_required: bool = True, uses_state: bool = True
) -> Settings:
    """Return the settings, and keep their secrets out of everything printed from now on.

    Args:
        config: The configuration file.
        secrets_required: Whether a missing secret is a problem. Only commands that talk to the site
            need its key.
        uses_state: Whether the state must be where the configuration says.

    Raises:
        ConfigError: The file cannot be read or is not valid.
        StateElsewhere: The state was moved, or moving it was cut off.
    """
    from sgevents_core.observe.redaction import Redactor
    from sgevents_core.settings import load_settings
    from sgevents_core.state.opening import use_state

    settings = load_settings(config, secrets_required=secrets_required)
    if uses_state:
        use_state(settings)
    click_context = click.get_current_context(silent=True)
    if click_context is not None:
        click_context.meta[_REDACTOR_KEY] = Redactor.of(settings)
    return settings


def read_without_secrets(config: Path) -> Settings:
    """Return the settings, like `read_configuration`, for a command that needs no secret."""
    return read_configuration(config, secrets_required=False)


def read_for_inspection(config: Path) -> Settings:
    """Return the settings for a command that loads plugins to inspect them and calls none.

    The daemon's secrets are rarely in the shell then: an empty text replaces each missing secret in
    a plugin's own settings.

    Raises:
        ConfigError: The file cannot be read or is not valid.
    """
    from msgspec.structs import replace

    from sgevents_core.settings.secret import with_placeholders

    settings = read_without_secrets(config)
    inspected_plugins = {
        key_name: replace(table, settings=with_placeholders(table.settings))
        for key_name, table in settings.plugins.items()
    }
    return replace(settings, plugins=inspected_plugins)


def redacted(plain_text: str) -> str:
    """Return `plain_text` without the secrets of the configuration that this command has read."""
    redactor = _current_redactor()
    return plain_text if redactor is None else redactor(plain_text)


def _current_redactor() -> Redactor | None:
    click_context = click.get_current_context(silent=True)
    return click_context.meta.get(_REDACTOR_KEY) if click_context is not None else None


def echo(plain_text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print lines for people.

    Args:
        plain_text: The text; pass foreign text that must stay on its line through `one_line` first.
        err: Whether to print to standard error.
        nl: Whether to end the line.
    """
    click.echo(lines(redacted(plain_text)), err=err, nl=nl)


def echo_line(plain_text: str, *, err: bool = False, line_colour: str = "") -> None:
    """Print one line; no part of the text can begin a new one.

    On a narrow screen, break it at spaces and indent the rest below.

    Args:
        plain_text: The text.
        err: Whether to print to standard error.
        line_colour: The line's colour on a terminal, unless `NO_COLOR` is set; empty for none.
    """
    safe_text = one_line(redacted(plain_text))
    wrapped_line = wrapped(safe_text, _hanging_indent(safe_text))
    if line_colour and wants_colours():
        wrapped_line = click.style(wrapped_line, fg=line_colour)
    click.echo(wrapped_line, err=err)


def echo_error(plain_text: str) -> None:
    """Print lines about an error to standard error, each broken to fit the screen.

    Args:
        plain_text: The text.
    """
    for error_line in lines(redacted(plain_text)).split("\n"):
        click.echo(wrapped(error_line, _hanging_indent(error_line)), err=True)


def _hanging_indent(plain_text: str) -> str:
    """Return the indent of the lines after the first: four more than the first line's."""
    return " " * (len(plain_text) - len(plain_text.lstrip(" ")) + 4)


def echo_json(json_value: Any, *, indent: int | None = 2, nl: bool = True) -> None:
    """Print a value as JSON in ASCII, with every other character escaped once."""
    redactor = _current_redactor()
    safe_text = json_value if redactor is None else redactor.in_value(json_value)
    click.echo(json.dumps(safe_text, indent=indent, default=str), nl=nl)


def without_empty(json_value: Any) -> Any:
    """Return a value for JSON with null for every empty text, at any depth."""
    if isinstance(json_value, Mapping):
        return {key_name: without_empty(value) for key_name, value in json_value.items()}
    if isinstance(json_value, list | tuple):
        return [without_empty(inner_value) for inner_value in json_value]
    return None if json_value == "" else json_value


def iso(timestamp: float | None) -> str | None:
    """Return a time as used in all JSON output: ISO 8601 in UTC; None for no time.

    Args:
        timestamp: Seconds since 1970; 0 and None mean no time.
    """
    if not timestamp:
        return None
    return datetime.fromtimestamp(timestamp, timezone.utc).isoformat(timespec="milliseconds")


def cell(json_value: object, style: str = "") -> Text:
    """Return a value as a cell of a table or line for rich: one line, without markup."""
    from rich.text import Text

    return Text(one_line(redacted(str(json_value))), style=style)
