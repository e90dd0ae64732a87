"""A state that this user may not write: what it is, and nothing about damage."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from commanding import Commands, Said
from journal_rows import event_row, grow
from running_daemon import RunningDaemon

from sgevents_core.sandbox import Sandbox
from sgevents_core.state.opening import open_state

NOBODY = 65_534


@pytest.fixture
def daemon() -> Iterator[RunningDaemon]:
    """A configuration with a state, in a folder that everybody may look into."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        with Sandbox(project=False) as site:
            made = RunningDaemon(folder, site)
            made.write_config()
            (folder / "state").mkdir()
            with closing(open_state(folder / "state").writer()) as state:
                grow(state, [event_row(1)])
            yield made
    finally:
        shutil.rmtree(folder)


@contextmanager
def without_rights(state: Path, mode: int) -> Iterator[None]:
    """Let a folder have a mode, and this process be somebody who is held to it."""
    (state / "sgevents.db").chmod(0o644)
    for beside in state.glob("sgevents.db-*"):  # with these it could be read
        beside.unlink()
    state.chmod(mode)
    me = os.geteuid()
    if me == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(me)
        state.chmod(0o755)


def said_without_rights(daemon: RunningDaemon, mode: int, *words: str) -> Said:
    """Run a command as somebody whom the mode of the state's folder binds."""
    commands = Commands(daemon)
    commands(*words)  # imports what somebody else may not read
    with without_rights(daemon.folder / "state", mode):
        return commands(*words)


@pytest.mark.parametrize("words", [("status",), ("pause", "alpha"), ("explain", "1")])
def test_command_says_who_may_not_write(daemon: RunningDaemon, words: tuple[str, ...]) -> None:
    """It names the user, the folder and the owner, and what helps."""
    state = daemon.folder / "state"
    said = said_without_rights(daemon, 0o555, *words)
    assert said.code == 1
    why = "owner: root" if os.geteuid() == 0 else "its mode is 555"
    assert f"may not write to {state} ({why})" in said.stderr
    assert "run this as a user who may write there" in said.stderr
    assert "unable to open" not in said.stderr


def test_state_check_advises_no_restore(daemon: RunningDaemon) -> None:
    """The database is not damaged as far as anybody knows."""
    said = said_without_rights(daemon, 0o555, "state", "check", "--json")
    problems = [one for one in said.json["findings"] if one["status"] == "problem"]
    assert any("may not write to" in one["message"] for one in problems)
    assert not any("backup" in one["fix"] for one in problems)


@pytest.mark.parametrize("words", [("status",), ("pause", "alpha")])
def test_folder_that_may_not_be_looked_into(daemon: RunningDaemon, words: tuple[str, ...]) -> None:
    """A message, no traceback, and not that nothing has run there."""
    said = said_without_rights(daemon, 0o600, *words)
    assert (said.code, "Permission denied" in said.stderr) == (1, True)
