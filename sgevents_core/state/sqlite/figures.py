"""Figures per minute and hour in the database; see `state.call_figures`."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec

from sgevents_core.state.call_figures import (
    KEPT_FOR,
    CallFigure,
    FeedFigure,
    MinuteFigures,
    Span,
)
from sgevents_core.state.sqlite.database import Database

_FIGURES_SINCE_VERSION: Final = 13
"""The version of the schema that first had figures."""
_CALL_COLUMNS: Final = "starts_at, plugin, callback, calls, failures, buckets"
_FEED_COLUMNS: Final = "starts_at, events, behind, lag"
_encode_buckets: Final = msgspec.json.Encoder().encode
_decode_buckets: Final = msgspec.json.Decoder(dict[int, int]).decode


def read_call_figures(database: Database, span: Span, since: float) -> list[CallFigure]:
    """Return the figures of calls in spans that began at a time or later, the oldest first."""
    return [
        _build_call_figure(figure_row)
        for figure_row in _figure_rows(database, _CALL_COLUMNS, "call_figures", span, since)
    ]


def read_feed_figures(database: Database, span: Span, since: float) -> list[FeedFigure]:
    """Return the figures of the feed in spans that began at a time or later, the oldest first."""
    return [
        FeedFigure(*figure_row)
        for figure_row in _figure_rows(database, _FEED_COLUMNS, "feed_figures", span, since)
    ]


def write_figures(
    connection: sqlite3.Connection, figures: MinuteFigures, current_time: float
) -> None:
    """Add figures to those of the same minutes and hours, in the caller's transaction."""
    for span, kept_for in KEPT_FOR.items():
        for call_figure in figures.calls:
            starts_at = call_figure.starts_at // span * span
            _add_call_figure(connection, span, call_figure._replace(starts_at=starts_at))
        for feed_figure in figures.feed:
            starts_at = feed_figure.starts_at // span * span
            _add_feed_figure(connection, span, feed_figure._replace(starts_at=starts_at))
        oldest_kept = (span, current_time - kept_for)
        connection.execute("DELETE FROM call_figures WHERE span = ? AND starts_at < ?", oldest_kept)
        connection.execute("DELETE FROM feed_figures WHERE span = ? AND starts_at < ?", oldest_kept)


def _figure_rows(
    database: Database, columns: str, table_name: str, span: Span, since: float
) -> list[tuple[Any, ...]]:
    if database.fetch_number("PRAGMA user_version") < _FIGURES_SINCE_VERSION:
        return []  # a later start will upgrade it
    return database.fetch_all(
        f"SELECT {columns} FROM {table_name} WHERE span = ? AND starts_at >= ?"  # noqa: S608 - our own
        " ORDER BY starts_at",
        span,
        since,
    )


def _build_call_figure(figure_row: tuple[Any, ...]) -> CallFigure:
    *other_columns, encoded_buckets = figure_row
    return CallFigure._make([*other_columns, _decode_buckets(encoded_buckets)])


def _add_call_figure(connection: sqlite3.Connection, span: Span, figure: CallFigure) -> None:
    figure_key = (span, figure.starts_at, figure.plugin, figure.callback)
    recorded_row = connection.execute(
        f"SELECT {_CALL_COLUMNS} FROM call_figures"  # noqa: S608 - our own
        " WHERE span = ? AND starts_at = ? AND plugin = ? AND callback = ?",
        figure_key,
    ).fetchone()
    if recorded_row is not None:
        figure = _build_call_figure(recorded_row).plus(figure)
    encoded_buckets = _encode_buckets(figure.buckets).decode()
    connection.execute(
        "INSERT OR REPLACE INTO call_figures VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*figure_key, figure.calls, figure.failures, encoded_buckets),
    )


def _add_feed_figure(connection: sqlite3.Connection, span: Span, figure: FeedFigure) -> None:
    recorded_row = connection.execute(
        f"SELECT {_FEED_COLUMNS} FROM feed_figures WHERE span = ? AND starts_at = ?",  # noqa: S608 - our own
        (span, figure.starts_at),
    ).fetchone()
    if recorded_row is not None:
        figure = FeedFigure(*recorded_row).plus(figure)
    connection.execute(
        "INSERT OR REPLACE INTO feed_figures VALUES (?, ?, ?, ?, ?)", (span, *figure)
    )
