"""A studio that moves over, for all tests of moving."""

from __future__ import annotations

from pathlib import Path

import pytest
from old_studio import OldStudio


@pytest.fixture
def studio(tmp_path: Path) -> OldStudio:
    """A studio in a folder of its own."""
    folder = tmp_path / "house"
    folder.mkdir()
    return OldStudio(folder)
