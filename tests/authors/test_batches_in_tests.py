"""Batches in the tests of plugin authors: they decide when the events pause."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from sgevents_core import Defer, Event, Retry, hookimpl, match
from sgevents_core.errors import MatchError, PluginError
from sgevents_core.testing import EventBuilder, Harness, MakeHarness


class RollUp:
    """A plugin that counts the events of each shot."""

    @hookimpl
    @match(entity_type="Shot", batch="2s", at_most="30s", size=5)
    def on_change(self, events: list[Event], ctx: Any) -> None:
        """Count them."""
        key = str(events[0].entity_id)
        ctx.store[key] = ctx.store.get(key, 0) + len(events)


def changes(build: EventBuilder, shot: int, count: int = 3) -> list[Event]:
    """Return changes of a shot."""
    return [build.change({"type": "Shot", "id": shot}, "code", "a", "b") for _ in range(count)]


def test_open_batches_are_called_at_the_end_of_a_run(
    sgevents_harness: MakeHarness, sgevents_event: EventBuilder
) -> None:
    """As if no more events came: one call for each record, with its events in order."""
    harness = sgevents_harness(RollUp(), name="rolls")
    first, second = changes(sgevents_event, 1), changes(sgevents_event, 2)
    result = harness.run(first, second).raise_errors()
    assert [call.events for call in result.calls] == [first, second]
    assert result.calls[0].event == first[0]
    assert result.store == {"1": 3, "2": 3}
    assert str(result.calls[0]).startswith("rolls RollUp.on_change(")


def test_time_is_under_the_tests_control(
    sgevents_harness: MakeHarness, sgevents_event: EventBuilder
) -> None:
    """Events that come in time join the batch; it is called once they pause, or are too many."""
    harness = sgevents_harness(RollUp(), name="rolls")
    events = changes(sgevents_event, 1, 7)
    assert harness.run(events[0], batches=False).calls == []
    assert harness.pass_time("1.9s").calls == []
    assert harness.run(events[1], batches=False).calls == []
    assert harness.pass_time("1.9s").calls == []
    (call,) = harness.pass_time("0.1s").calls
    assert call.events == events[:2]
    (full,) = harness.run(events[2:], batches=False).calls
    assert full.events == events[2:]


def test_a_batch_waits_at_most_so_long(
    sgevents_harness: MakeHarness, sgevents_event: EventBuilder
) -> None:
    """Although its events do not pause."""
    harness = sgevents_harness(RollUp(), name="rolls")
    events = changes(sgevents_event, 1, 30)
    calls = []
    for event in events:
        calls += harness.run(event, batches=False).calls + harness.pass_time(10).calls
    assert [len(call.events) for call in calls] == [1] * 30  # each pause is longer than the batch's

    class Slow:
        @hookimpl
        @match(batch="20s", at_most="30s")
        def on_change(self, events: list[Event]) -> None: ...

    slow = sgevents_harness(Slow(), name="slow")
    calls = []
    for event in changes(sgevents_event, 2, 8):
        calls += slow.run(event, batches=False).calls + slow.pass_time(10).calls
    assert [len(call.events) for call in calls] == [3, 3]


def test_failures_of_a_batch(sgevents_harness: MakeHarness, sgevents_event: EventBuilder) -> None:
    """Tried again as a whole, put off, and a dead letter: one call each time."""
    errors: list[BaseException] = [Retry("soon"), Defer(after="1m"), ValueError("no")]
    letters = []

    class Fails(RollUp):
        @hookimpl
        @match(batch="2s")
        def on_change(self, events: list[Event], ctx: Any) -> None:
            raise errors.pop(0)

        @hookimpl
        def dead_lettered(self, details: Any) -> None:
            letters.append(details)

    events = changes(sgevents_event, 1)
    harness = sgevents_harness(Fails(), name="fails")
    result = harness.run(events, retry=False)
    assert [(call.outcome, call.attempt) for call in result.calls] == [("retry", 1)]
    (deferred,) = harness.pass_time("2s").calls
    assert (deferred.outcome, deferred.attempt, deferred.wait) == ("defer", 2, 60.0)
    (dead,) = harness.pass_time("1m").calls
    assert (dead.outcome, dead.attempt, dead.events) == ("dead-letter", 2, events)
    assert [letter.events for letter in letters] == [tuple(events)]
    assert letters[0].event == events[0]


def test_an_async_batch_from_the_registrar(
    sgevents_harness: MakeHarness, sgevents_event: EventBuilder
) -> None:
    """With `args`, by project."""
    seen: list[Any] = []

    class Plugin:
        @hookimpl
        def register_callbacks(self, registrar: Any) -> None:
            registrar.register(self.roll, args="args", batch=2, by="project", name="roll")

        async def roll(self, events: list[Event], ctx: Any, args: str) -> None:
            seen.append((len(events), ctx.plugin, args))

    harness = sgevents_harness(Plugin(), name="p")
    harness.run(changes(sgevents_event, 1), changes(sgevents_event, 2)).raise_errors()
    assert seen == [(6, "p", "args")]


def test_a_replay_calls_it_with_the_events_of_one_key_together(
    sgevents_harness: MakeHarness, sgevents_event: EventBuilder
) -> None:
    """As a replay on a site does."""
    harness = sgevents_harness(RollUp(), name="rolls")
    events = changes(sgevents_event, 1)
    harness.run(events)
    result = harness.replay(events)
    assert [call.events for call in result.calls] == [events]
    assert result.store == {"1": 6}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"batch": "2s", "at_most": "1s"}, "at_most='1s' is shorter than batch='2s'"),
        ({"batch": 0}, "batch=0 is no time to wait for"),
        ({"batch": True}, "batch=True is no time"),
        ({"batch": "2 x"}, "batch: "),
        ({"batch": "2d"}, "batch='2d' is no time"),
        ({"batch": 1, "by": "shot"}, "by='shot' is neither a key nor a function"),
        ({"batch": 1, "by": 3}, "by=3 is neither a key nor a function"),
        ({"batch": 1, "size": 0}, "size=0 is no number of events"),
        ({"batch": 1, "size": 5000}, "size=5000 is no number of events"),
        ({"size": 5}, "size is given without batch"),
        ({"at_most": 5}, "at_most is given without batch"),
        ({"by": "entity"}, "by is given without batch"),
        ({"batsch": 1}, "no argument batsch"),
    ],
)
def test_wrong_options_are_refused_where_they_are_written(
    options: dict[str, Any], problem: str
) -> None:
    """With the fix."""
    with pytest.raises(MatchError) as refused:
        match(**options)
    assert problem in str(refused.value)


def test_events_and_event_are_not_confused(sgevents_harness: MakeHarness) -> None:
    """Each is refused when the plugin is loaded, and says what to write."""

    class NoBatch:
        @hookimpl
        def on_change(self, events: list[Event]) -> None: ...

    class NoEvents:
        @hookimpl
        @match(batch="2s")
        def on_change(self, event: Event) -> None: ...

    for plugin, text in ((NoBatch(), "has no batch"), (NoEvents(), "has batch")):
        with pytest.raises(PluginError, match=f"its @match {text}"):
            sgevents_harness(plugin, name="p").start()


def test_parts_and_record_of_a_batch_are_those_of_its_first_event(
    sgevents_harness: MakeHarness, sgevents_event: EventBuilder
) -> None:
    """`ctx.once` holds over all attempts of the batch, and the next batch has parts of its own."""
    told: list[list[int]] = []

    class Tells:
        @hookimpl
        @match(batch="2s")
        def on_change(self, events: list[Event], ctx: Any) -> None:
            assert ctx.entity("code") == {"type": "Shot", "id": 1, "code": "sh010"}
            with ctx.once("channel-1") as first:
                if first:
                    told.append([event.id for event in events])
            if ctx.attempt < 3:
                raise Retry("not yet")

    records = [{"type": "Shot", "id": 1, "code": "sh010"}]
    harness = sgevents_harness(Tells(), name="tells", records=records)
    first, second = changes(sgevents_event, 1), changes(sgevents_event, 1, 2)
    for events in (first, second):
        result = harness.run(events)
        assert [call.outcome for call in result.calls] == ["retry", "retry", "returned"]
    assert told == [[event.id for event in first], [event.id for event in second]]


def test_pauses_and_limits_may_be_timedeltas() -> None:
    """So a plugin takes them from its settings as they are."""
    calls: list[int] = []

    @hookimpl
    @match(batch=timedelta(seconds=2), at_most=timedelta(minutes=1), timeout=timedelta(seconds=30))
    def on_change(events: Any) -> None:
        calls.append(len(events))

    builder = EventBuilder()
    with Harness(SimpleNamespace(on_change=on_change), "p") as harness:
        harness.run(*changes(builder, 7, 2), batches=False)
        harness.pass_time(1)
        assert calls == []
        harness.pass_time(1.5)
    assert calls == [2]


@pytest.mark.parametrize("option", ["batch", "at_most", "timeout"])
def test_negative_timedelta_is_refused(option: str) -> None:
    """As a negative number is."""
    with pytest.raises(MatchError, match=option):
        match(**{"batch": "2s", option: timedelta(seconds=-1)})  # type: ignore[arg-type]  # wrong on purpose


def test_events_without_a_key_are_one_batch() -> None:
    """None, returned by a function, is a key like any other."""

    @hookimpl
    @match(batch="2s", by=lambda event: None)
    def on_new(events: Any) -> None: ...

    builder = EventBuilder()
    with Harness(SimpleNamespace(on_new=on_new), "p") as harness:
        (call,) = harness.run(builder.new("Shot"), builder.new("Shot")).calls
    assert len(call.events) == 2


def test_result_says_why_a_call_ignored_its_event() -> None:
    """The reason that it gave; empty for a call that gave none."""

    @hookimpl
    def on_new(event: Any, ctx: Any) -> None:
        if event.entity_type == "Shot":
            ctx.ignore("no route")

    builder = EventBuilder()
    with Harness(SimpleNamespace(on_new=on_new), "p") as harness:
        result = harness.run(builder.new("Shot"), builder.new("Version"))
    assert [call.ignored for call in result.calls] == ["no route", ""]
