"""A sandbox site and the unmodified client connected to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from shotgun_api3.shotgun import Shotgun

from sgevents_core.sandbox import Sandbox

Connect = Callable[..., Any]


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A sandbox with its project."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def empty() -> Iterator[Sandbox]:
    """A sandbox without records and events."""
    with Sandbox(project=False) as running:
        yield running


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients of a site and closes them at the end."""
    with ExitStack() as stack:

        def client(site: Sandbox, **options: Any) -> Any:
            options = options or {"script_name": site.script_name, "api_key": site.api_key}
            sg = Shotgun(site.url, **options)
            sg.config.rpc_attempt_interval = 0
            stack.callback(sg.close)
            return sg

        yield client


@pytest.fixture
def sg(site: Sandbox, connect: Connect) -> Any:
    """The client of `site`."""
    return connect(site)
