"""An empty state in each of its homes: what the tests say of it is the contract of all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sgevents_core.state.opening import kept_in_memory, open_state
from sgevents_core.state.protocols import State, Writer


@pytest.fixture(params=["sqlite", "memory"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[State]:
    """A state that nobody has opened, in `tmp_path`."""
    if request.param == "sqlite":
        yield open_state(tmp_path)
        return
    with kept_in_memory(tmp_path) as state:
        yield state


@pytest.fixture
def state(home: State) -> Iterator[Writer]:
    """A connection to it that writes."""
    with closing(home.writer()) as opened:
        yield opened


@pytest.fixture
def disk_state(tmp_path: Path) -> Iterator[Writer]:
    """The same on a disk, in `tmp_path`, for what only SQLite has to keep."""
    with closing(open_state(tmp_path).writer()) as opened:
        yield opened
