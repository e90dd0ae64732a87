"""`sgevents run`: the daemon in the foreground."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sgevents_core.cli.printing import echo, echo_line, read_configuration
from sgevents_core.cli.root import config_option
from sgevents_core.errors import ConfigError, NoSuchPluginError
from sgevents_core.printable import counted
from sgevents_core.settings.spelling import nearest_name

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from sgevents_core.daemon.daemon import Daemon
    from sgevents_core.daemon.restarting import CommandLine
    from sgevents_core.settings import Settings

_CONSOLE_PATIENCE: Final = 5.0
"""Seconds that the console has to end before it is killed."""


@click.command()
@config_option
@click.option("--drain", is_flag=True, help="End when everything that is there has been handled.")
@click.option("--strict", is_flag=True, help="Do not start unless every enabled plugin loads.")
@click.option("--safe-mode", is_flag=True, help="Load no plugin: only fill the journal.")
@click.option(
    "--disable", "disabled", metavar="NAME", multiple=True, help="Leave a plugin out of this run."
)
@click.option(
    "--dry-run", is_flag=True, help="Show what plugins would write, on a copy of the state."
)
@click.option("--console", is_flag=True, help="Also serve the console, in a process beside it.")
@click.option("-v", "--verbose", is_flag=True, help="Log every call of a callback.")
@click.option("--rehearse", is_flag=True, hidden=True, help="Report what would run, as JSON.")
def run(
    *,
    config: Path,
    drain: bool,
    strict: bool,
    safe_mode: bool,
    disabled: tuple[str, ...],
    dry_run: bool,
    console: bool,
    verbose: bool,
    rehearse: bool,
) -> None:
    """Pass the site's events to the enabled plugins.

    Runs until stopped: Ctrl-C and SIGTERM finish the running callback and exit with 0; SIGHUP does
    what `sgevents reload` does. A wrong configuration exits with 2.

    A plugin that is left out with --disable or --safe-mode loses nothing: it continues where it
    stopped. With --dry-run nothing at all changes, neither on the site nor in the state.
    """
    from sgevents_core.daemon.daemon import Daemon
    from sgevents_core.daemon.restarting import command_line, end_at_once

    start_command = command_line()
    settings = read_configuration(config)
    plugins = settings.plugins if safe_mode else _require_known(disabled, settings)
    if dry_run:
        _run_trial(settings, plugins, verbose=verbose, drain=drain, strict=strict)
        return
    if settings.state.url is not None and drain:
        fix = "stop one host after another instead: each gives what it has to the others"
        raise click.UsageError(f"--drain is for a state of this host alone; {fix}")
    daemon = Daemon(settings, drain=drain, strict=strict, without=plugins, started=start_command)
    if rehearse:
        _try_servers(settings)
        _rehearse(daemon, settings)
        return
    with _console_beside(config, wanted=console):
        _run_daemon(daemon, settings, verbose=verbose, drain=drain)
    while daemon.reloads:
        refusal_reason = _replace_process(start_command, config)
        daemon = Daemon(
            settings,
            drain=drain,
            strict=strict,
            without=plugins,
            started=start_command,
            refused=refusal_reason,
        )
        with _console_beside(config, wanted=console):
            _run_daemon(daemon, settings, verbose=verbose, drain=drain)
    if daemon.has_hung_threads:
        end_at_once()


@contextlib.contextmanager
def _console_beside(config: Path, *, wanted: bool) -> Iterator[None]:
    """Serve the console in a process of its own while the block lasts; it may end earlier."""
    if not wanted:
        yield
        return
    from sgevents_core.cli.console import check_installed

    check_installed()
    options = ["--config", str(config), "--with-daemon", str(os.getpid())]
    command = [sys.executable, "-m", "sgevents_core", "console", *options]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_CONSOLE_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _run_trial(
    settings: Settings, without: Container[str], *, verbose: bool, drain: bool, strict: bool
) -> None:
    """Run plugins on a copy of the state, and print their writes instead of making them."""
    from sgevents_core.daemon.daemon import Daemon
    from sgevents_core.daemon.restarting import end_at_once
    from sgevents_core.requests.trial_run import TrialServices, trial_settings

    with trial_settings(settings) as trial:
        daemon = Daemon(
            trial, drain=drain, strict=strict, without=without, services_class=TrialServices
        )
        _run_daemon(daemon, trial, verbose=verbose, drain=drain)
    if daemon.has_hung_threads:
        end_at_once()


def _replace_process(start_command: CommandLine, config: Path) -> str:
    """Replace this process with a new one; return the reason if that fails."""
    from sgevents_core.daemon.restarting import execute_anew
    from sgevents_core.settings import load_settings

    try:
        os.chdir(start_command.usable_folder())
        load_settings(
            config, secrets_required=False
        )  # it was tried before, but stopping may have taken long
        execute_anew(start_command)
    except (ConfigError, OSError) as error:
        return f"it could not be restarted: {error}"


def _run_daemon(daemon: Daemon, settings: Settings, *, verbose: bool, drain: bool) -> None:
    from sgevents_core.cli import process_end
    from sgevents_core.daemon.signals import stopped_by_signals
    from sgevents_core.observe.logs import configured_log
    from sgevents_core.observe.printed_output import PrintedOutput
    from sgevents_core.observe.redaction import Redactor
    from sgevents_core.observe.signal_mask import release_signals
    from sgevents_core.state.plain_files import make_state_folder

    redactor = Redactor.of(settings)
    printed_output = PrintedOutput(settings.log, redactor)
    with contextlib.suppress(OSError):  # before a log file creates it; errors are reported later
        make_state_folder(settings.state.path)
    open_log = partial(
        configured_log,
        settings.log,
        redactor,
        plugin_names=settings.plugins,
        log_every_call=verbose,
    )
    process_end.open_log = open_log
    try:
        with (
            printed_output.separate_log_stream(),
            open_log(),
            printed_output.captured(),
            stopped_by_signals(daemon),
        ):
            drain_result = daemon.run()
    finally:
        if not daemon.reloads:
            release_signals()
    if drain and not daemon.reloads:
        echo(f"{counted(drain_result.waiting_ids, 'id')} still waited for")
        if drain_result.waiting_batches:
            batch_text = counted(drain_result.waiting_batches, "batch", "batches")
            echo(f"{batch_text} still to be called")
        for name, plugin_state, reason in drain_result.stopped_plugins:
            echo_line(f"plugin {name} is {plugin_state}: {reason}")


def _try_servers(settings: Settings) -> None:
    """Refuse servers of `[state] url` that do not answer, or cannot keep the state."""
    if settings.state.url is not None:
        from sgevents_core.cli.servers import refuse_servers

        refuse_servers(settings)


def _rehearse(daemon: Daemon, settings: Settings) -> None:
    """Load everything that a run loads, and print the result as the last line."""
    from sgevents_core.crashes.loading_apart import inspect_apart
    from sgevents_core.daemon.rehearsal import describe_loaded
    from sgevents_core.observe.signal_mask import release_signals

    release_signals()  # this process holds nothing that must be stopped in order
    echo(inspect_apart(settings, lambda watch: describe_loaded(settings, daemon.load(watch))))


def _require_known(plugin_names: tuple[str, ...], settings: Settings) -> tuple[str, ...]:
    for name in plugin_names:
        if name not in settings.plugins:
            plugin = nearest_name(name, settings.plugins)
            name_hint = (
                f"Did you mean {plugin}?" if plugin else "`sgevents plugins list` has the names."
            )
            raise NoSuchPluginError(plugin=name, hint=name_hint)
    return plugin_names
