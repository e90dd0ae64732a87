"""Prints tables without breaking words: what is shown can be copied, however narrow the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def print_table(table: Table) -> None:
    """Print a table as wide as the screen, or wider where it would have to break a word.

    What is too wide is left to the terminal, which continues a line below.

    Args:
        table: At most one of its columns is without `no_wrap`: that is broken at spaces.
    """
    from rich.console import Console  # noqa: PLC0415 - slow to import, and not for --json
    from rich.measure import Measurement  # noqa: PLC0415

    console = Console(highlight=False)
    unbound = console.options.update(width=100_000)
    for column in table.columns:
        cells = [column.header, *column.cells]
        sizes = [Measurement.get(console, unbound, cell) for cell in cells]
        column.min_width = max(one.maximum if column.no_wrap else one.minimum for one in sizes)
    needed = console.measure(table, options=unbound).minimum
    console.width = max(console.width, needed)
    console.print(table, crop=False, overflow="ignore")
