"""`sgevents replay`: pass past events to a plugin again, or show what that would do."""

from __future__ import annotations

import re
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sgevents_core.cli.asking import NOT_DONE, Wanted, ask, load, request_options
from sgevents_core.cli.printing import echo, read_configuration, read_without_secrets
from sgevents_core.cli.root import config_option
from sgevents_core.errors import NoSuchEvent, NothingToReplay, RangeError
from sgevents_core.printable import counted

if TYPE_CHECKING:
    from sgevents_core.settings import Settings
    from sgevents_core.state.requests import Replayed


@click.command()
@click.argument("events", required=False, metavar="[EVENT|FIRST-LAST]")
@click.option("--plugin", required=True, metavar="NAME", help="The plugin that gets them.")
@click.option(
    "--since",
    metavar="TIME",
    help="Events created since a date, a date and time, or so long ago: 2026-01-31, 2h.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing, and tell what would be changed.")
@request_options
@config_option
@click.pass_context
def replay(
    ctx: click.Context,
    *,
    events: str | None,
    plugin: str,
    since: str | None,
    dry_run: bool,
    timeout: float,
    reason: str,
    config: Path,
) -> None:
    """Call a plugin for past events again.

    Replays one event, a range of ids, or all since a moment, from the journal or, if they are
    older, from the site. Calls all callbacks of the plugin that want an event, and no other plugin.
    Nothing is appended to the journal, and no plugin's position changes. A call that fails is kept
    as a dead letter; the others continue.

    With --dry-run the plugin runs in this process: `ctx.sg` reads, and reports each write instead
    of making it; `ctx.dry_run` is true; changes to `ctx.store` are discarded. Changes elsewhere are
    up to the plugin, which can check `ctx.dry_run`.
    """
    if (events is None) == (since is None):
        raise NothingToReplay
    settings = load(config, read_configuration if dry_run else read_without_secrets)
    found = _since(settings, since) if since is not None else _named(settings, str(events))
    if dry_run:
        ctx.exit(_dry_run(settings, plugin, found))
    meant = f"since {since}" if since is not None else str(events)
    wanted = Wanted(
        kind="replay", plugin=plugin, label=plugin, detail={"events": meant}, events=found
    )
    ctx.exit(ask(settings, [wanted], timeout, reason))


def _named(settings: Settings, text: str) -> list[Replayed]:
    from sgevents_core.site.history import History

    found = re.fullmatch(r"(\d+)(?:(?:-|\.\.)(\d+))?", text.strip())
    if found is None or (found[2] and int(found[2]) < int(found[1])):
        raise RangeError(text=text)
    first, last = int(found[1]), int(found[2] or found[1])
    with closing(History(settings)) as history:
        events = history.between(first, last)
        if not events and first == last:
            raise NoSuchEvent(event_id=first)
        return events


def _since(settings: Settings, text: str) -> list[Replayed]:
    from sgevents_core.settings.starts import parse_moment
    from sgevents_core.site.history import History

    with closing(History(settings)) as history:
        return history.since(parse_moment(text), time.time())


def _dry_run(settings: Settings, plugin: str, events: list[Replayed]) -> int:
    from sgevents_core.requests.dry_run import dry_run

    ran = dry_run(settings, plugin, events, echo)
    failed = f", {ran.failed} of them failed" if ran.failed else ""
    done = f"{counted(len(events), 'event')}, {counted(ran.calls, 'call')}"
    echo(f"dry run: {done}{failed}; nothing was changed")
    return NOT_DONE if ran.failed else 0
