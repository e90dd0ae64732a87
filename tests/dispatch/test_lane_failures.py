"""What a lane does when a callback fails: by policy, at that plugin's cost alone."""

from __future__ import annotations

import time
from typing import Any
from xmlrpc.client import ProtocolError

import pytest
from lane_house import House, only, raising, without
from waiting import wait_until

from sgevents_core.dispatch.ledger import LaneLedger
from sgevents_core.errors import Retry
from sgevents_core.events import Event
from sgevents_core.settings import PluginSettings
from sgevents_core.state import register
from sgevents_core.state.keys import CallKey
from sgevents_core.state.steps import Step


def failing_first(times: int, error: BaseException) -> Any:
    """A callback that raises so many times for each event, and then succeeds."""

    def fails(event: Event, ctx: Any) -> None:
        if ctx.attempt <= times:
            raise error

    return fails


def test_dead_letter_is_kept_and_the_plugin_goes_on(house: House) -> None:
    """A bug is not tried again: the event is kept, the next callback and event follow at once."""
    house.plugin("bad", raising(ValueError("no"), on={2}), "second")
    house.plugin("good", "run")
    with house.running():
        house.events(1, 2, 3)
        house.settle()
    steps = ["bad.fails", "bad.second", "good.run"]
    assert house.calls == [f"{event} {step}" for event in (1, 2, 3) for step in steps]
    (letter,) = house.state.dead_letters()
    assert (letter.plugin, letter.callback, letter.event_id) == ("bad", "bad:fails", 2)
    assert (letter.error, letter.attempt, letter.outcome) == ("ValueError: no", 1, "dead-letter")
    assert "raise error" in letter.traceback
    assert house.state.attempts() == {}


def test_skip_records_and_goes_on(house: House) -> None:
    """With `skip` nothing is kept as a dead letter, nothing tried again, nothing ever paused."""
    house.plugin("bad", raising(ConnectionError("gone")), on_error="skip", pause_after=2)
    with house.running():
        house.events(1, 2, 3, 4)
        house.settle()
    assert house.calls == [f"{event} bad.fails" for event in (1, 2, 3, 4)]
    assert house.state.dead_letters() == []
    assert house.records()["bad"].state == "active"
    assert house.state.attempts() == {}


def test_pause_stops_the_plugin_at_the_event(house: House) -> None:
    """With `pause` it gets nothing more, others go on; it stays so after a restart."""
    house.plugin("bad", "first", raising(ValueError("no"), on={2}), on_error="pause")
    house.plugin("good", "run")
    with house.running():
        house.events(1, 2, 3)
        house.settle()
    with house.running():
        house.events(4)
        house.settle()
    assert only(house.calls, "bad") == ["1 bad.first", "1 bad.fails", "2 bad.first", "2 bad.fails"]
    assert only(house.calls, "good") == [f"{event} good.run" for event in (1, 2, 3, 4)]
    record = house.records()["bad"]
    assert (record.state, record.apart, record.cursor) == ("paused", True, 1)
    assert record.progress.done == {CallKey("bad", "bad:first")}
    assert "ValueError: no" in record.reason


def test_policy_of_a_callback_goes_before_the_plugins(house: House) -> None:
    """`on_error` of one callback is its own, the plugin's counts for the others."""
    house.plugin("one", raising(ValueError("no")), on_error="skip")
    house.plugins["one"].table = PluginSettings(enabled=True, on_error="pause")
    house.plugin("two", raising(ValueError("no")), on_error="pause")
    house.plugins["two"].table = PluginSettings(enabled=True, on_error="skip")
    with house.running():
        house.events(1, 2)
        house.settle()
    assert house.calls == ["1 one.fails", "1 two.fails", "2 one.fails"]
    assert [house.records()[name].state for name in ("one", "two")] == ["active", "paused"]


def test_attempts_are_counted_for_each_event(house: House) -> None:
    """`ctx.attempt` tells which try it is, from 1, and begins anew for the next event."""
    house.plugin("again", failing_first(2, Retry(after=0)))
    with house.running():
        house.events(1, 2)
        wait_until(lambda: "2 again.fails#3" in house.calls)
    order = [f"{event} again.fails{again}" for event in (1, 2) for again in ("", "#2", "#3")]
    assert house.calls == order
    assert house.state.dead_letters() == []
    assert house.state.attempts() == {}


def test_attempts_are_counted_over_restarts(house: House) -> None:
    """A try before a restart counts, and so does the wait: a long hold stays one."""
    wait = ["0s"]

    def fails(event: Event, ctx: Any) -> None:
        if ctx.attempt < 3:
            raise Retry(after=wait[0])

    house.plugin("again", fails)
    with house.running():
        wait[0] = "1h"
        house.events(1)
        wait_until(lambda: house.records()["again"].state == "held")
    house.run()
    assert house.calls == ["1 again.fails"]
    record = house.records()["again"]
    assert 3500 < record.retry_at - time.time() <= 3600
    house.plugins["again"].table = PluginSettings(enabled=False)
    house.run()
    assert house.records()["again"].state == "held"


@pytest.mark.parametrize(
    "error",
    [ConnectionResetError("gone"), TimeoutError(), ProtocolError("site", 503, "down", {})],
)
def test_errors_that_pass_are_tried_again(house: House, error: Exception) -> None:
    """The network's and the site's errors hold the plugin; the call is made again later."""
    house.plugin("again", failing_first(1, error), max_attempts=2)
    with house.running():
        house.events(1)
        wait_until(lambda: house.records()["again"].state == "held")
        wait_until(lambda: "1 again.fails#2" in house.calls)
        house.settle()
    assert house.calls == ["1 again.fails", "1 again.fails#2"]
    assert house.state.dead_letters() == []


def test_last_attempt_decides(house: House) -> None:
    """What asks to be tried again for ever becomes a dead letter after `max_attempts`."""
    house.plugin("again", raising(Retry("not yet", after=0)), max_attempts=3)
    house.plugin("stops", raising(Retry("not yet", after=0)), max_attempts=2, on_error="pause")
    with house.running():
        house.events(1)
        wait_until(lambda: house.records()["stops"].state == "paused")
        wait_until(lambda: not house.records()["again"].apart)
    assert only(house.calls, "again") == [f"1 again.fails{n}" for n in ("", "#2", "#3")]
    assert only(house.calls, "stops") == [f"1 stops.fails{n}" for n in ("", "#2")]
    assert [letter.attempt for letter in house.state.dead_letters()] == [3]


def test_many_dead_letters_in_a_row_pause_the_plugin(house: House) -> None:
    """After `pause_after` events it stops behind the callback; that others succeed is no matter."""
    house.plugin("bad", "first", raising(ValueError("no")), "last", pause_after=3)
    house.plugin("good", "run")
    with house.running():
        house.events(1, 2, 3, 4, 5)
        house.settle()
    assert only(house.calls, "bad") == [
        "1 bad.first", "1 bad.fails", "1 bad.last", "2 bad.first", "2 bad.fails", "2 bad.last",
        "3 bad.first", "3 bad.fails",
    ]  # fmt: skip
    record = house.records()["bad"]
    assert (record.state, record.cursor, record.failures) == ("paused", 2, 3)
    assert record.progress.done == {CallKey("bad", "bad:first"), CallKey("bad", "bad:fails")}
    assert "3 failures in a row" in record.reason
    assert only(house.calls, "good") == [f"{event} good.run" for event in range(1, 6)]


def test_several_dead_letters_of_one_event_count_as_one(house: House) -> None:
    """`pause_after` counts events: two callbacks that fail do not halve it."""
    house.plugin("bad", raising(ValueError("no")), raising(KeyError("x")), pause_after=3)
    with house.running():
        house.events(1, 2)
        house.settle()
    assert len(house.state.dead_letters()) == 4
    assert house.records()["bad"].failures == 2
    assert house.records()["bad"].state == "active"


def test_success_begins_the_count_of_failures_anew(house: House) -> None:
    """Failures with successes between them pause nothing."""
    odd = {event for event in range(1, 21) if event % 2}
    house.plugin("bad", raising(ValueError("no"), on=odd), pause_after=2)
    with house.running():
        house.events(*range(1, 21))
        house.settle()
    assert len(house.state.dead_letters()) == 10
    assert house.records()["bad"].state == "active"


@pytest.mark.parametrize("after", [float("nan"), float("inf"), 1e30, -5, "soon", object(), 10**400])
def test_odd_wait_costs_no_lane(house: House, after: Any) -> None:
    """Whatever a plugin asks to wait, it is held for a time that is one, and others go on."""
    house.plugin("odd", raising(Retry(after=after)), max_attempts=1_000_000)
    house.plugin("good", "run")
    with house.running():
        house.events(1)
        wait_until(lambda: house.records()["odd"].state == "held")
        house.events(2)
        wait_until(lambda: "2 good.run" in house.calls)
        retry_at = house.records()["odd"].retry_at
    assert retry_at <= time.time() + 86_401
    assert without(house.calls, "odd") == ["1 good.run", "2 good.run"]


def test_exception_that_cannot_be_handled_costs_no_lane(house: House) -> None:
    """An exception whose every part raises is a failure like another."""

    class Hostile(Retry):
        def __getattribute__(self, name: str) -> Any:
            raise SystemExit(name)

        def __str__(self) -> str:
            raise KeyboardInterrupt

    house.plugin("bad", raising(Hostile()), max_attempts=1)
    house.plugin("good", "run")
    with house.running():
        house.events(1, 2)
        house.settle()
    assert without(house.calls, "bad") == ["1 good.run", "2 good.run"]
    assert [letter.event_id for letter in house.state.dead_letters()] == [1, 2]


def test_register_does_not_say_that_a_held_plugin_is_done(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held once more while it catches up: a kill right then must not lose the event for it."""
    said: list[register.NotedCall | None] = []
    record = LaneLedger.record

    def looks(ledger: LaneLedger, step: Step) -> int:
        if any(one.state == "held" for one in step.plugins):
            said.append(
                register.read_register(register.lane_register_path(house.folder, "default"))
                .of()
                .apart
            )
        return record(ledger, step)

    monkeypatch.setattr(LaneLedger, "record", looks)
    house.plugin("alpha", failing_first(2, Retry("not yet", after=0)))
    house.run()
    house.events(1)
    with house.running():
        wait_until(lambda: "1 alpha.fails#3" in house.calls)
    assert len(said) > 2
    assert not any(one is not None and one.returned for one in said)
