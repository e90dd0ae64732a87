"""`sgevents run`: the daemon in the foreground."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sgevents_core.cli.printing import echo, echo_line, read_configuration
from sgevents_core.cli.root import config_option
from sgevents_core.errors import ConfigError, NoSuchPluginError
from sgevents_core.printable import counted
from sgevents_core.settings.spelling import nearest_name

if TYPE_CHECKING:
    from sgevents_core.daemon.daemon import Daemon
    from sgevents_core.daemon.restarting import CommandLine
    from sgevents_core.settings import Settings


@click.command()
@config_option
@click.option("--drain", is_flag=True, help="End when everything there is was handled.")
@click.option("--strict", is_flag=True, help="Do not start unless every enabled plugin loads.")
@click.option("--safe-mode", is_flag=True, help="Load no plugin: only fill the journal.")
@click.option(
    "--disable", "disabled", metavar="NAME", multiple=True, help="Leave a plugin out of this run."
)
@click.option("-v", "--verbose", is_flag=True, help="Tell of every call of a callback.")
@click.option("--rehearse", is_flag=True, hidden=True, help="Tell what would run, as JSON.")
def run(
    *,
    config: Path,
    drain: bool,
    strict: bool,
    safe_mode: bool,
    disabled: tuple[str, ...],
    verbose: bool,
    rehearse: bool,
) -> None:
    """Pass the site's events to the enabled plugins.

    Runs until stopped: Ctrl-C and SIGTERM finish the running callback and exit with 0; SIGHUP does
    what `sgevents reload` does. A wrong configuration exits with 2.

    A plugin that is left out with --disable or --safe-mode loses nothing: it continues where it
    stopped.
    """
    from sgevents_core.daemon.daemon import Daemon
    from sgevents_core.daemon.restarting import command_line, end_at_once

    started = command_line()
    settings = read_configuration(config)
    without = settings.plugins if safe_mode else _known(disabled, settings)
    daemon = Daemon(settings, drain=drain, strict=strict, without=without, started=started)
    if rehearse:
        _rehearse(daemon, settings)
        return
    _run(daemon, settings, verbose=verbose, drain=drain)
    while daemon.reloads:
        refused = _not_replaced(started, config)
        daemon = Daemon(
            settings, drain=drain, strict=strict, without=without, started=started, refused=refused
        )
        _run(daemon, settings, verbose=verbose, drain=drain)
    if daemon.hung:
        end_at_once()


def _not_replaced(started: CommandLine, config: Path) -> str:
    """Replace this process by a new one; return the reason if that fails."""
    from sgevents_core.daemon.restarting import execute_anew
    from sgevents_core.settings import load_settings

    try:
        os.chdir(started.folder())
        load_settings(
            config, secrets_required=False
        )  # tried before, but stopping may have taken long
        execute_anew(started)
    except (ConfigError, OSError) as error:
        return f"it could not be started anew: {error}"


def _run(daemon: Daemon, settings: Settings, *, verbose: bool, drain: bool) -> None:
    from sgevents_core.cli import ends
    from sgevents_core.daemon.signals import stopped_by_signals
    from sgevents_core.observe.logs import configured_log
    from sgevents_core.observe.mask import release_signals
    from sgevents_core.observe.printed import PrintedOutput
    from sgevents_core.observe.redaction import Redactor
    from sgevents_core.state.own_files import make_folder

    redact = Redactor.of(settings)
    printed = PrintedOutput(settings.log, redact)
    with contextlib.suppress(OSError):  # reported on use; opening a log there must not create it
        make_folder(settings.state.path)
    log = partial(
        configured_log, settings.log, redact, plugin_names=settings.plugins, log_every_call=verbose
    )
    ends.log = log
    try:
        with printed.separate_log_stream(), log(), printed.captured(), stopped_by_signals(daemon):
            remains = daemon.run()
    finally:
        if not daemon.reloads:
            release_signals()
    if drain and not daemon.reloads:
        echo(f"{counted(remains.waiting, 'id')} still waited for")
        for name, state, reason in remains.apart:
            echo_line(f"plugin {name} is {state}: {reason}")


def _rehearse(daemon: Daemon, settings: Settings) -> None:
    """Load all that a run loads, and print the result as the last line."""
    from sgevents_core.crashes.loading_apart import looked_at_apart
    from sgevents_core.daemon.reload import rehearsed
    from sgevents_core.observe.mask import release_signals

    release_signals()  # nothing needs to stop in order
    echo(looked_at_apart(settings, lambda watch: rehearsed(settings, daemon.load(watch))))


def _known(names: tuple[str, ...], settings: Settings) -> tuple[str, ...]:
    for name in names:
        if name not in settings.plugins:
            meant = nearest_name(name, settings.plugins)
            hint = f"Did you mean {meant}?" if meant else "`sgevents plugins list` has the names."
            raise NoSuchPluginError(plugin=name, hint=hint)
    return names
