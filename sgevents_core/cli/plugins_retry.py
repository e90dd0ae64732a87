"""`sgevents plugins retry`: lets the daemon try a plugin again in which the process died."""

from __future__ import annotations

from pathlib import Path

import click

from sgevents_core.cli.completing import complete_plugin_name
from sgevents_core.cli.printing import echo_line
from sgevents_core.cli.root import config_option


@click.command()
@click.argument("name", shell_complete=complete_plugin_name)
@config_option
def retry(name: str, config: Path) -> None:
    """Let the next start or reload try plugin NAME again.

    A plugin in which the process died while it was loaded is left out until its distribution, its
    files or its table in the configuration change. This command lets it be tried unchanged. Exits
    with 1 if the process did not die in it.
    """
    from sgevents_core.crashes.loading_deaths import forget_deaths
    from sgevents_core.errors import NothingToRetryError
    from sgevents_core.settings import load_settings

    settings = load_settings(config, secrets_required=False)
    if not forget_deaths(settings.state.path, name):
        raise NothingToRetryError(plugin=name)
    echo_line(f"{name} is tried again at the next start, or with: sgevents reload")
