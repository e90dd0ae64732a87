"""Pages of the journal: events that the feed appends together, as one record. Pure.

A page costs a fraction of what its events cost as rows of their own. It holds events that came in
turn, with ascending ids, so the pages of an era do not overlap; events that come singly or late are
rows of the table `journal`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate
from operator import lt
from typing import Any, Final, NamedTuple
from zlib import crc32

import msgspec
from msgspec import Struct

from sgevents_core.moments import seconds_of
from sgevents_core.state.entries import Entry, LateRow, Route, Row

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
        kinds: The different types and routes, each once; None for a route that is not known.
        kind_numbers: Which of the kinds each event has.
        strands: Their packed strands.
        sizes: The lengths of their bodies, which follow one another.
        sums: The checksums of their bodies.
    """

    era: int
    ids: list[int]
    created: list[int]
    kinds: list[tuple[str, Route | None]]
    kind_numbers: list[int]
    strands: list[int | None]
    sizes: list[int]
    sums: list[int]


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
_scan_row: Final = json.JSONDecoder(strict=False).raw_decode


def can_be_page(late_rows: Sequence[LateRow]) -> bool:
    """Return whether rows can be a page: enough of them, all in turn, with ascending ids."""
    if not FEWEST_EVENTS <= len(late_rows) <= MOST_EVENTS or any(late for _, late in late_rows):
        return False
    event_ids = [row.id for row, _ in late_rows]
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
        kinds=list(kinds),
        strands=[row.strands for row in rows],
        sizes=list(map(len, bodies)),
        sums=list(map(crc32, bodies)),
    )


def heads_checksum(last_seq: int, first_seq: int, era: int, encoded_heads: bytes) -> int:
    """Return the checksum of a page's heads and of what the page says besides."""
    return crc32(encoded_heads, crc32(b"%d %d %d " % (last_seq, first_seq, era)))


def decode_page(page: StoredPage) -> list[Entry]:
    """Return the entries of a page that are not pruned; of a damaged page, all.

    Raises:
        DamagedPageError: The page is damaged in such a way that no event of it can be found.
    """
    if not are_heads_whole(page):
        return _recovered_entries(page)
    heads = _decode_heads(page.heads)
    kinds, bodies, era = heads.kinds, page.bodies, heads.era
    body_ends = list(accumulate(heads.sizes))
    first_seq = page.last_seq - len(body_ends) + 1
    entries = [
        Entry(
            seq,
            event_id,
            kinds[kind_number][0],
            created_at,
            False,
            row_json,
            era,
            crc32(row_json) == stored_sum,
            packed_strands,
            False,
            kinds[kind_number][1],
        )
        for seq, event_id, created_at, kind_number, packed_strands, row_json, stored_sum in zip(
            range(first_seq, page.last_seq + 1),
            heads.ids,
            heads.created,
            heads.kind_numbers,
            heads.strands,
            [bodies[start:end] for start, end in zip([0, *body_ends], body_ends, strict=False)],
            heads.sums,
            strict=True,
        )
    ]
    return entries[page.first_seq - first_seq :]


def read_ids(page: StoredPage) -> list[int]:
    """Return the ids of a page's events that are not pruned; none if its heads are damaged."""
    kept_count = page.last_seq - page.first_seq + 1
    return _decode_heads(page.heads).ids[-kept_count:] if are_heads_whole(page) else []


def are_heads_whole(page: StoredPage) -> bool:
    """Return whether the heads of a page are what was written."""
    return page.heads_sum == heads_checksum(page.last_seq, page.first_seq, page.era, page.heads)


def _recovered_entries(page: StoredPage) -> list[Entry]:
    """Return the entries of a page whose heads are damaged, none of which counts as whole.

    They say which events to request from the site again.
    """
    rows = _scan_rows(page.bodies)
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
