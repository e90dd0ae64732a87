"""A studio with classic plugins."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from classic_files import ClassicStudio


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[ClassicStudio]:
    """A folder for folders of classic plugins; modules that they import are forgotten after."""
    path_before, modules_before = list(sys.path), set(sys.modules)
    yield ClassicStudio(tmp_path)
    sys.path[:] = path_before
    for name in set(sys.modules) - modules_before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)) or name.startswith("sgevents_classic"):
            del sys.modules[name]
