"""A console over a state that a daemon has left: a paused plugin, a dead letter, a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from console_states import fill_state
from console_visits import config_file, console_client
from starlette.testclient import TestClient


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose state has three events and two plugins, one of them paused."""
    path = config_file(tmp_path, more="[plugins.notify]\nenabled = true\n")
    fill_state(tmp_path / "studio")
    return path


@pytest.fixture
def client(config: Path) -> Iterator[TestClient]:
    """A browser of an operator who needs no sign-in."""
    with console_client([config]) as browser:
        yield browser
