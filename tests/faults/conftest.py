"""A scene for each fault, and the table that the faults are reported to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_scene import Scene
from forked_runs import Launcher, launcher
from reliability import Reliability

from sgevents_core.sandbox import Sandbox

HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the table in the documentation be written."""
    parser.addoption(
        "--write-reliability", action="store_true", help="write docs/explanation/reliability.md"
    )


@pytest.fixture(scope="session")
def reliability(request: pytest.FixtureRequest) -> Iterator[Reliability]:
    """What takes the rows of faults: `row(group, fault, injected, times, lost, repeated)`."""
    write = request.config.getoption("--write-reliability", default=False)
    table = Reliability(write=bool(write))
    yield table
    table.finish(file.read_text("utf-8") for file in sorted(HERE.glob("test_*.py")))


@pytest.fixture(scope="session")
def launching() -> Iterator[Launcher]:
    """What starts daemons, once for all scenes."""
    with launcher() as started:
        yield started


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site without records and events."""
    with Sandbox(project=False) as running:
        yield running


@pytest.fixture
def scene(tmp_path: Path, site: Sandbox, launching: Launcher) -> Iterator[Scene]:
    """A site with a daemon that follows it, not started yet."""
    made = Scene(tmp_path, site, launching)
    try:
        yield made
    finally:
        made.close()
