"""Reading the journal: rows of the table `journal`, and pages beside them, in one order."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from itertools import starmap
from typing import Any, Final, TypeAlias

from sgevents_core.choices import OrderBy
from sgevents_core.errors import StateDamaged
from sgevents_core.state.entries import LATE_BY_AUDIT, Entry, IsWanted
from sgevents_core.state.requests import ReplayEvent
from sgevents_core.state.sqlite.checksums import checksum_column, row_checksum
from sgevents_core.state.sqlite.database import Database, Transaction
from sgevents_core.state.sqlite.journal_pages import (
    MOST_EVENTS,
    DamagedPageError,
    OpenPage,
    StoredPage,
    decode_page,
    read_ids,
)
from sgevents_core.state.sqlite.progress_records import STRANDS_SINCE_VERSION
from sgevents_core.state.strands import STRAND_SHIFTS, STRANDS, strand_of

Fetch: TypeAlias = Callable[..., list[tuple[Any, ...]]]
"""Returns the rows of a query: `Database.fetch_all`, or within a transaction `fetch_with`."""
JOURNAL_TABLES: Final = frozenset({"journal", "journal_pages"})
END_QUERY: Final = (
    "SELECT max(coalesce((SELECT max(seq) FROM journal), 0),"
    " coalesce((SELECT max(last_seq) FROM journal_pages), 0))"
)
"""The highest `seq`, 0 for an empty journal."""
_LOWEST_QUERY: Final = (
    "SELECT coalesce(min(seq), 1) FROM (SELECT min(seq) AS seq FROM journal UNION ALL"
    " SELECT * FROM (SELECT first_seq FROM journal_pages ORDER BY last_seq LIMIT 1))"
)
_PAGE_WITHOUT_BODIES: Final = (
    "last_seq, first_seq, era, first_id, last_id, latest_at, sum, heads, x''"
)
_ROWS_AT_ONCE: Final = 100
_NO_END: Final = 2**62


class _PageGoneError(Exception):
    """A page was removed between two queries, or replaced by rows."""


class JournalReader:
    """The entries of the journal, over a connection that serves others too.

    Args:
        database: The connection.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        has_strands = database.fetch_number("PRAGMA user_version") >= STRANDS_SINCE_VERSION
        self.strands_column: Final = "strands" if has_strands else "NULL"
        self._row_columns = (  # the type as bytes, to be cached
            "seq, event_id, CAST(event_type AS BLOB), created_at, late, body, era,"
            f" {checksum_column(database)}, {self.strands_column}"
        )
        self._last_page: tuple[tuple[int, int], OpenPage] | None = None

    def end(self) -> int:
        """Return the highest `seq`, 0 for an empty journal."""
        return self._database.fetch_number(END_QUERY)

    def lowest(self) -> int:
        """Return the lowest `seq` that is kept; the next one for an empty journal."""
        return self._database.fetch_number(_LOWEST_QUERY)

    def read(self, after: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries with a `seq` above `after`, ascending."""
        entries, _ = self._collect(lambda: self._read_pieces(after, _NO_END, limit))
        return entries

    def read_wanted(self, after: int, limit: int, is_wanted: IsWanted) -> tuple[list[Entry], int]:
        """Return those of the next `limit` entries that are wanted, and the last `seq` of all.

        A page of which none is wanted costs little more than reading what is said of its events.
        """
        entries, last_seq = self._collect(
            lambda: self._read_pieces(after, _NO_END, limit, is_wanted)
        )
        return entries, last_seq or after

    def read_strand(
        self, strand_number: int, order_by: OrderBy, *, after: int, until: int, limit: int
    ) -> list[Entry]:
        """Return up to `limit` entries of one strand with a `seq` above `after`, ascending."""
        shift, mask = STRAND_SHIFTS[order_by], STRANDS - 1
        row_condition = (  # of rows of an older version, whose strand is not stored, all
            f" AND coalesce({self.strands_column} >> {shift} & {mask}, {strand_number})"
            f" = {strand_number}"
        )

        def pieces_of_strand() -> Iterator[tuple[list[Entry], int]]:
            rest = limit
            for piece, last_seq in self._read_pieces(after, until, row_condition=row_condition):
                entries = [one for one in piece if strand_of(one, order_by) == strand_number]
                yield entries[:rest], last_seq
                rest -= len(entries)
                if rest <= 0:
                    break

        return self._collect(pieces_of_strand)[0]

    def chosen_rows(self, condition: str, values: dict[str, Any]) -> Iterator[Entry]:
        """Yield the entries that are rows of their own and meet a condition, the newest first."""
        for entry_row in self._database.fetch_each(
            f"SELECT {self._row_columns} FROM journal WHERE {condition} ORDER BY seq DESC",  # noqa: S608 - our own
            values,
        ):
            yield from build_entries([entry_row])

    def pages(
        self, condition: str, *values: Any, is_descending: bool = False
    ) -> Iterator[list[Entry]]:
        """Yield the entries of pages that meet a condition, page by page, those of each ascending.

        Args:
            condition: The condition.
            values: Its values.
            is_descending: Whether the newest page comes first.
        """
        page_rows = self._database.fetch_each(
            f"SELECT * FROM journal_pages WHERE {condition} ORDER BY last_seq"  # noqa: S608 - our own
            f"{' DESC' if is_descending else ''}",
            *values,
        )
        for page in map(self._opened, starmap(StoredPage, page_rows)):
            yield page.entries(page.first_seq, page.last_seq)

    def seq_before_event(self, event_id: int) -> int:
        """Return the `seq` below the first entry whose event id reaches a value."""
        return self._seq_before("event_id", "last_id", event_id, lambda entry: entry.event_id)

    def seq_before_time(self, created_since: int) -> int:
        """Return the `seq` below the first entry created at a time or later."""
        return self._seq_before(
            "created_at", "latest_at", created_since, lambda entry: entry.created
        )

    def _seq_before(
        self, row_column: str, page_column: str, lowest: int, value_of: Callable[[Entry], int]
    ) -> int:
        row_query = f"SELECT min(seq) FROM journal WHERE {row_column} >= ?"  # noqa: S608 - our own
        first_row = self._database.fetch_all(row_query, lowest)[0][0]
        first_seq = self.end() + 1 if first_row is None else int(first_row)
        for entries in self.pages(f"{page_column} >= ?", lowest):
            reaching = [entry.seq for entry in entries if value_of(entry) >= lowest]
            if reaching:
                return min(first_seq, reaching[0]) - 1
        return first_seq - 1

    def event_types(self, above: int) -> set[str]:
        """Return the event types of the entries above a place."""
        row_types = self._database.fetch_all(
            "SELECT DISTINCT event_type FROM journal WHERE seq > ?", above
        )
        types = {str(event_type) for (event_type,) in row_types}
        for entries in self.pages("last_seq > ?", above):
            types.update(entry.event_type for entry in entries if entry.seq > above)
        return types

    def _collect(
        self, read_pieces: Callable[[], Iterator[tuple[list[Entry], int]]]
    ) -> tuple[list[Entry], int]:
        """Return the entries of all pieces and the last `seq` of all, 0 if there is none."""
        while True:
            entries: list[Entry] = []
            last_seq = 0
            try:
                for piece, last_seq in read_pieces():  # noqa: B007 - the last one counts
                    entries += piece
            except _PageGoneError:
                continue
            return entries, last_seq

    def _read_pieces(
        self,
        after: int,
        until: int,
        limit: int = _NO_END,
        is_wanted: IsWanted | None = None,
        *,
        row_condition: str = "",
    ) -> Iterator[tuple[list[Entry], int]]:
        """Yield the entries of rows and pages in turn, ascending, each time with the last `seq`.

        A single query goes over both, since entries that are appended while two queries run could
        come between them. Only the contents of pages are read separately.

        Args:
            after: The `seq` before them.
            until: The highest `seq`.
            limit: The most entries, including those that are not wanted.
            is_wanted: Which entries are needed; None for all.
            row_condition: What else must hold of entries that are rows.
        """
        entry_rows: list[tuple[Any, ...]] = []
        for entry_row in self._database.fetch_each(
            f"SELECT {self._row_columns}, 0 FROM journal WHERE seq > ? AND seq <= ?"  # noqa: S608 - our own
            f"{row_condition} UNION ALL SELECT last_seq, NULL, NULL, NULL, NULL, NULL, NULL,"
            " sum, NULL, 1 FROM journal_pages WHERE last_seq > ? AND last_seq < ? ORDER BY 1",
            *(after, until, after, until + MOST_EVENTS),
        ):
            is_row = entry_row[-1] == 0
            if limit <= 0:
                return
            if is_row:
                entry_rows.append(entry_row)
                if len(entry_rows) < min(limit, _ROWS_AT_ONCE):
                    continue
            if entry_rows:
                yield _wanted_of(build_entries(entry_rows), is_wanted), entry_rows[-1][0]
                limit -= len(entry_rows)
                entry_rows = []
            if not is_row and limit > 0:
                page = self._open_page(entry_row[0], heads_sum=entry_row[7])
                first_seq = max(page.first_seq, after + 1)
                last_seq = min(page.last_seq, until, first_seq + limit - 1)
                yield page.entries(first_seq, last_seq, is_wanted), last_seq
                limit -= last_seq - first_seq + 1
        if entry_rows:
            yield _wanted_of(build_entries(entry_rows), is_wanted), entry_rows[-1][0]

    def _open_page(self, last_seq: int, heads_sum: int) -> OpenPage:
        """Return a page; the last one is not read again."""
        page_key = last_seq, heads_sum
        if self._last_page is None or self._last_page[0] != page_key:
            without_bodies = StoredPage(*self._fetch_page(_PAGE_WITHOUT_BODIES, page_key))
            page = self._opened(
                without_bodies, lambda: bytes(self._fetch_page("bodies", page_key)[0])
            )
            self._last_page = page_key, page
        return self._last_page[1]

    def _fetch_page(self, columns: str, page_key: tuple[int, int]) -> tuple[Any, ...]:
        """Return columns of a page, given by its last `seq` and the checksum of its heads."""
        page_rows = self._database.fetch_all(
            f"SELECT {columns} FROM journal_pages WHERE last_seq = ? AND sum = ?",  # noqa: S608 - our own
            *page_key,
        )
        if not page_rows:
            raise _PageGoneError
        return page_rows[0]

    def _opened(self, page: StoredPage, read_bodies: Callable[[], bytes] | None = None) -> OpenPage:
        """Return a page to read entries from.

        Raises:
            StateDamaged: None of its events can be found.
        """
        try:
            return OpenPage(page, read_bodies)
        except DamagedPageError as error:
            raise StateDamaged(path=str(self._database.file_path), reason=str(error)) from None


def fetch_with(connection: Transaction) -> Fetch:
    """Return what fetches the rows of a query within a transaction."""
    return lambda query, *values: connection.execute(query, values).fetchall()


def find_event(fetch: Fetch, era: int, event_id: int) -> ReplayEvent | None:
    """Return an event of an era; None if the journal does not hold it."""
    event_rows = fetch(
        "SELECT era, seq, event_id, body FROM journal WHERE era = ? AND event_id = ?", era, event_id
    )
    if event_rows:
        return ReplayEvent(*event_rows[0])
    for page in _page_reaching(fetch, era, event_id):
        for entry in _readable_entries(page):
            if entry.event_id == event_id:
                return ReplayEvent(entry.era, entry.seq, event_id, entry.body)
    return None


def find_entry(fetch: Fetch, seq: int) -> ReplayEvent | None:
    """Return the event at a place of the journal; None if it does not hold it."""
    event_rows = fetch("SELECT era, seq, event_id, body FROM journal WHERE seq = ?", seq)
    if event_rows:
        return ReplayEvent(*event_rows[0])
    for page in find_pages(fetch, [seq]):
        for entry in _readable_entries(page):
            if entry.seq == seq:
                return ReplayEvent(entry.era, seq, entry.event_id, entry.body)
    return None


def find_pages(fetch: Fetch, seqs: Collection[int]) -> list[StoredPage]:
    """Return the pages that hold places of the journal, each once."""
    pages: dict[int, StoredPage] = {}
    for seq in seqs:
        page_rows = fetch(
            "SELECT * FROM journal_pages WHERE last_seq >= ? ORDER BY last_seq LIMIT 1", seq
        )
        for page in starmap(StoredPage, page_rows):
            if page.first_seq <= seq:
                pages[page.last_seq] = page
    return list(pages.values())


def known_event_ids(fetch: Fetch, era: int, event_ids: Collection[int]) -> list[int]:
    """Return those of some ids whose events of an era the journal holds."""
    id_rows = fetch(
        "SELECT event_id FROM journal WHERE era = ?"
        " AND event_id IN (SELECT value FROM json_each(?))",
        era,
        json.dumps([*event_ids]),
    )
    return [int(event_id) for (event_id,) in id_rows] + ids_in_pages(fetch, era, event_ids)


def ids_in_pages(fetch: Fetch, era: int, event_ids: Collection[int]) -> list[int]:
    """Return those of some ids, ascending, whose events of an era are in pages."""
    known_ids: list[int] = []
    page_ids: set[int] = set()
    page_end = 0
    for event_id in sorted(event_ids):
        if event_id > page_end:
            page = next(iter(_page_reaching(fetch, era, event_id, _PAGE_WITHOUT_BODIES)), None)
            if page is None:
                break
            page_end, page_ids = page.last_id, set(read_ids(page))
        if event_id in page_ids:
            known_ids.append(event_id)
    return known_ids


def _page_reaching(fetch: Fetch, era: int, event_id: int, columns: str = "*") -> list[StoredPage]:
    """Return the page of an era that may hold an id; none if no page reaches it.

    Args:
        fetch: Fetches the rows of a query.
        era: The era.
        event_id: The id.
        columns: The columns to read.
    """
    page_rows = fetch(
        f"SELECT {columns} FROM journal_pages"  # noqa: S608 - our own
        " WHERE era = ? AND last_id >= ? ORDER BY last_id LIMIT 1",
        era,
        event_id,
    )
    return [*starmap(StoredPage, page_rows)]


def _readable_entries(page: StoredPage) -> list[Entry]:
    """Return the entries of a page; none if none can be found."""
    try:
        return decode_page(page)
    except DamagedPageError:
        return []


def _wanted_of(entries: list[Entry], is_wanted: IsWanted | None) -> list[Entry]:
    """Return the entries that are wanted, and those that are damaged."""
    if is_wanted is None:
        return entries
    return [
        entry
        for entry in entries
        if entry.whole is False or is_wanted(entry.event_type, entry.route)
    ]


def entries_between(entries: list[Entry], first_seq: int, last_seq: int) -> list[Entry]:
    """Return some of the entries of a page, which are at neighbouring places."""
    base = entries[0].seq
    return entries[max(first_seq - base, 0) : max(last_seq - base + 1, 0)]


def build_entries(entry_rows: Sequence[tuple[Any, ...]]) -> list[Entry]:
    """Return the entries of rows of the table, whose first columns are those of `JournalReader`."""
    try:
        return [
            Entry(
                seq,
                event_id,
                _type_text(type_bytes),
                created_at,
                is_late != 0,
                row_json,
                event_era,
                None
                if stored_checksum is None
                else stored_checksum
                == row_checksum(event_era, event_id, type_bytes, created_at, row_json),
                packed_strands,
                is_late == LATE_BY_AUDIT,
            )
            for (
                seq,
                event_id,
                type_bytes,
                created_at,
                is_late,
                row_json,
                event_era,
                stored_checksum,
                packed_strands,
                *_,
            ) in entry_rows
        ]
    except TypeError:  # a flipped byte may change a value's type
        if len(entry_rows) > 1:
            return [entry for entry_row in entry_rows for entry in build_entries([entry_row])]
        return [_damaged_entry(*entry_rows[0])]


def _damaged_entry(seq: int, event_id: int, type_value: Any, *other_values: Any) -> Entry:
    """Return an entry whose values are not of the types that were written."""
    created_at, is_late, row_json, event_era, _, packed_strands, *_ = other_values
    return Entry(
        seq,
        event_id,
        str(type_value),
        created_at,
        bool(is_late),
        row_json,
        event_era,
        False,
        packed_strands,
        is_late == LATE_BY_AUDIT,
    )


@lru_cache(maxsize=1024)
def _type_text(type_bytes: bytes) -> str:
    """Return an event type as text, the same object each time; a flipped byte must not matter."""
    return type_bytes.decode("utf-8", "surrogateescape")
