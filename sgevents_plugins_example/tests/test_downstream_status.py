"""The plugin downstream-status, loaded as the daemon loads it, on the events of a sandbox site."""

from __future__ import annotations

from typing import Any

import pytest
from desk import Desk, set_status, task

from sgevents_core.errors import PluginError


def after(desk: Desk, *earlier: dict[str, Any]) -> dict[str, Any]:
    """Make a task that waits for others."""
    later = task(desk)
    with desk.site.transaction("anna") as work:
        work.update("Task", later["id"], {"upstream_tasks": list(earlier)})
    return later


def test_task_is_ready_once_all_before_it_are_done(desk: Desk) -> None:
    """The first of two is not enough; the second may be omitted."""
    desk.enable("downstream-status")
    first, second = task(desk), task(desk)
    later = after(desk, first, second)
    set_status(desk, first, "fin")
    desk.catch_up()
    assert desk.read(later, "sg_status_list") == "wtg"
    set_status(desk, second, "omt")
    desk.catch_up()
    assert desk.read(later, "sg_status_list") == "rdy"


def test_task_that_has_begun_is_left_alone(desk: Desk) -> None:
    """So is one of which something else is known, and a status that ends nothing does nothing."""
    desk.enable("downstream-status")
    first = task(desk)
    begun, waiting = after(desk, first), after(desk, first)
    set_status(desk, begun, "ip")
    set_status(desk, first, "ip")
    desk.catch_up()
    assert desk.read(waiting, "sg_status_list") == "wtg"
    set_status(desk, first, "fin")
    desk.catch_up()
    assert desk.read(begun, "sg_status_list") == "ip"
    assert desk.read(waiting, "sg_status_list") == "rdy"


def test_the_same_event_again_writes_nothing(desk: Desk) -> None:
    """A call that is repeated after a kill finds nothing to do."""
    desk.enable("downstream-status")
    first = task(desk)
    after(desk, first)
    set_status(desk, first, "fin")
    desk.catch_up()
    set_status(desk, first, "ip")
    set_status(desk, first, "fin")
    assert not desk.harness.catch_up().raise_errors().writes


def test_chain_goes_on(desk: Desk) -> None:
    """A studio's own statuses are taken; each task makes the next one ready."""
    desk.enable("downstream-status", done=["apr", "fin"])
    first = task(desk)
    second = after(desk, first)
    third = after(desk, second)
    for done, later in ((first, second), (second, third)):
        set_status(desk, done, "fin")
        desk.catch_up()
        assert desk.read(later, "sg_status_list") == "rdy"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"done": []}, "at least one status"),
        ({"waiting": "rdy"}, "has to differ"),
        ({"waiting": "fin"}, "has to differ"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    desk: Desk, settings: dict[str, Any], complaint: str
) -> None:
    """Before the first event."""
    desk.enable("downstream-status", **settings)
    with pytest.raises(PluginError, match=complaint):
        desk.harness.start()
