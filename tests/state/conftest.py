"""A state on disk, empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sgevents_core.state.sqlite.sqlite_state import SqliteState


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqliteState]:
    """Journal and ledger, empty, in `tmp_path`."""
    opened = SqliteState(tmp_path)
    yield opened
    opened.close()
