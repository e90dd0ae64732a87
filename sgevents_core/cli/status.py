"""`sgevents status`: the progress of everything, without asking the daemon or the site."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import click

from sgevents_core.cli._status_json import as_json_of
from sgevents_core.cli.printing import (
    cell,
    echo,
    echo_json,
    echo_line,
    read_without_secrets,
)
from sgevents_core.cli.root import config_option
from sgevents_core.cli.tables import print_table
from sgevents_core.printable import counted
from sgevents_core.state.pulse import STALE

if TYPE_CHECKING:
    from sgevents_core.reading.overview import FeedOverview, Overview, PluginOverview


_COLOURS: Final = {
    "paused": "red",
    "not loaded": "red",
    "not started": "red",
    "held": "yellow",
    "catching up": "yellow",
}


Check: TypeAlias = Literal["live", "ready"]
READY_WITHIN: Final = 60.0
"""Seconds since the site's last answer for which a daemon counts as following it."""


@click.command()
@config_option
@click.option(
    "--check",
    "checked",
    type=click.Choice(["live", "ready"]),
    help="Exit with 1 unless the daemon runs and moves (live), or also follows the site (ready).",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
def status(config: Path, checked: Check | None, as_json: bool) -> None:
    """Show how far everything has come, and what is wrong.

    Covers the daemon, the feed and every plugin: what runs, what is behind, and what needs a
    person, with the command that helps. Only reads the state, so it works whether or not the daemon
    runs.
    """
    from sgevents_core.reading.overview import overview

    settings = read_without_secrets(config)
    enabled = frozenset(name for name, table in settings.plugins.items() if table.enabled)
    found = overview(settings.state.path, enabled)
    failing = _failing(checked, found, time.time()) if checked else ""
    if as_json:
        head = {"version": 1, "site": settings.site.url, "state": str(settings.state.path)}
        echo_json({**head, **as_json_of(found, time.time())})
    elif checked:
        echo_line(failing or f"{checked}: the daemon is fine")
    elif found is None:
        echo_line(f"Nothing has run on {settings.state.path} yet: start with sgevents run.")
    else:
        _show(settings.site.url, found, time.time())
    sys.exit(1 if failing else 0)


def _failing(checked: Check, found: Overview | None, now: float) -> str:
    """Return why a daemon fails a check; empty if it passes.

    Args:
        checked: `live`: it runs and makes progress. `ready`: it also follows the site and can
            write.
        found: Its state; None if nothing has run on it.
        now: The time, in seconds since 1970.
    """
    not_live = _not_live(found, now)
    if not_live or checked == "live" or found is None:
        return not_live
    return _not_ready(found, now)


def _not_live(found: Overview | None, now: float) -> str:
    if found is None or found.pid is None:
        return "not live: no daemon runs"
    if found.pulse is None:
        return "not live: the daemon has not started its work"
    still = now - found.pulse.at
    return f"not live: the daemon has not moved for {_ago(still)}" if still > STALE else ""


def _not_ready(found: Overview, now: float) -> str:
    if found.feed is None:
        return "not ready: the site has not answered yet"
    if found.feed.rewound:
        return f"not ready: the event log went backwards: {found.feed.rewound}"
    troubles = (found.pulse.site, found.pulse.journal) if found.pulse else ()
    for trouble in troubles:
        if trouble is not None and now - trouble.since > READY_WITHIN:
            return f"not ready for {_ago(now - trouble.since)}: {trouble.error}"
    return ""


def _show(site: str, found: Overview, now: float) -> None:
    echo_line(f"{site}: the daemon is {_running(found, now)}")
    for line in (*_feed_lines(found.feed, found.events), *_call_lines(found, now)):
        echo_line(line)
    if found.plugins:
        echo()
        print_table(_table(found.plugins))
        for plugin in found.plugins:
            if plugin.reason or plugin.last_error:
                echo_line(f"{plugin.name}: {plugin.reason or plugin.last_error}")
    needs = found.needs(now)
    echo()
    echo_line("What needs a person:" if needs else "Nothing needs a person.")
    for need in needs:
        echo_line(f"- {need.text}")
        echo_line(f"  to do: {need.fix}")


def _running(found: Overview, now: float) -> str:
    if not found.pid:
        return "not running"
    text = f"running, process {found.pid} on {found.host}"
    if found.pulse is None:
        return f"{text}; it has not started its work"
    text = f"{text}, for {_ago(now - found.started)}, sgevents {found.version}"
    still = now - found.pulse.at
    return f"{text}; it has not moved for {_ago(still)}" if still > STALE else text


def _call_lines(found: Overview, now: float) -> list[str]:
    """Return a line for each running call, and for what the daemon cannot do."""
    pulse = found.pulse
    if pulse is None:
        return []
    lines = [
        f"the site has not answered for {_ago(now - trouble.since)}: {trouble.error}"
        for trouble in [pulse.site]
        if trouble
    ]
    lines += [
        f"lane {call.lane}: {call.callback} of plugin {call.plugin} has been at event "
        f"{call.event_id} for {_ago(now - call.since)}"
        for call in pulse.calls
    ]
    return lines


def _feed_lines(feed: FeedOverview | None, events: int) -> list[str]:
    if feed is None:
        return ["The site has not answered yet."]
    lines = [
        f"newest event {feed.newest_id}, {events} in the journal, "
        f"the site answered {_ago(feed.answered_s_ago)} ago",
        f"complete up to event {feed.complete_to}{_proved(feed)}",
    ]
    if feed.waiting:
        gaps = counted(feed.waiting_ranges, "gap")
        lines.append(f"waiting for {counted(feed.waiting, 'id')} in {gaps}")
    return lines


def _proved(feed: FeedOverview) -> str:
    if not feed.proved_to:
        return ", not audited yet"
    at = datetime.fromtimestamp(feed.proved_at).astimezone()
    return f", proved up to {feed.proved_to} as of {at:%Y-%m-%d %H:%M:%S}"


def _table(plugins: tuple[PluginOverview, ...]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("plugin", "lane", "state", "behind", "dead letters"):
        table.add_column(title, no_wrap=True)
    for plugin in plugins:
        behind = "-"
        if plugin.behind:
            behind = f"{counted(plugin.behind, 'event')}, {_ago(plugin.behind_s)}"
        state = plugin.state
        if plugin.retry_in_s:
            state = f"{state}, again in {_ago(plugin.retry_in_s)}"
        colour = _COLOURS.get(plugin.state, "")
        cells = (plugin.name, plugin.lane, state, behind, str(plugin.dead_letters or "-"))
        table.add_row(*(cell(one) for one in cells), style=colour)
    return table


def _ago(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
