"""Batches in the state: what is collected, closed and ended, and what dead letters keep."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from journal_rows import AT, event_row, grow
from state_values import failure

from sgevents_core.state.batches import BatchAction, BatchChange, BatchedEvent, LaterCall
from sgevents_core.state.keys import CallKey
from sgevents_core.state.letters import LetterChange, LetterChoice
from sgevents_core.state.opening import open_state
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import State, Writer
from sgevents_core.state.requests import ReplayEvent, RequestAnswer, RequestStep
from sgevents_core.state.sqlite import schema
from sgevents_core.state.sqlite.checksums import letter_checksum
from sgevents_core.state.sqlite.database import DATABASE
from sgevents_core.state.steps import CallDeaths, Step

CALLBACK = "notify:on_new"


def event(seq: int, number: int = 1, **more: Any) -> BatchedEvent:
    """Return an event in a batch of the plugin notify."""
    body = b'{"id": %d}' % (seq + 100)
    made = BatchedEvent(
        "notify", CALLBACK, number, "Shot:1", seq, 1, seq + 100, body, 9, 10.0 + seq, 20.0 + seq
    )
    return made._replace(**more)


def record(state: Writer, **step: Any) -> int:
    """Write a step of the lane main."""
    return state.record("main", state.take_lane("main"), Step(**step))


def change(state: Writer, action: BatchAction, number: int = 1, **step: Any) -> int:
    """Change a batch of the plugin notify."""
    return record(state, batch=BatchChange("notify", CALLBACK, number, action), **step)


def test_an_event_is_collected_with_the_place_after_it(state: Writer) -> None:
    """Both are there, or none: so no event comes into two batches, and none is missed."""
    done = Progress(1, frozenset({CallKey("notify", CALLBACK)}))
    record(state, progress=done, collected=event(2))
    assert state.lane_progress("main") == done
    assert state.batch("notify", CALLBACK, 1) == [event(2)]
    assert state.batches_of_event(2) == [event(2)]
    assert state.batches_of_event(3) == []


def test_a_batch_has_its_events_in_order_and_is_due_after_the_last(state: Writer) -> None:
    """Whatever order they were collected in; other batches and callbacks are apart."""
    for collected in (event(5), event(3), event(9, number=9), event(4, plugin="count")):
        record(state, collected=collected)
    assert [one.seq for one in state.batch("notify", CALLBACK, 1)] == [3, 5]
    found = [(b.plugin, b.number, b.events, b.first_at, b.due_at) for b in state.batches()]
    assert found == [
        ("count", 1, 1, 14.0, 24.0),
        ("notify", 1, 2, 13.0, 25.0),
        ("notify", 9, 1, 19.0, 29.0),
    ]


def test_a_batch_is_closed_and_ends(state: Writer) -> None:
    """Together with whatever else its call came to."""
    record(state, collected=event(2))
    record(state, collected=event(7, number=7))
    change(state, "close")
    assert [batch.is_closed for batch in state.batches()] == [True, False]
    assert state.batches()[0].due_at == 12.0  # when it was collected: its call may begin
    change(state, "end", store={"notify": {"n": 1}})
    assert state.batch("notify", CALLBACK, 1) == []
    assert [batch.number for batch in state.batches()] == [7]
    assert state.store("notify") == {"n": 1}


def test_a_batch_is_called_later(state: Writer) -> None:
    """It remembers when, since when it is put off, and why."""
    for collected in (event(2), event(3), event(7, number=7)):
        record(state, collected=collected)
    change(state, "close")
    later_call = LaterCall(99.0, 50.0, "not rendered yet")
    put_off = BatchChange("notify", CALLBACK, 1, "call later", later_call=later_call)
    record(state, batch=put_off)
    first, second = state.batches()
    assert (first.due_at, first.put_off_at, first.reason) == later_call
    assert first.is_closed
    assert (second.due_at, second.put_off_at, second.reason) == (27.0, 0.0, "")
    assert [one.reason for one in state.batch("notify", CALLBACK, 1)] == ["not rendered yet"] * 2


class TestReplays:
    """The batches of a replay, apart from those of the log."""

    def test_they_are_collected_apart(self, home: State, state: Writer) -> None:
        """Each replay has its own, by callback and key, the batch of the lowest number first."""
        with closing(home.requests()) as requests:
            first, second = (requests.ask("replay", "notify", {}, "anna") for _ in range(2))
            record(state, collected=event(5))
            for collected in (
                event(7, number=1, key="b", request=first),
                event(0, number=0, event_id=50, key="a", request=first),
                event(6, number=0, key="a", request=first),
                event(6, number=0, key="a", request=second),
            ):
                record(state, collected=collected)
            assert [batch.events for batch in state.batches()] == [1]
            assert [one.request for one in state.batches_of_event(6)] == []
            assert [one.seq for one in state.batch("notify", CALLBACK, 1)] == [5]
            assert requests.count_batch(first, CALLBACK, "a") == (0, 2)
            assert requests.count_batch(first, CALLBACK, "c") is None
            assert [one.event_id for one in requests.replay_batch(first)] == [50, 106]
            assert [one.seq for one in requests.replay_batch(first, CALLBACK, 1)] == [7]
            assert not requests.replay_batch(first, "notify:other", 1)
            assert not requests.replay_batch(0)

    def test_one_that_is_called_has_ended(self, home: State, state: Writer) -> None:
        """A dead letter keeps its events; what is left of a replay goes with its answer."""
        with closing(home.requests()) as requests, closing(home.letters()) as letters:
            request = requests.ask("replay", "notify", {}, "anna")
            record(state, collected=event(4, number=0))
            for number in range(3):
                record(state, collected=event(4 + number, number=number, request=request))
            record(state, batch=BatchChange("notify", CALLBACK, 0, "end", request))
            failed = LetterChange(None, failure(seq=5), dead=True)
            letter_number = record(
                state,
                batch=BatchChange("notify", CALLBACK, 1, "bury", request),
                request=RequestStep(request, letter=failed),
            )
            assert [one.seq for one in requests.replay_batch(request)] == [6]
            record(state, request=RequestStep(request, answer=RequestAnswer("done", "")))
            assert requests.replay_batch(request) == []
            assert [one.seq for one in letters.events_of(letter_number)] == [5]
            assert [batch.events for batch in state.batches()] == [1]
            assert [one.letter for one in state.batches_of_event(5)] == [letter_number]


def test_a_letter_names_the_events_of_its_batch(home: State, state: Writer) -> None:
    """In order; it is found by any of them, and settled with others in one step."""
    grow(state, [event_row(101), event_row(102), event_row(103)])
    for seq in (2, 1):
        record(state, collected=event(seq))
    batch_letter = change(state, "bury", failure=failure(event_id=101), dead=True)
    single_letter = record(state, failure=failure(event_id=103, seq=3), dead=True)
    with closing(home.letters()) as letters, closing(home.requests()) as requests:
        assert [one.batch for one in letters.listed(LetterChoice())] == [(101, 102), ()]
        assert [one.batch for one in letters.find()] == [(101, 102), ()]
        for event_id, number in ((101, batch_letter), (102, batch_letter), (103, single_letter)):
            choice = LetterChoice(event_id=event_id)
            assert [one.number for one in letters.listed(choice)] == [number]
            assert letters.count(choice) == sum(one.letters for one in letters.groups(choice)) == 1
        request = requests.ask("replay", "notify", {}, "anna", [ReplayEvent(1, 1, 101, b"{}")])
        record(state, request=RequestStep(request, retried=[batch_letter, single_letter]))
        assert not letters.find()
        assert [letters.get(one).failure.outcome for one in (1, 2)] == ["retried"] * 2  # type: ignore[union-attr] # they are there


def test_a_dead_letter_keeps_the_events_of_its_batch(home: State, state: Writer) -> None:
    """They wait no longer, and stay for as long as their letter does."""
    grow(state, [event_row(101), event_row(102), event_row(103)])
    for seq in (1, 2):
        record(state, collected=event(seq))
    number = change(state, "bury", failure=failure(outcome="dead-letter"), dead=True)
    record(state, collected=event(3, number=1))  # of a plugin that began anew
    with closing(home.letters()) as letters:
        assert [one.seq for one in letters.events_of(number)] == [1, 2]
        assert letters.events_of(number + 1) == letters.events_of(0) == []
    assert [one.seq for one in state.batch("notify", CALLBACK, 1)] == [3]
    assert [one.letter for one in state.batches_of_event(2)] == [number]
    change(state, "end")
    assert [one.letter for one in state.batches_of_event(1)] == [number]


def test_pruning_keeps_what_waits_and_what_is_dead(home: State, state: Writer) -> None:
    """Waiting events and their attempts stay without their entries; those of settled letters go."""
    grow(state, [event_row(number, at=AT) for number in range(101, 107)])
    record(state, collected=event(1))
    record(state, failure=failure(seq=1))
    for seq, number in ((2, 2), (3, 3)):
        record(state, collected=event(seq, number=number))
        change(state, "bury", number, failure=failure(seq=seq), dead=True)
    with closing(home.letters()) as letters:
        settled, kept = letters.find()
    with closing(home.requests()) as requests:
        request = requests.ask("dismiss", "notify", {"letter": settled.number}, "anna")
    dismissed = _dismissal(request, settled.number)
    record(state, request=dismissed)
    while state.prune(AT + 1, 99):
        pass
    assert state.lowest() == 6
    assert [one.body for one in state.batch("notify", CALLBACK, 1)] == [b'{"id": 101}']
    assert state.attempts()[CallKey("notify", CALLBACK), 1] == 1
    with closing(home.letters()) as letters:
        assert letters.events_of(settled.number) == []
        assert [one.seq for one in letters.events_of(kept.number)] == [3]


def test_pruning_takes_counts_of_calls_whose_events_are_gone(state: Writer) -> None:
    """Also where a batch that waits happens to have the number of their event."""
    grow(state, [event_row(number, at=AT) for number in range(101, 107)])
    record(state, collected=event(1))
    own = CallDeaths("notify", CALLBACK, 1, 1, 0, "it died", "")
    others = [own._replace(plugin="count"), own._replace(callback="notify:on_change")]
    record(state, deaths=[own, *others])
    record(state, failure=failure(plugin="count", seq=1))
    while state.prune(AT + 1, 99):
        pass
    assert state.deaths() == [own]
    assert state.attempts() == {}


def _dismissal(request: int, letter: int) -> Any:
    return RequestStep(request, answer=RequestAnswer("done", ""), dismissed=[letter])


def test_a_damaged_event_is_known_as_such(disk_state: Writer, tmp_path: Path) -> None:
    """Its checksum tells."""
    record(disk_state, collected=event(1))
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database, database:
        database.execute("UPDATE batched SET body = x'7b7d'")
    (damaged,) = disk_state.batch("notify", CALLBACK, 1)
    assert not damaged.whole


def test_a_state_of_an_older_version_has_no_batches(tmp_path: Path) -> None:
    """It can be read before a start has brought it up to date."""
    with closing(open_state(tmp_path).writer()):
        pass
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database, database:
        database.execute("DROP TABLE batched")
        database.execute("PRAGMA user_version = 14")
    with closing(open_state(tmp_path).reader()) as reader:
        assert not reader.batches()
        assert not reader.batches_of_event(1)
    with closing(open_state(tmp_path).letters()) as letters:
        assert not letters.find(event_id=1)


def test_batches_of_the_version_before_are_read(tmp_path: Path) -> None:
    """As they are, and then brought up to date: none of them is put off."""
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database, database:
        for number, script in schema.migrations()[:16]:
            database.executescript(f"{script}; PRAGMA user_version = {number};")
        row = (*event(2)[:11], 1, 0, letter_checksum("notify", CALLBACK, 2, 102, event(2).body))
        database.execute(
            "INSERT INTO batched VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row
        )
    batch = [event(2, is_closed=True)]
    with closing(open_state(tmp_path).reader()) as reader:
        assert reader.batch("notify", CALLBACK, 1) == batch
        assert reader.batches_of_event(2) == batch
        assert [(one.events, one.put_off_at) for one in reader.batches()] == [(1, 0.0)]
    with closing(open_state(tmp_path).letters()) as letters:
        assert not letters.find(event_id=102)
    with closing(open_state(tmp_path).writer()) as writer:
        assert writer.batch("notify", CALLBACK, 1) == batch
