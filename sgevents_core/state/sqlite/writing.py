"""Writing one step of a lane's work, in the caller's transaction."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec

from sgevents_core.state.failures import Failure
from sgevents_core.state.progress import Progress
from sgevents_core.state.sqlite.batches import write_batches
from sgevents_core.state.sqlite.call_deaths import forget_deaths, write_deaths
from sgevents_core.state.sqlite.checksums import checksum_of
from sgevents_core.state.sqlite.deferred import write_deferrals
from sgevents_core.state.sqlite.journal_reading import fetch_with, find_entry
from sgevents_core.state.sqlite.letters import insert_failure
from sgevents_core.state.sqlite.progress_records import (
    progress_columns,
    write_division,
    write_plugin_record,
    write_strand_places,
    write_strand_progress,
)
from sgevents_core.state.sqlite.requests import write_request_step
from sgevents_core.state.steps import NOTHING_GIVEN, REMOVED, GivenValues, Step

_encode_json: Final = msgspec.json.Encoder().encode


def write_step(
    connection: sqlite3.Connection,
    lane_name: str,
    step: Step,
    given_values: GivenValues = NOTHING_GIVEN,
) -> int:
    """Write a step, and return the number of its failure, 0 if it has none."""
    failure_number = 0
    if step.undivided:
        write_division(connection, lane_name, None)
    if step.places is not None:
        write_strand_places(connection, lane_name, step.places)
    if step.progress is not None and step.strand is None:
        _write_lane_progress(connection, lane_name, step.progress)
    elif step.progress is not None and step.strand is not None:
        write_strand_progress(connection, lane_name, step.strand, step.progress)
    for plugin_name in step.whole:
        connection.execute("DELETE FROM plugin_strands WHERE plugin = ?", (plugin_name,))
    for plugin_record in step.plugins:
        write_plugin_record(connection, plugin_record)
    if step.failure is not None:
        failure_number = _write_failure(connection, step.failure, step, given_values.failure_number)
    for plugin_name, callback_name, seq, attempt_count in step.doubts:
        _write_attempts(
            connection, (plugin_name, callback_name, seq), attempt_count, "the process died in it"
        )
    if step.settled is not None:
        connection.execute(
            "DELETE FROM attempts WHERE plugin = ? AND callback = ? AND seq = ?", step.settled
        )
        forget_deaths(connection, step.settled)
    write_deaths(connection, step.deaths)
    write_deferrals(connection, step, given_values.part_seq)
    if step.request is not None:
        letter_number = write_request_step(connection, step.request, given_values)
        failure_number = letter_number or failure_number
    for plugin_name, store_changes in step.store.items():
        _write_store_changes(connection, plugin_name, store_changes)
    write_batches(connection, step, failure_number)
    return failure_number


def _write_lane_progress(
    connection: sqlite3.Connection, lane_name: str, new_progress: Progress
) -> None:
    recorded_seq, done_callbacks = progress_columns(new_progress)
    connection.execute(
        "UPDATE lanes SET seq = ?, done = ?, sum = ? WHERE name = ?",
        (
            recorded_seq,
            done_callbacks,
            checksum_of(lane_name, recorded_seq, done_callbacks),
            lane_name,
        ),
    )


def _write_failure(
    connection: sqlite3.Connection,
    failure: Failure,
    step: Step,
    given_number: int | None,
) -> int:
    if step.failure_event is None:
        event = find_entry(fetch_with(connection), failure.seq)
        row_json, event_era = (None, 1) if event is None else (event.body, event.era)
    else:
        row_json, event_era = step.failure_event.body, step.failure_event.era
    failure_number = insert_failure(
        connection,
        failure,
        is_dead=step.dead,
        event_era=event_era,
        row_json=row_json,
        failure_number=given_number,
    )
    call_columns = (failure.plugin, failure.callback, failure.seq)
    _write_attempts(connection, call_columns, failure.attempt, failure.error)
    return failure_number


def _write_attempts(
    connection: sqlite3.Connection,
    call_columns: tuple[str, str, int],
    attempt_count: int,
    error_text: str,
) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?)",
        (*call_columns, attempt_count, error_text),
    )


def _write_store_changes(
    connection: sqlite3.Connection, plugin_name: str, store_changes: dict[str, Any]
) -> None:
    removed_keys = [
        (plugin_name, store_key)
        for store_key, new_value in store_changes.items()
        if new_value is REMOVED
    ]
    connection.executemany("DELETE FROM stores WHERE plugin = ? AND key = ?", removed_keys)
    connection.executemany(
        "INSERT OR REPLACE INTO stores VALUES (?, ?, ?, ?)",
        (
            (
                plugin_name,
                store_key,
                encoded_value,
                checksum_of(plugin_name, store_key, encoded_value),
            )
            for store_key, new_value in store_changes.items()
            if new_value is not REMOVED
            for encoded_value in [_encode_json(new_value).decode()]
        ),
    )
