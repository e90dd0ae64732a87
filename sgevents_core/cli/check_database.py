"""Checking the state's database and registers: whether they are intact, and who uses them."""

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
from sgevents_core.state.protocols import State

_MOST_TOLD: Final = 5
_AS_WHO: Final = (
    "even reading it writes files beside it: do this as a user who may, or look at a copy"
)
_NEWER: Final = "install the version that wrote it, or go back to a backup"


def database_findings(folder: Path, *, quick: bool = False) -> list[Finding]:
    """Check the database, schema, registers and lock of a state; change nothing.

    Args:
        folder: The state's folder.
        quick: Whether to skip comparing each index with its table.
    """
    state, storage = open_state(folder), open_storage(folder)
    findings = [_holder(folder)]
    try:
        inspection = storage.inspection()
    except StateNotWritable as error:
        return [*findings, Finding("state", "problem", f"not looked at: {error.reason}", _AS_WHO)]
    except StateTooNew as error:
        return [*findings, Finding("state", "problem", str(error), _NEWER)]
    except StateError as error:
        return [*findings, Finding("state", "problem", str(error), storage.repair)]
    try:
        findings += _format(inspection)
        findings += _integrity(inspection, storage.repair, quick=quick)
        findings += record_findings(state, inspection, quick=quick)
        findings += _content(state, findings)
    except StateError as error:
        findings.append(Finding("state", "problem", str(error), storage.repair))
    finally:
        inspection.close()
    return findings + file_findings(storage)


def _holder(folder: Path) -> Finding:
    holder = lock.holder(folder)
    if holder is None:
        return Finding("state", "ok", "no daemon runs on it")
    what = holder.get("command", "the daemon")
    message = f"{what} runs on it: process {holder.get('pid', '?')} on {holder.get('host', '?')}"
    return Finding("state", "ok", message)


def _format(inspection: Inspection) -> list[Finding]:
    version, newest = inspection.format_version()
    if version == newest:
        return [Finding("state", "ok", f"its schema has version {version}")]
    fix = "the next start of the daemon brings it up to date, and keeps a copy before"
    message = f"its schema has version {version}, the newest is {newest}"
    return [Finding("state", "warning", message, fix)]


def _integrity(inspection: Inspection, repair: str, *, quick: bool) -> list[Finding]:
    name, errors, unreadable = inspection.integrity(_MOST_TOLD, quick=quick)
    if not errors:
        return [Finding("state", "ok", f"{name} is whole")]
    parts = f", in {', '.join(unreadable)}" if unreadable else ""
    message = f"{name} is damaged{parts}: {errors[0]}"
    return [Finding("state", "problem", message, repair, detail="\n".join(errors))]


def _content(state: State, findings: Sequence[Finding]) -> list[Finding]:
    """Report how much the state holds, unless something is wrong with it."""
    if any(finding.status == "problem" for finding in findings):
        return []
    with closing(state.reader()) as reader:
        feed = reader.load_feed()
        events = reader.end() - reader.lowest() + 1
        era = f", era {feed.state.era}" if feed else ""
        plugins = counted(len(reader.plugins()), "plugin")
        message = f"{counted(events, 'event')}, {plugins}{era}"
    return [Finding("state", "ok", message)]
