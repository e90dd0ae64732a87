"""An empty state in each of its homes: what the tests say of it is the contract of all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from nats_server import NatsServer, running_nats
from nats_states import nats_state

from sgevents_core.state.opening import kept_in_memory, kept_open, open_state
from sgevents_core.state.protocols import State, Writer
from sgevents_core.state.sqlite import journal_pages

LANES = ("default", "main", "other", "one", "two", "unused")
"""The lanes that the tests name."""


@pytest.fixture(scope="session")
def quick_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A NATS server for all tests that leaves it to the system when to write to its disk."""
    with running_nats(tmp_path_factory.mktemp("nats"), jetstream="") as server:
        yield server


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two events that came in turn be a page of the journal, where it takes many otherwise."""
    monkeypatch.setattr(journal_pages, "FEWEST_EVENTS", 2)


@pytest.fixture(params=["sqlite", "sqlite in pages", "memory", "nats"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[State]:
    """A state that nobody has opened, in `tmp_path`."""
    if request.param == "sqlite":
        yield open_state(tmp_path)
    elif request.param == "sqlite in pages":
        request.getfixturevalue("small_pages")
        yield open_state(tmp_path)
    elif request.param == "memory":
        with kept_in_memory(tmp_path) as state:
            yield state
    else:
        server = request.getfixturevalue("quick_server")
        with nats_state(server.port, tmp_path, LANES) as state, kept_open(state):
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
