"""Pages of the journal: events that the feed appends together, as one record. Pure.

A page costs a fraction of what its events cost as rows of their own. It holds events that came in
turn, with ascending ids, so the pages of an era do not overlap; events that come singly or late are
rows of the table `journal`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import accumulate
from operator import attrgetter, lt
from typing import Any, Final, NamedTuple
from zlib import crc32

import msgspec
from msgspec import Struct

from sgevents_core.moments import seconds_of
from sgevents_core.state.entries import Entry, IsWanted, Route, Row, TakenRow

FEWEST_EVENTS: Final = 32
"""Events that are worth a page."""
MOST_EVENTS: Final = 500
"""Events of the longest page: as many as are read, or pruned, at once."""


class PageHeads(Struct, gc=False):
    """What a page says of its events, each list in their order.

    Args:
        era: The era of all.
        ids: Their ids, ascending.
        created: Their `created_at`, in seconds since 1970.
        kinds: The different types, each with the texts of its route, or with None if that is not
            known.
        kind_numbers: Which of the kinds each event has.
        strands: Their packed strands.
        sizes: The lengths of their bodies, which follow one another.
        sums: The checksums of their bodies.
        projects: The project in the route of each kind; older versions wrote none.
    """

    era: int
    ids: list[int]
    created: list[int]
    kinds: list[tuple[str, tuple[str, str | None, str | None] | None]]
    kind_numbers: list[int]
    strands: list[int | None]
    sizes: list[int]
    sums: list[int]
    projects: list[int | None] = []

    def routes(self) -> list[Route | None]:
        """Return the route of each kind; None if it is not known."""
        if not self.projects:
            return [None] * len(self.kinds)
        return [
            None if texts is None else (*texts, project_id)
            for (_, texts), project_id in zip(self.kinds, self.projects, strict=True)
        ]


class StoredPage(NamedTuple):
    """A page as the database has it.

    Args:
        last_seq: The place of its last event.
        first_seq: The place of its first event that is not pruned.
        era: The era of its events.
        first_id: The lowest id of its events.
        last_id: The highest.
        latest_at: The latest `created_at` of its events.
        heads_sum: The checksum of the heads and of the three values that they go with.
        heads: The heads as JSON.
        bodies: The bodies, one after another.
    """

    last_seq: int
    first_seq: int
    era: int
    first_id: int
    last_id: int
    latest_at: int
    heads_sum: int
    heads: bytes
    bodies: bytes


class DamagedPageError(ValueError):
    """A page whose events cannot be told apart any more."""


_encode_heads: Final = msgspec.json.Encoder().encode
_decode_heads: Final = msgspec.json.Decoder(PageHeads).decode
_how_late: Final = attrgetter("late")
_scan_row: Final = json.JSONDecoder(strict=False).raw_decode


def can_be_page(taken_rows: Sequence[TakenRow]) -> bool:
    """Return whether rows can be a page: enough of them, all in turn, with ascending ids."""
    if not FEWEST_EVENTS <= len(taken_rows) <= MOST_EVENTS or any(map(_how_late, taken_rows)):
        return False
    event_ids = [taken_row.row.id for taken_row in taken_rows]
    return all(map(lt, event_ids, event_ids[1:]))


def encode_page(first_seq: int, era: int, rows: Sequence[Row]) -> StoredPage:
    """Return a page as the database has it.

    Args:
        first_seq: The place of its first event.
        era: The era of its events.
        rows: Their rows.
    """
    heads = _heads_of(era, rows)
    encoded_heads = _encode_heads(heads)
    last_seq = first_seq + len(rows) - 1
    return StoredPage(
        last_seq,
        first_seq,
        era,
        heads.ids[0],
        heads.ids[-1],
        max(heads.created),
        heads_checksum(last_seq, first_seq, era, encoded_heads),
        encoded_heads,
        b"".join([row.body for row in rows]),
    )


def _heads_of(era: int, rows: Sequence[Row]) -> PageHeads:
    kinds: dict[tuple[str, Route | None], int] = {}
    bodies = [row.body for row in rows]
    return PageHeads(
        era,
        ids=[row.id for row in rows],
        created=[row.at for row in rows],
        kind_numbers=[kinds.setdefault((row.event_type, row.route), len(kinds)) for row in rows],
        kinds=[(event_type, route and route[:3]) for event_type, route in kinds],
        projects=[route and route[3] for _, route in kinds],
        strands=[row.strands for row in rows],
        sizes=list(map(len, bodies)),
        sums=list(map(crc32, bodies)),
    )


def heads_checksum(last_seq: int, first_seq: int, era: int, encoded_heads: bytes) -> int:
    """Return the checksum of a page's heads and of what the page says besides."""
    return crc32(encoded_heads, crc32(b"%d %d %d " % (last_seq, first_seq, era)))


class OpenPage:
    """A page of which only as much is read as somebody needs.

    Args:
        page: The page.
        read_bodies: Returns its bodies, if `page` comes without them; called at most once.

    Raises:
        DamagedPageError: The page is damaged in such a way that no event of it can be found.
    """

    def __init__(self, page: StoredPage, read_bodies: Callable[[], bytes] | None = None) -> None:
        self._page = page
        self._read_bodies = read_bodies
        self._heads = _decode_heads(page.heads) if are_heads_whole(page) else None
        self._recovered = [] if self._heads else _recovered_entries(page, self._bodies)
        self.last_seq: Final = page.last_seq
        self.first_seq: Final = self._recovered[0].seq if self._recovered else page.first_seq
        """The place of its first event that is not pruned."""

    @cached_property
    def _bodies(self) -> bytes:
        return self._page.bodies if self._read_bodies is None else self._read_bodies()

    def entries(
        self, first_seq: int, last_seq: int, is_wanted: IsWanted | None = None
    ) -> list[Entry]:
        """Return the entries of some of its places that are not pruned, or those that are wanted.

        Of a page whose heads are damaged, all entries count as wanted.

        Args:
            first_seq: The first of the places.
            last_seq: The last of them.
            is_wanted: Says of an event's type and route whether it is wanted; None if all are.
        """
        heads = self._heads
        if heads is None:
            return [entry for entry in self._recovered if first_seq <= entry.seq <= last_seq]
        are_kinds_wanted = [
            is_wanted is None or is_wanted(event_type, route)
            for (event_type, _), route in zip(heads.kinds, heads.routes(), strict=True)
        ]
        if not any(are_kinds_wanted):
            return []
        base_seq = self.last_seq - len(heads.ids) + 1
        start = max(first_seq, self.first_seq) - base_seq
        end = last_seq - base_seq + 1
        return self._entries_of(heads, base_seq, slice(start, max(end, start)), are_kinds_wanted)

    def _entries_of(
        self, heads: PageHeads, base_seq: int, places: slice, are_kinds_wanted: Sequence[bool]
    ) -> list[Entry]:
        kinds, routes, bodies, era = heads.kinds, heads.routes(), self._bodies, heads.era
        body_bounds = list(accumulate(heads.sizes, initial=0))
        return [
            Entry(
                seq,
                event_id,
                kinds[kind_number][0],
                created_at,
                False,
                row_json := bodies[body_start:body_end],
                era,
                crc32(row_json) == stored_sum,
                packed_strands,
                False,
                routes[kind_number],
            )
            for (
                seq,
                event_id,
                created_at,
                kind_number,
                packed_strands,
                body_start,
                body_end,
                stored_sum,
            ) in zip(
                range(base_seq, self.last_seq + 1)[places],
                heads.ids[places],
                heads.created[places],
                heads.kind_numbers[places],
                heads.strands[places],
                body_bounds[places],
                body_bounds[1:][places],
                heads.sums[places],
                strict=False,
            )
            if are_kinds_wanted[kind_number]
        ]


def decode_page(page: StoredPage) -> list[Entry]:
    """Return the entries of a page that are not pruned; of a damaged page, all.

    Raises:
        DamagedPageError: The page is damaged in such a way that no event of it can be found.
    """
    return OpenPage(page).entries(0, page.last_seq)


def read_ids(page: StoredPage) -> list[int]:
    """Return the ids of a page's events that are not pruned; none if its heads are damaged."""
    kept_count = page.last_seq - page.first_seq + 1
    return _decode_heads(page.heads).ids[-kept_count:] if are_heads_whole(page) else []


def are_heads_whole(page: StoredPage) -> bool:
    """Return whether the heads of a page are what was written."""
    return page.heads_sum == heads_checksum(page.last_seq, page.first_seq, page.era, page.heads)


def _recovered_entries(page: StoredPage, bodies: bytes) -> list[Entry]:
    """Return the entries of a page whose heads are damaged, none of which counts as whole.

    They say which events to request from the site again.
    """
    rows = _scan_rows(bodies)
    first_seq = page.last_seq - len(rows) + 1
    return [
        Entry(
            seq,
            row["id"],
            str(row.get("event_type") or ""),
            seconds_of(str(row.get("created_at"))) or page.latest_at,
            False,
            b"",
            page.era,
            False,
        )
        for seq, row in enumerate(rows, first_seq)
    ]


def _scan_rows(bodies: bytes) -> list[dict[str, Any]]:
    """Return the rows whose JSON texts follow one another."""
    text = bodies.decode("utf-8", "replace")
    rows, position = [], 0
    try:
        while position < len(text):
            row, position = _scan_row(text, position)
            rows.append(row)
        if rows and all(type(row["id"]) is int for row in rows):
            return rows
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise DamagedPageError("a page of the journal is not what was written")
