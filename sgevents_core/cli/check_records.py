"""Checking every record of a state: a record that SQLite can read may still be damaged."""

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

_PAGE: Final = 1_000
_MOST_TOLD: Final = 10
"""The most findings of one kind that are reported one by one."""
_ODD: Final = (ValueError, TypeError, StateDamaged, msgspec.MsgspecError)
_BACK: Final = (
    "stop the daemon and go back to the last sgevents state backup; without one, the page on"
    " backups says how to begin anew"
)


def record_findings(state: State, inspection: Inspection, *, quick: bool = False) -> list[Finding]:
    """Check each record of a state; change nothing.

    Args:
        state: The state.
        inspection: An open inspection of it.
        quick: Whether to skip events that every plugin has finished.

    Raises:
        StateError: It cannot be read.
    """
    with closing(state.reader()) as reader:
        findings = [*_of_progress(reader), *_of_stores(reader, inspection)]
        if not findings:
            findings += _few(_of_events(reader, quick=quick), "events")
    return [*findings, *_few(_of_letters(inspection), "dead letters")]


def file_findings(storage: Storage) -> list[Finding]:
    """Check the files beside the database; change nothing."""
    folder = storage.folder
    return [*_registers(folder), *_running(folder), *_call_times(folder), *_log(storage)]


def _of_progress(state: Reader) -> Iterator[Finding]:
    """Check what every start reads: the feed, the plugins, the lanes."""
    yield from _tried("the records of the feed", state.load_feed)
    yield from _tried("the records of the plugins", state.plugins)
    yield from _tried("the places of the lanes", lambda: _places(state))


def _places(state: Reader) -> None:
    end = state.end()
    records = state.plugins()
    for lane in sorted({record.lane for record in records.values()}):
        progress = state.lane_progress(lane)
        if progress is not None and progress.finished > end:
            raise ValueError(f"lane {lane} is ahead of the journal")
    for record in records.values():
        if record.apart and record.cursor > end:
            raise ValueError(f"the cursor of plugin {record.name} is ahead of the journal")


def _tried(what: str, read: Callable[[], object]) -> Iterator[Finding]:
    try:
        read()
    except _ODD as error:
        yield state_problem(_told(what, error), _BACK)


def _of_stores(state: Reader, inspection: Inspection) -> Iterator[Finding]:
    for plugin in inspection.stores():
        try:
            state.store(plugin)
        except _ODD as error:
            fix = f"its plugin does not start, all others do; {_BACK}"
            yield state_problem(_told(f"the store of plugin {plugin}", error), fix)


def _of_events(state: Reader, *, quick: bool) -> Iterator[Finding]:
    behind = lowest_cursor(state, state.plugins())
    seq = behind if quick else 0
    while entries := state.read(seq, _PAGE):
        for entry in entries:
            try:
                if not entry.whole:
                    event_in(entry)
            except UnreadableEntry as error:
                yield _unreadable(error, waits=entry.seq > behind)
        seq = entries[-1].seq


def _unreadable(error: UnreadableEntry, *, waits: bool) -> Finding:
    message = f"event {error.event_id} in the journal cannot be read: {error.reason}"
    if waits:
        fix = "the daemon sets it aside, reads it from the site anew and hands it out then"
        return state_problem(message, fix)
    fix = "every plugin has it behind it: nothing, unless you mean to replay it"
    return Finding("state", "warning", message, fix)


def _of_letters(inspection: Inspection) -> Iterator[Finding]:
    for number, event_id, whole in inspection.letters():
        if not whole:
            fix = f"dismiss it, and sgevents replay {event_id} reads it from the site"
            yield state_problem(f"dead letter {number}: its event {event_id} cannot be read", fix)


def _registers(folder: Path) -> Iterator[Finding]:
    for path in sorted(folder.glob("*.register")):
        if not register.is_readable(path):
            message = f"{path.name} cannot be read: it may be from before the last boot"
            fix = "nothing: events of the last second before the end may be handled again"
            yield Finding("state", "warning", message, fix)


def _running(folder: Path) -> Iterator[Finding]:
    if not running.is_readable(folder):
        message = f"{running.FILE} cannot be read"
        fix = "nothing: the next start or reload writes it anew"
        yield Finding("state", "warning", message, fix)


def _call_times(folder: Path) -> Iterator[Finding]:
    for path in sorted(folder.glob("lane-*.calls*")):
        if not call_times.is_readable(path):
            message = f"{path.name} cannot be read: explain does not know when calls were made"
            yield Finding("state", "warning", message, "remove it: nothing is decided by it")


def _log(storage: Storage) -> Iterator[Finding]:
    try:
        damage = storage.log_damage()
    except OSError:
        return
    if damage is not None:
        message = (
            f"{damage.name} is damaged in its frame {damage.frame}: what was written in the"
            f" {counted(damage.behind, 'frame')} after it is lost"
        )
        fix = "calls since then are made again; if that must not be, go back to a backup"
        yield state_problem(message, fix)


def _few(findings: Iterator[Finding], what: str) -> Iterator[Finding]:
    """Yield the first findings of one kind, and one that counts the rest."""
    more = 0
    for number, finding in enumerate(findings):
        if number < _MOST_TOLD:
            yield finding
        else:
            more += 1
    if more:
        yield state_problem(f"{more} more {what} cannot be read", "as for those above")


def _told(what: str, error: Exception) -> str:
    return error.reason if isinstance(error, StateError) else f"{what} make no sense: {error}"
