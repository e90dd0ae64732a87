"""The import of the classic daemon's positions, killed at every write: all of them, or none."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import fail_points

from sgevents_core.migrating.id_file import StoredPosition, StoredState
from sgevents_core.migrating.moving import import_positions
from sgevents_core.migrating.positions import FolderOfPlugins, Positions, positions_in
from sgevents_core.state.opening import open_state
from sgevents_core.state.sqlite.database import DATABASE

NOW = datetime(2026, 11, 27, 12, 0)
TABLES = ("plugins", "missing", "imported", "lanes")


def positions() -> Positions:
    """Two plugins, one with a backlog."""
    until = NOW + timedelta(minutes=4)
    stored = {
        "notify": StoredPosition(120, dict.fromkeys((90, 91, 97), until)),
        "rollup": StoredPosition(100, {}),
    }
    folder = FolderOfPlugins("/studio/plugins", "studio", ["notify", "rollup"])
    return positions_in(StoredState({"/studio/plugins": stored}), [folder])


def import_once(folder: Path, kill: str = "", trace: str = "") -> int:
    """Import in a process of its own, with a kill at a point; return how it ends."""
    pid = os.fork()
    if not pid:
        try:
            fail_points.arm(kill=kill, trace=trace)
            import_positions(folder, positions(), folder / "daemon.id", NOW.timestamp())
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def rows(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return what a state holds of an import."""
    if not (folder / DATABASE).exists():
        return {}
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        known = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        return {
            table: database.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
            for table in TABLES
            if table in known
        }


def test_kill_at_every_write_of_an_import(tmp_path: Path) -> None:
    """Nothing or everything is imported, and importing again completes it.

    The writes that create the database are killed at in `test_fail_points`.
    """
    trace, empty, whole = tmp_path / "trace.txt", tmp_path / "empty", tmp_path / "whole"
    empty.mkdir()
    open_state(empty).writer().close()
    shutil.copytree(empty, whole)
    assert import_once(whole, trace=str(trace)) == 0
    expected = rows(whole)
    assert len(expected["imported"]) >= 2
    reached = dict.fromkeys(trace.read_text().splitlines())
    points = [point for point in reached if "import_positions" in point]
    assert any(point.endswith("COMMIT") for point in points)
    for number, point in enumerate(points):
        folder = tmp_path / str(number) / "state"
        shutil.copytree(empty, folder)
        assert import_once(folder, kill=point) == -signal.SIGKILL, point
        left = {table: found for table, found in rows(folder).items() if found}
        assert left in ({}, {table: found for table, found in expected.items() if found}), point
        import_positions(folder, positions(), folder / "daemon.id", NOW.timestamp())
        assert rows(folder) == expected, point
