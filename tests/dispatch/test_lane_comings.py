"""Plugins that come, go, break, move and change between two runs: nothing lost or repeated."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from lane_house import House, only
from request_desk import asking
from waiting import wait_until

from sgevents_core.dispatch import lane
from sgevents_core.errors import Retry
from sgevents_core.events import Event
from sgevents_core.filters import Match
from sgevents_core.reading.overview import read_overview
from sgevents_core.settings import LaneSettings, PluginSettings
from sgevents_core.state.opening import open_state
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.register import lane_register_path
from sgevents_core.state.sqlite.database import DATABASE
from sgevents_core.state.steps import Step

pytestmark = pytest.mark.disk


def test_order_changed_between_two_runs(house: House) -> None:
    """In the middle of an event, what was done stays done, and what is left comes in new order."""

    def stopping(event: Event, ctx: Any) -> None:
        if event.id == 1:
            house.stop()

    house.plugin("alpha", "one", stopping, "three")
    house.plugin("bravo", "one", "two")
    with house.running():
        house.events(1, 2)
        wait_until(lambda: "1 alpha.stopping" in house.calls)
    house.plugins = dict(sorted(house.plugins.items(), reverse=True))
    house.plugins["alpha"].callbacks.reverse()
    house.run()
    assert house.calls[2:5] == ["1 bravo.one", "1 bravo.two", "1 alpha.three"]
    assert house.calls[5:] == ["2 bravo.one", "2 bravo.two", "2 alpha.three", "2 alpha.stopping",
                               "2 alpha.one"]  # fmt: skip


def test_callback_added_by_an_upgrade_gets_the_event_in_hand(house: House) -> None:
    """A plugin that comes back with one callback more has it called for what was not finished."""

    def stopping(event: Event, ctx: Any) -> None:
        house.stop()

    house.plugin("alpha", stopping, "two")
    with house.running():
        house.events(1)
        wait_until(lambda: house.calls)
    house.plugin("alpha", "new", stopping, "two")
    house.run()
    assert house.calls == ["1 alpha.stopping", "1 alpha.new", "1 alpha.two"]


@pytest.mark.parametrize("workers", [1, 3])
def test_what_was_done_of_an_event_is_not_taken_for_the_next(house: House, workers: int) -> None:
    """An upgrade wants the event in hand no more: the next one is called as a whole."""
    house.lane_settings["default"] = LaneSettings(workers=workers)
    shot: dict[str, Any] = {"entity": {"type": "Shot", "id": 7}}

    def stopping(event: Event, ctx: Any) -> None:
        house.stop()

    house.plugin("alpha", "one", stopping, "three")
    with house.running():
        house.events(1, **shot)
        house.events(2, kind="Shotgun_Note_New", **shot)
        wait_until(lambda: "1 alpha.stopping" in house.calls)
    house.plugin("alpha", "one", "stopping", "three", match=Match(event_type=("*_Note_*",)))
    house.run()
    assert house.calls[2:] == ["2 alpha.one", "2 alpha.stopping", "2 alpha.three"]


@pytest.mark.parametrize("workers", [1, 3])
def test_events_that_nobody_wants_are_passed_over(house: House, workers: int) -> None:
    """Among those that somebody wants, at the end, and alone; the lane is level behind them."""
    house.lane_settings["default"] = LaneSettings(workers=workers)
    house.plugin("notes", "run", match=Match(event_type=("*_Note_*",)))
    house.run()
    for first_id, count in ((1, 700), (1001, 40), (2001, 2)):
        house.events(*range(first_id, first_id + count))
        house.events(first_id + 900, kind="Shotgun_Note_New")
        house.events(*range(first_id + 901, first_id + 950))
    house.run()
    assert sorted(house.calls) == ["1901 notes.run", "2901 notes.run", "901 notes.run"]
    with closing(open_state(house.folder).reader()) as state:
        progress = state.lane_progress("default")
        assert progress is not None
        assert progress.finished == state.end() == 892


def test_newly_enabled_plugin_starts_at_the_end(house: House) -> None:
    """Without a `start` a plugin gets the events that come after it was enabled."""
    house.plugin("old", "run")
    house.run()
    house.events(1, 2)
    house.run()
    house.plugin("new", "run")
    with house.running():
        house.events(3)
        house.settle()
    assert only(house.calls, "new") == ["3 new.run"]
    assert only(house.calls, "old") == ["1 old.run", "2 old.run", "3 old.run"]


def test_newly_enabled_plugin_starts_at_the_end_where_its_lane_is_behind(house: House) -> None:
    """What its lane has not handled yet, but was there before the plugin, is not for it."""
    house.plugin("old", "run")
    house.run()
    house.events(1, 2)
    house.plugin("new", "run")
    with house.running():
        house.settle()
        house.events(3)
        house.settle()
    assert only(house.calls, "new") == ["3 new.run"]
    assert only(house.calls, "old") == ["1 old.run", "2 old.run", "3 old.run"]


@pytest.mark.parametrize(("start", "got"), [(2, [2, 3, 4]), (99, [4]), ("now", [4])])
def test_newly_enabled_plugin_starts_where_its_config_says(
    house: House, start: int | str, got: list[int]
) -> None:
    """With `start`, a plugin gets events that came before it was enabled, then rides along."""
    house.plugin("old", "run")
    house.run()
    house.events(1, 2, 3)
    house.run()
    house.plugin("new", "run", start=start)
    with house.running():
        house.settle()
        house.events(4)
        house.settle()
    assert only(house.calls, "new") == [f"{event} new.run" for event in got]
    assert not house.records()["new"].apart


def test_disabled_plugin_goes_on_at_its_cursor(house: House) -> None:
    """What came while it was disabled, it gets when it is enabled again, and no event twice."""
    house.plugin("alpha", "run")
    house.plugin("bravo", "run")
    with house.running():
        house.events(1)
        house.settle()
    house.plugins["alpha"].table = PluginSettings(enabled=False)
    with house.running():
        house.events(2, 3)
        house.settle()
    assert only(house.calls, "alpha") == ["1 alpha.run"]
    house.plugins["alpha"].table = PluginSettings(enabled=True)
    with house.running():
        house.settle()
        house.events(4)
        house.settle()
    assert only(house.calls, "alpha") == [f"{n} alpha.run" for n in (1, 2, 3, 4)]
    assert only(house.calls, "bravo") == [f"{n} bravo.run" for n in (1, 2, 3, 4)]
    assert house.calls[-2:] == ["4 alpha.run", "4 bravo.run"]


def test_plugin_disabled_in_the_middle_of_an_event(house: House) -> None:
    """Enabled again, it gets the rest of that event, at the very callback."""

    def stopping(event: Event, ctx: Any) -> None:
        house.stop()

    house.plugin("alpha", stopping, "two")
    house.plugin("bravo", "run")
    with house.running():
        house.events(1, 2)
        wait_until(lambda: house.calls)
    house.plugins["alpha"].table = PluginSettings(enabled=False)
    house.run()
    house.plugin("alpha", "stopping", "two")
    house.run()
    assert only(house.calls, "alpha") == ["1 alpha.stopping", "1 alpha.two", "2 alpha.stopping",
                                          "2 alpha.two"]  # fmt: skip
    assert only(house.calls, "bravo") == ["1 bravo.run", "2 bravo.run"]


def test_broken_plugin_gets_everything_later(house: House) -> None:
    """While it cannot be loaded its cursor stays, over any number of starts; nothing is lost."""
    house.plugin("alpha", "run")
    house.plugin("bravo", "run")
    with house.running():
        house.events(1)
        house.settle()
    house.plugins["alpha"].broken = True
    for event in (2, 3):
        with house.running():
            house.events(event)
            house.settle()
    assert only(house.calls, "alpha") == ["1 alpha.run"]
    house.plugins["alpha"].broken = False
    with house.running():
        house.settle()
        house.events(4)
        house.settle()
    assert only(house.calls, "alpha") == [f"{n} alpha.run" for n in (1, 2, 3, 4)]
    assert only(house.calls, "bravo") == [f"{n} bravo.run" for n in (1, 2, 3, 4)]


def test_plugin_broken_from_the_beginning_misses_nothing_since(house: House) -> None:
    """A plugin that could not be loaded when it was enabled gets what came from then on."""
    house.plugin("alpha", "run").broken = True
    house.plugin("bravo", "run")
    with house.running():
        house.events(1, 2)
        house.settle()
    house.plugins["alpha"].broken = False
    house.run()
    assert only(house.calls, "alpha") == ["1 alpha.run", "2 alpha.run"]


def test_plugin_whose_startup_fails_gets_everything_later(house: House) -> None:
    """A plugin that cannot start is handed no event of its lane, and loses none."""
    house.plugin("alpha", "run", hooks={"startup": lambda ctx: 1 / 0})
    house.plugin("bravo", "run")
    for event in (1, 2):
        with house.running():
            house.events(event)
            house.settle()
    assert house.calls == ["1 bravo.run", "2 bravo.run"]
    told = "its startup failed: ZeroDivisionError: division by zero"
    assert shown(house, "alpha") == ("not started", told)
    house.plugins["alpha"].hooks = {}
    house.run()
    assert only(house.calls, "alpha") == ["1 alpha.run", "2 alpha.run"]
    assert shown(house, "alpha") == ("active", "")


def test_held_plugin_whose_startup_fails_is_told_as_not_started(house: House) -> None:
    """Nobody calls it again while it is not started; afterwards it is called, and counts on."""
    attempts = []

    def later(event: Event, ctx: Any) -> None:
        attempts.append(ctx.attempt)
        if ctx.attempt == 1:
            raise Retry("not there yet", after=3600)

    house.plugin("alpha", later)
    with house.running():
        house.events(1)
        wait_until(lambda: house.records()["alpha"].state == "held")
    house.plugins["alpha"].hooks = {"startup": lambda ctx: 1 / 0}
    house.run()
    assert shown(house, "alpha")[0] == "not started"
    assert attempts == [1]
    house.plugins["alpha"].hooks = {}
    house.run()
    assert attempts == [1, 2]
    assert shown(house, "alpha") == ("active", "")


def test_pause_keeps_its_reason_whatever_that_says(house: House) -> None:
    """A person may write what a failed startup is told by; it stays a pause, for that reason."""
    why = "its startup failed on prod, ask Ada"
    house.plugin("alpha", "run")
    with asking(house) as desk:
        house.events(1)
        house.settle()
        assert desk.ask("pause", "alpha", reason=why).outcome == "done"
    for startup in ({}, {"startup": lambda ctx: 1 / 0}, {}):
        house.plugins["alpha"].hooks = startup
        house.run()
        assert shown(house, "alpha") == ("paused", why)


def test_not_started_is_read_from_a_state_of_an_earlier_version(house: House) -> None:
    """It was written as an active plugin with a reason, which no other active one had."""
    house.plugin("alpha", "run")
    told = "its startup failed: OSError: no farm"
    fence = house.state.take_lane("default")
    house.state.record("default", fence, Step(plugins=[PluginRecord("alpha", "default")]))
    with closing(sqlite3.connect(house.folder / DATABASE)) as db, db:
        db.execute("UPDATE plugins SET reason = ?, sum = NULL", (told,))
    assert house.records()["alpha"].state == "not started"
    assert shown(house, "alpha") == ("not started", told)
    house.run()
    assert shown(house, "alpha") == ("active", "")


def shown(house: House, name: str) -> tuple[str, str]:
    """How a plugin stands, and why, as `sgevents status` has it."""
    found = read_overview(house.folder, frozenset(house.plugins))
    assert found is not None
    return next((one.state, one.reason) for one in found.plugins if one.name == name)


def test_plugin_moves_to_another_lane(house: House) -> None:
    """A plugin whose group got another lane goes on there where it was, and misses nothing."""

    def stopping(event: Event, ctx: Any) -> None:
        if event.id == 1:
            house.stop()

    house.plugin("alpha", stopping, "two")
    house.plugin("bravo", "run")
    with house.running():
        house.events(1, 2)
        wait_until(lambda: house.calls)
    house.plugins["alpha"].lane = "slow"
    with house.running():
        house.settle()
        house.events(3)
        house.settle()
    steps = [f"{event} alpha.{step}" for event in (1, 2, 3) for step in ("stopping", "two")]
    assert only(house.calls, "alpha") == steps
    assert only(house.calls, "bravo") == ["1 bravo.run", "2 bravo.run", "3 bravo.run"]


def test_plugin_moves_to_a_lane_that_is_behind_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It joins a lane behind all that its strands had finished, and gets none of it again."""
    monkeypatch.setattr(lane, "SLICE_SECONDS", 0.0)  # it catches up after each event of the lane

    def first(event: Event, ctx: Any) -> None:
        if event.id == 1:
            wait_until(lambda: len(only(house.calls, "mover")) == 7)
            house.stop()

    house.lane_settings["night"] = LaneSettings(workers=2, order_by="none")
    house.plugin("mover", first, "second", lane="night")
    house.plugin("bravo", lambda event, ctx: event.id > 1 or house.stopping.wait(60))
    with house.running():
        house.events(1, 2, 3, 4)
        wait_until(house.stopping.is_set)
    house.plugins["mover"].lane = "default"
    house.run()
    steps = [f"{event} mover.{step}" for event in (1, 2, 3, 4) for step in ("first", "second")]
    assert sorted(only(house.calls, "mover")) == steps


def test_plugin_whose_events_are_gone_is_paused_until_told_where_to_go_on(house: House) -> None:
    """Enabled again too late, it is refused with a choice; with a `start` it goes on there."""
    house.plugin("alpha", "run")
    house.plugin("bravo", "run")
    with house.running():
        house.events(1)
        house.settle()
    house.plugins["alpha"].table = PluginSettings(enabled=False)
    with house.running():
        house.events(2, 3, 4, 5)
        house.settle()
    assert house.state.prune(created_before=2**40, first_kept_seq=4) == 3
    house.plugins["alpha"].table = PluginSettings(enabled=True)
    house.run()
    record = house.records()["alpha"]
    assert record.state == "paused"
    assert "no longer kept" in record.reason
    assert 'start = "now"' in record.reason
    house.plugins["alpha"].table = PluginSettings(enabled=True, start=1)
    with house.running():
        house.settle()
        house.events(6)
        house.settle()
    assert only(house.calls, "alpha") == [f"{event} alpha.run" for event in (1, 4, 5, 6)]
    assert house.records()["alpha"].state == "active"


def test_register_of_a_later_time_than_a_restored_backup(house: House) -> None:
    """What a register says of events that the journal does not hold is no reason to pass any."""
    backup = house.folder / "backup"
    house.plugin("alpha", "run")
    with house.running():
        house.events(1, 2)
        house.settle()
    with (
        closing(sqlite3.connect(house.folder / DATABASE)) as db,
        closing(sqlite3.connect(backup)) as copy,
    ):
        db.backup(copy)
    register = lane_register_path(house.folder, "default")
    with house.running():
        house.events(3, 4, 5)
        house.settle()
        left = register.read_bytes()
    house.state.close()
    for path in house.folder.glob(f"{DATABASE}*"):
        path.unlink()
    backup.rename(house.folder / DATABASE)
    register.write_bytes(left)
    house.state = open_state(house.folder).writer()
    with house.running():
        house.events(13, 14, 15)
        house.settle()
    assert house.calls == [f"{event} alpha.run" for event in (1, 2, 3, 4, 5, 13, 14, 15)]
