"""`sgevents state`: damage is told, with what to do; copies are whole; upgrades keep one."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import fail_points
import pytest
from commanding import Commands
from journal_rows import event_row, grow
from running_daemon import RunningDaemon

from sgevents_core.cli.check_database import database_findings
from sgevents_core.daemon.daemon import Daemon
from sgevents_core.errors import StateError
from sgevents_core.sandbox import Sandbox
from sgevents_core.settings import load_settings
from sgevents_core.state.lock import StateLock
from sgevents_core.state.opening import open_state
from sgevents_core.state.sqlite import schema
from sgevents_core.state.sqlite.backup import write_backup
from sgevents_core.state.sqlite.database import DATABASE, Database

EVENTS = 500


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state with events."""
    made = tmp_path / "state"
    made.mkdir()
    with closing(open_state(made).writer()) as state:
        grow(state, [event_row(n, filler="x" * 300) for n in range(1, EVENTS + 1)])
    return made


@pytest.fixture
def sgevents(tmp_path: Path, folder: Path) -> Iterator[Commands]:
    """The commands, for a configuration with that state."""
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.write_config()
        yield Commands(daemon)


def spoil(folder: Path, page: int) -> None:
    """Overwrite a page of the database with garbage."""
    with (folder / DATABASE).open("r+b") as file:
        file.seek(page * 16_384)
        file.write(b"garbage!" * 2048)


def test_sound_state_is_sound(sgevents: Commands) -> None:
    """Nothing to complain of, exit code 0."""
    said = sgevents("state", "check")
    assert (said.code, f"{EVENTS} events, 0 plugins, era 1" in said.text) == (0, True), said


@pytest.mark.parametrize("quick", [[], ["--quick"]])
def test_damaged_page_is_found(sgevents: Commands, folder: Path, quick: list[str]) -> None:
    """Also where nothing reads it every day; the fix is told, exit code 1."""
    spoil(folder, 20)
    said = sgevents("state", "check", *quick)
    assert said.code == 1
    assert "malformed" in said.text
    assert "sgevents state backup" in said.text
    assert ".recover" in said.text


def test_index_that_does_not_fit_is_found_by_the_thorough_check(
    sgevents: Commands, folder: Path
) -> None:
    """Each index is compared with its table, unless it has to be quick."""
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        db.execute("PRAGMA writable_schema = 1")
        db.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'era, last_id', 'era, first_id')"
            " WHERE name = 'journal_page_ids'"
        )
        db.commit()
    assert sgevents("state", "check", "--quick").code == 0
    said = sgevents("state", "check")
    assert said.code == 1
    assert "sgevents.db is damaged: row 1 missing from index journal_page_ids" in said.text


def test_what_is_no_database_is_told(sgevents: Commands, folder: Path) -> None:
    """A file of something else in its place."""
    (folder / DATABASE).write_bytes(b"nothing of the kind" * 1000)
    said = sgevents("state", "check")
    assert (said.code, "not a database" in said.text) == (1, True)


def test_records_that_make_no_sense_are_told(folder: Path) -> None:
    """What is intact for SQLite may still be damaged for us."""
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        db.execute("UPDATE feed SET state = '{'")
        db.commit()
    assert "record of the feed" in next(one for one in database_findings(folder) if one.fix).message


def test_newer_state_is_told(sgevents: Commands, folder: Path) -> None:
    """It belongs to a newer version, and is not damaged."""
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        db.execute("PRAGMA user_version = 77")
    said = sgevents("state", "check")
    assert said.code == 1
    assert "install the version that wrote it" in said.text
    assert ".recover" not in said.text


def test_fix_of_a_damaged_state_depends_on_no_words(tmp_path: Path) -> None:
    """A folder may be called what a state of a newer version is told by; it is damaged still."""
    folder = tmp_path / "its schema has version 9"
    folder.mkdir()
    (folder / DATABASE).write_bytes(b"no database at all, but long enough to be one" * 100)
    (finding,) = [one for one in database_findings(folder) if one.status == "problem"]
    assert "backup" in finding.fix
    assert "install the version" not in finding.fix


@pytest.mark.parametrize("is_there", [True, False], ids=["replaced", "new"])
@pytest.mark.parametrize("moment", ["before connect", "before PRAGMA journal_mode", "after close"])
def test_a_killed_backup_leaves_no_half_file(
    sgevents: Commands, tmp_path: Path, moment: str, is_there: bool
) -> None:
    """The file is the old one, or is not there yet; the next backup succeeds."""
    backup = tmp_path / "backup.db"
    if is_there:
        backup.write_bytes(b"the old one")
    words = ["state", "backup", str(backup), "--force", "-c", str(tmp_path / "sgevents.toml")]
    side, _, step = moment.partition(" ")
    code = f"import fail_points\nfail_points.arm('{side} backup._write_copy: {step}')\n"
    code += "from sgevents_core.cli import main\nmain()"
    search_path = os.pathsep.join([str(Path(fail_points.__file__).parent), *sys.path])
    killed = subprocess.run(
        [sys.executable, "-c", code, *words],
        env={**os.environ, "PYTHONPATH": search_path},
        check=False,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert backup.read_bytes() == b"the old one" if is_there else not backup.exists()
    assert sgevents(*words[:4]).code == 0, "the next one"
    with closing(sqlite3.connect(backup)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert not backup.with_name("backup.db.new").exists()


def test_older_state_is_told(folder: Path) -> None:
    """The next start upgrades it; until then, commands that need more say so."""
    make_old(folder)
    (finding,) = [one for one in database_findings(folder) if "version 1" in one.message]
    assert finding.status == "warning"
    with pytest.raises(StateError, match="start the daemon once"):
        open_state(folder).letters()


def test_register_from_another_boot_is_told(folder: Path) -> None:
    """It will not be believed, which costs nothing but repeats."""
    (folder / "lane-default.register").write_bytes(b"sgevreg1 and then nothing")
    (finding,) = [one for one in database_findings(folder) if "register" in one.message]
    assert finding.status == "warning"


def test_holder_of_the_lock_is_told(folder: Path) -> None:
    """A daemon or a command."""
    with closing(StateLock(folder, "sgevents replay")):
        assert "sgevents replay runs on it" in database_findings(folder)[0].message
    assert database_findings(folder)[0].message == "no daemon runs on it"


def test_check_changes_nothing(sgevents: Commands, folder: Path) -> None:
    """It may be run on what is to be saved."""
    before = (folder / DATABASE).read_bytes()
    sgevents("state", "check")
    assert (folder / DATABASE).read_bytes() == before


def make_old(folder: Path) -> None:
    """Make the state one of the first version, with an event and a plugin."""
    shutil.rmtree(folder)
    folder.mkdir()
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        db.executescript(schema.migrations()[0][1] + "PRAGMA user_version = 1;")
        db.execute("INSERT INTO journal VALUES (1, 1, 5, 'Shotgun_Task_New', 9, 0, x'7b7d')")
        db.execute(
            "INSERT INTO plugins VALUES ('alpha', 'default', 1, 1, '[]', 'active', '', 0, 0)"
        )
        db.execute(
            "INSERT INTO failures VALUES (1, 'alpha', 'alpha:one', 1, 5, 1, 'ValueError: no', '',"
            " 0, 'dead-letter', 1, x'7b7d')"
        )
        db.commit()


def test_upgrade_keeps_a_copy_of_the_state(folder: Path) -> None:
    """The copy is the old schema with all that was in it, and as private as the state."""
    make_old(folder)
    (folder / DATABASE).chmod(0o600)
    open_state(folder).writer().close()
    copy = folder / "sgevents.schema-1.db"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT event_id FROM journal").fetchall() == [(5,)]
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with closing(open_state(folder).letters()) as letters:
        assert [(one.number, one.era) for one in letters.find()] == [(1, 1)]


def test_second_opening_keeps_no_second_copy(folder: Path) -> None:
    """A state that is up to date is not copied, nor is one that is new."""
    open_state(folder).writer().close()
    open_state(folder).writer().close()
    assert not list(folder.glob("*.schema-*"))


def test_copy_is_whole_or_not_there(folder: Path, tmp_path: Path) -> None:
    """A copy that fails leaves what was there before, and no half of a file."""
    target = tmp_path / "copy.db"
    target.write_text("the copy of yesterday")
    spoil(folder, 20)
    with closing(Database(folder, read_only=True)) as db:
        db.back_up(target)  # a damaged page is copied as it is
    assert target.read_bytes() != b"the copy of yesterday"
    with closing(sqlite3.connect(tmp_path / "empty.db")) as closed:
        pass
    target.write_text("the copy of yesterday")
    with pytest.raises(sqlite3.Error):
        write_backup(closed, target)
    assert target.read_text() == "the copy of yesterday"
    assert not list(tmp_path.glob("*.new"))


def test_copy_into_a_folder_that_is_not_there(sgevents: Commands, tmp_path: Path) -> None:
    """Is told as an error that names the fix' subject, not as a traceback."""
    said = sgevents("state", "backup", tmp_path / "nowhere" / "copy.db")
    assert said.code == 1
    assert "No such file" in said.stderr


@pytest.mark.parametrize("kind", ["nfs4", "ext4"])
def test_state_on_a_network_file_system_is_warned_of_at_the_start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    """The daemon starts, and says so."""
    (tmp_path / "mounts").write_text(f"server:/share / {kind} rw 0 0\n")
    monkeypatch.setattr("sgevents_core.state.disk.MOUNTS_FILE", tmp_path / "mounts")
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.write_config()
        monkeypatch.setenv("SGEVENTS_TEST_KEY", site.api_key)
        caplog.set_level(logging.WARNING)
        Daemon(load_settings(daemon.config), drain=True).run()
    actions = [getattr(record, "action", "") for record in caplog.records]
    assert ("state.not_local" in actions) is (kind == "nfs4")
