"""What people asked for while no daemon ran comes before the first event of the next start."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from lane_house import House, only
from request_desk import Asking, letters

from sgevents_core.dispatch.strand import SLICE_SECONDS
from sgevents_core.events import Event
from sgevents_core.settings import LaneSettings
from sgevents_core.state.opening import open_state

ENTITIES = 8


def ask_before_start(house: House, *asked: tuple[str, str, dict[str, Any]]) -> None:
    """Ask while nothing runs, and have it handed on before the lanes' next run."""

    def handed_on(run: Callable[[], None]) -> None:
        with closing(Asking(house)) as desk:
            desk.poll()
        run()

    with closing(open_state(house.folder).requests()) as requests:
        for kind, plugin, detail in asked:
            requests.ask(kind, plugin, detail, "anna@host")
    house.around_lanes = handed_on


def entities(house: House, *event_ids: int) -> None:
    """Append events about one entity after another."""
    for event_id in event_ids:
        meta = {"entity_type": "Task", "entity_id": event_id % ENTITIES}
        house.events(event_id, meta=meta)


@pytest.mark.parametrize("workers", [1, 3])
def test_plugin_to_be_paused_gets_no_event(house: House, workers: int) -> None:
    """However many workers wait for events, and however long what was asked for before takes."""

    def slow(event: Event, ctx: Any) -> None:
        if event.id == 1 and not letters(house):
            raise ValueError("bad")
        if event.id == 1:
            time.sleep(2 * SLICE_SECONDS)  # the lane turns to events although more was asked for

    house.lane_settings["default"] = LaneSettings(workers=workers)
    house.plugin("alpha", slow)
    house.plugin("beta", "one")
    house.run()
    entities(house, 1)
    house.run()
    (letter,) = letters(house)
    entities(house, *range(2, 40))
    ask_before_start(
        house, ("retry", "alpha", {"letter": letter.number}), ("pause", "beta", {"reason": "r"})
    )
    house.run()
    assert only(house.calls, "beta") == ["1 beta.one"]
    assert len(only(house.calls, "alpha")) == 40
    assert house.records()["beta"].state == "paused"


@pytest.mark.parametrize("workers", [1, 3])
def test_order_of_what_was_asked_for_one_plugin_stays(house: House, workers: int) -> None:
    """A pause that is taken back is no pause."""
    house.lane_settings["default"] = LaneSettings(workers=workers)
    house.plugin("alpha", "one")
    house.run()
    entities(house, 1, 2)
    ask_before_start(house, ("pause", "alpha", {"reason": "r"}), ("resume", "alpha", {}))
    house.run()
    assert sorted(house.calls) == ["1 alpha.one", "2 alpha.one"]
