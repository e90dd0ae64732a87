"""`sgevents run`: the daemon in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from sgevents_core.cli.root import config_option


@click.command()
@config_option
@click.option("--drain", is_flag=True, help="End when everything there is was handled.")
@click.option("--strict", is_flag=True, help="Do not start unless every enabled plugin loads.")
@click.option("-v", "--verbose", is_flag=True, help="Tell of every call of a callback.")
def run(config: Path, drain: bool, strict: bool, verbose: bool) -> None:
    """Hand the site's events to the enabled plugins until stopped.

    Ctrl-C and SIGTERM finish the callback in hand and end with exit code 0. A wrong configuration
    ends with exit code 2.
    """
    from sgevents_core.daemon import Daemon, stopped_by_signals  # noqa: PLC0415 - heavy
    from sgevents_core.observe.logs import configure  # noqa: PLC0415
    from sgevents_core.settings import load_settings  # noqa: PLC0415

    settings = load_settings(config)
    configure(settings.log, verbose=verbose)
    daemon = Daemon(settings, drain=drain, strict=strict)
    with stopped_by_signals(daemon):
        remains = daemon.run()
    if drain:
        click.echo(f"{remains.waiting} id(s) still waited for")
        for name, state, reason in remains.apart:
            click.echo(f"plugin {name} is {state}: {reason}")
