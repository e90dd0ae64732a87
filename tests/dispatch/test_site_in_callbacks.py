"""What becomes of an event whose callback got no answer from the site."""

from __future__ import annotations

import pytest

from sgevents_core import Context, Event, hookimpl, match
from sgevents_core.sandbox import Sandbox
from sgevents_core.testing import Harness


class Closing:
    """Sets the status of new shots, and notes the attempts."""

    def __init__(self) -> None:
        self.done: list[int] = []

    @hookimpl
    @match(entity_type="Shot")
    def on_new(self, event: Event, ctx: Context) -> None:
        """Set the status."""
        assert event.entity is not None
        ctx.sg.update("Shot", event.entity["id"], {"description": "seen"})
        self.done.append(ctx.attempt)


@pytest.mark.parametrize("kind", ["html", "garbage", "cut-json", "cut-body", "reset"])
def test_a_write_that_got_no_answer_is_made_again(kind: str) -> None:
    """The event counts as handled when the site has said so, and not before."""
    plugin = Closing()
    with Sandbox(project=False) as site, Harness(plugin, "closing", site=site) as harness:
        with site.transaction() as work:
            work.create("Shot", {"code": "s1"})
        site.faults.add(kind, method="update", calls=1)
        result = harness.catch_up()
        calls = [call for call in result.calls if call.callback.endswith("on_new")]
        assert [call.outcome for call in calls] == ["retry", "returned"]
        assert plugin.done == [2]
