"""A state on disk, empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Writer


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Writer]:
    """Journal and ledger, empty, in `tmp_path`."""
    opened = open_state(tmp_path).writer()
    yield opened
    opened.close()
