"""`sgevents feed`: decide about a log that went backwards, parked rows, and odd ones."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sgevents_core.cli._status_json import set_aside_json
from sgevents_core.cli.new_requests import (
    NewRequest,
    load_state_settings,
    make_requests,
    request_options,
)
from sgevents_core.cli.printing import echo, echo_json, iso
from sgevents_core.cli.root import config_option
from sgevents_core.printable import counted
from sgevents_core.state.opening import open_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sgevents_core.state.feed_values import FeedRecord, ParkedRange, SetAside

MAX_SHOWN_RANGES = 10
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

    parse_start(start)  # raises an error if the start is not valid
    settings = load_state_settings(config)
    feed_record = _read_feed_record(settings.state.path)
    feed_era = feed_record.state.era if feed_record else 0
    request_detail = {"from": start, "era": feed_era, "force": force}
    ctx.exit(
        make_requests(
            settings,
            [NewRequest(kind="reset", plugin="", label="feed", detail=request_detail)],
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
    settings = load_state_settings(config)
    feed_record = _read_feed_record(settings.state.path)
    parked_ranges = feed_record.parked if feed_record else ()
    if decision is None:
        if as_json:
            echo_json({"version": 1, "parked": _as_json(parked_ranges)})
        else:
            echo(_parked_text(parked_ranges))
    elif feed_record is None or not parked_ranges:
        echo("feed: nothing is parked")
    else:
        parking_numbers = sorted({parked_range.number for parked_range in parked_ranges})
        request_detail = {
            "decision": decision,
            "era": feed_record.state.era,
            "numbers": parking_numbers,
        }
        new_request = NewRequest(kind="parked", plugin="", label="feed", detail=request_detail)
        ctx.exit(make_requests(settings, [new_request], timeout, reason))


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
    settings = load_state_settings(config)
    set_aside = _read_set_aside(settings.state.path)
    if decision is None:
        if as_json:
            echo_json({"version": 1, "set_aside": [set_aside_json(entry) for entry in set_aside]})
        else:
            echo(_set_aside_text(set_aside))
    elif not set_aside:
        echo("feed: nothing is set aside")
    else:
        request_detail = {"set_aside": [list(entry) for entry in set_aside]}
        new_request = NewRequest(kind="aside", plugin="", label="feed", detail=request_detail)
        ctx.exit(make_requests(settings, [new_request], timeout, reason))


def _read_set_aside(folder: Path) -> list[SetAside]:

    with closing(open_state(folder).reader()) as state:
        return state.set_aside_events()


def _set_aside_text(set_aside: Sequence[SetAside]) -> str:
    if not set_aside:
        return "Nothing is set aside."
    from sgevents_core.printable import one_line

    shown_lines = []
    for entry in set_aside:
        set_aside_at = datetime.fromtimestamp(entry.at).astimezone()
        entry_text = (
            f"event {entry.event}: {entry.reason} ({entry.where}, {set_aside_at:%Y-%m-%d %H:%M:%S})"
        )
        shown_lines.append(one_line(entry_text))
    return "\n".join([*shown_lines, "sgevents feed aside forget   removes them from this list"])


def _read_feed_record(folder: Path) -> FeedRecord | None:

    state = open_state(folder).reader()
    try:
        return state.load_feed()
    finally:
        state.close()


def _as_json(parked_ranges: Sequence[ParkedRange]) -> list[dict[str, Any]]:
    return [
        {
            "number": parking_number,
            "rows": _row_count(parking_ranges),
            "since": iso(parking_ranges[0].at),
            "ranges": [[parked_range.first, parked_range.last] for parked_range in parking_ranges],
        }
        for parking_number, parking_ranges in _ranges_by_parking(parked_ranges).items()
    ]


def _parked_text(parked_ranges: Sequence[ParkedRange]) -> str:
    if not parked_ranges:
        return "Nothing is parked."
    shown_lines = []
    for ranges in _ranges_by_parking(parked_ranges).values():
        parked_since = datetime.fromtimestamp(ranges[0].at).astimezone()
        range_texts = [_range_text(parked_range) for parked_range in ranges[:MAX_SHOWN_RANGES]]
        more_count = len(ranges) - len(range_texts)
        row_count = counted(_row_count(ranges), "row")
        shown_lines.append(f"{row_count}, parked since {parked_since:%Y-%m-%d %H:%M:%S}:")
        shown_lines.append(
            "  "
            + ", ".join(
                [
                    *range_texts,
                    *([f"and {counted(more_count, 'more range')}"] if more_count else []),
                ]
            )
        )
    return "\n".join(
        [
            *shown_lines,
            "They were older than an hour when an audit first saw them. Decide with",
            "  sgevents feed parked handle   plugins get them, as late events",
            "  sgevents feed parked drop     no plugin ever does",
        ]
    )


def _ranges_by_parking(parked_ranges: Sequence[ParkedRange]) -> dict[int, list[ParkedRange]]:
    ranges_by_parking: dict[int, list[ParkedRange]] = {}
    for parked_range in sorted(
        parked_ranges, key=lambda parked_range: (parked_range.number, parked_range.first)
    ):
        ranges_by_parking.setdefault(parked_range.number, []).append(parked_range)
    return ranges_by_parking


def _row_count(parking_ranges: Sequence[ParkedRange]) -> int:
    return sum(parked_range.last - parked_range.first + 1 for parked_range in parking_ranges)


def _range_text(parked_range: ParkedRange) -> str:
    return (
        str(parked_range.first)
        if parked_range.first == parked_range.last
        else f"{parked_range.first} to {parked_range.last}"
    )
