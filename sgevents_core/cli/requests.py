"""`sgevents requests`: people's requests, with who, when, why and the answer."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sgevents_core.cli.asking import load
from sgevents_core.cli.printing import cell, echo, echo_json, iso
from sgevents_core.cli.root import config_option
from sgevents_core.cli.tables import print_table
from sgevents_core.state.opening import open_state

if TYPE_CHECKING:
    from sgevents_core.state.requests import Asked


@click.command()
@click.option("-n", "count", type=click.IntRange(min=1), metavar="N", default=20,
              show_default=True, help="How many of the last requests to show.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
@config_option
def requests(count: int, as_json: bool, config: Path) -> None:
    """Show people's requests and the answers.

    Lists pauses, retries, replays and all other requests to the daemon, newest last.
    """

    with closing(open_state(load(config).state.path).requests()) as kept:
        found = kept.last(count)
    if as_json:
        echo_json({"version": 1, "requests": [_as_json(one) for one in found]})
    elif found:
        print_table(_table(found))
    else:
        echo("Nobody has asked for anything.")


def _as_json(one: Asked) -> dict[str, Any]:
    return {
        "number": one.number,
        "kind": one.kind,
        "plugin": one.plugin or None,
        "about": one.about or None,
        "asked_by": one.asked_by,
        "asked_at": iso(one.asked_at),
        "reason": one.reason or None,
        "outcome": one.outcome,
        "answer": one.answer or None,
        "answered_at": iso(one.answered_at),
    }


def _table(found: list[Asked]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("#", justify="right", no_wrap=True)
    for title in ("when", "who", "what", "came of it"):
        table.add_column(title, no_wrap=title != "came of it")
    for one in found:
        when = f"{datetime.fromtimestamp(one.asked_at).astimezone():%Y-%m-%d %H:%M}"
        what = " ".join(part for part in (one.kind, one.plugin, one.about) if part)
        cells = (one.number, when, one.asked_by, what, _outcome(one))
        table.add_row(*(cell(value) for value in cells))
    return table


def _outcome(one: Asked) -> str:
    """Return the answer to a request, and its reason."""
    outcome = {None: "waiting", "done": one.answer}.get(one.outcome, f"{one.outcome}: {one.answer}")
    return f"{outcome} (reason: {one.reason})" if one.reason else outcome
