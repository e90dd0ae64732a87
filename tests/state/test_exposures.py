"""A state that others may get at: warned of, and nothing in it leads to another file or process."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from observed_calls import SeenCall

from sgevents_core.cli.check_state import state_findings
from sgevents_core.crashes.evidence import read_evidence_text
from sgevents_core.errors import StateError
from sgevents_core.state import register
from sgevents_core.state.call_times import CallTimes, call_times_paths, calls_for_event
from sgevents_core.state.exposures import state_exposures
from sgevents_core.state.keys import CallKey
from sgevents_core.state.lock import LOCK_FILE, StateLock, find_holder, is_held_by
from sgevents_core.state.opening import open_state
from sgevents_core.state.running import (
    RUNNING_FILE,
    Running,
    read_running_daemon,
    write_running_daemon,
)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A state as the daemon makes it, with a lock, and elsewhere a file that is not the state's."""
    (tmp_path / "elsewhere").write_text("theirs")
    made = tmp_path / "state"
    with closing(StateLock(made)), closing(open_state(made).writer()):
        yield made


def said(folder: Path) -> str:
    """What is warned of."""
    return "\n".join(one.message for one in state_exposures(folder))


def test_state_of_ones_own_is_not_warned_of(folder: Path) -> None:
    """What the daemon makes is for its user and its group."""
    assert said(folder) == ""
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert {stat.S_IMODE(path.stat().st_mode) & 0o137 for path in folder.iterdir()} == {0}


@pytest.mark.parametrize(
    ("name", "mode", "says"),
    [
        ("", 0o777, "every user can change the state's folder"),
        ("", 0o1777, "every user can change the state's folder"),
        ("", 0o752, "every user can change the state's folder"),
        ("sgevents.db", 0o666, "every user can change sgevents.db"),
        ("lock", 0o646, "every user can change lock"),
    ],
)
def test_what_others_may_change_is_warned_of(folder: Path, name: str, mode: int, says: str) -> None:
    """With a command that closes it, by `check` as well; the state can be used all the same."""
    (folder / name).chmod(mode)
    assert says in said(folder)
    found = [one for one in state_findings(folder) if says in one.message]
    assert [one.status for one in found] == ["warning"]
    assert "chmod o-w" in found[0].fix


def test_folder_of_a_group_is_warned_of(folder: Path) -> None:
    """Unless the group is the owner's own."""
    os.chown(folder, -1, 1)
    folder.chmod(0o770)
    assert "every member of the group" in said(folder)
    os.chown(folder, -1, os.getgid())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_foreign_owner_is_warned_of(folder: Path) -> None:
    """Whoever owns the folder can change what is in it."""
    os.chown(folder, 4711, -1)
    assert "the state's folder belongs to user 4711" in said(folder)


def test_what_others_may_read_is_warned_of(folder: Path) -> None:
    """If they get into the folder."""
    (folder / "sgevents.db").chmod(0o644)
    assert said(folder) == ""
    folder.chmod(0o755)
    assert "every user can read sgevents.db" in said(folder)


def link(path: Path) -> None:
    """Put a link to another file in the place of a file."""
    path.unlink(missing_ok=True)
    path.symlink_to(path.parent.parent / "elsewhere")


def pipe(path: Path) -> None:
    """Put a pipe in the place of a file, which would never be read to its end."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize("instead", [link, pipe])
def test_lock_is_not_taken_through_a_link(tmp_path: Path, instead: Callable[[Path], None]) -> None:
    """The file it points at would be emptied and written to."""
    (tmp_path / "elsewhere").write_text("theirs")
    made = tmp_path / "state"
    made.mkdir()
    instead(made / LOCK_FILE)
    with pytest.raises(StateError, match=r"lock: it is (a symbolic link|not a plain file)"):
        StateLock(made)
    assert find_holder(made) is None
    assert (tmp_path / "elsewhere").read_text() == "theirs"


@pytest.mark.parametrize("instead", [link, pipe])
def test_no_other_file_is_read_through_a_link(
    folder: Path, instead: Callable[[Path], None]
) -> None:
    """Nor written: what stands for one of the state's files is not believed, or made anew."""
    elsewhere = folder.parent / "elsewhere"
    elsewhere.write_bytes(msgspec.json.encode(Running(os.getpid(), "run", "1", {})))
    theirs = elsewhere.read_bytes()
    for name in (RUNNING_FILE, "last-words", "lane-main.register", "lane-main.calls"):
        instead(folder / name)
    assert read_running_daemon(folder) is None
    assert read_evidence_text(folder) == ""
    assert register.read_register(folder / "lane-main.register").slots == {}
    assert calls_for_event(folder, "main", 1) == []
    times = CallTimes(folder, "main", [CallKey("a", "a:run")])
    times.ended(SeenCall(seq=1), 0.0, 0.0, None)
    times.write(now=True)
    register.Register(folder / "lane-main.register", [CallKey("a", "a:run")]).close()
    write_running_daemon(folder, Running(1, "run", "1", {}))
    assert elsewhere.read_bytes() == theirs
    assert not (folder / "lane-main.register").is_symlink()
    assert call_times_paths(folder, "main")[0].name == "lane-main.calls"


def test_process_that_holds_the_lock_is_proved(folder: Path) -> None:
    """By the system, and no other is, whatever stands in the lock."""
    assert is_held_by(folder, os.getpid())
    assert not is_held_by(folder, os.getppid())
    (folder / LOCK_FILE).write_bytes(
        msgspec.json.encode({"pid": os.getppid(), "host": socket.gethostname()})
    )
    found = find_holder(folder)
    assert found is not None
    assert found["pid"] == os.getppid()
    assert not is_held_by(folder, os.getppid())


def test_lock_that_nobody_holds_proves_nothing(tmp_path: Path) -> None:
    """A process that is long gone may have the number of another by now."""
    StateLock(tmp_path).close()
    assert not is_held_by(tmp_path, os.getpid())
