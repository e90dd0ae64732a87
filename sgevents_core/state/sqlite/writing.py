"""Writing one step of a lane's work, in the caller's transaction."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec

from sgevents_core.state.failures import Failure
from sgevents_core.state.progress import Progress
from sgevents_core.state.sqlite.checksums import checksum_of, letter_checksum
from sgevents_core.state.sqlite.deaths import forget_deaths, write_deaths
from sgevents_core.state.sqlite.places import (
    place_columns,
    write_division,
    write_place,
    write_places,
    write_record,
)
from sgevents_core.state.sqlite.requests import write_request
from sgevents_core.state.sqlite.tracebacks import keep_traceback
from sgevents_core.state.steps import REMOVED, Step

_encode: Final = msgspec.json.Encoder().encode


def write_step(db: sqlite3.Connection, lane: str, step: Step) -> int:
    """Write a step, and return the number of its failure, 0 if it has none."""
    number = 0
    if step.undivided:
        write_division(db, lane, None)
    if step.places is not None:
        write_places(db, lane, step.places)
    if step.progress is not None and step.strand is None:
        _write_progress(db, lane, step.progress)
    elif step.progress is not None and step.strand is not None:
        write_place(db, lane, step.strand, step.progress)
    for plugin in step.whole:
        db.execute("DELETE FROM plugin_strands WHERE plugin = ?", (plugin,))
    for record in step.plugins:
        write_record(db, record)
    if step.failure is not None:
        number = _write_failure(db, step.failure, dead=step.dead)
    for plugin, callback, seq, attempts in step.doubts:
        _write_attempts(db, (plugin, callback, seq), attempts, "the process died in it")
    if step.settled is not None:
        db.execute(
            "DELETE FROM attempts WHERE plugin = ? AND callback = ? AND seq = ?", step.settled
        )
        forget_deaths(db, step.settled)
    write_deaths(db, step.deaths)
    if step.request is not None:
        number = write_request(db, step.request) or number
    for plugin, changes in step.store.items():
        _write_store(db, plugin, changes)
    return number


def _write_progress(db: sqlite3.Connection, lane: str, progress: Progress) -> None:
    seq, done = place_columns(progress)
    db.execute(
        "UPDATE lanes SET seq = ?, done = ?, sum = ? WHERE name = ?",
        (seq, done, checksum_of(lane, seq, done), lane),
    )


def _write_failure(db: sqlite3.Connection, failure: Failure, *, dead: bool) -> int:
    f = failure
    traceback_id, traceback = keep_traceback(db, f.traceback)
    entry = db.execute("SELECT body, era FROM journal WHERE seq = ?", (f.seq,)).fetchone()
    body, era = entry or (None, 1)
    cursor = db.execute(
        "INSERT INTO failures (plugin, callback, seq, event_id, attempt, error, traceback,"
        " traceback_id, at, outcome, dead, body, era, sum)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (f.plugin, f.callback, f.seq, f.event_id, f.attempt, f.error, traceback, traceback_id,
         f.at, f.outcome, dead, body, era,
         letter_checksum(f.plugin, f.callback, f.seq, f.event_id, body)),
    )  # fmt: skip
    _write_attempts(db, (f.plugin, f.callback, f.seq), f.attempt, f.error)
    return cursor.lastrowid or 0


def _write_attempts(
    db: sqlite3.Connection, call: tuple[str, str, int], attempts: int, error: str
) -> None:
    db.execute("INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?)", (*call, attempts, error))


def _write_store(db: sqlite3.Connection, plugin: str, changes: dict[str, Any]) -> None:
    removed = [(plugin, key) for key, value in changes.items() if value is REMOVED]
    db.executemany("DELETE FROM stores WHERE plugin = ? AND key = ?", removed)
    db.executemany(
        "INSERT OR REPLACE INTO stores VALUES (?, ?, ?, ?)",
        (
            (plugin, key, text, checksum_of(plugin, key, text))
            for key, value in changes.items()
            if value is not REMOVED
            for text in [_encode(value).decode()]
        ),
    )
