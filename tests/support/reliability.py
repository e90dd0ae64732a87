"""The table of faults in the documentation: its rows as tests report them, and the page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from doc_pages import DOCS

PAGE: Final = DOCS / "explanation" / "reliability.md"
GROUPS: Final = (
    "Gaps in the log",
    "Rows, clocks and copies of the log",
    "The site",
    "Failing callbacks",
    "Crashes",
    "The state",
    "At every point, and at random",
)
"""The headings of the page, in order."""
COMMAND: Final = "python3 noxfile.py -s tests -- tests/faults --write-reliability"
HEAD: Final = "| fault | what was injected | times | lost | repeated |\n|---|---|---:|---:|---|\n"


class Row(NamedTuple):
    """One fault and its outcome, as the page shows it."""

    group: str
    fault: str
    injected: str
    times: int
    lost: int
    repeated: str

    def line(self) -> str:
        """Return it as a line of the table."""
        cells = (self.fault, self.injected, f"{self.times:,}", f"{self.lost:,}", self.repeated)
        return f"| {' | '.join(cells)} |"


class Reliability:
    """Takes the rows of tests, and holds each to the page or writes them there.

    Args:
        page: The page.
        write: Whether rows are for the page, instead of the page for the rows.
    """

    def __init__(self, page: Path = PAGE, *, write: bool = False) -> None:
        self._page = page
        self._write = write
        self._reported: list[Row] = []

    def row(
        self,
        group: str,
        fault: str,
        injected: str,
        times: int,
        lost: int,
        repeated: int,
        *,
        allowed: int = 0,
        window: str = "",
    ) -> None:
        """Report one fault; fails where something was lost, or repeated beyond what is allowed.

        Args:
            group: One of `GROUPS`.
            fault: The fault's name; there is one row for it.
            injected: What was done, in a few words.
            times: How often; it must be the same in every run.
            lost: Calls that were owed and never made.
            repeated: Calls that were made although they had been noted before.
            allowed: How many of those the promise allows.
            window: What the promise allows, in words; needed where that is not 0.
        """
        assert group in GROUPS, group
        assert bool(allowed) == bool(window)
        assert "|" not in fault + injected + window
        assert lost == 0, f"{fault}: {lost} lost"
        assert repeated <= allowed, f"{fault}: {repeated} repeated, {allowed} allowed"
        row = Row(group, fault, injected, times, lost, window or "0")
        assert fault not in {known.fault for known in self._reported}, f"two rows for {fault!r}"
        self._reported.append(row)
        if not self._write:
            shown = {known.fault: known for known in rows_of(self._page.read_text("utf-8"))}
            assert shown.get(fault) == row, (
                f"{self._page.name} does not have this row: {row.line()}\nRewrite it: {COMMAND}"
            )

    def finish(self, sources: Iterable[str]) -> None:
        """Write the rows to the page, if that was asked for.

        Args:
            sources: The texts of the tests: rows that none of them names any more are dropped.
        """
        if self._write:
            texts = list(sources)
            old = rows_of(self._page.read_text("utf-8"))
            kept = [row for row in old if any(row.fault in text for text in texts)]
            self._page.write_text(
                written(self._page.read_text("utf-8"), merged(kept, self._reported)), "utf-8"
            )


def merged(old: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """Put new rows in the places of the old ones for the same faults, others behind them.

    Where there is a new one for each, theirs is the order.
    """
    before, fresh = list(old), {row.fault: row for row in new}
    if {row.fault for row in before} <= fresh.keys():
        return list(fresh.values())
    return [*(fresh.pop(row.fault, row) for row in before), *fresh.values()]


def rows_of(text: str) -> list[Row]:
    """Return the rows of a page."""
    rows: list[Row] = []
    group = ""
    for line in text.splitlines():
        if line.startswith("## "):
            group = line.removeprefix("## ")
        elif line.startswith("| ") and group in GROUPS and not line.startswith("| fault |"):
            fault, injected, times, lost, repeated = line.strip("| ").split(" | ")
            number = int(times.replace(",", "")), int(lost.replace(",", ""))
            rows.append(Row(group, fault, injected, *number, repeated))
    return rows


def written(text: str, rows: Iterable[Row]) -> str:
    """Return a page with these rows in place of its tables; what stands before them stays."""
    head = re.split(rf"^## (?:{'|'.join(map(re.escape, GROUPS))})$", text, flags=re.MULTILINE)[0]
    every = list(rows)
    parts = [head.rstrip("\n")]
    for group in GROUPS:
        lines = [row.line() for row in every if row.group == group]
        if lines:
            parts.append(f"## {group}\n\n{HEAD}" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"
