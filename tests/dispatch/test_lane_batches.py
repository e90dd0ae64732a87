"""Batches in a lane: collected beside it, called as one, and never lost."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from lane_house import House, only, raising
from waiting import wait_until

from sgevents_core.batching import BatchRules, By
from sgevents_core.dispatch.batch_lines import BatchLine
from sgevents_core.errors import Defer, Retry
from sgevents_core.events import Event
from sgevents_core.filters import Match
from sgevents_core.reading.outcomes import Outcomes
from sgevents_core.settings import LaneSettings
from sgevents_core.state.batches import BatchChange, LaterCall, WaitingBatch
from sgevents_core.state.opening import open_state
from sgevents_core.state.sqlite.database import DATABASE
from sgevents_core.state.steps import Step

LONG = 3600.0
SOON = 0.05


def rules(pause: float = SOON, *, at_most: float = LONG, size: int = 100, by: By = "entity") -> Any:
    """Return rules of batches."""
    return BatchRules(pause, at_most, size, by)


def shot(number: int) -> dict[str, Any]:
    """Return the fields of a row about a shot."""
    return {"entity": {"type": "Shot", "id": number}}


def open_lines(house: House) -> list[BatchLine]:
    """Return the batches that the lane has, by key."""
    batches = house.lanes[0]._batches
    return [] if batches is None else list(batches.lines())


def put_off_until(
    house: House, batch: WaitingBatch, due_at: float, put_off_at: float | None = None
) -> None:
    """Change in the state until when a batch is put off, and since when."""
    since = batch.put_off_at if put_off_at is None else put_off_at
    change = BatchChange(
        *batch.call_key, batch.number, "call later",
        later_call=LaterCall(due_at, since, batch.reason),
    )  # fmt: skip
    house.state.record("default", house.state.take_lane("default"), Step(batch=change))


def drain(house: House) -> None:
    """Let the lanes handle everything, and call the batches that are open then."""
    with house.running():
        house.settle()
        for lane in house.lanes:
            lane.end_batches()
        house.settle()


@pytest.fixture(params=["one worker", "three workers"])
def workers(request: pytest.FixtureRequest, house: House) -> str:
    """A lane with one strand, and one that is divided by entity."""
    if request.param == "three workers":
        house.lane_settings["default"] = LaneSettings(workers=3, order_by="entity")
    return str(request.param)


def test_events_of_one_key_come_together(house: House, workers: str) -> None:
    """In order, once they pause; those of another key apart, and other callbacks at once."""
    house.plugin("rolls", "up", batch=rules(LONG))
    house.plugin("logs", "each")
    house.run()  # a plugin begins at the end of the journal
    for event_id in (1, 2, 3, 4, 5):
        house.events(event_id, **shot(event_id % 2))
    drain(house)
    assert sorted(only(house.calls, "rolls")) == ["1+3+5 rolls.up", "2+4 rolls.up"]
    assert len(only(house.calls, "logs")) == 5
    assert house.state.batches() == []


def test_a_batch_is_called_once_its_events_pause(house: House, workers: str) -> None:
    """Nobody has to do anything for it."""
    house.plugin("rolls", "up", batch=rules(SOON))
    house.run()  # a plugin begins at the end of the journal
    with house.running():
        house.events(1, 2, **shot(1))
        wait_until(lambda: house.calls)
    assert house.calls == ["1+2 rolls.up"]


def test_a_batch_is_called_after_at_most_so_long(house: House) -> None:
    """Although its events do not pause."""
    house.plugin("rolls", "up", batch=rules(LONG, at_most=LONG + 1))
    house.run()  # a plugin begins at the end of the journal
    house.events(1, **shot(1))
    with house.running():
        house.settle()
        (line,) = open_lines(house)
        line.head.first_at -= LONG + 1
        house.events(2, **shot(1))
        wait_until(lambda: house.calls)
    assert house.calls == ["1+2 rolls.up"]


def test_a_full_batch_is_called_at_once(house: House, workers: str) -> None:
    """The next event begins another."""
    house.plugin("rolls", "up", batch=rules(LONG, size=2))
    house.run()  # a plugin begins at the end of the journal
    house.events(1, 2, 3, 4, 5, **shot(1))
    with house.running():
        wait_until(lambda: len(house.calls) == 2)
    assert house.calls == ["1+2 rolls.up", "3+4 rolls.up"]
    assert [batch.events for batch in house.state.batches()] == [1]


@pytest.mark.parametrize(
    ("by", "calls"),
    [
        ("project", ["1+3", "2"]),
        (lambda event: event.id > 2, ["1+2", "3"]),
        (lambda event: ("all", None), ["1+2+3"]),
        (lambda event: {"type": "Shot", "id": 1, "name": event.id}, ["1+2+3"]),
    ],
)
def test_batches_by_other_keys(house: House, workers: str, by: By, calls: list[str]) -> None:
    """By project, or by whatever a function of the event says."""
    house.plugin("rolls", "up", batch=rules(LONG, by=by))
    house.run()  # a plugin begins at the end of the journal
    for event_id in (1, 2, 3):
        project = {"type": "Project", "id": event_id % 2}
        house.events(event_id, **shot(event_id), project=project)
    drain(house)
    assert sorted(house.calls) == [f"{ids} rolls.up" for ids in calls]


def test_an_event_is_kept_in_its_batch_at_a_stop(house: House, workers: str) -> None:
    """The next start continues the batch; its events are those of before and of then."""
    house.plugin("rolls", "up", batch=rules(LONG))
    house.run()  # a plugin begins at the end of the journal
    house.events(1, 2, **shot(1))
    house.run()
    assert house.calls == []
    (waiting,) = house.state.batches()
    assert (waiting.number, waiting.events, waiting.is_closed) == (1, 2, False)
    house.events(3, **shot(1))
    drain(house)
    assert house.calls == ["1+2+3 rolls.up"]


def test_the_store_commits_with_the_batch(house: House) -> None:
    """And `ctx` is that of one call: the key of its first event, the first attempt."""
    seen = []

    def adds(events: Any, ctx: Any) -> None:
        seen.append((ctx.key, ctx.attempt))
        ctx.store["events"] = [event.id for event in events]

    house.plugin("rolls", adds, batch=rules(LONG))
    house.run()  # a plugin begins at the end of the journal
    house.events(1, 2, **shot(1))
    drain(house)
    assert house.state.store("rolls") == {"events": [1, 2]}
    assert seen == [("127.0.0.1:1:1:1:rolls:rolls:adds", 1)]


def test_concurrency_limits_batches_too(house: House) -> None:
    """Several keys, several workers, and one call of the plugin at a time."""
    house.lane_settings["default"] = LaneSettings(workers=3, order_by="entity")
    running, most = [0], [0]

    def counts(events: Any, ctx: Any) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        threading.Event().wait(0.002)
        running[0] -= 1

    house.plugin("rolls", counts, batch=rules(LONG), concurrency=1)
    house.run()
    for event_id in range(1, 31):
        house.events(event_id, **shot(event_id))
    drain(house)
    assert len(house.calls) == 30
    assert most == [1]


class TestFailures:
    """A batch is one call: tried again as a whole, one dead letter, one failure."""

    def test_a_failed_batch_is_one_dead_letter(self, house: House, workers: str) -> None:
        """It lists its events; it counts as one failure, and the plugin goes on."""
        house.plugin("rolls", raising(ValueError("no")), batch=rules(LONG))
        house.plugin("logs", "each")
        house.run()  # a plugin begins at the end of the journal
        house.events(1, 2, **shot(1))
        house.events(3, **shot(2))
        drain(house)
        with closing(open_state(house.folder).letters()) as letters:
            found = letters.find()
            events = [[event.event_id for event in letters.events_of(one.number)] for one in found]
        assert sorted(events) == [[1, 2], [3]]
        assert house.records()["rolls"].failures == 2
        assert len(only(house.calls, "logs")) == 3
        assert house.state.batches() == []

    def test_many_failed_batches_pause_the_plugin(self, house: House, workers: str) -> None:
        """Its other batches wait, and nothing of them is lost."""
        house.plugin("rolls", raising(ValueError("no")), batch=rules(LONG, size=2), pause_after=2)
        house.run()  # a plugin begins at the end of the journal
        house.events(1, 2, 3, 4, 5, 6, **shot(1))
        with house.running():
            wait_until(lambda: house.records()["rolls"].state == "paused")
        assert len(house.state.dead_letters()) == 2
        assert [batch.number for batch in house.state.batches()] == [5]

    def test_a_batch_is_tried_again_as_a_whole(self, house: House, workers: str) -> None:
        """Meanwhile its plugin gets other events, and other batches are called."""
        opened = threading.Event()

        def retries(events: Any, ctx: Any) -> None:
            if events[0].id == 1 and not opened.is_set():
                raise Retry("later", after=SOON)

        house.plugin("rolls", retries, batch=rules(SOON))
        house.run()  # a plugin begins at the end of the journal
        house.events(1, 2, **shot(1))
        house.events(3, **shot(2))
        with house.running():
            wait_until(lambda: "3 rolls.retries" in house.calls)
            wait_until(lambda: "1+2 rolls.retries#2" in house.calls)
            assert house.records()["rolls"].state == "active"
            house.events(4, **shot(1))
            opened.set()
            wait_until(lambda: "4 rolls.retries" in house.calls)
        assert house.state.attempts() == {}
        assert not house.state.batches()
        assert not house.state.dead_letters()

    def test_a_batch_that_is_put_off_is_so_after_a_start(self, house: House, workers: str) -> None:
        """Until then it is explained; it spends no attempt, and becomes a dead letter at its limit.

        Later events of its key come after it.
        """
        errors: list[BaseException] = [Defer("not rendered yet", after="1h")]

        def defers(events: Any, ctx: Any) -> None:
            if errors:
                raise errors[0]

        house.plugin("rolls", defers, batch=rules(SOON))
        house.run()  # a plugin begins at the end of the journal
        house.events(1, 2, **shot(1))
        with house.running():
            wait_until(lambda: house.state.batches() and house.state.batches()[0].put_off_at)
        house.events(3, **shot(1))
        house.run()
        assert house.calls == ["1+2 rolls.defers"]
        put_off, waiting = house.state.batches()
        assert (put_off.reason, waiting.put_off_at) == ("not rendered yet", 0.0)
        assert 3500 < put_off.due_at - put_off.put_off_at <= 3600
        fate = Outcomes(house.folder).outcome_of("rolls", "rolls:defers", 2, ())
        assert (fate.what, fate.due_at) == ("in a batch", put_off.due_at)
        assert fate.text.startswith("in a batch of 2 events, which is put off until 20")
        assert fate.text.endswith(": not rendered yet")
        put_off_until(house, put_off, time.time() - 1)
        errors.clear()
        drain(house)
        assert house.calls[1:] == ["1+2 rolls.defers", "3 rolls.defers"]
        assert house.state.batches() == []

    def test_a_start_does_not_begin_the_limit_of_a_batch_anew(self, house: House) -> None:
        """It counts from when the batch was put off first."""
        house.plugin("rolls", raising(Defer("not yet", after="1h")), batch=rules(SOON))
        house.run()  # a plugin begins at the end of the journal
        house.events(1, 2, **shot(1))
        with house.running():
            wait_until(lambda: house.state.batches() and house.state.batches()[0].put_off_at)
        (put_off,) = house.state.batches()
        eight_days_ago = time.time() - 8 * 86_400
        put_off_until(house, put_off, eight_days_ago, eight_days_ago)
        with house.running():
            wait_until(house.state.dead_letters)
        (letter,) = house.state.dead_letters()
        assert letter.error == "DeferLimitReached: put off for 7d, its defer_limit: not yet"

    def test_a_failed_batch_waits_on_after_a_start(self, house: House, workers: str) -> None:
        """For as long as it would have."""
        house.plugin("rolls", raising(Retry("later", after="1h")), batch=rules(SOON))
        house.run()  # a plugin begins at the end of the journal
        house.events(1, 2, **shot(1))
        with house.running():
            wait_until(house.state.attempts)
        drain(house)
        assert len(house.calls) == 1
        (batch,) = house.state.batches()
        assert 3500 < batch.due_at - time.time() <= 3600
        put_off_until(house, batch, time.time(), 0.0)
        with house.running():
            wait_until(lambda: len(house.calls) == 2)
        assert house.calls[1] == "1+2 rolls.fails#2"

    def test_skip_drops_the_batch(self, house: House) -> None:
        """As `on_error` says."""
        house.plugin("rolls", raising(ValueError("no")), batch=rules(LONG), on_error="skip")
        house.run()  # a plugin begins at the end of the journal
        house.events(1, 2, **shot(1))
        drain(house)
        assert not house.state.batches()
        assert not house.state.dead_letters()

    def test_pause_stops_the_plugin_at_the_batch(self, house: House, workers: str) -> None:
        """Resumed, it is called again with the same events, and those of then come after."""
        house.plugin("rolls", raising(ValueError("no")), batch=rules(LONG), on_error="pause")
        house.run()  # a plugin begins at the end of the journal
        house.events(1, 2, **shot(1))
        drain(house)
        assert house.records()["rolls"].state == "paused"
        house.events(3, **shot(1))
        drain(house)
        assert len(house.calls) == 1
        record = house.records()["rolls"]
        record.resume_afresh()
        step = Step(plugins=[record])
        house.state.record("default", house.state.take_lane("default"), step)
        house.plugin("rolls", "fails", batch=rules(LONG))
        house.plugins["rolls"].callbacks[0] = replace(
            house.plugins["rolls"].callbacks[0], name="rolls:fails"
        )
        drain(house)
        assert house.calls[1:] == ["1+2 rolls.fails#2", "3 rolls.fails"]

    def test_a_batch_waits_for_the_site(self, house: House, workers: str) -> None:
        """An outage costs no attempt."""
        seen = []

        def needs_site(events: Any, ctx: Any) -> None:
            seen.append(ctx.attempt)
            if len(seen) == 1:
                house.site_is_down()
                raise ConnectionError("gone")

        house.plugin("rolls", needs_site, batch=rules(SOON))
        house.run()  # a plugin begins at the end of the journal
        house.events(1, 2, **shot(1))
        with house.running():
            wait_until(lambda: any(line.head.waiting for line in open_lines(house)))
            house.site_answers()
            wait_until(lambda: len(seen) == 2)
        assert seen == [1, 1]
        assert not house.state.batches()
        assert not house.state.dead_letters()

    def test_a_batch_that_no_callback_takes_is_a_dead_letter(self, house: House) -> None:
        """Its callback was renamed, or takes single events now; nothing of it is lost."""
        house.plugin("rolls", "up", batch=rules(LONG))
        house.run()  # a plugin begins at the end of the journal
        house.events(1, 2, **shot(1))
        house.run()
        house.plugin("rolls", "up")
        house.run()
        (letter,) = house.state.dead_letters()
        assert letter.error.startswith("CallbackMissing: the plugin has no callback rolls:up")
        assert house.state.batches() == []
        assert house.calls == []

    def test_a_hanging_batch_is_a_dead_letter(self, house: House, workers: str) -> None:
        """Its plugin waits for the call, as for any other."""
        opened = threading.Event()

        def hangs(events: Any, ctx: Any) -> None:
            if events[0].id == 1:
                opened.wait(60)

        house.plugin("rolls", hangs, batch=rules(SOON), timeout=SOON)
        house.run()  # a plugin begins at the end of the journal
        house.events(1, 2, **shot(1))
        with house.running():
            wait_until(house.state.dead_letters)
            house.events(3, **shot(1))
            opened.set()
            wait_until(lambda: "3 rolls.hangs" in house.calls)
        with closing(open_state(house.folder).letters()) as letters:
            (letter,) = letters.find()
            assert [event.event_id for event in letters.events_of(letter.number)] == [1, 2]


class TestFilters:
    """A filter or a key that is the plugin's code is part of a call."""

    def test_a_key_that_fails_is_the_failure_of_its_event(self, house: House) -> None:
        """It becomes a dead letter, and the others are collected."""

        def key_of(event: Event) -> object:
            if event.id == 2:
                raise ValueError("no key")
            return object() if event.id == 3 else "same"

        house.plugin("rolls", "up", batch=rules(LONG, by=key_of))
        house.run()  # a plugin begins at the end of the journal
        house.events(1, 2, 3, 4, **shot(1))
        drain(house)
        assert house.calls == ["1+4 rolls.up"]
        first, second = house.state.dead_letters()
        assert first.error == "ValueError: no key"
        assert "cannot be the key of a batch" in second.error

    def test_a_filter_is_asked_before_the_event_is_collected(
        self, house: House, workers: str
    ) -> None:
        """With a time limit too."""
        match = Match(where=lambda event: event.id != 2)
        house.plugin("rolls", "up", match=match, batch=rules(LONG), timeout=5.0)
        house.run()  # a plugin begins at the end of the journal
        house.events(1, 2, 3, **shot(1))
        drain(house)
        assert house.calls == ["1+3 rolls.up"]

    def test_a_held_plugin_collects_while_it_catches_up(self, house: House, workers: str) -> None:
        """Its own hold makes it wait; afterwards its events are in their batches."""
        tried: list[int] = []

        def fails_once(event: Event, ctx: Any) -> None:
            if event.id == 1 and not tried:
                tried.append(1)
                raise Retry("later", after=SOON)

        house.plugin("rolls", fails_once)
        single = house.plugins["rolls"].callbacks
        house.plugin("rolls", "up", batch=rules(SOON))
        house.plugins["rolls"].callbacks = [*single, *house.plugins["rolls"].callbacks]
        house.run()  # a plugin begins at the end of the journal
        house.events(1, 2, **shot(1))
        with house.running():
            wait_until(lambda: "1+2 rolls.up" in house.calls)
        assert house.state.batches() == []


@pytest.mark.disk
class TestDamage:
    """An event in a batch whose row was damaged on the disk."""

    def test_it_is_read_from_the_journal(self, house: House) -> None:
        """If its entry is whole."""
        house.plugin("rolls", "up", batch=rules(LONG))
        house.run()
        house.events(1, 2, **shot(1))
        house.run()
        damage(house, "batched")
        drain(house)
        assert house.calls == ["1+2 rolls.up"]

    def test_it_is_set_aside_if_the_journal_is_damaged_too(self, house: House) -> None:
        """The others of its batch are called; it is requested from the site again."""
        house.plugin("rolls", "up", batch=rules(LONG))
        house.run()
        house.events(1, 2, **shot(1))
        house.run()
        damage(house, "batched")
        damage(house, "journal")
        drain(house)
        assert house.calls == ["2 rolls.up"]
        assert [aside.event for aside in house.state.set_aside_events()] == ["1"]
        assert house.state.batches() == []


def damage(house: House, table: str) -> None:
    """Damage the row of event 1 in a table."""
    with closing(sqlite3.connect(house.folder / DATABASE)) as database, database:
        database.execute(f"UPDATE {table} SET body = x'7b7d' WHERE event_id = 1")
