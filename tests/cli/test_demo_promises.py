"""The demo's judgement of the promises, which must be able to fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sgevents_core.cli._demo_daemon import DemoCall, PluginMessage, plugin_news
from sgevents_core.cli._demo_promises import Evidence, expected_plugins, judge_promises
from sgevents_core.sandbox.event_log import EventRow

BUSY = {"name": "shot-status", "dead_letters": 1, "behind": 0}
CALM = {"name": "event-log", "dead_letters": 0, "behind": 0}
STATUS = {"events": 4, "plugins": [BUSY, CALM]}


def row(event_id: int, kind: str = "Shotgun_Task_Change") -> EventRow:
    """Return the row of a task's status change, or of another type."""
    field = "sg_status_list" if kind.endswith("_Change") else None
    stamp = "2026-01-31T12:00:00Z"
    return EventRow(id=event_id, event_type=kind, created_at=stamp, attribute_name=field)


ROWS = [row(1), row(2, "Shotgun_Note_New"), row(4), row(5)]
LATE = 2
CALLS = [
    DemoCall(some.id, plugin, "ValueError: no" if (some.id, plugin) == (4, "shot-status") else None)
    for some in (ROWS[0], ROWS[2], ROWS[1], ROWS[3])
    for plugin in expected_plugins(some)
]
GOOD = Evidence(
    rows=ROWS, calls=CALLS, late_ids={LATE}, missing_count=1, kill_count=1, status=STATUS
)
NAMES = [promise.name for promise in judge_promises(GOOD)]


def broken(evidence: Evidence) -> list[str]:
    """The names of the promises that did not hold."""
    return [promise.name for promise in judge_promises(evidence) if not promise.is_held]


def test_all_hold_on_a_good_day() -> None:
    """If everything was as promised, all six promises hold."""
    assert len(NAMES) == 6
    assert broken(GOOD) == []


@pytest.mark.parametrize("place", range(len(CALLS)))
def test_any_call_that_is_missing_is_a_loss(place: int) -> None:
    """Whichever call was never made, the first promise is broken."""
    calls = [*CALLS[:place], *CALLS[place + 1 :]]
    assert "Nothing is lost" in broken(replace(GOOD, calls=calls))


def test_a_day_without_events_shows_nothing() -> None:
    """A day without events proves nothing."""
    assert "Nothing is lost" in broken(Evidence())


def test_one_repeat_is_allowed_for_each_kill() -> None:
    """The running call may be repeated after a kill, but no second one."""
    once = [*CALLS, CALLS[-1]]
    assert broken(replace(GOOD, calls=once)) == []
    assert "Nothing is repeated" in broken(replace(GOOD, calls=once, kill_count=0))
    assert "Nothing is repeated" in broken(replace(GOOD, calls=[*once, CALLS[-1]]))


def test_plugins_in_another_order_break_the_order() -> None:
    """Two plugins called in the wrong order for one event break the promise."""
    calls = [CALLS[1], CALLS[0], *CALLS[2:]]
    assert broken(replace(GOOD, calls=calls)) == ["The order is known"]


def test_events_in_another_order_break_the_order() -> None:
    """Only events that became visible late may come after newer ones."""
    assert broken(replace(GOOD, late_ids=set())) == ["The order is known"]


def test_others_have_to_get_the_event_that_raised() -> None:
    """A failure proves something only if others got the event and a dead letter exists."""
    name = "Plugins cannot hurt each other"
    alone = [call for call in CALLS if call.event_id != 4 or call.raised]
    assert name in broken(replace(GOOD, calls=alone))
    assert name in broken(replace(GOOD, status={**STATUS, "plugins": [CALM]}))
    silent = [replace(call, raised=None) for call in CALLS]
    assert name in broken(replace(GOOD, calls=silent))


@pytest.mark.parametrize(
    "status",
    [
        {},
        {**STATUS, "events": 3},
        {**STATUS, "plugins": [BUSY, {**CALM, "behind": 1}]},
        {**STATUS, "plugins": [BUSY, {**CALM, "dead_letters": 1}]},
    ],
)
def test_status_has_to_be_right(status: dict[str, object]) -> None:
    """A missing status, or one that differs from what happened, proves nothing."""
    assert "You can see it" in broken(replace(GOOD, status=status))


def test_import_of_a_plugin_that_is_not_enabled_is_noticed() -> None:
    """The trace of the plugin that nobody enabled breaks its promise."""
    assert broken(replace(GOOD, was_imported=True)) == ["Nothing runs that nobody enabled"]


def test_log_is_understood() -> None:
    """Only calls, failures and messages of plugins are taken from the daemon's log."""
    ours = {"plugin": "a", "event_id": 7, "logger": "sgevents.dispatch"}
    assert plugin_news({**ours, "action": "callback.returned"}) == DemoCall(7, "a")
    failed = {**ours, "action": "callback.dead_lettered", "traceback": "Traceback\n  x\nOops: no\n"}
    assert plugin_news(failed) == DemoCall(7, "a", "Oops: no")
    said = {"logger": "sgevents.plugin.a", "message": "hello"}
    assert plugin_news(said) == PluginMessage("a", "hello")
    assert plugin_news({"logger": "sgevents.feed", "action": "feed.page"}) is None
