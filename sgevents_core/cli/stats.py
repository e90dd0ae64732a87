"""`sgevents stats`: calls, failures and durations per callback, and per hour."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sgevents_core.cli.new_requests import load_state_settings
from sgevents_core.cli.printing import cell, echo, echo_json, iso
from sgevents_core.cli.root import config_option
from sgevents_core.cli.tables import new_table, print_table

if TYPE_CHECKING:
    from sgevents_core.state.call_figures import CallFigure


@click.command()
@click.option("--plugin", metavar="NAME", help="Only callbacks of this plugin.")
@click.option(
    "--since",
    metavar="TIME",
    default="24h",
    show_default=True,
    help="Calls since a date, a date and time, or so long ago.",
)
@click.option("--hours", is_flag=True, help="One line for each hour and callback.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
@config_option
def stats(*, plugin: str | None, since: str, hours: bool, as_json: bool, config: Path) -> None:
    """Show how often callbacks were called, and how long they took.

    Shows calls, failures, the mean and 50, 95 and 99 % of the durations. Minutes are known for a
    day; before that, and with --hours, the figures are of whole hours, for a month. Calls that a
    person requested are not counted.
    """
    from sgevents_core.reading.figures import read_call_figures, span_for
    from sgevents_core.settings import Ago
    from sgevents_core.settings.starts import parse_moment
    from sgevents_core.state.call_figures import added_up

    settings = load_state_settings(config)
    moment, now = parse_moment(since), time.time()
    since_seconds = now - moment.seconds if isinstance(moment, Ago) else moment.timestamp()
    by_hour = hours or span_for(now - since_seconds) != 60
    figures = read_call_figures(settings.state.path, since_seconds, by_hour=by_hour)
    if by_hour and not hours:
        figures = added_up(figures)
    figures = [figure for figure in figures if plugin in {None, figure.plugin}]
    if as_json:
        callbacks = [_as_json(figure, by_hour=hours) for figure in figures]
        echo_json({"version": 1, "since": iso(since_seconds), "callbacks": callbacks})
    elif figures:
        _print_figures(figures, by_hour=hours)
    else:
        echo("No calls are recorded for this time.")


def _as_json(figure: CallFigure, *, by_hour: bool) -> dict[str, Any]:
    return {
        "plugin": figure.plugin,
        "callback": figure.callback,
        "hour_at": iso(figure.starts_at) if by_hour else None,
        "calls": figure.calls,
        "failures": figure.failures,
        "mean_s": round(figure.mean, 6),
        "p50_s": round(figure.quantile(0.5), 6),
        "p95_s": round(figure.quantile(0.95), 6),
        "p99_s": round(figure.quantile(0.99), 6),
    }


def _print_figures(figures: list[CallFigure], *, by_hour: bool) -> None:
    numbers = ("calls", "failures", "mean", "p50", "p95", "p99")
    titles = (*(["hour"] if by_hour else []), "plugin", "callback", *numbers)
    table = new_table(*titles, numbers=numbers)
    for figure in figures:
        hour_at = datetime.fromtimestamp(figure.starts_at).astimezone()
        hour_cells = [f"{hour_at:%Y-%m-%d %H:%M}"] if by_hour else []
        durations = (figure.mean, *map(figure.quantile, (0.5, 0.95, 0.99)))
        counts = (figure.calls, figure.failures)
        values = (*hour_cells, figure.plugin, figure.callback, *counts)
        table.add_row(*map(cell, (*values, *map(duration_text, durations))))
    print_table(table)


def duration_text(seconds: float) -> str:
    """Return a duration with three digits and its unit, for people."""
    if seconds >= 100:
        return f"{seconds:.0f} s"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"
