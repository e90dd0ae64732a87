"""`sgevents alerts`: try out who is told of what needs a person."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sgevents_core.cli.printing import echo, echo_line, read_configuration
from sgevents_core.cli.root import config_option


@click.group()
def alerts() -> None:
    """Try out who is told when something is wrong."""


@alerts.command()
@config_option
def test(config: Path) -> None:
    """Send a test message to every address of [[alerts]].

    Heartbeat URLs are called too. No address is shown, since it holds passwords and tokens. Exits
    with 1 if one cannot be reached.
    """
    from sgevents_core.alerts.trying import try_addresses

    settings = read_configuration(config)
    if not settings.alerts:
        echo("The configuration has no [[alerts]]: nobody is told.")
        return
    has_failed = False
    for trial in try_addresses(settings):
        has_failed |= bool(trial.reason)
        outcome = f"failed: {trial.reason}" if trial.reason else "ok"
        echo_line(f"{trial.key} ({trial.scheme}://***): {outcome}")
    sys.exit(1 if has_failed else 0)
