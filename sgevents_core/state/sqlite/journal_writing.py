"""Writing the journal: entries appended, moved, mended and removed, within a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from sgevents_core.state.entries import Entry, Row, TakenRow
from sgevents_core.state.sqlite.checksums import row_checksum
from sgevents_core.state.sqlite.journal_pages import (
    MOST_EVENTS,
    StoredPage,
    are_heads_whole,
    can_be_page,
    decode_page,
    encode_page,
    heads_checksum,
)
from sgevents_core.state.sqlite.journal_reading import (
    fetch_with,
    find_pages,
    ids_in_pages,
)

_ROWS_PER_STATEMENT: Final = (100, 10, 1)
_ENTRY_PLACEHOLDERS: Final = f"({', '.join('?' * 9)})"


def insert_entries(
    connection: sqlite3.Connection, first_seq: int, era: int, taken_rows: Sequence[TakenRow]
) -> None:
    """Insert rows: as pages if they are many that came in turn, otherwise each by itself.

    Raises:
        sqlite3.IntegrityError: The journal holds one of the events already.
    """
    for start in range(0, len(taken_rows), MOST_EVENTS):
        some_rows = taken_rows[start : start + MOST_EVENTS]
        if can_be_page(some_rows) and _is_free(connection, era, some_rows):
            page = encode_page(first_seq + start, era, [one.row for one in some_rows])
            connection.execute("INSERT INTO journal_pages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", page)
        else:
            _refuse_known(connection, era, some_rows)
            _insert_rows(connection, first_seq + start, era, some_rows)


def _is_free(connection: sqlite3.Connection, era: int, taken_rows: Sequence[TakenRow]) -> bool:
    """Return whether the journal has no id of an era between those of ascending rows."""
    id_range = {"era": era, "first": taken_rows[0].row.id, "last": taken_rows[-1].row.id}
    has_ids = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM journal WHERE era = :era AND event_id BETWEEN :first AND"
        " :last) OR EXISTS (SELECT 1 FROM journal_pages WHERE era = :era AND last_id >= :first AND"
        " first_id <= :last)",
        id_range,
    ).fetchone()
    return bool(has_ids == (0,))


def _refuse_known(connection: sqlite3.Connection, era: int, taken_rows: Sequence[TakenRow]) -> None:
    """Refuse rows whose events are in pages; an index refuses those that are rows."""
    known_ids = ids_in_pages(fetch_with(connection), era, [one.row.id for one in taken_rows])
    if known_ids:
        raise sqlite3.IntegrityError(f"the journal has event {known_ids[0]} already")


def _insert_rows(
    connection: sqlite3.Connection, first_seq: int, era: int, taken_rows: Sequence[TakenRow]
) -> None:
    """Insert rows, many per statement: each gives other threads the interpreter's lock."""
    for rows_at_once in _ROWS_PER_STATEMENT:
        row_count = len(taken_rows) // rows_at_once * rows_at_once
        placeholders = ", ".join([_ENTRY_PLACEHOLDERS] * rows_at_once)
        insert_statement = f"INSERT INTO journal VALUES {placeholders}"  # noqa: S608 - our own
        for batch_start in range(0, row_count, rows_at_once):
            connection.execute(
                insert_statement,
                [
                    column
                    for seq, taken_row in enumerate(
                        taken_rows[batch_start : batch_start + rows_at_once],
                        first_seq + batch_start,
                    )
                    for column in _columns_of(seq, era, taken_row)
                ],
            )
        first_seq, taken_rows = first_seq + row_count, taken_rows[row_count:]


def _columns_of(seq: int, era: int, taken_row: TakenRow) -> tuple[Any, ...]:
    row = taken_row.row
    return (
        *(seq, era, row.id, row.event_type, row.at, taken_row.late),
        *(row.body, _checksum_of_row(era, row), row.strands),
    )


def insert_moved_entries(
    connection: sqlite3.Connection, entries: Iterable[tuple[Any, ...]]
) -> None:
    """Insert entries of a journal just as another table has them, their checksums included."""
    connection.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", entries)


def mend_entries(
    connection: sqlite3.Connection, feed_era: int, mended_row: Row, seqs: Collection[int]
) -> None:
    """Replace the entries of an event by its row; of a page with one, each event becomes a row."""
    for page in find_pages(fetch_with(connection), seqs):
        _split_page(connection, page)
    for seq in seqs:
        connection.execute(
            "UPDATE journal SET event_type = ?, created_at = ?, body = ?, sum = ? WHERE seq = ?",
            (
                mended_row.event_type,
                mended_row.at,
                mended_row.body,
                _checksum_of_row(feed_era, mended_row),
                seq,
            ),
        )


def _split_page(connection: sqlite3.Connection, page: StoredPage) -> None:
    """Put rows in the place of a page."""
    connection.execute("DELETE FROM journal_pages WHERE last_seq = ?", (page.last_seq,))
    insert_moved_entries(connection, map(row_values, decode_page(page)))


def row_values(entry: Entry) -> tuple[Any, ...]:
    """Return the values that the row of an entry of a page has in the table."""
    type_bytes = entry.event_type.encode("utf-8", "surrogateescape")
    values = (entry.era, entry.event_id, type_bytes, entry.created, entry.body)
    checksum = row_checksum(*values) ^ (entry.whole is False)
    return (
        *(entry.seq, entry.era, entry.event_id, entry.event_type, entry.created),
        *(0, entry.body, checksum, entry.strands),
    )


def delete_entries(connection: sqlite3.Connection, first_kept_seq: int) -> int:
    """Remove all entries below a `seq`, and return how many.

    A page that holds it stays, and says where it begins now.
    """
    removed_rows = connection.execute("DELETE FROM journal WHERE seq < ?", (first_kept_seq,))
    (removed_in_pages,) = connection.execute(
        "SELECT coalesce(sum(min(last_seq + 1, ?1) - first_seq), 0) FROM journal_pages"
        " WHERE first_seq < ?1",
        (first_kept_seq,),
    ).fetchone()
    connection.execute("DELETE FROM journal_pages WHERE last_seq < ?", (first_kept_seq,))
    for page in find_pages(fetch_with(connection), [first_kept_seq]):
        _cut_page(connection, page, first_kept_seq)
    return int(removed_rows.rowcount) + int(removed_in_pages)


def _cut_page(connection: sqlite3.Connection, page: StoredPage, first_seq: int) -> None:
    """Let a page begin with a later event; a damaged one stays as it is."""
    if page.first_seq < first_seq and are_heads_whole(page):
        checksum = heads_checksum(page.last_seq, first_seq, page.era, page.heads)
        connection.execute(
            "UPDATE journal_pages SET first_seq = ?, sum = ? WHERE last_seq = ?",
            (first_seq, checksum, page.last_seq),
        )


def _checksum_of_row(feed_era: int, site_row: Row) -> int:
    type_bytes = site_row.event_type.encode()
    return row_checksum(feed_era, site_row.id, type_bytes, site_row.at, site_row.body)
