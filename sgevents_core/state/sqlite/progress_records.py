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

STRANDS_SINCE_VERSION: Final = 9
"""The version of the schema that first knew strands."""
_encode_json: Final = msgspec.json.Encoder().encode
_decode_names: Final = msgspec.json.Decoder(list[str]).decode


def progress_columns(progress: Progress) -> tuple[int, str | None]:
    """Return a place as columns: the event in progress or the last one finished."""
    if progress.done:
        return progress.running, encode_callbacks(progress.done)
    return progress.finished, None


def read_progress(
    database: Database, record_name: str, recorded_seq: int, done_callbacks: str | None
) -> Progress:
    """Return a place from its columns.

    Args:
        database: The database.
        record_name: The record that the place belongs to, for people.
        recorded_seq: The event in progress or the last one finished.
        done_callbacks: The callbacks done for the event in progress, as text.
    """
    return (
        Progress(recorded_seq)
        if done_callbacks is None
        else Progress.at(recorded_seq, read_callbacks(database, record_name, done_callbacks))
    )


def encode_callbacks(callback_keys: Iterable[CallKey]) -> str:
    """Return callbacks as text."""
    return _encode_json(sorted(key.encode() for key in callback_keys)).decode()


def read_callbacks(database: Database, record_name: str, text: str) -> frozenset[CallKey]:
    """Return the callbacks that a text names."""
    return decode_record(database, record_name, _decode_keys, text)


def _decode_keys(text: str) -> frozenset[CallKey]:
    return frozenset(map(CallKey.decode, _decode_names(text)))


# Lanes


def read_strand_places(database: Database, lane_name: str) -> StrandPlaces | None:
    """Return the places of a lane's strands; None if it is not divided."""
    if database.fetch_number("PRAGMA user_version") < STRANDS_SINCE_VERSION:
        return None
    lane_row = database.fetch_one("SELECT order_by FROM lanes WHERE name = ?", lane_name)
    order_by = None if lane_row is None else read_order(database, f"lane {lane_name}", lane_row[0])
    if order_by is None:
        return None
    strand_places = [BEGINNING] * STRANDS
    strand_rows = database.fetch_all(
        "SELECT strand, seq, done, sum FROM lane_strands WHERE lane = ?", lane_name
    )
    for strand, recorded_seq, done_callbacks, stored_checksum in strand_rows:
        record_name = f"the place of strand {strand} of lane {lane_name}"
        verify_checksum(
            database, record_name, stored_checksum, lane_name, strand, recorded_seq, done_callbacks
        )
        strand_places[strand] = read_progress(database, record_name, recorded_seq, done_callbacks)
    return StrandPlaces(order_by, tuple(strand_places))


def read_order(database: Database, record_name: str, text: str | None) -> OrderBy | None:
    """Return the key that divides a lane into strands, from its column."""
    try:
        order_by: OrderBy | None = msgspec.convert(text, OrderBy | None)
    except msgspec.ValidationError as error:
        raise StateDamaged(path=str(database.file_path), reason=f"{record_name}: {error}") from None
    return order_by


def write_division(
    connection: sqlite3.Connection, lane_name: str, order_by: OrderBy | None
) -> None:
    """Write the key that divides a lane into strands, and forget its old strands."""
    connection.execute("UPDATE lanes SET order_by = ? WHERE name = ?", (order_by, lane_name))
    connection.execute("DELETE FROM lane_strands WHERE lane = ?", (lane_name,))


def write_strand_places(
    connection: sqlite3.Connection, lane_name: str, strand_places: StrandPlaces
) -> None:
    """Write the places of a lane's strands, except those below the recorded place."""
    known_places: dict[int, Progress] = {}
    (order_by,) = connection.execute(
        "SELECT order_by FROM lanes WHERE name = ?", (lane_name,)
    ).fetchone()
    if order_by == strand_places.order_by:
        known_places = dict(_recorded_places(connection, lane_name))
    else:
        write_division(connection, lane_name, strand_places.order_by)
    for strand, strand_progress in enumerate(strand_places.places):
        joined_progress = (
            strand_progress.joined(known_places[strand])
            if strand in known_places
            else strand_progress
        )
        if joined_progress != known_places.get(strand):
            write_strand_progress(connection, lane_name, strand, joined_progress)


def _recorded_places(
    connection: sqlite3.Connection, lane_name: str
) -> Iterator[tuple[int, Progress]]:
    strand_rows = connection.execute(
        "SELECT strand, seq, done FROM lane_strands WHERE lane = ?", (lane_name,)
    )
    for strand, recorded_seq, done_callbacks in strand_rows.fetchall():
        yield (
            strand,
            Progress(recorded_seq)
            if done_callbacks is None
            else Progress.at(recorded_seq, _decode_keys(done_callbacks)),
        )


def write_strand_progress(
    connection: sqlite3.Connection, lane_name: str, strand: int, progress: Progress
) -> None:
    """Write the place of one strand."""
    column_values = (lane_name, strand, *progress_columns(progress))
    connection.execute("INSERT OR REPLACE INTO lane_strands VALUES (?, ?, ?, ?, ?)",
               (*column_values, checksum_of(*column_values)))  # fmt: skip


# Plugins


def read_plugin_records(database: Database, checksum_column: str) -> dict[str, PluginRecord]:
    """Return the records of all plugins ever enabled, by name.

    Args:
        database: The database.
        checksum_column: The column of the checksum.
    """
    knows_strands = database.fetch_number("PRAGMA user_version") >= STRANDS_SINCE_VERSION
    division_columns = "order_by, above" if knows_strands else "NULL, NULL"
    plugin_rows = database.fetch_all(
        "SELECT name, lane, cursor, apart, done, state, reason, retry_at, failures,"  # noqa: S608 - our own
        f" {division_columns}, {checksum_column} FROM plugins ORDER BY name"
    )
    plugin_records = {}
    for *column_values, order_by, finished_above, stored_checksum in plugin_rows:
        division_values = (
            [] if order_by is None and finished_above is None else [order_by, finished_above]
        )
        verify_checksum(
            database,
            f"the record of plugin {column_values[0]}",
            stored_checksum,
            *column_values,
            *division_values,
        )
        plugin_records[column_values[0]] = _build_record(
            database, column_values, order_by, finished_above
        )
    if knows_strands:
        _add_strand_records(database, plugin_records)
    return plugin_records


def _build_record(
    database: Database,
    column_values: Sequence[Any],
    order_by: str | None,
    finished_above: str | None,
) -> PluginRecord:
    (
        plugin_name,
        lane_name,
        recorded_cursor,
        is_apart,
        done_callbacks,
        plugin_state,
        reason_text,
        retried_at,
        failure_count,
    ) = column_values
    record_name = f"the record of plugin {plugin_name}"
    if plugin_state == "active" and reason_text:  # earlier versions stored "not started" like this
        plugin_state = "not started"
    return PluginRecord(
        plugin_name,
        lane_name,
        Progress(recorded_cursor, read_callbacks(database, record_name, done_callbacks)),
        bool(is_apart),
        plugin_state,
        reason_text,
        retried_at,
        failure_count,
        None
        if finished_above is None
        else decode_record(database, record_name, StrandPlaces.decode, finished_above),
        read_order(database, record_name, order_by),
    )


def _add_strand_records(database: Database, plugin_records: dict[str, PluginRecord]) -> None:
    """Add the strands that plugins are separate from; ignore leftover rows of another order."""
    for *column_values, stored_checksum in database.fetch_all(
        "SELECT plugin, strand, order_by, cursor, done, held, reason, retry_at, sum"
        " FROM plugin_strands ORDER BY plugin, strand"
    ):
        (
            plugin_name,
            strand,
            order_by,
            recorded_cursor,
            done_callbacks,
            is_held,
            reason_text,
            retried_at,
        ) = column_values
        record_name = f"the record of plugin {plugin_name} in strand {strand}"
        verify_checksum(database, record_name, stored_checksum, *column_values)
        plugin_record = plugin_records.get(plugin_name)
        if (
            plugin_record is not None
            and plugin_record.order_by == order_by
            and not plugin_record.apart
        ):
            progress = Progress(
                recorded_cursor, read_callbacks(database, record_name, done_callbacks)
            )
            plugin_record.strands[strand] = StrandRecord(
                plugin_record, strand, progress, True, bool(is_held), reason_text, retried_at
            )


def write_plugin_record(connection: sqlite3.Connection, plugin_record: AnyPluginRecord) -> None:
    """Write the record of a plugin, or of a plugin in one strand together with the plugin's."""
    if isinstance(plugin_record, PluginRecord):
        _write_plugin(connection, plugin_record)
        return
    _write_plugin(connection, plugin_record.plugin)
    if plugin_record.plugin.apart:
        return  # apart from all strands: the plugin's own record holds its position
    if not plugin_record.apart:
        key = (plugin_record.name, plugin_record.strand)
        connection.execute("DELETE FROM plugin_strands WHERE plugin = ? AND strand = ?", key)
        return
    column_values = (
        plugin_record.name,
        plugin_record.strand,
        plugin_record.plugin.order_by,
        plugin_record.cursor,
        encode_callbacks(plugin_record.progress.done),
        int(plugin_record.is_held),
        plugin_record.hold_reason,
        float(plugin_record.retry_at),
    )
    connection.execute(
        "INSERT OR REPLACE INTO plugin_strands VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*column_values, checksum_of(*column_values)),
    )


def _write_plugin(connection: sqlite3.Connection, plugin_record: PluginRecord) -> None:
    column_values = (
        plugin_record.name,
        plugin_record.lane,
        plugin_record.cursor,
        int(plugin_record.apart),
        encode_callbacks(plugin_record.progress.done),
        plugin_record.state,
        plugin_record.reason,
        float(plugin_record.retry_at),
        plugin_record.failures,
    )
    division_values = (
        plugin_record.order_by,
        None if plugin_record.above is None else plugin_record.above.encode(),
    )
    stored_checksum = (
        checksum_of(*column_values)
        if division_values == (None, None)
        else checksum_of(*column_values, *division_values)
    )
    connection.execute(
        "INSERT OR REPLACE INTO plugins"
        " (name, lane, cursor, apart, done, state, reason, retry_at, failures,"
        " order_by, above, sum)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*column_values, *division_values, stored_checksum),
    )
