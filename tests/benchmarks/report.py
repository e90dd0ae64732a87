"""Figures as people and programs read them: a table, JSON, and a section of the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from measuring import Figure

DOCS: Final = Path(__file__).resolve().parents[2] / "docs" / "explanation"
PAGE: Final = DOCS / "performance.md"
JSON: Final = DOCS / "performance.json"
BEGIN: Final = "<!-- figures: written by `nox -s bench` -->"
END: Final = "<!-- end of figures -->"


def format_table(figures: Iterable[Figure]) -> str:
    """Return figures as lines of text."""
    rows = [(entry.name, f"{entry.value:g} {entry.unit}".strip(), entry.goal) for entry in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(
        f"{name:<{widths[0]}}  {value:>{widths[1]}}  {goal}".rstrip() for name, value, goal in rows
    )


def store_figures(number: int, measured: Mapping[str, Any], figures: Iterable[Figure]) -> None:
    """Write the figures of one benchmark into the JSON; those of others stay.

    Args:
        number: The benchmark.
        measured: When and on which machine.
        figures: Its figures.
    """
    stored_figures = json.loads(JSON.read_text()) if JSON.exists() else {}
    stored_figures[str(number)] = {
        "taken": measured,
        "figures": [entry.to_json() for entry in figures],
    }
    sorted_figures = {key: stored_figures[key] for key in sorted(stored_figures, key=int)}
    JSON.write_text(json.dumps(sorted_figures, indent=1) + "\n")


def update_page(titles: Mapping[int, str]) -> None:
    """Write the section of the page anew, from the JSON."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{format_section(titles)}{END}{after}", encoding="utf-8")


def format_section(titles: Mapping[int, str]) -> str:
    """Return the section of the page, from the JSON."""
    stored_figures = json.loads(JSON.read_text()) if JSON.exists() else {}
    return "\n" + "".join(
        _benchmark_section(int(number), titles[int(number)], benchmark_entry)
        for number, benchmark_entry in stored_figures.items()
    )


def _benchmark_section(number: int, title: str, benchmark_entry: Mapping[str, Any]) -> str:
    lines = [f"### {number}. {title}", ""]
    lines += ["| figure | median | lowest to highest | goal |", "|---|---|---|---|"]
    lines += [_figure_row(entry) for entry in benchmark_entry["figures"]]
    measured = dict(benchmark_entry["taken"])
    when, load = measured.pop("date"), measured.pop("load")
    lines += [
        "",
        f"Taken on {when}, load average {load} at the beginning: {_machine_text(measured)}.",
        "",
        "",
    ]
    return "\n".join(lines)


def _figure_row(figure: Mapping[str, Any]) -> str:
    measurements = figure["measurements"]
    lowest, highest = min(measurements), max(measurements)
    measured_range = f"{lowest:g} to {highest:g}" if len(measurements) > 1 else ""
    goal = figure["goal"].replace(">=", "≥").replace("<=", "≤")
    median = f"{figure['value']:g} {figure['unit']}".strip()
    return f"| {figure['name']} | {median} | {measured_range} | {goal} |"


def _machine_text(measured: Mapping[str, str]) -> str:
    return (
        f"{measured['processor']}, {measured['cores']} cores, {measured['memory']}, "
        f"{measured['system']}, Python {measured['python']}"
    )
