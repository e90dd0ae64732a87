"""Check every record of a state: a record that SQLite can read may still be damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from sgevents_core.calling.journal_events import event_in
from sgevents_core.cli.findings import Finding, state_problem
from sgevents_core.errors import StateDamaged, StateError, UnreadableEntry
from sgevents_core.printable import counted
from sgevents_core.state import call_times, register, running
from sgevents_core.state.cursors import lowest_cursor
from sgevents_core.state.inspection import Inspection
from sgevents_core.state.protocols import Reader, State, Storage

_PAGE_SIZE: Final = 1_000
_MAX_FINDINGS: Final = 10
"""The most findings of one kind that are reported one by one."""
_RECORD_ERRORS: Final = (ValueError, TypeError, StateDamaged, msgspec.MsgspecError)
_RESTORE_FIX: Final = (
    "stop the daemon and restore the last sgevents state backup; without one, the page on"
    " backups says how to start over"
)


def record_findings(
    checked_state: State, inspection: Inspection, *, quick: bool = False
) -> list[Finding]:
    """Check each record of a state; change nothing.

    Args:
        checked_state: The state.
        inspection: An open inspection of it.
        quick: Whether to skip events that every plugin has finished.

    Raises:
        StateError: The state cannot be read.
    """
    with closing(checked_state.reader()) as reader:
        findings = [*_progress_findings(reader), *_store_findings(reader, inspection)]
        if not findings:
            findings += _limit_findings(_event_findings(reader, quick=quick), "events")
    findings += _limit_findings(_deferred_findings(inspection), "calls that were put off")
    findings += _limit_findings(_batch_findings(inspection), "events of batches")
    return [*findings, *_limit_findings(_letter_findings(inspection), "dead letters")]


def file_findings(storage: Storage) -> list[Finding]:
    """Check the files beside the database; change nothing."""
    folder = storage.folder
    return [
        *_register_findings(folder),
        *_running_findings(folder),
        *_call_time_findings(folder),
        *_log_findings(storage),
    ]


def _progress_findings(reader: Reader) -> Iterator[Finding]:
    """Check the records that every start reads: the feed, the plugins, the lanes."""
    yield from _findings_of_reading("the records of the feed", reader.load_feed)
    yield from _findings_of_reading("the records of the plugins", reader.plugins)
    yield from _findings_of_reading("the places of the lanes", lambda: _check_places(reader))


def _check_places(reader: Reader) -> None:
    journal_end = reader.end()
    plugin_records = reader.plugins()
    for lane_name in sorted({record.lane for record in plugin_records.values()}):
        lane_progress = reader.lane_progress(lane_name)
        if lane_progress is not None and lane_progress.finished > journal_end:
            raise ValueError(f"lane {lane_name} is ahead of the journal")
        places = reader.lane_places(lane_name)
        if places is not None and places.highest > journal_end:
            raise ValueError(f"a strand of lane {lane_name} is ahead of the journal")
    for record in plugin_records.values():
        if record.apart and record.cursor > journal_end:
            raise ValueError(f"the cursor of plugin {record.name} is ahead of the journal")
        if any(strand.cursor > journal_end for strand in record.strands.values()):
            raise ValueError(f"a cursor of plugin {record.name} is ahead of the journal")


def _findings_of_reading(record_name: str, read_records: Callable[[], object]) -> Iterator[Finding]:
    try:
        read_records()
    except _RECORD_ERRORS as error:
        yield state_problem(_error_message(record_name, error), _RESTORE_FIX)


def _store_findings(reader: Reader, inspection: Inspection) -> Iterator[Finding]:
    for plugin in inspection.stores():
        try:
            reader.store(plugin)
        except _RECORD_ERRORS as error:
            fix = f"its plugin does not start, all others do; {_RESTORE_FIX}"
            yield state_problem(_error_message(f"the store of plugin {plugin}", error), fix)


def _event_findings(reader: Reader, *, quick: bool) -> Iterator[Finding]:
    first_unfinished = lowest_cursor(reader, reader.plugins())
    last_seq = first_unfinished if quick else 0
    while entries := reader.read(last_seq, _PAGE_SIZE):
        for entry in entries:
            try:
                if not entry.whole:
                    event_in(entry)
            except UnreadableEntry as error:
                yield _unreadable_finding(error, is_waited_for=entry.seq > first_unfinished)
        last_seq = entries[-1].seq


def _unreadable_finding(error: UnreadableEntry, *, is_waited_for: bool) -> Finding:
    message = f"event {error.event_id} in the journal cannot be read: {error.reason}"
    if is_waited_for:
        fix = "the daemon sets it aside, reads it from the site again and then hands it out"
        return state_problem(message, fix)
    fix = "nothing, unless you want to replay it: every plugin has finished it"
    return Finding("state", "warning", message, fix)


def _letter_findings(inspection: Inspection) -> Iterator[Finding]:
    for letter_number, event_id, is_whole in inspection.letters():
        if not is_whole:
            fix = f"dismiss it, and sgevents replay {event_id} reads it from the site"
            yield state_problem(
                f"dead letter {letter_number}: its event {event_id} cannot be read", fix
            )


def _deferred_findings(inspection: Inspection) -> Iterator[Finding]:
    for call, _, is_whole in inspection.deferred():
        if not is_whole:
            message = f"the call of plugin {call.plugin} that was put off for event {call.event_id}"
            fix = "nothing: it becomes a dead letter when it is due; then replay the event"
            yield state_problem(f"{message} cannot be read", fix)


def _batch_findings(inspection: Inspection) -> Iterator[Finding]:
    for event in inspection.batched():
        if not event.whole and event.letter:
            message = f"event {event.event_id} of dead letter {event.letter} cannot be read"
            fix = "dismiss that letter, and replay its events"
            yield state_problem(message, fix)
        elif not event.whole:
            message = f"event {event.event_id} in a batch of plugin {event.plugin} cannot be read"
            fix = "nothing: it is read from the journal, or requested from the site again"
            yield state_problem(message, fix)


def _register_findings(folder: Path) -> Iterator[Finding]:
    for path in sorted(folder.glob("*.register")):
        if not register.is_readable(path):
            message = f"{path.name} cannot be read: it may be from before the last boot"
            fix = "nothing: events of the last second before the end may be handled again"
            yield Finding("state", "warning", message, fix)


def _running_findings(folder: Path) -> Iterator[Finding]:
    if not running.is_readable(folder):
        message = f"{running.RUNNING_FILE} cannot be read"
        fix = "nothing: the next start or reload rewrites it"
        yield Finding("state", "warning", message, fix)


def _call_time_findings(folder: Path) -> Iterator[Finding]:
    for path in sorted(folder.glob("lane-*.calls*")):
        if not call_times.is_readable(path):
            message = f"{path.name} cannot be read: explain does not know when calls were made"
            yield Finding("state", "warning", message, "remove it: no decision depends on it")


def _log_findings(storage: Storage) -> Iterator[Finding]:
    try:
        log_damage = storage.log_damage()
    except OSError:
        return
    if log_damage is not None:
        message = (
            f"{log_damage.name} is damaged in its frame {log_damage.frame}: what was written in the"
            f" {counted(log_damage.behind, 'frame')} after it is lost"
        )
        fix = "calls since then are made again; if that must not be, go back to a backup"
        yield state_problem(message, fix)


def _limit_findings(findings: Iterator[Finding], record_kind: str) -> Iterator[Finding]:
    """Yield the first findings of one kind, and a finding that counts the rest."""
    more_count = 0
    for finding_number, finding in enumerate(findings):
        if finding_number < _MAX_FINDINGS:
            yield finding
        else:
            more_count += 1
    if more_count:
        yield state_problem(f"{more_count} more {record_kind} cannot be read", "as for those above")


def _error_message(record_name: str, error: Exception) -> str:
    return (
        error.reason if isinstance(error, StateError) else f"{record_name} make no sense: {error}"
    )
