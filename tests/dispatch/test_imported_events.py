"""A lane whose plugins had some of its events from another daemon."""

from __future__ import annotations

import pytest
from journal_rows import event_row, grow
from lane_house import House, only, raising

from sgevents_core.errors import Retry
from sgevents_core.settings import LaneSettings
from sgevents_core.state.feed_values import FeedChange, FeedState
from sgevents_core.state.imported import ImportedPosition


@pytest.fixture(autouse=True)
def positions(house: House) -> None:
    """`ahead` had all up to 104 but 102; `behind` had all up to 101; `new` had none."""
    house.plugin("ahead", "one", "two")
    house.plugin("behind", "one")
    house.plugin("new", "one")
    positions = {
        "ahead": ImportedPosition(104, ((102, 102),)),
        "behind": ImportedPosition(101),
    }
    change = FeedChange(FeedState(floor=102, frontier=101))
    assert house.state.import_positions(change, positions, "default")


def first_start(house: House) -> None:
    """Start while the journal is empty, as the first start after an import does."""
    house.run()


WANTED = [
    "102 ahead.one",
    "102 ahead.two",
    "102 behind.one",
    "102 new.one",
    "103 behind.one",
    "103 new.one",
    "104 behind.one",
    "104 new.one",
    "105 ahead.one",
    "105 ahead.two",
    "105 behind.one",
    "105 new.one",
]


def test_each_event_goes_to_those_who_need_it(house: House) -> None:
    """In the usual order of the plugins, and nobody gets an event twice."""
    first_start(house)
    house.events(102, 103, 104, 105)
    house.run()
    assert house.calls == WANTED


def test_a_late_event_goes_to_those_who_need_it(house: House) -> None:
    """What comes late is also passed only to plugins that did not have it."""
    first_start(house)
    house.events(103, 104, 105)
    house.run()
    house.calls.clear()
    grow(house.state, [event_row(102), event_row(100)], late={102, 100})
    house.run()
    assert house.calls == [*WANTED[:4], "100 new.one"]


def test_a_restart_changes_nothing(house: House) -> None:
    """A daemon that stops in between continues with what each plugin needs."""
    first_start(house)
    house.events(102, 103)
    house.run()
    house.events(104, 105)
    house.run()
    assert house.calls == WANTED


def test_workers_pass_each_event_to_those_who_need_it(house: House) -> None:
    """The same holds in a lane that is divided into strands."""
    house.lane_settings["default"] = LaneSettings(workers=4, order_by="none")
    first_start(house)
    house.events(102, 103, 104, 105)
    house.run()
    assert sorted(house.calls) == sorted(WANTED)


def test_a_plugin_that_is_enabled_later_gets_all_it_needs(house: House) -> None:
    """It begins at its imported position, not at the end of what was read meanwhile."""
    house.plugins["ahead"].table = house.plugin("ahead", "one", "two", enabled=False).table
    first_start(house)
    house.events(102, 103, 104, 105)
    house.run()
    assert only(house.calls, "ahead") == []
    house.plugin("ahead", "one", "two")
    house.run()
    assert only(house.calls, "ahead") == only(WANTED, "ahead")


def test_a_plugin_that_falls_behind_gets_only_what_it_needs(house: House) -> None:
    """Catching up passes over what it had, like the lane does."""
    tries = []

    def fails_once(event: object, ctx: object) -> None:
        tries.append(event)
        if len(tries) == 1:
            raise Retry("not yet", after=0)

    house.plugin("ahead", fails_once)
    first_start(house)
    house.events(102, 103, 104, 105)
    house.run()
    assert only(house.calls, "ahead") == [
        "102 ahead.fails_once",
        "102 ahead.fails_once#2",
        "105 ahead.fails_once",
    ]


def test_ids_of_a_later_era_mean_other_events(house: House) -> None:
    """After a reset of the feed ids begin anew, and nobody had those."""
    first_start(house)
    grow(house.state, [event_row(103)], era=2)
    house.run()
    assert house.calls == ["103 ahead.one", "103 ahead.two", "103 behind.one", "103 new.one"]


def test_a_failure_of_another_plugin_costs_nobody_an_event(house: House) -> None:
    """A plugin that pauses at an event leaves the others' events as they are."""
    house.plugin("behind", raising(ValueError("bad"), on=[103]), on_error="pause", max_attempts=1)
    first_start(house)
    house.events(102, 103, 104, 105)
    house.run()
    assert only(house.calls, "ahead") == only(WANTED, "ahead")
    assert only(house.calls, "behind")[-1] == "103 behind.fails"
    assert house.records()["behind"].state == "paused"
