"""Checking the state's database and registers: whether they are intact, and who uses them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from sgevents_core.cli.check_records import file_findings, record_findings
from sgevents_core.cli.findings import Finding
from sgevents_core.errors import StateDamaged, StateError, StateNotWritable, StateTooNew
from sgevents_core.printable import counted
from sgevents_core.state import lock
from sgevents_core.state.sqlite import schema
from sgevents_core.state.sqlite.database import DATABASE, Database
from sgevents_core.state.sqlite.sqlite_state import SqliteState

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
    """Check the database, schema, registers and lock of a state; change nothing.

    Args:
        folder: The state's folder.
        quick: Whether to skip comparing each index with its table.
    """
    findings = [_holder(folder)]
    try:
        db = Database(folder, read_only=True)
    except StateNotWritable as error:
        return [*findings, Finding("state", "problem", f"not looked at: {error.reason}", _AS_WHO)]
    except StateTooNew as error:
        return [*findings, Finding("state", "problem", str(error), _NEWER)]
    except StateError as error:
        return [*findings, Finding("state", "problem", str(error), _REPAIR)]
    try:
        findings += _schema(db)
        findings += _integrity(db, "quick_check" if quick else "integrity_check")
        findings += record_findings(folder, quick=quick)
        findings += _content(folder, findings)
    except StateError as error:
        findings.append(Finding("state", "problem", str(error), _REPAIR))
    finally:
        db.close()
    return findings + file_findings(folder)


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
    try:
        said = [str(row[0]) for row in db.all(f"PRAGMA {pragma}({_MOST_TOLD})")]
    except StateDamaged as error:  # damaged so badly that SQLite cannot even check it
        said = [error.reason]
    if said == ["ok"]:
        return [Finding("state", "ok", f"{DATABASE} is whole")]
    parts = ", ".join(_unreadable(db))
    message = f"{DATABASE} is damaged{f', in {parts}' if parts else ''}: {said[0]}"
    return [Finding("state", "problem", message, _REPAIR, detail="\n".join(said))]


def _unreadable(db: Database) -> Iterator[str]:
    """Yield the tables and indexes that cannot be read completely."""
    for kind, name, table in db.all("SELECT type, name, tbl_name FROM sqlite_master ORDER BY name"):
        how = "NOT INDEXED" if kind == "table" else f'INDEXED BY "{name}"'
        try:
            for _ in db.each(f'SELECT * FROM "{table}" {how}'):  # noqa: S608 - SQLite's own names
                pass
        except StateDamaged:
            yield f"{kind} {name}"
        except StateError:
            continue  # a partial index cannot be read like this


def _content(folder: Path, findings: Sequence[Finding]) -> list[Finding]:
    """Report how much the state holds, unless something is wrong with it."""
    if any(finding.status == "problem" for finding in findings):
        return []
    with closing(SqliteState(folder, read_only=True)) as state:
        feed = state.load_feed()
        events = state.end() - state.lowest() + 1
        era = f", era {feed.state.era}" if feed else ""
        plugins = counted(len(state.plugins()), "plugin")
        message = f"{counted(events, 'event')}, {plugins}{era}"
    return [Finding("state", "ok", message)]
