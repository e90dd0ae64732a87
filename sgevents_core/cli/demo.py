"""The command `sgevents demo`: a day in a studio, with a sandbox, the daemon and real plugins."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import click

from sgevents_core.cli._demo_daemon import DemoDaemon
from sgevents_core.cli._demo_day import Day
from sgevents_core.cli._demo_promises import judge_promises
from sgevents_core.cli._demo_screen import Screen
from sgevents_core.cli._demo_studio import PLUGIN_NAMES, Studio, install_not_enabled, write_config
from sgevents_core.errors import DemoPluginsMissingError
from sgevents_core.plugins.discovery import discover
from sgevents_core.sandbox import Sandbox

PAUSE: Final = 0.7
"""Seconds between two scenes, for the reader."""

ABOUT: Final = (
    "A site that stands in for yours, the daemon, and five plugins installed with pip. Each line is"
    " an event: which plugins got it, in which order, and how long after it became visible."
)


@click.command()
@click.option("--keep", is_flag=True, help="Leave it running at the end, to play with.")
@click.option("--fast", is_flag=True, help="Do not pause for the reader.")
def demo(*, keep: bool, fast: bool) -> None:
    """Show in a few seconds what sgevents does and promises.

    Starts a sandbox site and the daemon with the example plugins, and plays a day in a studio.
    Exits with 1 if a promise did not hold.
    """
    missing = [name for name in PLUGIN_NAMES if name not in discover().found]
    if missing:
        raise DemoPluginsMissingError(missing=", ".join(missing))
    folder = Path(tempfile.mkdtemp(prefix="sgevents-demo-"))
    try:
        with _ends_in_order(), Sandbox(project=False) as site, Screen() as screen:
            held = play(site, screen, folder, pause=0.0 if fast else PAUSE, keep=keep)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if held else 1)


@contextmanager
def _ends_in_order() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as Ctrl-C while the block lasts, so that no daemon is left."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def play(site: Sandbox, screen: Screen, folder: Path, *, pause: float, keep: bool) -> bool:
    """Play the day and judge the promises; return whether every one held.

    Args:
        site: The site to play on; empty.
        screen: The screen to print to.
        folder: The folder for the configuration and the daemon's state.
        pause: The pause between two scenes, in seconds.
        keep: Whether to continue until a person presses Ctrl-C.
    """
    studio = Studio(site)
    installed, trace = install_not_enabled(folder)
    daemon = DemoDaemon(write_config(folder, site), installed)
    day = Day(studio, daemon, screen, pause)
    screen.print_title("sgevents: a day in a studio", ABOUT)
    screen.print_columns()
    try:
        day.play_scenes()
        evidence = day.evidence()
        evidence.status = daemon.status_when_caught_up(seconds=30.0)
        evidence.was_imported = trace.exists()
        promises = list(judge_promises(evidence))
        screen.print_promises(promises)
        screen.print_complaints(daemon.complaints)
        if keep:
            with suppress(KeyboardInterrupt):
                screen.print_next_commands(next_steps(site, daemon))
                day.follow_daemon()
    finally:
        exit_code = daemon.stop()
    return exit_code == 0 and all(promise.is_held for promise in promises)


def next_steps(site: Sandbox, daemon: DemoDaemon) -> dict[str, str]:
    """Return commands to try on the running site and daemon: purpose -> command."""
    client = f"shotgun_api3.Shotgun('{site.url}', '{site.script_name}', '{site.api_key}')"
    change = "update('Task', 1, {'sg_status_list': 'ip'})"
    return {
        "Change something on the site, from another terminal": (
            f'{sys.executable} -c "import shotgun_api3; {client}.{change}"'
        ),
        "See how the daemon is": " ".join(daemon.command_line("status")),
        "See the plugins and their order": " ".join(daemon.command_line("plugins", "list")),
        "Read the configuration": str(daemon.config),
    }
