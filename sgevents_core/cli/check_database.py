"""Check the state's database and registers: are they intact, and which process holds the state."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from sgevents_core.cli.check_records import file_findings, record_findings
from sgevents_core.cli.findings import Finding
from sgevents_core.errors import StateError, StateNotWritable, StateTooNew
from sgevents_core.printable import counted
from sgevents_core.state import lock
from sgevents_core.state.inspection import Inspection
from sgevents_core.state.opening import open_state, open_storage
from sgevents_core.state.protocols import State, Storage
from sgevents_core.state.running import RUNNING_FILE

_MAX_ERRORS: Final = 5
_NOT_WRITABLE_FIX: Final = (
    "reading it also writes files beside it: run this as a user who may write there, or "
    "check a copy"
)
_NEWER_VERSION_FIX: Final = "install the version that wrote it, or restore a backup"


def database_findings(folder: Path, *, quick: bool = False) -> list[Finding]:
    """Check the database, schema, registers and lock of a state; change nothing.

    Args:
        folder: The state's folder.
        quick: Whether to skip comparing each index with its table.
    """
    state, storage = open_state(folder), open_storage(folder)
    findings = [_lock_finding(folder)]
    try:
        inspection = storage.inspection()
    except StateError as error:
        return [*findings, _error_finding(error, storage.repair)]
    try:
        findings += _format_findings(inspection)
        findings += _integrity_findings(inspection, storage.repair, quick=quick)
        findings += record_findings(state, inspection, quick=quick)
        findings += _content_findings(state, findings)
    except StateError as error:
        findings.append(Finding("state", "problem", str(error), storage.repair))
    finally:
        inspection.close()
    return findings + file_findings(storage)


def opening_findings(folder: Path) -> list[Finding]:
    """Return why a start could not use the state in a folder; change nothing.

    Args:
        folder: The state's folder.
    """
    state, storage = open_state(folder), open_storage(folder)
    try:
        if not state.is_made():
            return _remainder_findings(folder)
        if storage.is_outdated():
            return _remainder_findings(folder) if _is_empty(storage) else []
        with closing(state.reader()) as reader:
            reader.load_feed()
            reader.plugins()
            reader.dead_letter_counts()
    except StateNotWritable:
        return []  # the check of the folder reports it
    except StateError as error:
        return [_error_finding(error, storage.repair)]
    return []


def _is_empty(storage: Storage) -> bool:
    """Return whether a database has no content, as after a copy to a full disk."""
    with closing(storage.inspection()) as inspection:
        return inspection.format_version()[0] == 0


def _remainder_findings(folder: Path) -> list[Finding]:
    """Return a warning if daemons have worked in a folder that holds no state any more."""
    if not (folder / RUNNING_FILE).exists():
        return []
    message = f"{folder} was used, and what plugins have handled is not in it any more"
    fix = "restore the whole folder; a start without it begins at the newest event"
    return [Finding("state", "warning", message, fix)]


def _error_finding(error: StateError, repair: str) -> Finding:
    """Return why a state cannot be opened, and what to do."""
    if isinstance(error, StateNotWritable):
        return Finding("state", "problem", f"not checked: {error.reason}", _NOT_WRITABLE_FIX)
    fix = _NEWER_VERSION_FIX if isinstance(error, StateTooNew) else repair
    return Finding("state", "problem", str(error), fix)


def _lock_finding(folder: Path) -> Finding:
    holder = lock.find_holder(folder)
    if holder is None:
        return Finding("state", "ok", "no daemon runs on it")
    holder_name = holder.get("command", "the daemon")
    message = (
        f"{holder_name} runs on it: process {holder.get('pid', '?')} on {holder.get('host', '?')}"
    )
    return Finding("state", "ok", message)


def _format_findings(inspection: Inspection) -> list[Finding]:
    format_version, newest_version = inspection.format_version()
    if format_version == newest_version:
        return [Finding("state", "ok", f"its schema has version {format_version}")]
    fix = "the next start of the daemon upgrades it, and keeps a copy first"
    message = f"its schema has version {format_version}, the newest is {newest_version}"
    return [Finding("state", "warning", message, fix)]


def _integrity_findings(inspection: Inspection, repair: str, *, quick: bool) -> list[Finding]:
    database_name, integrity_errors, unreadable = inspection.integrity(
        _MAX_ERRORS, skip_indexes=quick
    )
    if not integrity_errors:
        return [Finding("state", "ok", f"{database_name} is intact")]
    damaged_parts = f", in {', '.join(unreadable)}" if unreadable else ""
    message = f"{database_name} is damaged{damaged_parts}: {integrity_errors[0]}"
    return [Finding("state", "problem", message, repair, detail="\n".join(integrity_errors))]


def _content_findings(state: State, findings: Sequence[Finding]) -> list[Finding]:
    """Report the number of records in the state, unless something is wrong with it."""
    if any(finding.status == "problem" for finding in findings):
        return []
    with closing(state.reader()) as reader:
        feed_record = reader.load_feed()
        events = reader.end() - reader.lowest() + 1
        era_text = f", era {feed_record.state.era}" if feed_record else ""
        plugin_count = counted(len(reader.plugins()), "plugin")
        message = f"{counted(events, 'event')}, {plugin_count}{era_text}"
    return [Finding("state", "ok", message)]
