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

_REDACTOR: Final = "sgevents.redactor"
"""The key in click's context for the secrets known to this command line."""


def read_configuration(config: Path, *, secrets: bool = True) -> Settings:
    """Return the settings, and keep their secrets out of everything printed from now on.

    Args:
        config: The configuration file.
        secrets: Whether a missing secret is a problem. Only commands that talk to the site need its
            key.

    Raises:
        ConfigError: The file cannot be read or is not valid.
    """
    from sgevents_core.observe.redaction import Redactor
    from sgevents_core.settings import load_settings

    settings = load_settings(config, secrets_required=secrets)
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[_REDACTOR] = Redactor.of(settings)
    return settings


def read_without_secrets(config: Path) -> Settings:
    """Return the settings, as `read_configuration` does, for a command that needs no secret."""
    return read_configuration(config, secrets=False)


def read_to_look(config: Path) -> Settings:
    """Return the settings for a command that loads plugins to inspect them and calls none.

    The daemon's secrets are rarely in the shell then: an empty text replaces each missing secret in
    a plugin's own settings.

    Raises:
        ConfigError: The file cannot be read or is not valid.
    """
    from msgspec.structs import replace

    from sgevents_core.settings.secret import with_placeholders

    settings = read_without_secrets(config)
    plugins = {
        name: replace(table, settings=with_placeholders(table.settings))
        for name, table in settings.plugins.items()
    }
    return replace(settings, plugins=plugins)


def redacted(text: str) -> str:
    """Return `text` without the secrets of the configuration that this command has read."""
    redact = _redactor()
    return text if redact is None else redact(text)


def _redactor() -> Redactor | None:
    context = click.get_current_context(silent=True)
    return context.meta.get(_REDACTOR) if context is not None else None


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print lines for people.

    Args:
        text: The text; pass foreign text that must stay on its line through `one_line` first.
        err: Whether to print to standard error.
        nl: Whether to end the line.
    """
    click.echo(lines(redacted(text)), err=err, nl=nl)


def echo_line(text: str, *, err: bool = False, colour: str = "") -> None:
    """Print one line; no part of the text can begin a new one.

    On a narrow screen it is broken at spaces, and the rest is indented below.

    Args:
        text: The text.
        err: Whether to print to standard error.
        colour: The line's colour on a terminal, unless `NO_COLOR` is set; empty for none.
    """
    shown = one_line(redacted(text))
    line = wrapped(shown, _hanging(shown))
    if colour and wants_colours():
        line = click.style(line, fg=colour)
    click.echo(line, err=err)


def echo_error(text: str) -> None:
    """Print lines about an error to standard error, each broken to fit the screen.

    Args:
        text: The text.
    """
    for line in lines(redacted(text)).split("\n"):
        click.echo(wrapped(line, _hanging(line)), err=True)


def _hanging(text: str) -> str:
    """Return the indent of the lines after the first: four more than the first line's."""
    return " " * (len(text) - len(text.lstrip(" ")) + 4)


def echo_json(value: Any, *, indent: int | None = 2, nl: bool = True) -> None:
    """Print a value as JSON in ASCII, with every other character escaped once."""
    redact = _redactor()
    shown = value if redact is None else redact.in_value(value)
    click.echo(json.dumps(shown, indent=indent, default=str), nl=nl)


def without_empty(value: Any) -> Any:
    """Return a value for JSON with null for every empty text, at any depth."""
    if isinstance(value, Mapping):
        return {name: without_empty(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_empty(inner) for inner in value]
    return None if value == "" else value


def iso(at: float | None) -> str | None:
    """Return a time as used in all JSON output: ISO 8601 in UTC; None for no time.

    Args:
        at: Seconds since 1970; 0 and None mean no time.
    """
    if not at:
        return None
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds")


def cell(value: object, style: str = "") -> Text:
    """Return a value as a cell of a table or line for rich: one line, without markup."""
    from rich.text import Text

    return Text(one_line(redacted(str(value))), style=style)
