"""A state that cannot be written, is damaged, copied, old, in use, or from before a power cut."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from commanding import installed_here
from fault_scene import Scene
from reliability import GROUPS, Reliability

from sgevents_core.state.lock import LOCK_FILE
from sgevents_core.state.register import boot_id
from sgevents_core.state.sqlite import schema
from sgevents_core.state.sqlite.database import DATABASE

GROUP = GROUPS[5]
WITHOUT_RIGHTS = """
import ctypes
version_3, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert ctypes.CDLL(None).capset(version_3, nothing) == 0
"""
"""Lets the permissions of files hold for root too."""
TAKEN = """
import pathlib, shutil
from sgevents_core.state.sqlite import database
on_disk, disk = database.flush_to_disk, pathlib.Path({disk!r})
def taken(path):
    on_disk(path)
    new = disk.with_name("disk.new")
    if path.name.endswith("-wal"):
        shutil.copytree(path.parent, new)
        shutil.rmtree(disk, ignore_errors=True)
        new.rename(disk)
database.flush_to_disk = taken
"""
"""Keeps a copy of the state as the disk has taken it."""
ON_NFS = """
import pathlib
from sgevents_core.state import disk
disk.MOUNTS_FILE = pathlib.Path({file!r})
"""


def refused(scene: Scene, before: str = "") -> str:
    """Start a daemon that has to refuse, and return what it says to people."""
    length = scene.daemon.output.stat().st_size
    assert scene.start(before=before).wait() in {1, 2}
    said = scene.daemon.output.read_text()[length:]
    assert "Traceback" not in said
    return said[said.find("sgevents: ") :]


def handled(scene: Scene, number: int) -> list[int]:
    """Let events be handled and the daemon end in order; return their ids."""
    owed = scene.events(number)
    assert scene.drain() == 0
    assert not list(scene.daemon.folder.glob("state/*-wal"))
    return owed


def test_read_only_state(scene: Scene, reliability: Reliability) -> None:
    """A state that may not be written is told with its path, and nothing is handled."""
    owed = handled(scene, 3)
    state = scene.daemon.folder / "state"
    modes = {path: path.stat().st_mode for path in (*state.iterdir(), state)}
    for path, mode in modes.items():
        path.chmod(mode & 0o555)
    try:
        said = refused(scene, before=WITHOUT_RIGHTS)
    finally:
        for path, mode in reversed(modes.items()):
            path.chmod(mode)
    assert str(state) in said
    assert "Permission denied" in said
    owed += scene.events(2)
    measured = scene.finished(owed)
    reliability.row(
        GROUP, "The state cannot be written", "folder and files are read-only", 1, *measured
    )


def test_read_only_database(scene: Scene, reliability: Reliability) -> None:
    """The database alone is told just as well."""
    owed = handled(scene, 3)
    database = scene.daemon.folder / "state" / DATABASE
    database.chmod(0o440)
    owed += scene.events(2)
    said = refused(scene, before=WITHOUT_RIGHTS)
    assert str(database) in said
    assert "may not write to" in said
    database.chmod(0o640)
    measured = scene.finished(owed)
    reliability.row(
        GROUP, "The database cannot be written", "only its file is read-only", 1, *measured
    )


@pytest.mark.parametrize(
    ("fault", "injected", "begins"),
    [
        ("The database is damaged", "garbage from its second page on", 16_384),
        ("The database file is not a database", "garbage from its first byte on", 0),
    ],
)
def test_damaged_database(
    scene: Scene, reliability: Reliability, fault: str, injected: str, begins: int
) -> None:
    """The start ends with an error, `sgevents state check` says what to do, no byte is changed."""
    owed = handled(scene, 20)
    kept = scene.keep_state()
    database = scene.daemon.folder / "state" / DATABASE
    with database.open("r+b") as file:
        file.seek(begins)
        file.write(b"garbage!" * ((database.stat().st_size - begins) // 8))
    damaged = database.read_bytes()
    assert str(database) in refused(scene)
    assert database.read_bytes() == damaged
    with installed_here(scene.daemon) as sgevents:
        said = sgevents("state", "check")
    assert said.code == 1
    assert ".recover" in said.text
    assert database.read_bytes() == damaged
    shutil.rmtree(database.parent)
    kept.rename(database.parent)
    owed += scene.events(3)
    measured = scene.finished(owed)
    reliability.row(GROUP, fault, f"{injected}; then its last copy is restored", 1, *measured)


def test_flipped_byte_in_an_event(scene: Scene, reliability: Reliability) -> None:
    """The event is set aside by name, read from the site anew and handled, as are all others."""
    owed = handled(scene, 2)
    owed += (mine := scene.events(3))
    assert scene.start("--drain", "--safe-mode").wait() == 0
    database = scene.daemon.folder / "state" / DATABASE
    with closing(sqlite3.connect(database)) as db:
        db.execute(
            "UPDATE journal SET body = CAST(replace(CAST(body AS TEXT), '{', '\x01') AS BLOB)"
            " WHERE event_id = ?",
            (mine[1],),
        )
        db.commit()
    with installed_here(scene.daemon) as sgevents:
        said = sgevents("state", "check")
    assert f"event {mine[1]} " in said.text
    run = scene.start()
    scene.wait_told("feed.mended")
    owed += scene.events(1)
    assert scene.times_told("feed.set_aside") == 1
    measured = scene.finish(run, owed)
    reliability.row(
        GROUP,
        "An event in the journal is damaged",
        "a flipped byte in one that is still waiting",
        1,
        *measured,
    )


def test_write_ahead_log_left_behind(scene: Scene, reliability: Reliability) -> None:
    """A copy of the folder made after a kill is as good as the folder."""
    run = scene.start()
    owed = scene.events(50)
    scene.wait_for(owed)
    run.kill()
    assert (scene.daemon.folder / "state" / f"{DATABASE}-wal").stat().st_size > 0
    copy = scene.keep_state()
    (copy / f"{DATABASE}-shm").unlink()
    shutil.rmtree(scene.daemon.folder / "state")
    copy.rename(scene.daemon.folder / "state")
    owed += scene.events(5)
    lost, repeated = scene.finished(owed)
    reliability.row(
        GROUP,
        "A write-ahead log is left behind",
        "the state is copied after a kill, and the copy started",
        1,
        lost,
        repeated,
        allowed=1,
        window="at most one call per kill",
    )


def test_older_schema(scene: Scene, reliability: Reliability) -> None:
    """A state of the first version is copied, brought up to date, and goes on where it was."""
    owed = handled(scene, 10)
    state = scene.daemon.folder / "state"
    make_old(state / DATABASE)
    owed += scene.events(5)
    measured = scene.finished(owed)
    with closing(sqlite3.connect(state / "sgevents.schema-1.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM journal").fetchone() == (10,)
    with closing(sqlite3.connect(state / DATABASE)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(schema.migrations()),)
    reliability.row(
        GROUP,
        "The state is from an older version",
        "the schema of the first migration; a copy is kept",
        1,
        *measured,
    )


def make_old(database: Path) -> None:
    """Put what a database holds into one of the first schema."""
    new = database.rename(database.with_name("new.db"))
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.executescript(schema.migrations()[0][1])
        tables = [
            name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        db.execute("ATTACH ? AS new", (str(new),))
        for table in tables:
            columns = ", ".join(row[1] for row in db.execute(f"PRAGMA main.table_info({table})"))
            db.execute(
                f"INSERT OR REPLACE INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}"
            )
        db.execute("DETACH new")
        db.execute("PRAGMA user_version = 1")
    new.unlink()


def test_second_daemon(scene: Scene, reliability: Reliability) -> None:
    """It names the first, which goes on."""
    run = scene.start()
    owed = scene.events(3)
    scene.wait_for(owed)
    said = refused(scene)
    assert f"process {run.pid} on {socket.gethostname()}" in said
    owed += scene.events(3)
    measured = scene.finish(run, owed)
    reliability.row(GROUP, "A second daemon is started", "on a state that is in use", 1, *measured)


def test_stale_lock(scene: Scene, reliability: Reliability) -> None:
    """What a process that is gone wrote into the lock keeps nobody out."""
    owed = handled(scene, 3)
    (scene.daemon.folder / "state" / LOCK_FILE).write_text('{"pid": 1, "host": "gone"}')
    owed += scene.events(3)
    measured = scene.finished(owed)
    reliability.row(GROUP, "A lock is left behind", "by a process on another machine", 1, *measured)


def test_network_file_system(scene: Scene, reliability: Reliability) -> None:
    """It is warned of, and works as well as the file system does."""
    mounts = scene.daemon.folder / "mounts"
    mounts.write_text("server:/share / nfs4 rw 0 0\n")
    owed = scene.events(3)
    assert scene.drain(before=ON_NFS.format(file=str(mounts))) == 0
    assert scene.times_told("state.not_local") == 1
    measured = scene.finished(owed)
    reliability.row(
        GROUP,
        "The state is on a network file system",
        "the system reports a local disk as one; the start warns",
        1,
        *measured,
    )


def test_register_from_another_boot(scene: Scene, reliability: Reliability) -> None:
    """After a power cut the register is not believed: calls of the last second are made again."""
    run = scene.start()
    owed = scene.events(20)
    scene.wait_for(owed)
    run.kill()
    (register,) = scene.daemon.folder.glob("state/*.register")
    content = register.read_bytes()
    other = boot_id()[::-1].encode()
    assert content.count(boot_id().encode()) == 1
    register.write_bytes(content.replace(boot_id().encode(), other))
    owed += scene.events(3)
    lost, repeated = scene.finished(owed)
    reliability.row(
        GROUP,
        "The power fails",
        "kill -9, and a register from another boot",
        1,
        lost,
        repeated,
        allowed=40,
        window="calls of the last second",
    )


def test_power_cut_in_a_slow_call(scene: Scene, reliability: Reliability) -> None:
    """What the disk has taken while a call goes on holds all that returned before it."""
    block, disk = scene.daemon.folder / "block", scene.daemon.folder / "disk"
    scene.install("mike", f"while os.path.exists({str(block)!r}): time.sleep(0.01)")
    run = scene.start(before=TAKEN.format(disk=str(disk)))
    owed = scene.events(3)
    scene.wait_for(owed)
    block.touch()
    owed += scene.events(1)
    scene.wait_for(owed, plugin="alpha")
    scene.until(lambda: place_on(disk) == (len(owed), True), "the disk has taken alpha's call")
    run.kill()
    state = scene.daemon.folder / "state"
    shutil.rmtree(state)
    disk.rename(state)
    block.unlink()
    (register,) = state.glob("*.register")
    register.write_bytes(register.read_bytes().replace(boot_id().encode(), b"another"))
    owed += scene.events(2)
    measured = scene.finished(owed)
    reliability.row(
        GROUP,
        "The power fails while a callback takes long",
        "the files as they were on the disk, and a register from another boot",
        1,
        *measured,
    )


def place_on(disk: Path) -> tuple[int, bool]:
    """Return which event a disk has its lane at, and whether alpha is done with it."""
    if not (disk / DATABASE).exists():
        return 0, False
    with closing(sqlite3.connect(disk / DATABASE)) as db:
        seq, done = db.execute("SELECT seq, done FROM lanes").fetchone() or (0, "")
    return seq, "alpha" in (done or "")


@pytest.mark.parametrize(
    ("fault", "injected", "code", "says"),
    [
        ("The state is deleted while the daemon runs", "its folder is removed", 4, "is gone"),
        (
            "The state is overwritten while the daemon runs",
            "garbage in its database",
            1,
            "is damaged",
        ),
    ],
)
def test_state_lost_under_a_daemon(
    scene: Scene, reliability: Reliability, fault: str, injected: str, code: int, says: str
) -> None:
    """The daemon ends within seconds, says why, and calls nothing that is on record nowhere."""
    owed = handled(scene, 3)
    kept = scene.keep_state()
    run = scene.start()
    scene.wait_told("daemon.started", 2)
    state = scene.daemon.folder / "state"
    if code == 4:
        removed = state.rename(state.with_name("removed"))  # files may come while a folder goes
        shutil.rmtree(removed)
    else:
        size = (state / DATABASE).stat().st_size
        with (state / DATABASE).open("r+b") as file:
            file.write(b"garbage!" * (size // 8))
    assert run.wait() == code
    said = scene.daemon.output.read_text()
    assert f"sgevents: The state {state}" in said
    assert says in said
    assert "Traceback" not in said
    shutil.rmtree(state, ignore_errors=True)
    kept.rename(state)
    owed += scene.events(2)
    measured = scene.finished(owed)
    reliability.row(GROUP, fault, f"{injected}; then its last copy is restored", 1, *measured)


@pytest.mark.parametrize("left", [b"", b"sgevreg1 and then nothing", os.urandom(300)])
def test_register_that_makes_no_sense(scene: Scene, left: bytes) -> None:
    """It is not believed, and keeps nobody from starting."""
    owed = handled(scene, 3)
    (scene.daemon.folder / "state" / "lane-default.register").write_bytes(left)
    owed += scene.events(3)
    assert scene.finished(owed) == (0, 0)
