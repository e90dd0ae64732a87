"""The lock: one daemon per state, and it is known which."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sgevents_core.errors import StateError, StateInUse
from sgevents_core.state.lock import LOCK_FILE, StateLock, find_holder

HOLD = """
import sys
from pathlib import Path
from sgevents_core.state.lock import StateLock

lock = StateLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
"""
FORK = HOLD.replace(
    'print("held"',
    """
import os
if not os.fork():
    sys.stdin.readline()  # outlives its parent
    os._exit(0)
print("held\"""",
)
SHARE = HOLD.replace(
    'print("held"',
    """
import os
inherited = lock.share()
if not os.fork():
    sys.stdin.readline()  # outlives its parent, with the lock
    os._exit(0)
print("held\"""",
)


@contextmanager
def process(script: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a script that takes the lock; it goes on until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"held\n"
        yield running


def test_second_daemon_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    """Process and machine of the holder are named, and the fix."""
    with process(HOLD, tmp_path) as first:
        assert find_holder(tmp_path) == {"pid": first.pid, "host": socket.gethostname()}
        with pytest.raises(StateInUse) as refused:
            StateLock(tmp_path)
    assert refused.value.pid == first.pid
    assert f"process {first.pid} on {socket.gethostname()}" in str(refused.value)
    assert refused.value.exit_code == 2


def test_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    """A lock falls with its process, also with kill -9; what it left in the file is no obstacle."""
    with process(HOLD, tmp_path) as first:
        first.kill()
        first.wait()
        assert find_holder(tmp_path) is None
        assert (tmp_path / LOCK_FILE).read_bytes()
        second = StateLock(tmp_path)
        assert find_holder(tmp_path) == {"pid": os.getpid(), "host": socket.gethostname()}
        second.close()
    assert find_holder(tmp_path) is None


def test_process_that_a_plugin_forked_does_not_hold_the_lock(tmp_path: Path) -> None:
    """A child that outlives a killed daemon is no reason to refuse the next."""
    with process(FORK, tmp_path) as first:
        first.kill()
        first.wait()
        StateLock(tmp_path).close()


def test_daemon_waits_for_what_a_dead_one_has_left(tmp_path: Path) -> None:
    """Its own processes hold the lock until they end; a command does not wait for them."""
    with process(SHARE, tmp_path) as first:
        first.kill()
        first.wait()
        with pytest.raises(StateInUse):
            StateLock(tmp_path, "sgevents feed")
        assert first.stdin is not None
        ending = threading.Timer(0.5, first.stdin.close)  # longer than it waits for others
        ending.start()
        StateLock(tmp_path).close()
        ending.join()


@pytest.mark.parametrize("left", [b"", b"12", b"\xff\x00garbage", b'{"pid": "x"}', b"[]"])
def test_file_left_behind_is_no_obstacle(tmp_path: Path, left: bytes) -> None:
    """Whatever an earlier holder left in the file, the lock is free when nobody holds it."""
    (tmp_path / LOCK_FILE).write_bytes(left)
    assert find_holder(tmp_path) is None
    StateLock(tmp_path).close()


def test_holder_that_has_not_signed_is_a_holder(tmp_path: Path) -> None:
    """A lock held by a process that did not say who it is is refused all the same."""
    lock = StateLock(tmp_path)
    (tmp_path / LOCK_FILE).write_bytes(b"{")
    assert find_holder(tmp_path) == {}
    with pytest.raises(StateInUse, match=r"process \? on \?"):
        StateLock(tmp_path)
    lock.close()


def test_looking_who_holds_it_keeps_nobody_from_taking_it(tmp_path: Path) -> None:
    """A look at the holder, which `status` takes at any time, never causes a daemon's refusal."""
    StateLock(tmp_path).close()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            find_holder(tmp_path)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for _ in range(300):
            StateLock(tmp_path).close()
    finally:
        done.set()
        watcher.join()


def test_folder_is_made_and_not_for_everybody(tmp_path: Path) -> None:
    """A state's folder that is not there is made; others may not look into it."""
    folder = tmp_path / "new" / "state"
    assert find_holder(folder) is None
    before = os.umask(0o022)
    try:
        StateLock(folder).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert stat.S_IMODE((folder / LOCK_FILE).stat().st_mode) == 0o640


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A path through a file is an error that says so."""
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="Not a directory"):
        StateLock(tmp_path / "file" / "state")
