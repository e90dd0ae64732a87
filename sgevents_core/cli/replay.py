"""`sgevents replay`: pass past events to a plugin again, or show what a replay would do."""

from __future__ import annotations

import re
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sgevents_core.cli.completing import complete_plugin_name
from sgevents_core.cli.new_requests import (
    EXIT_NOT_DONE,
    NewRequest,
    load_state_settings,
    make_requests,
    request_options,
)
from sgevents_core.cli.printing import echo, read_configuration, read_without_secrets
from sgevents_core.cli.root import config_option
from sgevents_core.errors import NoSuchEvent, NothingToReplay, RangeError
from sgevents_core.printable import counted

if TYPE_CHECKING:
    from sgevents_core.settings import Settings
    from sgevents_core.state.requests import ReplayEvent


@click.command()
@click.argument("events", required=False, metavar="[EVENT|FIRST-LAST]")
@click.option(
    "--plugin",
    required=True,
    metavar="NAME",
    shell_complete=complete_plugin_name,
    help="The plugin to call for them.",
)
@click.option(
    "--since",
    metavar="TIME",
    help="Events created since a date, a date and time, or so long ago: 2026-01-31, 2h.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing, and report what would be changed.")
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
    settings = load_state_settings(config, read_configuration if dry_run else read_without_secrets)
    replayed_events = (
        _events_since(settings, since)
        if since is not None
        else _events_named(settings, str(events))
    )
    if dry_run:
        ctx.exit(_dry_run(settings, plugin, replayed_events))
    events_text = f"since {since}" if since is not None else str(events)
    new_request = NewRequest(
        kind="replay",
        plugin=plugin,
        label=plugin,
        detail={"events": events_text},
        events=replayed_events,
    )
    ctx.exit(make_requests(settings, [new_request], timeout, reason))


def _events_named(settings: Settings, given_text: str) -> list[ReplayEvent]:
    from sgevents_core.site.history import History

    range_match = re.fullmatch(r"(\d+)(?:(?:-|\.\.)(\d+))?", given_text.strip())
    if range_match is None or (range_match[2] and int(range_match[2]) < int(range_match[1])):
        raise RangeError(text=given_text)
    first_id, last_id = int(range_match[1]), int(range_match[2] or range_match[1])
    with closing(History(settings)) as history:
        events = history.between(first_id, last_id)
        if not events and first_id == last_id:
            raise NoSuchEvent(event_id=first_id)
        return events


def _events_since(settings: Settings, given_text: str) -> list[ReplayEvent]:
    from sgevents_core.settings.starts import parse_moment
    from sgevents_core.site.history import History

    with closing(History(settings)) as history:
        return history.since(parse_moment(given_text), time.time())


def _dry_run(settings: Settings, plugin: str, events: list[ReplayEvent]) -> int:
    from sgevents_core.requests.dry_run import dry_run

    dry_run_result = dry_run(settings, plugin, events, echo)
    failed_text = (
        f", {dry_run_result.failed_count} of them failed" if dry_run_result.failed_count else ""
    )
    done_text = f"{counted(len(events), 'event')}, {counted(dry_run_result.call_count, 'call')}"
    echo(f"dry run: {done_text}{failed_text}; nothing was changed")
    return EXIT_NOT_DONE if dry_run_result.failed_count else 0
