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


def table(figures: Iterable[Figure]) -> str:
    """Return figures as lines of text."""
    rows = [(one.name, f"{one.value:g} {one.unit}".strip(), one.goal) for one in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(
        f"{name:<{widths[0]}}  {value:>{widths[1]}}  {goal}".rstrip() for name, value, goal in rows
    )


def keep(number: int, taken: Mapping[str, Any], figures: Iterable[Figure]) -> None:
    """Write the figures of one benchmark into the JSON; those of others stay.

    Args:
        number: The benchmark.
        taken: When and on which machine.
        figures: Its figures.
    """
    known = json.loads(JSON.read_text()) if JSON.exists() else {}
    known[str(number)] = {"taken": taken, "figures": [one.as_json() for one in figures]}
    ordered = {key: known[key] for key in sorted(known, key=int)}
    JSON.write_text(json.dumps(ordered, indent=1) + "\n")


def write_page(titles: Mapping[int, str]) -> None:
    """Write the section of the page anew, from the JSON."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{section(titles)}{END}{after}", encoding="utf-8")


def section(titles: Mapping[int, str]) -> str:
    """Return the section of the page, from the JSON."""
    known = json.loads(JSON.read_text()) if JSON.exists() else {}
    return "\n" + "".join(
        _one(int(number), titles[int(number)], found) for number, found in known.items()
    )


def _one(number: int, title: str, found: Mapping[str, Any]) -> str:
    lines = [f"### {number}. {title}", ""]
    lines += ["| figure | median | lowest to highest | goal |", "|---|---|---|---|"]
    lines += [_row(one) for one in found["figures"]]
    taken = dict(found["taken"])
    when, load = taken.pop("date"), taken.pop("load")
    lines += [
        "",
        f"Taken on {when}, load average {load} at the beginning: {_machine(taken)}.",
        "",
        "",
    ]
    return "\n".join(lines)


def _row(figure: Mapping[str, Any]) -> str:
    takes = figure["takes"]
    spread = f"{min(takes):g} to {max(takes):g}" if len(takes) > 1 else ""
    goal = figure["goal"].replace(">=", "≥").replace("<=", "≤")
    return f"| {figure['name']} | {figure['value']:g} {figure['unit']} | {spread} | {goal} |"


def _machine(taken: Mapping[str, str]) -> str:
    return (
        f"{taken['processor']}, {taken['cores']} cores, {taken['memory']}, "
        f"{taken['system']}, Python {taken['python']}"
    )
