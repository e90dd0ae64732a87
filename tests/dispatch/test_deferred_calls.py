"""Events that a callback puts off: they come again to it later, and its plugin goes on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from lane_house import House
from passing_time import PassingTime
from request_desk import asking, kept_event, letters
from waiting import PATIENCE, wait_until

from sgevents_core import Defer, Retry
from sgevents_core.events import Event
from sgevents_core.reading.outcomes import Outcome, Outcomes
from sgevents_core.reading.overview import read_overview
from sgevents_core.settings import LaneSettings
from sgevents_core.state.deferred import DeferredCall
from sgevents_core.state.opening import open_state

MINUTE = 60.0


@pytest.fixture(params=["one strand", "by entity", "own thread"])
def table(request: pytest.FixtureRequest, house: House) -> dict[str, Any]:
    """Keys of the plugin's table, in each kind of lane of threads."""
    if request.param == "by entity":
        house.lane_settings["default"] = LaneSettings(workers=4, order_by="entity")
    return {"timeout": 60.0} if request.param == "own thread" else {}


class Waits:
    """A callback that puts events off as often as it is told, and remembers its attempts.

    Args:
        times: Event id -> how often it is put off.
        error: Raised by the calls after that, if given.
    """

    def __init__(self, times: dict[int, int], error: Callable[[int], BaseException | None]) -> None:
        self.times = times
        self.error = error
        self.attempts: list[tuple[int, int]] = []

    def __call__(self, event: Event, ctx: Any) -> None:
        """Be called."""
        self.attempts.append((event.id, ctx.attempt))
        if self.times.get(event.id, 0) > 0:
            self.times[event.id] -= 1
            raise Defer("no media yet", after="1m")
        error = self.error(event.id)
        if error is not None:
            raise error

    __name__ = "waits"


def waits(
    times: dict[int, int], error: Callable[[int], BaseException | None] = lambda event_id: None
) -> Waits:
    """Return a callback that puts events off."""
    return Waits(times, error)


def put_off(house: House) -> list[DeferredCall]:
    """The calls that are put off, as recorded."""
    with closing(open_state(house.folder).reader()) as reader:
        return reader.deferred_calls()


def outcome(house: House, event_id: int, callback: str = "chat:waits") -> Outcome:
    """What `explain` says of an event whose id is its place."""
    with closing(open_state(house.folder).past()) as past:
        failures = past.failures(event_id)
    return Outcomes(house.folder).outcome_of("chat", callback, event_id, failures)


def test_event_comes_again_later_and_the_plugin_goes_on(
    house: House, table: dict[str, Any]
) -> None:
    """Events behind it are handled at once; it comes when its time has come, as its first attempt,
    and is then handled."""
    callback = waits({2: 2})
    house.plugin("chat", callback, **table)
    with house.running():
        passing = PassingTime(house)
        house.events(1, 2, 3)
        house.settle()
        assert sorted(house.calls) == ["1 chat.waits", "2 chat.waits", "3 chat.waits"]
        (call,) = put_off(house)
        assert (call.event_id, call.seq, call.reason) == (2, 2, "no media yet")
        assert (call.attempts, call.deferrals) == (0, 1)
        passing.pass_on(30)
        house.events(4)
        house.settle()
        assert house.calls.count("2 chat.waits") == 1
        passing.pass_on(31)
        wait_until(lambda: house.calls.count("2 chat.waits") == 2)
        wait_until(lambda: put_off(house)[0].deferrals == 2)
        passing.pass_on(61)
        wait_until(lambda: put_off(house) == [])
    assert callback.attempts.count((2, 1)) == 3
    assert outcome(house, 2).what == "handled"
    assert letters(house) == []


def test_what_explain_says(house: House, table: dict[str, Any]) -> None:
    """While it is put off: until when, how often and why."""
    house.plugin("chat", waits({1: 9}), **table)
    with house.running():
        house.events(1)
        house.settle()
        said = outcome(house, 1)
    assert said.what == "deferred"
    assert said.text.startswith("put off until ")
    assert said.text.endswith(": no media yet")


def test_status_counts_them(house: House) -> None:
    """And says when the next one is due."""
    house.plugin("chat", waits({1: 9, 2: 9}))
    with house.running():
        house.events(1, 2, 3)
        house.settle()
    overview = read_overview(house.folder, frozenset({"chat"}))
    assert overview is not None
    (plugin,) = overview.plugins
    assert (plugin.deferred, plugin.behind) == (2, 0)
    assert 0 < plugin.next_deferred_in_s <= MINUTE


def test_they_outlive_a_stop(house: House, table: dict[str, Any]) -> None:
    """After a restart, and in a lane of another name, the event comes when it is due."""
    callback = waits({1: 1})
    house.plugin("chat", callback, **table)
    with house.running():
        house.events(1, 2)
        house.settle()
    house.plugins["chat"].lane = "other"
    with house.running():
        passing = PassingTime(house)
        house.settle()
        assert callback.attempts == [(1, 1), (2, 1)]
        passing.pass_on(61)
        wait_until(lambda: put_off(house) == [])
    assert callback.attempts == [(1, 1), (2, 1), (1, 1)]


def test_they_wait_while_the_plugin_is_paused(house: House, table: dict[str, Any]) -> None:
    """Nothing is called meanwhile; once it is resumed, what is due comes."""
    callback = waits({1: 1})
    house.plugin("chat", callback, **table)
    with asking(house) as desk:
        passing = PassingTime(house)
        house.events(1)
        house.settle()
        assert desk.ask("pause", "chat").outcome == "done"
        passing.pass_on(61)
        house.events(2)
        house.settle()
        assert len(callback.attempts) == 1
        assert desk.ask("resume", "chat").outcome == "done"
        wait_until(lambda: put_off(house) == [])
        house.settle()
    assert sorted(callback.attempts) == [(1, 1), (1, 1), (2, 1)]


def test_limit(house: House, table: dict[str, Any]) -> None:
    """Put off for `defer_limit`, an event has a last chance, and is then a dead letter."""
    callback = waits({1: 99})
    house.plugin("chat", callback, defer_limit=150.0, **table)
    with house.running():
        passing = PassingTime(house)
        house.events(1)
        house.settle()
        passing.pass_on(61)
        wait_until(lambda: [one.deferrals for one in put_off(house)] == [2])
        passing.pass_on(61)
        wait_until(lambda: [one.deferrals for one in put_off(house)] == [3])
        assert put_off(house)[0].due_at - put_off(house)[0].first_at == pytest.approx(150.0)
        passing.pass_on(31)
        wait_until(lambda: put_off(house) == [])
    (letter,) = letters(house)
    assert letter.failure.error == (
        "DeferLimitReached: put off for 2m30s, its defer_limit: no media yet"
    )
    assert len(callback.attempts) == 4
    assert outcome(house, 1).what == "dead letter"


def test_failure_of_a_later_call(house: House, table: dict[str, Any]) -> None:
    """A failure that passes is tried again later, and holds up nothing; the attempts count."""
    callback = waits({1: 1}, lambda event_id: Retry("busy", after=30) if event_id == 1 else None)
    house.plugin("chat", callback, max_attempts=3, **table)
    with house.running():
        passing = PassingTime(house)
        house.events(1, 2)
        house.settle()
        passing.pass_on(61)
        wait_until(lambda: [one.attempts for one in put_off(house)] == [1])
        house.events(3)
        house.settle()
        assert (3, 1) in callback.attempts
        passing.pass_on(31)
        wait_until(lambda: [one.attempts for one in put_off(house)] == [2])
        passing.pass_on(31)
        wait_until(lambda: put_off(house) == [])
    assert [attempt for id_, attempt in callback.attempts if id_ == 1] == [1, 1, 2, 3]
    (letter,) = letters(house)
    assert (letter.failure.attempt, letter.failure.error) == (3, "Retry: busy")


@pytest.mark.parametrize(("on_error", "left"), [("dead-letter", 1), ("skip", 0)])
def test_bug_in_a_later_call(house: House, table: dict[str, Any], on_error: str, left: int) -> None:
    """Once is enough: it fails for good as `on_error` says."""
    callback = waits({1: 1}, lambda event_id: ValueError("a bug"))
    house.plugin("chat", callback, **{**table, "on_error": on_error})
    with house.running():
        passing = PassingTime(house)
        house.events(1)
        house.settle()
        passing.pass_on(61)
        wait_until(lambda: put_off(house) == [])
    assert len(letters(house)) == left
    assert outcome(house, 1).what == ("dead letter" if left else "skipped")


def test_later_call_that_pauses_its_plugin(house: House, table: dict[str, Any]) -> None:
    """With `on_error = "pause"`, the event stays put off, and comes again after a resume."""
    broken = [True]
    callback = waits({1: 1}, lambda event_id: ValueError("a bug") if broken[0] else None)
    house.plugin("chat", callback, **{**table, "on_error": "pause"})
    with asking(house) as desk:
        passing = PassingTime(house)
        house.events(1)
        house.settle()
        passing.pass_on(61)
        wait_until(lambda: house.records()["chat"].state == "paused")
        house.events(2)
        house.settle()
        assert len(callback.attempts) == 2
        broken[0] = False
        assert desk.ask("resume", "chat").outcome == "done"
        wait_until(lambda: put_off(house) == [])
        house.settle()
    assert (2, 1) in callback.attempts
    assert letters(house) == []


def test_many_failures_of_later_calls_pause_the_plugin(house: House) -> None:
    """They count towards `pause_after` as others do."""
    callback = waits(dict.fromkeys(range(1, 6), 1), lambda event_id: ValueError("a bug"))
    house.plugin("chat", callback, pause_after=3)
    with house.running():
        passing = PassingTime(house)
        house.events(*range(1, 6))
        house.settle()
        passing.pass_on(61)
        wait_until(lambda: house.records()["chat"].state == "paused")
    assert len(letters(house)) == 3
    assert len(put_off(house)) == 2


def test_site_that_is_down_costs_nothing(house: House) -> None:
    """While the site does not answer, no call that was put off is made."""
    callback = waits({1: 1})
    house.plugin("chat", callback)
    with house.running():
        passing = PassingTime(house)
        house.events(1)
        house.settle()
        house.site_is_down()
        house.site_is_down()
        passing.pass_on(61)
        house.events(2)
        house.settle()
        attempts = len(callback.attempts)
        house.site_answers()
        passing.pass_on(2)
        wait_until(lambda: put_off(house) == [])
        assert len(callback.attempts) == attempts + 1


def test_store_changes_of_a_later_call_are_kept(house: House, table: dict[str, Any]) -> None:
    """Those of the call that puts off are dropped, as when it raises anything else."""

    def counts(event: Event, ctx: Any) -> None:
        ctx.store["calls"] = ctx.store.get("calls", 0) + 1
        if ctx.store["calls"] == 1 and not later:
            raise Defer(after=5)

    later: list[bool] = []
    house.plugin("chat", counts, **table)
    with house.running():
        passing = PassingTime(house)
        house.events(1)
        house.settle()
        assert house.state.store("chat") == {}
        later.append(True)
        passing.pass_on(6)
        wait_until(lambda: put_off(house) == [])
    assert house.state.store("chat") == {"calls": 1}


def test_later_call_is_made_in_the_strand_of_its_event(house: House) -> None:
    """No other call for its entity runs beside it; those for others do."""
    house.lane_settings["default"] = LaneSettings(workers=4, order_by="entity")
    door, reached = threading.Event(), threading.Event()
    seen: list[int] = []

    def follows(event: Event, ctx: Any) -> None:
        if event.id == 1 and event.id not in seen:
            seen.append(1)
            raise Defer(after=5)
        if event.id == 1:
            reached.set()
            door.wait(PATIENCE)
        seen.append(event.id)

    house.plugin("chat", follows)
    with house.running():
        passing = PassingTime(house)
        house.events(1, entity={"type": "Shot", "id": 5})
        house.settle()
        passing.pass_on(6)
        assert reached.wait(PATIENCE)
        house.events(2, entity={"type": "Shot", "id": 5})
        house.events(3, entity={"type": "Shot", "id": 6})
        wait_until(lambda: 3 in seen)
        assert 2 not in seen
        door.set()
        house.settle()
        wait_until(lambda: put_off(house) == [])
    assert seen == [1, 3, 1, 2]


def test_callback_that_is_gone(house: House) -> None:
    """After an upgrade without it, the event becomes a dead letter."""
    house.plugin("chat", waits({1: 9}))
    with house.running():
        house.events(1)
        house.settle()
    house.plugin("chat", "other")
    with house.running():
        passing = PassingTime(house)
        passing.pass_on(61)
        wait_until(lambda: put_off(house) == [])
    (letter,) = letters(house)
    assert letter.failure.error == "NoSuchCallback: the plugin has no such callback any more"


def test_plugin_that_is_disabled_keeps_them(house: House) -> None:
    """And gets them when it is back."""
    callback = waits({1: 1})
    plugin = house.plugin("chat", callback)
    with house.running():
        house.events(1)
        house.settle()
    house.plugin("chat", callback, enabled=False)
    house.run()
    assert len(put_off(house)) == 1
    house.plugins["chat"] = plugin
    with house.running():
        PassingTime(house).pass_on(61)
        wait_until(lambda: put_off(house) == [])
    assert len(callback.attempts) == 2


def test_replay_of_an_event_that_is_put_off(house: House, table: dict[str, Any]) -> None:
    """Handled in a replay, it does not come again; put off in one, it comes then."""
    callback = waits({1: 1, 2: 2})
    house.plugin("chat", callback, **table)
    with asking(house) as desk:
        passing = PassingTime(house)
        house.events(1, 2)
        house.settle()
        events = [kept_event(house, 1), kept_event(house, 2)]
        assert desk.ask("replay", "chat", events).outcome == "done"
        assert [(one.event_id, one.deferrals) for one in put_off(house)] == [(2, 2)]
        passing.pass_on(61)
        wait_until(lambda: put_off(house) == [])
    assert [id_ for id_, _ in sorted(callback.attempts)] == [1, 1, 2, 2, 2]


def test_dead_letter_that_is_put_off_when_it_is_retried(house: House) -> None:
    """It is no dead letter any more, and comes again."""
    bug: list[BaseException | None] = [ValueError("a bug")]
    callback = waits({}, lambda event_id: bug[0])
    house.plugin("chat", callback)
    with asking(house) as desk:
        passing = PassingTime(house)
        house.events(1)
        house.settle()
        bug[0] = Defer("later", after=5)
        (letter,) = letters(house)
        answer = desk.ask("retry", "chat", letter=letter.number)
        assert answer.text == "dead letter 1 is none any more: chat:waits puts event 1 off"
        assert letters(house) == []
        bug[0] = None
        passing.pass_on(6)
        wait_until(lambda: put_off(house) == [])
    assert len(callback.attempts) == 3


def test_log_says_what_is_put_off(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """For how long, and why."""
    caplog.set_level(logging.INFO, "sgevents")
    house.plugin("chat", waits({1: 1}))
    with house.running():
        house.events(1)
        house.settle()
    (record,) = [one for one in caplog.records if getattr(one, "action", "") == "callback.deferred"]
    assert record.getMessage() == (
        "chat:waits of plugin chat puts event 1 off for 1m: no media yet"
    )


@pytest.mark.parametrize("after", ["soon", None, "", float("nan"), -3, 0, object()])
def test_odd_times(house: House, after: Any) -> None:
    """What is no time, or too short, costs no event: it comes again a little later."""

    def defers(event: Event, ctx: Any) -> None:
        raise Defer(after=after)

    house.plugin("chat", defers)
    with house.running():
        house.events(1)
        house.settle()
    (call,) = put_off(house)
    assert 1.0 <= call.due_at - call.first_at <= 60.0


def test_callback_that_does_nothing_says_why(house: House, table: dict[str, Any]) -> None:
    """`explain` shows that, without secrets and in one line; a second call may know better."""

    def ignores(event: Event, ctx: Any) -> None:
        if event.id == 1:
            ctx.ignore("no route\n for this project")

    house.plugin("chat", ignores, **table)
    with asking(house) as desk:
        house.events(1, 2)
        house.settle()
        said = outcome(house, 1, "chat:ignores")
        assert (said.what, said.text) == ("ignored", "ignored: no route for this project")
        assert outcome(house, 2, "chat:ignores").text == "handled"
        events = [kept_event(house, 1), kept_event(house, 2)]
        assert desk.ask("replay", "chat", events).outcome == "done"
        assert outcome(house, 1, "chat:ignores").what == "ignored"
