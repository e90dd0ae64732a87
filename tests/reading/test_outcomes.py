"""What is told of an event and a callback: from ledger, registers and failures alone."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from journal_rows import event_row, grow
from lane_house import House, raising
from request_desk import asking
from waiting import wait_until

from sgevents_core.errors import Retry
from sgevents_core.events import Event
from sgevents_core.reading.outcomes import Outcome, Outcomes
from sgevents_core.reading.overview import read_overview
from sgevents_core.settings import LaneSettings
from sgevents_core.state.feed_values import FeedChange, FeedState
from sgevents_core.state.imported import ImportedPosition
from sgevents_core.state.keys import CallKey
from sgevents_core.state.opening import open_state
from sgevents_core.state.plugin_record import PluginState
from sgevents_core.state.progress import Progress
from sgevents_core.state.register import LANE_WORD, Register, lane_register_path
from sgevents_core.state.steps import Step


def fate(house: House, plugin: str, callback: str, seq: int) -> Outcome:
    """What has become of the event at a place with a callback."""
    event_id = house.state.read(seq - 1, 1)[0].event_id
    with closing(open_state(house.folder).past()) as past:
        failures = past.failures(event_id)
    return Outcomes(house.folder).outcome_of(plugin, f"{plugin}:{callback}", seq, failures)


def test_handled_and_not_for_it(house: House) -> None:
    """An event from before a plugin was enabled was never to be handed to it."""
    house.plugin("alpha", "one")
    house.run()
    house.events(1)
    house.run()
    house.plugin("beta", "one")
    house.run()
    house.events(2)
    house.run()
    assert fate(house, "alpha", "one", 1).text == "handled"
    assert fate(house, "beta", "one", 1).what == "not for it"
    assert fate(house, "beta", "one", 2).what == "handled"


def test_event_that_a_plugin_had_from_another_daemon(house: House) -> None:
    """It was not for it again, whatever became of it with others."""
    house.plugin("alpha", "one")
    house.plugin("beta", "one")
    positions = {"alpha": ImportedPosition(5), "beta": ImportedPosition(4)}
    assert house.state.import_positions(FeedChange(FeedState(frontier=4)), positions, "default")
    house.run()
    house.events(5)
    house.run()
    outcome = fate(house, "alpha", "one", 1)
    assert outcome.what == "not for it"
    assert outcome.text == "the plugin had it from the daemon before this one"
    assert fate(house, "beta", "one", 1).what == "handled"


def test_lane_that_is_behind(house: House) -> None:
    """Not yet, and how far behind."""
    house.plugin("alpha", "one")
    house.run()
    house.events(1, 2, 3)
    outcome = fate(house, "alpha", "one", 3)
    assert (outcome.what, outcome.text) == ("not yet", "not yet: its lane is 3 events before it")


def test_callback_done_in_the_middle_of_an_event(house: House) -> None:
    """Of one event, some callbacks may have handled it and others not."""
    house.plugin("alpha", "one", "two")
    house.run()
    house.events(1)
    finished_place = Progress.at(1, frozenset([CallKey("alpha", "alpha:one")]))
    house.state.record("default", house.state.take_lane("default"), Step(progress=finished_place))
    assert fate(house, "alpha", "one", 1).what == "handled"
    assert fate(house, "alpha", "two", 1).what == "not yet"


def test_register_is_newer_than_the_ledger(house: House) -> None:
    """What the lane did in the last second counts too."""
    house.plugin("alpha", "one", "two")
    house.run()
    house.events(1, 2)
    register = Register(
        lane_register_path(house.folder, "default"),
        [CallKey("alpha", "alpha:one"), CallKey("alpha", "alpha:two")],
    )
    with closing(register):
        register.slots[0].returned(LANE_WORD, 2, 0)
        assert fate(house, "alpha", "two", 1).what == "handled"
        assert fate(house, "alpha", "one", 2).what == "handled"
        assert fate(house, "alpha", "two", 2).what == "not yet"


def test_dead_letter_then_dismissed_or_handled(house: House) -> None:
    """A dead letter has its number; later it says what became of it."""
    house.plugin("alpha", raising(ValueError("no")))
    with asking(house) as desk:
        house.events(1, 2)
        house.settle()
        outcome = fate(house, "alpha", "fails", 1)
        assert (outcome.what, outcome.text) == ("dead letter", "dead letter 1: ValueError: no")
        desk.ask("dismiss", "alpha", letter=1)
        assert (
            fate(house, "alpha", "fails", 1).text == "dead letter 1 was dismissed: ValueError: no"
        )
    house.plugin("alpha", raising(ValueError("no"), on=[9]))
    with asking(house) as desk:
        desk.ask("retry", "alpha", letter=2)
    assert fate(house, "alpha", "fails", 2).what == "handled later"


def test_plugin_that_is_held_or_paused(house: House) -> None:
    """It says where the plugin stands, why, and what failed."""
    house.plugin("alpha", raising(Retry("not there yet", after=3600), on=[1]))
    house.plugin("beta", raising(ValueError("no"), on=[1]), on_error="pause")
    with house.running():
        house.events(1, 2)
        wait_until(lambda: house.records()["beta"].state == "paused")
        held = fate(house, "alpha", "fails", 1)
        assert (held.what, len(held.failures)) == ("failed", 1)
        assert held.text == "held at it after 1 attempt: Retry: not there yet"
        behind = fate(house, "beta", "fails", 2)
        assert behind.text.startswith("not yet: the plugin is 1 event before it (paused, ")


def test_plugin_whose_startup_failed(house: House) -> None:
    """It says that the plugin has not started, and why."""
    house.plugin("alpha", "one", hooks={"startup": lambda ctx: 1 / 0})
    with house.running():
        house.events(1)
        house.settle()
    expected_text = "not started, its startup failed: ZeroDivisionError: division by zero"
    assert fate(house, "alpha", "one", 1).text == f"not yet: the plugin is at it ({expected_text})"


def test_attempts_before_success_are_told(house: House) -> None:
    """Handled after failed attempts, which are listed."""

    def third_time(event: Event, ctx: Any) -> None:
        if ctx.attempt < 3:
            raise Retry(after=0)

    house.plugin("alpha", third_time)
    with house.running():
        house.events(1)
        wait_until(lambda: len(house.calls) == 3)
        house.settle()
    outcome = fate(house, "alpha", "third_time", 1)
    assert outcome.text == "handled after 2 failed attempts"
    assert [failure.attempt for failure in outcome.failures] == [1, 2]


def test_skipped_by_policy_and_by_a_person(house: House) -> None:
    """Both are told apart; a callback that had handled the event before is not called skipped."""
    house.plugin("alpha", raising(ValueError("no")), on_error="skip")
    house.plugin("beta", "one", raising(ValueError("no")), "three", on_error="pause")
    with asking(house) as desk:
        house.events(1)
        wait_until(lambda: house.records()["beta"].state == "paused")
        desk.ask("skip", "beta", event_id=1)
        house.settle()
    assert fate(house, "alpha", "fails", 1).text.startswith("failed, and skipped as on_error says")
    assert fate(house, "beta", "one", 1).what == "handled"
    for callback in ("fails", "three"):
        outcome = fate(house, "beta", callback, 1)
        assert (outcome.what, outcome.text) == ("skipped", "anna@host skipped it"), callback


@pytest.mark.parametrize("state", ["active", "paused"])
def test_plugin_that_catches_up(house: House, state: PluginState) -> None:
    """Apart from its lane it has a place of its own."""
    house.plugin("alpha", "one")
    house.run()
    house.events(1, 2, 3)
    house.run()
    record = house.records()["alpha"]
    record.finish(1)
    record.apart, record.state = True, state
    house.state.record("default", house.state.take_lane("default"), Step(plugins=[record]))
    assert fate(house, "alpha", "one", 1).what == "handled"
    assert fate(house, "alpha", "one", 2).what == "not yet"
    assert ("paused" in fate(house, "alpha", "one", 2).text) is (state == "paused")


def test_calls_with_their_durations(house: House) -> None:
    """Each call that ended is told, with when and how long, the failed ones too."""
    house.plugin("alpha", raising(ValueError("no")), "two")
    house.run()
    house.events(1)
    house.run()
    standing = Outcomes(house.folder)
    (failed,) = standing.calls_of("alpha", "alpha:fails", 1)
    (other,) = standing.calls_of("alpha", "alpha:two", 1)
    assert failed.called_at <= other.called_at
    assert 0 < failed.duration < 60
    assert standing.calls_of("alpha", "alpha:two", 2) == ()
    assert standing.calls_of("omega", "omega:one", 1) == ()


def test_plugin_that_is_to_be_called_again_at_once(house: House) -> None:
    """A resumed plugin that has failed on the event says so, though it is held no more."""
    house.plugin("alpha", raising(Retry("not there yet", after=3600), on=[1]))
    with house.running():
        house.events(1)
        wait_until(lambda: house.records()["alpha"].state == "held")
    record = house.records()["alpha"]
    record.resume()
    house.state.record("default", house.state.take_lane("default"), Step(plugins=[record]))
    expected_text = "called again after 1 attempt: Retry: not there yet"
    assert fate(house, "alpha", "fails", 1).text == expected_text


def test_strands_of_a_lane_with_workers(house: House) -> None:
    """What one record waits for is told of its events alone; the plugin shows as held."""
    house.lane_settings["default"] = LaneSettings(workers=4, order_by="entity")

    def waits(event: Event, ctx: Any) -> None:
        if event.id == 2:
            raise Retry(after=3600)

    house.plugin("alpha", waits)
    with house.running():
        rows = [event_row(n, entity={"type": "Shot", "id": n % 2}) for n in range(1, 6)]
        grow(house.state, rows)
        house.lanes[0].wake()
        wait_until(lambda: house.lanes[0].seq == 5)
        assert [fate(house, "alpha", "waits", seq).what for seq in (1, 3, 5)] == ["handled"] * 3
    outcomes = [fate(house, "alpha", "waits", seq) for seq in range(1, 6)]
    whats = ["handled", "failed", "handled", "not yet", "handled"]
    assert [outcome.what for outcome in outcomes] == whats
    assert outcomes[1].text.startswith("held at it after 1 attempt: Retry")
    seen = read_overview(house.folder, frozenset({"alpha"}))
    assert seen is not None
    (plugin,) = seen.plugins
    assert (plugin.state, plugin.reason, plugin.behind) == ("held", "in 1 strand of 64: Retry", 4)
    assert plugin.retry_in_s > 0
