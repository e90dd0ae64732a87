"""The places of lanes, strands and plugins in the database: reading and writing them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from sgevents_core.choices import OrderBy
from sgevents_core.errors import StateDamaged
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import AnyPluginRecord, PluginRecord, StrandRecord
from sgevents_core.state.progress import BEGINNING, Progress
from sgevents_core.state.sqlite.checksums import checksum_of, decode_record, verify_checksum
from sgevents_core.state.sqlite.database import Database
from sgevents_core.state.strand_places import StrandPlaces
from sgevents_core.state.strands import STRANDS

STRANDS_SINCE: Final = 9
"""The version of the schema that first knew strands."""
_encode: Final = msgspec.json.Encoder().encode
_decode_names: Final = msgspec.json.Decoder(list[str]).decode


def place_columns(progress: Progress) -> tuple[int, str | None]:
    """Return a place as columns: the event in the middle of it, or the last one finished."""
    if progress.done:
        return progress.running, encode_keys(progress.done)
    return progress.finished, None


def read_place(db: Database, what: str, seq: int, done: str | None) -> Progress:
    """Return a place from its columns.

    Args:
        db: The database.
        what: What it is the place of, for people.
        seq: The event in the middle of it, or the last one finished.
        done: The callbacks done for the event in the middle of it, as text.
    """
    return Progress(seq) if done is None else Progress.at(seq, read_keys(db, what, done))


def encode_keys(keys: Iterable[CallKey]) -> str:
    """Return callbacks as text."""
    return _encode(sorted(key.encode() for key in keys)).decode()


def read_keys(db: Database, what: str, text: str) -> frozenset[CallKey]:
    """Return the callbacks that a text names."""
    return decode_record(db, what, _decode_keys, text)


def _decode_keys(text: str) -> frozenset[CallKey]:
    return frozenset(map(CallKey.decode, _decode_names(text)))


# Lanes


def read_places(db: Database, lane: str) -> StrandPlaces | None:
    """Return the places of a lane's strands; None if it is not divided."""
    if db.fetch_number("PRAGMA user_version") < STRANDS_SINCE:
        return None
    row = db.fetch_one("SELECT order_by FROM lanes WHERE name = ?", lane)
    order_by = None if row is None else order_of(db, f"lane {lane}", row[0])
    if order_by is None:
        return None
    places = [BEGINNING] * STRANDS
    rows = db.fetch_all("SELECT strand, seq, done, sum FROM lane_strands WHERE lane = ?", lane)
    for strand, seq, done, checksum in rows:
        what = f"the place of strand {strand} of lane {lane}"
        verify_checksum(db, what, checksum, lane, strand, seq, done)
        places[strand] = read_place(db, what, seq, done)
    return StrandPlaces(order_by, tuple(places))


def order_of(db: Database, what: str, text: str | None) -> OrderBy | None:
    """Return what divides a lane into strands, from its column."""
    try:
        order_by: OrderBy | None = msgspec.convert(text, OrderBy | None)
    except msgspec.ValidationError as error:
        raise StateDamaged(path=str(db.path), reason=f"{what}: {error}") from None
    return order_by


def write_division(db: sqlite3.Connection, lane: str, order_by: OrderBy | None) -> None:
    """Write what divides a lane into strands; its old strands are no longer known."""
    db.execute("UPDATE lanes SET order_by = ? WHERE name = ?", (order_by, lane))
    db.execute("DELETE FROM lane_strands WHERE lane = ?", (lane,))


def write_places(db: sqlite3.Connection, lane: str, places: StrandPlaces) -> None:
    """Write the places of a lane's strands, but none below the place that is recorded."""
    known: dict[int, Progress] = {}
    (order_by,) = db.execute("SELECT order_by FROM lanes WHERE name = ?", (lane,)).fetchone()
    if order_by == places.order_by:
        known = dict(_recorded(db, lane))
    else:
        write_division(db, lane, places.order_by)
    for strand, place in enumerate(places.places):
        moved = place.joined(known[strand]) if strand in known else place
        if moved != known.get(strand):
            write_place(db, lane, strand, moved)


def _recorded(db: sqlite3.Connection, lane: str) -> Iterator[tuple[int, Progress]]:
    rows = db.execute("SELECT strand, seq, done FROM lane_strands WHERE lane = ?", (lane,))
    for strand, seq, done in rows.fetchall():
        yield strand, Progress(seq) if done is None else Progress.at(seq, _decode_keys(done))


def write_place(db: sqlite3.Connection, lane: str, strand: int, progress: Progress) -> None:
    """Write the place of one strand."""
    values = (lane, strand, *place_columns(progress))
    db.execute("INSERT OR REPLACE INTO lane_strands VALUES (?, ?, ?, ?, ?)",
               (*values, checksum_of(*values)))  # fmt: skip


# Plugins


def read_records(db: Database, checksum_column: str) -> dict[str, PluginRecord]:
    """Return the records of all plugins ever enabled, by name.

    Args:
        db: The database.
        checksum_column: The column of the checksum.
    """
    divided = db.fetch_number("PRAGMA user_version") >= STRANDS_SINCE
    more = "order_by, above" if divided else "NULL, NULL"
    rows = db.fetch_all(
        "SELECT name, lane, cursor, apart, done, state, reason, retry_at, failures,"  # noqa: S608 - our own
        f" {more}, {checksum_column} FROM plugins ORDER BY name"
    )
    records = {}
    for *values, order_by, above, checksum in rows:
        more_values = [] if order_by is None and above is None else [order_by, above]
        verify_checksum(db, f"the record of plugin {values[0]}", checksum, *values, *more_values)
        records[values[0]] = _record(db, values, order_by, above)
    if divided:
        _read_strands(db, records)
    return records


def _record(
    db: Database, values: Sequence[Any], order_by: str | None, above: str | None
) -> PluginRecord:
    name, lane, cursor, apart, done, state, reason, retry_at, failures = values
    what = f"the record of plugin {name}"
    if state == "active" and reason:  # earlier versions stored "not started" like this
        state = "not started"
    return PluginRecord(
        name,
        lane,
        Progress(cursor, read_keys(db, what, done)),
        bool(apart),
        state,
        reason,
        retry_at,
        failures,
        None if above is None else decode_record(db, what, StrandPlaces.decode, above),
        order_of(db, what, order_by),
    )


def _read_strands(db: Database, records: dict[str, PluginRecord]) -> None:
    """Add the strands that plugins are separate from; rows of another order are left over."""
    for *values, checksum in db.fetch_all(
        "SELECT plugin, strand, order_by, cursor, done, held, reason, retry_at, sum"
        " FROM plugin_strands ORDER BY plugin, strand"
    ):
        plugin, strand, order_by, cursor, done, held, reason, retry_at = values
        what = f"the record of plugin {plugin} in strand {strand}"
        verify_checksum(db, what, checksum, *values)
        record = records.get(plugin)
        if record is not None and record.order_by == order_by and not record.apart:
            progress = Progress(cursor, read_keys(db, what, done))
            record.strands[strand] = StrandRecord(
                record, strand, progress, True, bool(held), reason, retry_at
            )


def write_record(db: sqlite3.Connection, record: AnyPluginRecord) -> None:
    """Write the record of a plugin, or of a plugin in one strand together with the plugin's."""
    if isinstance(record, PluginRecord):
        _write_plugin(db, record)
        return
    _write_plugin(db, record.plugin)
    if not record.apart:
        key = (record.name, record.strand)
        db.execute("DELETE FROM plugin_strands WHERE plugin = ? AND strand = ?", key)
        return
    values = (
        record.name,
        record.strand,
        record.plugin.order_by,
        record.cursor,
        encode_keys(record.progress.done),
        int(record.is_held),
        record.hold_reason,
        float(record.retry_at),
    )
    db.execute(
        "INSERT OR REPLACE INTO plugin_strands VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*values, checksum_of(*values)),
    )


def _write_plugin(db: sqlite3.Connection, record: PluginRecord) -> None:
    values = (
        record.name,
        record.lane,
        record.cursor,
        int(record.apart),
        encode_keys(record.progress.done),
        record.state,
        record.reason,
        float(record.retry_at),
        record.failures,
    )
    division = (record.order_by, None if record.above is None else record.above.encode())
    checksum = checksum_of(*values) if division == (None, None) else checksum_of(*values, *division)
    db.execute(
        "INSERT OR REPLACE INTO plugins"
        " (name, lane, cursor, apart, done, state, reason, retry_at, failures,"
        " order_by, above, sum)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*values, *division, checksum),
    )
