"""Fixtures for tests of plugins; pytest finds them if sgevents-core is installed.

Nothing of sgevents is imported before a test uses a fixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sgevents_core.events import Event
    from sgevents_core.sandbox import Sandbox
    from sgevents_core.testing.builder import EventBuilder
    from sgevents_core.testing.harness import Harness, MakeHarness


@pytest.fixture
def sgevents_event() -> EventBuilder:
    """Return a builder of events: `sgevents_event.new("Shot")`."""
    from sgevents_core.testing.builder import EventBuilder  # noqa: PLC0415 - only when used

    return EventBuilder()


@pytest.fixture
def sgevents_site() -> Iterator[Sandbox]:
    """Return a sandbox site with the small project; it is closed when the test ends."""
    from sgevents_core.sandbox import Sandbox  # noqa: PLC0415 - only when used

    with Sandbox() as site:
        yield site


@pytest.fixture
def sgevents_harness() -> Iterator[MakeHarness]:
    """Return a maker of harnesses: `sgevents_harness(my_plugin, settings={...})`."""
    from sgevents_core.testing.harness import Harness  # noqa: PLC0415 - only when used

    with ExitStack() as open_harnesses:

        def make_harness(plugin: object = None, name: str | None = None, **options: Any) -> Harness:
            return open_harnesses.enter_context(Harness(plugin, name, **options))

        yield make_harness


@pytest.fixture
def sgevents_recorded(request: pytest.FixtureRequest) -> Callable[[str], list[Event]]:
    """Return a loader of recorded events, `sgevents_recorded("day.jsonl")`, beside the test."""
    from sgevents_core.testing.recorded import load_events  # noqa: PLC0415 - only when used

    return lambda file_name: load_events(request.path.parent / file_name)
