"""Batches in the state: what is collected, closed and ended, and what dead letters keep."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from journal_rows import AT, event_row, grow
from state_values import failure

from sgevents_core.state.batches import BatchAction, BatchChange, BatchedEvent
from sgevents_core.state.keys import CallKey
from sgevents_core.state.opening import open_state
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import State, Writer
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
    change(state, "end", store={"notify": {"n": 1}})
    assert state.batch("notify", CALLBACK, 1) == []
    assert [batch.number for batch in state.batches()] == [7]
    assert state.store("notify") == {"n": 1}


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
    from sgevents_core.state.requests import RequestAnswer, RequestStep

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
