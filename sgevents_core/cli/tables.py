"""Printing tables and long lines to fit the screen, without breaking words.

Values can be copied, however narrow the screen is. A table that does not fit shows its one column
of sentences below each row. If it still does not fit, its longest names extend into the next
columns, whose cells then move to the next line; on a very narrow screen it becomes a list of
records.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

ENOUGH: Final = 40
"""The least width, in characters, for a column of sentences beside others."""
NARROW: Final = 60
"""The width of a screen, in characters, that is too narrow for columns."""
_GAP: Final = 2
_INDENT: Final = "    "
_UNLIMITED: Final = 1_000_000


def screen_width() -> int | None:
    """Return how many characters a line may have; None if the output is not a screen.

    `COLUMNS` decides if it is set, so that a width can be chosen without a screen.
    """
    if os.environ.get("COLUMNS", "").isdigit() or sys.stdout.isatty():
        return shutil.get_terminal_size().columns
    return None


def wrapped(text: str, indent: str = _INDENT) -> str:
    """Return a line broken at spaces to fit the screen, with later lines indented.

    Args:
        text: One line; without a screen it is not broken.
        indent: The beginning of the lines after the first.
    """
    width = screen_width()
    if width is None or len(text) <= width:
        return text
    return "\n".join(_broken(text, width, indent))


def print_table(table: Table) -> None:
    """Print a table so that it fits the screen, without breaking words.

    Args:
        table: At most one of its columns lacks `no_wrap`: the column of sentences.
    """
    from rich.console import Console

    width = screen_width() or _UNLIMITED
    console = Console(highlight=False, width=_UNLIMITED)
    sizes = [_size(console, column) for column in table.columns]
    sentences = next((n for n, column in enumerate(table.columns) if not column.no_wrap), None)
    around = sum(sizes) + _GAP * (len(sizes) - 1)
    if around <= width:
        _print_whole(console, table, sizes)
        return
    size = sizes[sentences] if sentences is not None else 0
    rest = around - size - (_GAP if size else 0)
    if sentences is not None and rest + _GAP + min(size, ENOUGH) <= width:
        sizes[sentences] = width - rest - _GAP
        _print_whole(console, table, sizes)
    elif sentences is not None and rest <= width:
        _print_with_sentences_below(console, table, sentences, width)
    elif width < NARROW or not _print_overhanging(console, table, sentences, width):
        _print_records(console, table, width)


def _size(console: Console, column: Column) -> int:
    from rich.measure import Measurement

    cells = [column.header, *column.cells]
    return max(Measurement.get(console, console.options, cell).maximum for cell in cells)


def _print_whole(console: Console, table: Table, sizes: Sequence[int]) -> None:
    """Print the table with columns of these sizes; sentences are broken to fit theirs."""
    right = [column.justify == "right" for column in table.columns]
    for cells, style in _rows(table):
        parts = [_fitted(cell, size) for cell, size in zip(cells, sizes, strict=True)]
        for number in range(max(map(len, parts))):
            texts = [part[number] if number < len(part) else "" for part in parts]
            line = _line(texts, cells, sizes, right)
            console.print(line, style=style, soft_wrap=True)


def _fitted(cell: Text, size: int) -> list[str]:
    return [cell.plain] if len(cell.plain) <= size else _broken(cell.plain, size, "")


def _line(
    texts: Sequence[str], cells: Sequence[Text], sizes: Sequence[int], right: Sequence[bool]
) -> Text:
    """Return one line of a table: the texts of its columns, each in the style of its cell."""
    from rich.cells import cell_len
    from rich.text import Text

    line = Text()
    for text, cell, size, is_right in zip(texts, cells, sizes, right, strict=True):
        space = " " * (size - cell_len(text))
        line.append(space if is_right else "").append(text, cell.style)
        line.append("" if is_right else space).append(" " * _GAP)
    line.rstrip()
    return line


def _print_with_sentences_below(console: Console, table: Table, sentences: int, width: int) -> None:
    kept = [number for number in range(len(table.columns)) if number != sentences]
    sizes = [_size(console, table.columns[number]) for number in kept]
    rows = _rows(table)
    right = [table.columns[number].justify == "right" for number in kept]
    for number, (cells, style) in enumerate(rows):
        fixed = [cells[one] for one in kept]
        line = _line([cell.plain for cell in fixed], fixed, sizes, right)
        console.print(line, style=style, soft_wrap=True)
        if number and cells[sentences].plain:
            _print_below(console, cells[sentences], style, width)


def _print_overhanging(console: Console, table: Table, sentences: int | None, width: int) -> bool:
    """Print with columns narrower than their longest cells; return False if that does not fit.

    Cells after one that is too long for its column begin on the next line.
    """
    kept = [number for number in range(len(table.columns)) if number != sentences]
    rows = [([cells[one] for one in kept], cells, style) for cells, style in _rows(table)]
    sizes = _narrowed(
        [_size(console, table.columns[number]) for number in kept],
        [len(str(table.columns[number].header)) for number in kept],
        width,
    )
    begins = [sum(sizes[:number]) + _GAP * number for number in range(len(kept))]
    if any(
        b + len(cell) > width for fixed, _, _ in rows for b, cell in zip(begins, fixed, strict=True)
    ):
        return False
    right = [table.columns[number].justify == "right" for number in kept]
    for number, (fixed, cells, style) in enumerate(rows):
        for first, end in _lines_of(fixed, sizes):
            texts = ["" if at < first else cell.plain for at, cell in enumerate(fixed[:end])]
            line = _line(texts, fixed[:end], sizes[:end], right[:end])
            console.print(line, style=style, soft_wrap=True)
        if number and sentences is not None and cells[sentences].plain:
            _print_below(console, cells[sentences], style, width)
    return True


def _narrowed(sizes: list[int], least: Sequence[int], width: int) -> list[int]:
    """Return column sizes that fit: the widest are narrowed, none below its title."""
    over = sum(sizes) + _GAP * (len(sizes) - 1) - width
    while over > 0:
        room, number = max((size - least[at], at) for at, size in enumerate(sizes))
        if room <= 0:
            break
        sizes[number] -= 1
        over -= 1
    return sizes


def _lines_of(cells: Sequence[Text], sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Return the range of cells on each line of a row: the first, and the one after the last."""
    long = [at for at, cell in enumerate(cells) if len(cell.plain) > sizes[at]]
    ends = [at + 1 for at in long if at + 1 < len(cells)] + [len(cells)]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _print_below(console: Console, cell: Text, style: str, width: int) -> None:
    text = "\n".join(_broken(f"{_INDENT}{cell.plain}", width, _INDENT))
    console.print(type(cell)(text, cell.style), style=style, soft_wrap=True)


def _print_records(console: Console, table: Table, width: int) -> None:
    """Print each row as lines of title and value, with a blank line between rows."""
    from rich.text import Text

    (titles, _), *rows = _rows(table)
    size = max(len(title.plain) for title in titles)
    for number, (cells, style) in enumerate(rows):
        if number:
            console.print()
        for title, cell in zip(titles, cells, strict=True):
            if cell.plain:
                begin = title.plain.ljust(size + _GAP)
                lines = _broken(f"{begin}{cell.plain}", width, " " * len(begin))
                text = Text("\n".join(lines), cell.style)
                text.stylize("bold", 0, len(title.plain))
                console.print(text, style=style, soft_wrap=True)


def _rows(table: Table) -> list[tuple[list[Text], str]]:
    """Return the rows of a table with their styles, titles first."""
    from rich.text import Text

    columns = [[Text(str(column.header), "bold"), *column.cells] for column in table.columns]
    rows = [[_text(cell) for cell in row] for row in zip(*columns, strict=True)]
    return [(row, str(style or "")) for row, style in zip(rows, _styles(table), strict=True)]


def _styles(table: Table) -> list[object]:
    return ["", *(row.style for row in table.rows)]


def _text(cell: object) -> Text:
    from rich.text import Text

    return cell if isinstance(cell, Text) else Text(str(cell))


def _broken(text: str, width: int, indent: str) -> list[str]:
    """Return a text in lines of a width, broken only at spaces; a longer word has its own line."""
    lead = text[: len(text) - len(text.lstrip(" "))]
    return textwrap.wrap(
        text.lstrip(" "),
        max(width, 1),
        initial_indent=lead,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]
