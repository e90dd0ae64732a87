"""`sgevents feed`: decide about a log that went backwards, parked rows, and odd ones."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sgevents_core.cli._status_json import aside_json
from sgevents_core.cli.asking import Wanted, ask, load, request_options
from sgevents_core.cli.printing import echo, echo_json, iso
from sgevents_core.cli.root import config_option
from sgevents_core.printable import counted
from sgevents_core.state.opening import open_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sgevents_core.state.feed_values import FeedRecord, Parked, SetAside

SHOWN_RANGES = 10
"""The most ranges of a parking shown to people; `--json` has all."""


@click.group()
def feed() -> None:
    """Decide how the site's event log is followed."""


@feed.command("reset")
@click.option(
    "--from",
    "start",
    required=True,
    metavar="now|ID|TIME",
    help="Where to continue the log: now, at the event with an id, or from a moment on, such as"
    " 2026-01-31T12:00 or 2h ago.",
)
@click.option("--force", is_flag=True, help="Also where the log has not gone backwards.")
@request_options
@config_option
@click.pass_context
def reset(
    ctx: click.Context, *, start: str, force: bool, timeout: float, reason: str, config: Path
) -> None:
    """Follow a log that went backwards, from a chosen point.

    A log goes backwards when the site was restored; `sgevents status` says so. A new era begins, in
    which the same ids may mean other events. Events already in the journal are handled first; none
    is lost.
    """
    from sgevents_core.settings.starts import parse_start

    parse_start(start)  # raises if it is not a valid start
    settings = load(config)
    record = _record(settings.state.path)
    era = record.state.era if record else 0
    detail = {"from": start, "era": era, "force": force}
    ctx.exit(
        ask(
            settings,
            [Wanted(kind="reset", plugin="", label="feed", detail=detail)],
            timeout,
            reason,
        )
    )


@feed.command("parked")
@click.argument("decision", type=click.Choice(["handle", "drop"]), required=False)
@click.option("--json", "as_json", is_flag=True, help="Show them as JSON, for scripts.")
@request_options
@config_option
@click.pass_context
def parked(
    ctx: click.Context,
    *,
    decision: str | None,
    as_json: bool,
    timeout: float,
    reason: str,
    config: Path,
) -> None:
    """Show rows that came late by the thousand, or decide.

    Without a DECISION they are shown. `handle` passes them to the plugins as late events; `drop`
    discards them for good.
    """
    settings = load(config)
    record = _record(settings.state.path)
    found = record.parked if record else ()
    if decision is None:
        if as_json:
            echo_json({"version": 1, "parked": _as_json(found)})
        else:
            echo(_shown(found))
    elif record is None or not found:
        echo("feed: nothing is parked")
    else:
        numbers = sorted({one.number for one in found})
        detail = {"decision": decision, "era": record.state.era, "numbers": numbers}
        wanted = Wanted(kind="parked", plugin="", label="feed", detail=detail)
        ctx.exit(ask(settings, [wanted], timeout, reason))


@feed.command("aside")
@click.argument("decision", type=click.Choice(["forget"]), required=False)
@click.option("--json", "as_json", is_flag=True, help="Show them as JSON, for scripts.")
@request_options
@config_option
@click.pass_context
def aside(
    ctx: click.Context,
    *,
    decision: str | None,
    as_json: bool,
    timeout: float,
    reason: str,
    config: Path,
) -> None:
    """Show the events that are set aside, or forget them.

    An event is set aside if it cannot be stored or read; all others continue without it. `forget`
    removes the events shown now from the record; `sgevents replay` passes an event that can be read
    again to a plugin.
    """
    settings = load(config)
    found = _aside(settings.state.path)
    if decision is None:
        if as_json:
            echo_json({"version": 1, "set_aside": [aside_json(one) for one in found]})
        else:
            echo(_shown_aside(found))
    elif not found:
        echo("feed: nothing is set aside")
    else:
        detail = {"set_aside": [list(one) for one in found]}
        wanted = Wanted(kind="aside", plugin="", label="feed", detail=detail)
        ctx.exit(ask(settings, [wanted], timeout, reason))


def _aside(folder: Path) -> list[SetAside]:

    with closing(open_state(folder).reader()) as state:
        return state.aside()


def _shown_aside(found: Sequence[SetAside]) -> str:
    if not found:
        return "Nothing is set aside."
    from sgevents_core.printable import one_line

    lines = []
    for one in found:
        at = datetime.fromtimestamp(one.at).astimezone()
        text = f"event {one.event}: {one.reason} ({one.where}, {at:%Y-%m-%d %H:%M:%S})"
        lines.append(one_line(text))
    return "\n".join([*lines, "sgevents feed aside forget   removes them from this list"])


def _record(folder: Path) -> FeedRecord | None:

    state = open_state(folder).reader()
    try:
        return state.load_feed()
    finally:
        state.close()


def _as_json(found: Sequence[Parked]) -> list[dict[str, Any]]:
    return [
        {
            "number": number,
            "rows": _rows(ranges),
            "since": iso(ranges[0].at),
            "ranges": [[one.first, one.last] for one in ranges],
        }
        for number, ranges in _parkings(found).items()
    ]


def _shown(found: Sequence[Parked]) -> str:
    if not found:
        return "Nothing is parked."
    lines = []
    for ranges in _parkings(found).values():
        since = datetime.fromtimestamp(ranges[0].at).astimezone()
        named = [_named(one) for one in ranges[:SHOWN_RANGES]]
        more = len(ranges) - len(named)
        rows = counted(_rows(ranges), "row")
        lines.append(f"{rows}, parked since {since:%Y-%m-%d %H:%M:%S}:")
        lines.append(
            "  " + ", ".join([*named, *([f"and {counted(more, 'more range')}"] if more else [])])
        )
    return "\n".join(
        [
            *lines,
            "They were older than an hour when an audit first saw them. Decide with",
            "  sgevents feed parked handle   plugins get them, as late events",
            "  sgevents feed parked drop     no plugin ever does",
        ]
    )


def _parkings(found: Sequence[Parked]) -> dict[int, list[Parked]]:
    parkings: dict[int, list[Parked]] = {}
    for one in sorted(found, key=lambda one: (one.number, one.first)):
        parkings.setdefault(one.number, []).append(one)
    return parkings


def _rows(ranges: Sequence[Parked]) -> int:
    return sum(one.last - one.first + 1 for one in ranges)


def _named(one: Parked) -> str:
    return str(one.first) if one.first == one.last else f"{one.first} to {one.last}"
