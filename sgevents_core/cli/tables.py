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
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

MINIMUM_SENTENCE_WIDTH: Final = 40
"""The least width, in characters, for a column of sentences beside others."""
NARROW_WIDTH: Final = 60
"""The width of a screen, in characters, that is too narrow for columns."""
_COLUMN_GAP: Final = 2
_CONTINUATION_INDENT: Final = "    "
_UNLIMITED_WIDTH: Final = 1_000_000


def screen_width() -> int | None:
    """Return the largest number of characters in a line; None if the output is not a screen.

    `COLUMNS` takes precedence, so that a width can be chosen without a screen.
    """
    if os.environ.get("COLUMNS", "").isdigit() or sys.stdout.isatty():
        return shutil.get_terminal_size().columns
    return None


def wrapped(text: str, indent: str = _CONTINUATION_INDENT) -> str:
    """Return a line broken at spaces to fit the screen, with later lines indented.

    Args:
        text: One line; without a screen it is not broken.
        indent: The beginning of the lines after the first.
    """
    width = screen_width()
    if width is None or len(text) <= width:
        return text
    return "\n".join(_break_line(text, width, indent))


def new_table(*titles: str, numbers: Collection[str] = (), sentences: str = "") -> Table:
    """Return an empty table with these columns.

    Args:
        titles: The titles of the columns.
        numbers: The titles of columns that are aligned right.
        sentences: The title of the one column whose cells may be broken into lines.
    """
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        justify: Literal["left", "right"] = "right" if title in numbers else "left"
        table.add_column(title, justify=justify, no_wrap=title != sentences)
    return table


def print_table(table: Table) -> None:
    """Print a table so that it fits the screen, without breaking words.

    Args:
        table: At most one of its columns lacks `no_wrap`: the column of sentences.
    """
    from rich.console import Console

    width = screen_width() or _UNLIMITED_WIDTH
    console = Console(highlight=False, width=_UNLIMITED_WIDTH)
    widths = [_column_width(console, column) for column in table.columns]
    sentence_column = next(
        (index for index, column in enumerate(table.columns) if not column.no_wrap), None
    )
    total_width = sum(widths) + _COLUMN_GAP * (len(widths) - 1)
    if total_width <= width:
        _print_whole(console, table, widths)
        return
    width_needed = widths[sentence_column] if sentence_column is not None else 0
    other_width = total_width - width_needed - (_COLUMN_GAP if width_needed else 0)
    if (
        sentence_column is not None
        and other_width + _COLUMN_GAP + min(width_needed, MINIMUM_SENTENCE_WIDTH) <= width
    ):
        widths[sentence_column] = width - other_width - _COLUMN_GAP
        _print_whole(console, table, widths)
    elif sentence_column is not None and other_width <= width:
        _print_with_sentences_below(console, table, sentence_column, width)
    elif width < NARROW_WIDTH or not _print_overhanging(console, table, sentence_column, width):
        _print_records(console, table, width)


def _column_width(console: Console, column: Column) -> int:
    from rich.measure import Measurement

    cells = [column.header, *column.cells]
    return max(Measurement.get(console, console.options, cell).maximum for cell in cells)


def _print_whole(console: Console, table: Table, widths: Sequence[int]) -> None:
    """Print the table with columns of these sizes; sentences are broken to fit theirs."""
    right_aligned = [column.justify == "right" for column in table.columns]
    for cells, style in _table_rows(table):
        cell_lines = [_fit_cell(cell, needed) for cell, needed in zip(cells, widths, strict=True)]
        for line_number in range(max(map(len, cell_lines))):
            line_texts = [
                of_cell[line_number] if line_number < len(of_cell) else "" for of_cell in cell_lines
            ]
            table_line = _table_line(line_texts, cells, widths, right_aligned)
            console.print(table_line, style=style, soft_wrap=True)


def _fit_cell(cell: Text, needed: int) -> list[str]:
    return [cell.plain] if len(cell.plain) <= needed else _break_line(cell.plain, needed, "")


def _table_line(
    line_texts: Sequence[str],
    cells: Sequence[Text],
    widths: Sequence[int],
    right_aligned: Sequence[bool],
) -> Text:
    """Return one line of a table: the texts of its columns, each in the style of its cell."""
    from rich.cells import cell_len
    from rich.text import Text

    table_line = Text()
    for text, cell, width_needed, is_right_column in zip(
        line_texts, cells, widths, right_aligned, strict=True
    ):
        padding = " " * (width_needed - cell_len(text))
        table_line.append(padding if is_right_column else "").append(text, cell.style)
        table_line.append("" if is_right_column else padding).append(" " * _COLUMN_GAP)
    table_line.rstrip()
    return table_line


def _print_with_sentences_below(
    console: Console, table: Table, sentence_column: int, width: int
) -> None:
    kept_columns = [number for number in range(len(table.columns)) if number != sentence_column]
    widths = [_column_width(console, table.columns[line_number]) for line_number in kept_columns]
    rows = _table_rows(table)
    aligned = [table.columns[line_number].justify == "right" for line_number in kept_columns]
    for line_number, (cells, style) in enumerate(rows):
        kept_cells = [cells[column] for column in kept_columns]
        table_line = _table_line([cell.plain for cell in kept_cells], kept_cells, widths, aligned)
        console.print(table_line, style=style, soft_wrap=True)
        if line_number and cells[sentence_column].plain:
            _print_below(console, cells[sentence_column], style, width)


def _print_overhanging(
    console: Console, table: Table, sentence_column: int | None, width: int
) -> bool:
    """Print with columns narrower than their longest cells; return False if that does not fit.

    Cells after one that is too long for its column begin on the next line.
    """
    columns = [number for number in range(len(table.columns)) if number != sentence_column]
    rows = [
        ([cells[column] for column in columns], cells, style) for cells, style in _table_rows(table)
    ]
    widths = _narrow_columns(
        [_column_width(console, table.columns[line_number]) for line_number in columns],
        [len(str(table.columns[line_number].header)) for line_number in columns],
        width,
    )
    column_starts = [
        sum(widths[:line_number]) + _COLUMN_GAP * line_number for line_number in range(len(columns))
    ]
    if any(
        b + len(cell) > width
        for kept_cells, _, _ in rows
        for b, cell in zip(column_starts, kept_cells, strict=True)
    ):
        return False
    right_aligned = [table.columns[line_number].justify == "right" for line_number in columns]
    for line_number, (kept_cells, cells, style) in enumerate(rows):
        for first_cell, end_cell in _cell_ranges(kept_cells, widths):
            line_texts = [
                "" if cell_index < first_cell else cell.plain
                for cell_index, cell in enumerate(kept_cells[:end_cell])
            ]
            table_line = _table_line(
                line_texts, kept_cells[:end_cell], widths[:end_cell], right_aligned[:end_cell]
            )
            console.print(table_line, style=style, soft_wrap=True)
        if line_number and sentence_column is not None and cells[sentence_column].plain:
            _print_below(console, cells[sentence_column], style, width)
    return True


def _narrow_columns(widths: list[int], minimum_widths: Sequence[int], width: int) -> list[int]:
    """Return column sizes that fit: the widest are narrowed, none below its title."""
    excess_width = sum(widths) + _COLUMN_GAP * (len(widths) - 1) - width
    while excess_width > 0:
        spare_width, widest_column = max(
            (width_needed - minimum_widths[cell_index], cell_index)
            for cell_index, width_needed in enumerate(widths)
        )
        if spare_width <= 0:
            break
        widths[widest_column] -= 1
        excess_width -= 1
    return widths


def _cell_ranges(cells: Sequence[Text], widths: Sequence[int]) -> list[tuple[int, int]]:
    """Return the range of cells on each line of a row: the first, and the one after the last."""
    overlong_cells = [index for index, cell in enumerate(cells) if len(cell.plain) > widths[index]]
    line_ends = [cell_index + 1 for cell_index in overlong_cells if cell_index + 1 < len(cells)] + [
        len(cells)
    ]
    return list(zip([0, *line_ends[:-1]], line_ends, strict=True))


def _print_below(console: Console, cell: Text, style: str, width: int) -> None:
    text = "\n".join(
        _break_line(f"{_CONTINUATION_INDENT}{cell.plain}", width, _CONTINUATION_INDENT)
    )
    console.print(type(cell)(text, cell.style), style=style, soft_wrap=True)


def _print_records(console: Console, table: Table, width: int) -> None:
    """Print each row as lines of title and value, with a blank line between rows."""
    from rich.text import Text

    (titles, _), *rows = _table_rows(table)
    width_needed = max(len(title.plain) for title in titles)
    for row_number, (cells, style) in enumerate(rows):
        if row_number:
            console.print()
        for title, cell in zip(titles, cells, strict=True):
            if cell.plain:
                title_text = title.plain.ljust(width_needed + _COLUMN_GAP)
                lines = _break_line(f"{title_text}{cell.plain}", width, " " * len(title_text))
                text = Text("\n".join(lines), cell.style)
                text.stylize("bold", 0, len(title.plain))
                console.print(text, style=style, soft_wrap=True)


def _table_rows(table: Table) -> list[tuple[list[Text], str]]:
    """Return the rows of a table with their styles, titles first."""
    from rich.text import Text

    columns = [[Text(str(column.header), "bold"), *column.cells] for column in table.columns]
    rows = [[_rich_text(cell) for cell in row] for row in zip(*columns, strict=True)]
    return [(row, str(style or "")) for row, style in zip(rows, _row_styles(table), strict=True)]


def _row_styles(table: Table) -> list[object]:
    return ["", *(row.style for row in table.rows)]


def _rich_text(cell: object) -> Text:
    from rich.text import Text

    return cell if isinstance(cell, Text) else Text(str(cell))


def _break_line(text: str, width: int, indent: str) -> list[str]:
    """Return a text in lines of a width, broken only at spaces; a longer word has its own line."""
    leading_spaces = text[: len(text) - len(text.lstrip(" "))]
    return textwrap.wrap(
        text.lstrip(" "),
        max(width, 1),
        initial_indent=leading_spaces,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]
