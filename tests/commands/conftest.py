"""A house of lanes over a state on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lane_house import House, opened_house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A state without events, and no plugins yet."""
    with opened_house(tmp_path) as opened:
        yield opened
