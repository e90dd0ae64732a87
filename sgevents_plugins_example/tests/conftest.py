"""Fixtures: a desk with a site, and what plugins say in their logs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desk import Desk

from sgevents_core.sandbox import Sandbox


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk at which no plugin is enabled yet."""
    with Sandbox(project=False) as site:
        desk = Desk(site, tmp_path)
        yield desk
        desk.harness.close()


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What plugins have written to their logs so far."""
    caplog.set_level(logging.INFO, logger="sgevents.plugin")
    return lambda: [record.getMessage() for record in caplog.records]
