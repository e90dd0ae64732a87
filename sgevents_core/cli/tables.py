"""Prints tables without breaking words: what is shown can be copied, however narrow the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.table import Table


ENOUGH: Final = 40
"""How wide a column that is broken at spaces stays, where it has so much."""


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
        whole = max(one.maximum for one in sizes)
        longest_word = max(one.minimum for one in sizes)
        column.min_width = whole if column.no_wrap else max(longest_word, min(whole, ENOUGH))
    needed = console.measure(table, options=unbound).minimum
    console.width = max(console.width, needed)
    console.print(table, crop=False, overflow="ignore")
