"""Fixtures of the tests of what plugins are given and how they are run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from installed_packages import Packages
from running_daemon import RunningDaemon

from sgevents_core.sandbox import Sandbox


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Packages]:
    """An empty folder of installed distributions, on the path; forgotten afterwards."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield Packages(folder)
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A sandbox with its project."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def daemon(tmp_path: Path, site: Sandbox, monkeypatch: pytest.MonkeyPatch) -> RunningDaemon:
    """A daemon that follows `site`, not running yet, and sees changed modules at once."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return RunningDaemon(tmp_path, site)
