"""`sgevents requests`: people's requests, with who, when, why and the answer."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sgevents_core.cli.new_requests import load_state_settings
from sgevents_core.cli.printing import cell, echo, echo_json, iso
from sgevents_core.cli.root import config_option
from sgevents_core.cli.tables import new_table, print_table
from sgevents_core.state.opening import open_state

if TYPE_CHECKING:
    from sgevents_core.state.requests import ShownRequest


@click.command()
@click.option("-n", "count", type=click.IntRange(min=1), metavar="N", default=20,
              show_default=True, help="How many of the last requests to show.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
@config_option
def requests(count: int, as_json: bool, config: Path) -> None:
    """Show people's requests and the answers.

    Lists pauses, retries, replays and all other requests to the daemon, newest last.
    """

    with closing(open_state(load_state_settings(config).state.path).requests()) as state_requests:
        recorded_requests = state_requests.list_latest(count)
    if as_json:
        echo_json({"version": 1, "requests": [_as_json(request) for request in recorded_requests]})
    elif recorded_requests:
        print_table(_requests_table(recorded_requests))
    else:
        echo("There are no requests.")


def _as_json(request: ShownRequest) -> dict[str, Any]:
    return {
        "number": request.number,
        "kind": request.kind,
        "plugin": request.plugin or None,
        "about": request.about or None,
        "asked_by": request.asked_by,
        "asked_at": iso(request.asked_at),
        "reason": request.reason or None,
        "outcome": request.outcome,
        "answer": request.answer or None,
        "answered_at": iso(request.answered_at),
    }


def _requests_table(recorded_requests: list[ShownRequest]) -> Any:
    titles = ("#", "when", "who", "what", "came of it")
    table = new_table(*titles, numbers=("#",), sentences="came of it")
    for request in recorded_requests:
        when = f"{datetime.fromtimestamp(request.asked_at).astimezone():%Y-%m-%d %H:%M}"
        request_text = " ".join(
            part for part in (request.kind, request.plugin, request.about) if part
        )
        cells = (request.number, when, request.asked_by, request_text, _outcome_text(request))
        table.add_row(*(cell(value) for value in cells))
    return table


def _outcome_text(request: ShownRequest) -> str:
    """Return the answer to a request, and its reason."""
    outcome_text = {None: "waiting", "done": request.answer}.get(
        request.outcome, f"{request.outcome}: {request.answer}"
    )
    return f"{outcome_text} (reason: {request.reason})" if request.reason else outcome_text
