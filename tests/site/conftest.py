"""Sites to ask and to follow, over HTTP."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from running_feed import Running, Start
from scripted_site import ScriptedSite, scripted_site
from site_records import Connect, settings

from sgevents_core.sandbox import Sandbox
from sgevents_core.site import backlog, trouble
from sgevents_core.site import feed as feed_module
from sgevents_core.site import follower as gaps
from sgevents_core.site.client import EventLog


@pytest.fixture(scope="session")
def busy() -> Iterator[Sandbox]:
    """A sandbox with its project and some traffic, for tests that leave it as it is."""
    with Sandbox(events=1200) as running:
        for _ in range(40):
            running.step()
        running.burn(700)
        running.step()
        yield running


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes event logs of an address and closes them at the end."""
    with ExitStack() as stack:

        def connected(url: str, fields: Sequence[str] = (), **options: Any) -> EventLog:
            return stack.enter_context(closing(EventLog(settings(url, **options), fields)))

        yield connected


@pytest.fixture
def log(busy: Sandbox, connect: Connect) -> Iterator[EventLog]:
    """The busy site's event log as the feed reads it."""
    yield connect(busy.url)
    busy.faults.clear()


@pytest.fixture(scope="session")
def script() -> Iterator[ScriptedSite]:
    """A server for all tests."""
    with scripted_site() as running:
        yield running


@pytest.fixture
def scripted(script: ScriptedSite) -> ScriptedSite:
    """A server that says what a test wants it to."""
    script.forget()
    return script


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A sandbox without a project."""
    with Sandbox(project=False) as running:
        yield running


@pytest.fixture
def start(
    site: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Start]:
    """Starts feeds of the site that try again soon; ends them."""
    monkeypatch.setattr(trouble, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(trouble, "LONGEST_WAIT", 0.05)
    monkeypatch.setattr(backlog, "FIRST_LOOK", 0.05)
    monkeypatch.setattr(gaps, "FIRST_LOOK", 0.05)
    monkeypatch.setattr(feed_module, "BETWEEN_REFUSALS", 0.01)
    caplog.set_level(logging.INFO, "sgevents")
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(closing(Running(site, tmp_path, **options)))
