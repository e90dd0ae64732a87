"""`sgevents status`: how far everything is, without asking the daemon or the site."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sgevents_core.cli.printing import cell, echo, echo_json, read_configuration
from sgevents_core.cli.root import config_option
from sgevents_core.cli.tables import print_table

if TYPE_CHECKING:
    from rich.text import Text

    from sgevents_core.journal.overview import FeedOverview, Overview, PluginOverview


_COLOURS: Final = {
    "paused": "red",
    "not loaded": "red",
    "not started": "red",
    "held": "yellow",
    "catching up": "yellow",
}
_MOST_NAMED: Final = 5
"""Events set aside that are named."""


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
def status(config: Path, as_json: bool) -> None:
    """Show how far everything has come, and what is wrong.

    Covers the feed and every plugin. Reads the state only: it works whether or not the daemon runs.
    """
    from sgevents_core.journal.overview import overview  # noqa: PLC0415 - heavy

    settings = read_configuration(config, secrets=False)
    enabled = frozenset(name for name, table in settings.plugins.items() if table.enabled)
    found = overview(settings.state.path, enabled)
    if as_json:
        head = {"site": settings.site.url, "state": str(settings.state.path)}
        echo_json({**head, **_as_json(found)})
    elif found is None:
        echo(f"Nothing has run on {settings.state.path} yet: start with sgevents run.")
    else:
        _show(settings.site.url, found)


def _as_json(found: Overview | None) -> dict[str, Any]:
    if found is None:
        return {"running": False, "events": 0, "feed": None, "plugins": [], "set_aside": []}
    aside = [one._asdict() for one in found.set_aside]
    return {"running": found.pid is not None, **asdict(found), "set_aside": aside}


def _show(site: str, found: Overview) -> None:
    from rich.console import Console  # noqa: PLC0415 - late, as every command pays for it

    console = Console(soft_wrap=True, highlight=False)
    running = f"running, process {found.pid} on {found.host}" if found.pid else "not running"
    console.print(cell(f"{site}: the daemon is ") + cell(running, "bold"))
    for line in _feed_lines(found.feed, found.events):
        console.print(line)
    if found.set_aside:
        console.print(_set_aside(found), style="bold red", markup=False)
    if found.plugins:
        print_table(_table(found.plugins))
    for plugin in found.plugins:
        if plugin.reason or plugin.last_error:
            console.print(cell(f"{plugin.name}: {plugin.reason or plugin.last_error}"))


def _feed_lines(feed: FeedOverview | None, events: int) -> list[Text]:
    if feed is None:
        return [cell("The site has not answered yet.")]
    lines = [
        cell(
            f"newest event {feed.newest_id}, {events} in the journal, "
            f"the site answered {_ago(feed.answered_s_ago)} ago"
        ),
        cell(f"complete up to event {feed.complete_to}{_proved(feed)}"),
    ]
    if feed.waiting:
        lines.append(cell(f"waiting for {feed.waiting} id(s) in {feed.waiting_ranges} gap(s)"))
    if feed.parked:
        lines.append(
            cell(
                f"{feed.parked} row(s) that came late are parked, events"
                f" {feed.parked_first} to {feed.parked_last}: see sgevents feed parked",
                "bold red",
            )
        )
    if feed.rewound:
        from sgevents_core.site.anchoring import WAYS_OUT  # noqa: PLC0415 - seldom

        text = f"The event log went backwards, and nothing is appended: {feed.rewound}"
        lines += [cell(text, "bold red"), cell(f"  fix: {WAYS_OUT}")]
    return lines


def _set_aside(found: Overview) -> str:
    named = ", ".join(f"event {one.event}" for one in found.set_aside[:_MOST_NAMED])
    more = len(found.set_aside) - _MOST_NAMED
    named += f" and {more} more" if more > 0 else ""
    return f"{len(found.set_aside)} event(s) are set aside: {named}; see sgevents feed aside"


def _proved(feed: FeedOverview) -> str:
    if not feed.proved_to:
        return ", not audited yet"
    at = datetime.fromtimestamp(feed.proved_at).astimezone()
    return f", proved up to {feed.proved_to} as of {at:%Y-%m-%d %H:%M:%S}"


def _table(plugins: tuple[PluginOverview, ...]) -> Any:
    from rich.table import Table  # noqa: PLC0415 - late, as every command pays for it

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("plugin", "lane", "state", "behind", "dead letters"):
        table.add_column(title, no_wrap=True)
    for plugin in plugins:
        behind = "-"
        if plugin.behind:
            behind = f"{plugin.behind} event(s), {_ago(plugin.behind_s)}"
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
