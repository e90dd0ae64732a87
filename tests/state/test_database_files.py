"""The files of the state's database: what is no plain file is refused, and never waited for."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from sgevents_core.errors import StateError
from sgevents_core.state.opening import open_state

DATABASE = "sgevents.db"


@pytest.mark.parametrize("file_name", [DATABASE, f"{DATABASE}-wal", f"{DATABASE}-journal"])
@pytest.mark.parametrize("make_other", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_plain_file_is_refused(
    tmp_path: Path, file_name: str, make_other: object
) -> None:
    """Readers and writers would otherwise wait for somebody at the other end of a pipe."""
    assert callable(make_other)
    if file_name != DATABASE:
        with closing(open_state(tmp_path).writer()):
            pass
        (tmp_path / file_name).unlink(missing_ok=True)
    make_other(tmp_path / file_name)
    state = open_state(tmp_path)
    for open_home in (state.reader, state.writer, state.requests, state.letters):
        with pytest.raises(StateError, match=f"{file_name} is not a plain file"):
            open_home()


def test_a_database_behind_a_link_is_used(tmp_path: Path) -> None:
    """A studio may keep the file itself on another disk."""
    real_folder, state_folder = tmp_path / "disk", tmp_path / "state"
    state_folder.mkdir()
    real_folder.mkdir()
    with closing(open_state(real_folder).writer()):
        pass
    (state_folder / DATABASE).symlink_to(real_folder / DATABASE)
    with closing(open_state(state_folder).reader()) as state:
        assert state.end() == 0
