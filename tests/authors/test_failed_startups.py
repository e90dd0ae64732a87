"""Results of a harness say which plugins have not started."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sgevents_core import hookimpl
from sgevents_core.testing import EventBuilder, Harness


def _plugin() -> Any:
    @hookimpl
    def startup(ctx: Any) -> None:
        raise OSError("no license")

    @hookimpl
    def on_new(event: Any) -> None:
        """Do nothing."""

    return SimpleNamespace(startup=startup, on_new=on_new)


def test_results_say_why_a_plugin_gets_no_events() -> None:
    """Every one of them, not only the first, so that a test is not green for nothing."""
    builder = EventBuilder()
    with Harness(_plugin(), "farm") as harness:
        first, second = harness.run(builder.new("Shot")), harness.run(builder.new("Shot"))
    reason = "its startup failed: OSError: no license"
    assert [first.not_started, second.not_started] == [{"farm": reason}] * 2
    assert (first.calls, second.calls, second.state) == ([], [], "not started")
    assert str(second) == f"farm gets no events: {reason}"
    with pytest.raises(OSError, match="no license"):
        first.raise_errors()
    with pytest.raises(AssertionError, match="plugin farm gets no events"):
        second.raise_errors()


def test_plugins_that_have_started() -> None:
    """Say nothing there."""
    plugin = SimpleNamespace(on_new=_plugin().on_new)
    with Harness(plugin, "farm") as harness:
        assert harness.run(EventBuilder().new("Shot")).not_started == {}
