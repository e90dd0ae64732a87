"""What a change of its code does for a plugin that is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lane_house import House
from request_desk import asking
from waiting import wait_until

from sgevents_core import Retry
from sgevents_core.crashes.recovering import take_over_lanes
from sgevents_core.events import Event


def put_off(event: Event, ctx: Any) -> None:
    """Fail, to be tried again much later."""
    raise Retry(after=3600)


def fail(event: Event, ctx: Any) -> None:
    """Fail for good."""
    raise ValueError("a bug")


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A lane with a plugin that is put off, and one that an error pauses."""
    house = House(tmp_path)
    house.plugin("alpha", put_off)
    house.plugin("beta", fail, on_error="pause")
    return house


def state_after_change(house: House, name: str) -> str:
    """Return the state of a plugin whose code has changed, in a lane that has ended."""
    loaded = house.loaded()
    take_over_lanes(["default"], house.settings(), loaded, house.state, changed_plugins=[name])
    return house.records()[name].state


@pytest.mark.disk
def test_changed_code_resumes_what_an_error_has_stopped(house: House) -> None:
    """A hold and a pause by an error end: the cause may be mended."""
    with house.running():
        house.events(1)
        wait_until(lambda: house.records()["alpha"].state == "held")
        wait_until(lambda: house.records()["beta"].state == "paused")
    assert state_after_change(house, "alpha") == "active"
    assert state_after_change(house, "beta") == "active"


@pytest.mark.disk
def test_changed_code_ends_no_pause_by_a_person(house: House) -> None:
    """Not even where a call waits to be tried again."""
    with asking(house) as person:
        house.events(1)
        wait_until(lambda: house.records()["alpha"].state == "held")
        person.ask("pause", "alpha")
    assert state_after_change(house, "alpha") == "paused"
    assert house.records()["alpha"].is_paused_by_person
