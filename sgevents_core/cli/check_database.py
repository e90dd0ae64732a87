"""Looks into the state's database and registers: are they whole, and who uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from sgevents_core.cli.findings import Finding
from sgevents_core.errors import StateError, StateNotWritable
from sgevents_core.journal import lock, register, schema
from sgevents_core.journal.database import DATABASE, Database
from sgevents_core.journal.sqlite import SqliteState

_MOST_TOLD: Final = 5
_REPAIR: Final = (
    "stop the daemon and keep a copy of the folder. Then go back to the last sgevents state backup,"
    " or save what can be read: sqlite3 sgevents.db .recover | sqlite3 new.db, and put new.db in"
    " its place. With neither, empty the folder and set start in [feed] and in [plugins.NAME] to"
    " the last event that was handled"
)
_AS_WHO: Final = (
    "even reading it writes files beside it: do this as a user who may, or look at a copy"
)
_NEWER: Final = "install the version that wrote it, or go back to a backup"


def database_findings(folder: Path, *, quick: bool = False) -> list[Finding]:
    """Look at database, schema, registers and lock of a state; changes nothing.

    Args:
        folder: The state's folder.
        quick: Whether to leave out comparing each index with its table.
    """
    findings = [_holder(folder)]
    try:
        db = Database(folder, read_only=True)
    except StateNotWritable as error:
        return [*findings, Finding("state", "problem", f"not looked at: {error.reason}", _AS_WHO)]
    except StateError as error:
        fix = _NEWER if "schema has version" in str(error) else _REPAIR
        return [*findings, Finding("state", "problem", str(error), fix)]
    try:
        findings += _schema(db)
        findings += _integrity(db, "quick_check" if quick else "integrity_check")
        findings += _content(folder)
    except StateError as error:
        findings.append(Finding("state", "problem", str(error), _REPAIR))
    finally:
        db.close()
    return findings + _registers(folder)


def _holder(folder: Path) -> Finding:
    holder = lock.holder(folder)
    if holder is None:
        return Finding("state", "ok", "no daemon runs on it")
    what = holder.get("command", "the daemon")
    message = f"{what} runs on it: process {holder.get('pid', '?')} on {holder.get('host', '?')}"
    return Finding("state", "ok", message)


def _schema(db: Database) -> list[Finding]:
    version, newest = db.number("PRAGMA user_version"), len(schema.migrations())
    if version == newest:
        return [Finding("state", "ok", f"its schema has version {version}")]
    fix = "the next start of the daemon brings it up to date, and keeps a copy before"
    message = f"its schema has version {version}, the newest is {newest}"
    return [Finding("state", "warning", message, fix)]


def _integrity(db: Database, pragma: str) -> list[Finding]:
    said = [str(row[0]) for row in db.all(f"PRAGMA {pragma}({_MOST_TOLD})")]
    if said == ["ok"]:
        return [Finding("state", "ok", f"{DATABASE} is whole")]
    message = f"{DATABASE} is damaged: {said[0]}"
    return [Finding("state", "problem", message, _REPAIR, detail="\n".join(said))]


def _content(folder: Path) -> list[Finding]:
    """Read what every start reads: what is whole for SQLite may still make no sense."""
    state = SqliteState(folder, read_only=True)
    try:
        feed = state.load_feed()
        plugins = state.plugins()
        for lane in {record.lane for record in plugins.values()}:
            state.lane_place(lane)
        state.dead_letters()
        events = state.end() - state.lowest() + 1
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        return [Finding("state", "problem", f"its records make no sense: {error}", _REPAIR)]
    finally:
        state.close()
    era = f", era {feed.state.era}" if feed else ""
    message = f"{events} event(s), {len(plugins)} plugin(s){era}"
    return [Finding("state", "ok", message)]


def _registers(folder: Path) -> list[Finding]:
    findings = []
    for path in sorted(folder.glob("*.register")):
        if not register.is_readable(path):
            message = f"{path.name} cannot be read: it may be from before the last boot"
            fix = "nothing: events of the last second before the end may be handled again"
            findings.append(Finding("state", "warning", message, fix))
    return findings
