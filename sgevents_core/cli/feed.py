"""`sgevents feed`: decide where the feed goes on after the site's event log went backwards."""

from __future__ import annotations

from pathlib import Path

import click

from sgevents_core.cli.asking import Wanted, ask, load, timeout_option
from sgevents_core.cli.root import config_option


@click.group()
def feed() -> None:
    """Decide about what follows the site's event log."""


@feed.command("reset")
@click.option(
    "--from",
    "start",
    required=True,
    metavar="now|ID|TIME",
    help="Where the log goes on: now, at the event of an id, or from a moment on: 2026-01-31T12:00"
    " or 2h ago.",
)
@click.option("--force", is_flag=True, help="Also where the log has not gone backwards.")
@timeout_option
@config_option
@click.pass_context
def reset(ctx: click.Context, start: str, force: bool, timeout: float, config: Path) -> None:
    """Follow a log that went backwards, because the site was restored, from a place on.

    sgevents status says if it did. A new era begins: ids may come again and mean other events.
    What is in the journal already is handed out first, and none of it is lost.
    """
    from sgevents_core.journal.sqlite import SqliteState  # noqa: PLC0415 - heavy
    from sgevents_core.settings.starts import start_of  # noqa: PLC0415

    start_of(start)  # raises for what is no place
    settings = load(config)
    state = SqliteState(settings.state.path, read_only=True)
    try:
        record = state.load_feed()
    finally:
        state.close()
    era = record.state.era if record else 0
    detail = {"from": start, "era": era, "force": force}
    ctx.exit(ask(settings, [Wanted(kind="reset", plugin="", label="feed", detail=detail)], timeout))
