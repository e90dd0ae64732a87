"""Where a lane goes on after a crash, from what ledger and register say; in any schedule."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.crashes import recovering, recovery
from sgevents_core.state.held_lane import HeldLane
from sgevents_core.state.keys import CallKey
from sgevents_core.state.opening import open_state
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import RecordedLane
from sgevents_core.state.register import (
    EMPTY_SLOT,
    LANE_WORD,
    NotedCall,
    NotedLane,
    NotedSlot,
    Register,
    lane_register_path,
)

KEYS = [CallKey("p", "one"), CallKey("p", "two"), CallKey("q", "one"), CallKey("q", "two")]
EVENTS = range(1, 4)
LIVES = st.lists(
    st.tuples(
        st.permutations(KEYS), st.integers(0, 30), st.lists(st.booleans(), min_size=40, max_size=40)
    ),
    max_size=5,
)
"""Lives of a lane: the order of its callbacks, at which step it dies, which steps are written."""


def doubts_of(
    noted: NotedSlot, progress: Progress, records: list[PluginRecord]
) -> list[recovery.DoubtfulCall]:
    """The calls in doubt of a lane that is not divided."""
    recorded = RecordedLane(progress, None, records)
    return recovery.find_doubtful_calls(NotedLane(None, {0: noted}), recorded, {})


@dataclasses.dataclass
class LaneModel:
    """A lane with its ledger and register, in a process that dies between any two steps."""

    ledger: Progress = dataclasses.field(default_factory=lambda: Progress(0))
    register: NotedCall | None = None
    begun: list[tuple[int, CallKey]] = dataclasses.field(default_factory=list)

    def steps(self, order: list[CallKey], written: Iterator[bool]) -> Iterator[None]:
        """Handle the events from where the ledger says; yields wherever the process may die."""
        done = self.ledger.done
        for seq in range(self.ledger.running, EVENTS[-1] + 1):
            for at, key in enumerate(order):
                if key in done:
                    continue
                self.register = NotedCall(seq, key, tuple(order[:at]), returned=False)
                self.begun.append((seq, key))
                yield
                if next(written):  # its store has changed
                    self.ledger = Progress.at(seq, done.union(order[: at + 1]))
                    yield
                self.register = self.register._replace(returned=True)
                yield
            done = frozenset()
            if next(written):
                self.ledger = Progress(seq)
                yield

    def recover(self) -> list[recovery.DoubtfulCall]:
        """What a start does: the ledger is brought up to date, the register forgotten."""
        doubts = doubts_of(NotedSlot(self.register, None), self.ledger, [])
        self.ledger = recovery.join_progress(self.ledger, self.register)
        self.register = None
        return doubts

    def live(self, order: list[CallKey], steps: int, written: list[bool]) -> None:
        """Run until it dies after so many steps, or comes to the end."""
        running = self.steps(order, iter(written * 2))
        for _ in range(steps):
            next(running, None)


@given(LIVES)
def test_killed_at_any_step_nothing_is_lost_and_one_call_repeated(
    lives: list[tuple[list[CallKey], int, list[bool]]],
) -> None:
    """Every callback gets every event; again only if the process died in it, and that is told."""
    lane = LaneModel()
    told: list[recovery.DoubtfulCall] = []
    for order, steps, written in lives:
        lane.live(order, steps, written)
        told += lane.recover()
    lane.live(KEYS, 1000, [False] * 40)
    calls = Counter(lane.begun)
    assert set(calls) == {(seq, key) for seq in EVENTS for key in KEYS}
    repeats = Counter(recovery.DoubtfulCall(seq, key) for seq, key in calls.elements())
    repeats.subtract(recovery.DoubtfulCall(seq, key) for seq, key in calls)
    assert +repeats == Counter(told)
    assert [seq for seq, _ in lane.begun] == sorted(seq for seq, _ in lane.begun)


@given(
    LIVES,
    st.integers(0, 3),
    st.frozensets(st.sampled_from([CallKey("p", "one"), CallKey("p", "two")])),
)
def test_plugin_killed_while_catching_up_goes_on_where_it_was(
    lives: list[tuple[list[CallKey], int, list[bool]]], cursor: int, done: frozenset[CallKey]
) -> None:
    """The one that catches up repeats the call it died in; one that waits stays where it is."""
    ahead, events = 6, range(cursor + 1, 7)
    ledger = PluginRecord("p", "main", Progress(cursor, done), apart=True)
    waits = PluginRecord("q", "main", Progress(1, frozenset({CallKey("q", "one")})), apart=True)
    register: NotedCall | None = None
    begun: list[tuple[int, CallKey]] = []
    told: list[recovery.DoubtfulCall] = []
    for order, steps, written in [*lives, (KEYS, 1000, [False] * 40)]:
        record, write = dataclasses.replace(ledger), iter(written * 2)
        left = steps
        while record.cursor < ahead and left > 0:
            seq = record.progress.running
            for at, key in enumerate(order):
                if key in record.progress.done or key.plugin != "p" or left <= 0:
                    continue
                register = NotedCall(seq, key, tuple(order[:at]), returned=False)
                begun.append((seq, key))
                left -= 1
                if left > 0 and next(write):
                    record.finish_callback(key)
                    ledger = dataclasses.replace(record)
                    left -= 1
                if left > 0:
                    register = register._replace(returned=True)
                    record.finish_callback(key)
                    left -= 1
            if left > 0:
                record.finish(seq)
                ledger = dataclasses.replace(record) if next(write) else ledger
        found = NotedSlot(None, register)
        told += doubts_of(found, Progress(ahead), [ledger, waits])
        for one in (ledger, waits):
            recovery.restore_catching_up(one, register)
        register = None
        assert waits.progress == Progress(1, frozenset({CallKey("q", "one")}))
    calls = Counter(begun)
    expected = {(seq, key) for seq in events for key in KEYS[:2]}
    expected -= {(cursor + 1, key) for key in done}
    assert set(calls) == expected
    extra = calls - Counter(set(calls))
    assert extra == Counter((doubt.seq, doubt.call_key) for doubt in told)


@given(st.integers(0, 9), st.frozensets(st.sampled_from(KEYS)))
def test_plugin_set_aside_keeps_its_place(finished: int, done: frozenset[CallKey]) -> None:
    """A plugin that rides no longer goes on where its lane was, with its own callbacks done."""
    record = PluginRecord("p", "main")
    record.leave_lane(Progress(finished, done))
    assert record.apart
    assert record.progress == Progress(finished, frozenset(k for k in done if k.plugin == "p"))
    before = dataclasses.replace(record)
    record.leave_lane(Progress(finished + 5))
    assert record == before


def test_register_older_than_the_ledger_changes_nothing() -> None:
    """What the ledger has noted since counts."""
    old = NotedCall(4, KEYS[0], (), returned=False)
    assert recovery.join_progress(Progress(5), old) == Progress(5)
    assert recovery.join_progress(Progress(4), old) == Progress(4)
    assert recovery.join_progress(Progress(5), None) == Progress(5)
    assert (
        doubts_of(NotedSlot(old, old), Progress(5), [PluginRecord("p", "main", Progress(4))]) == []
    )
    assert doubts_of(EMPTY_SLOT, Progress(0), []) == []


def test_plugin_that_rides_has_no_place_of_its_own() -> None:
    """A word about a plugin that has rejoined its lane since is of no account."""
    word = NotedCall(9, KEYS[0], (), returned=False)
    record = PluginRecord("p", "main", Progress(3))
    recovery.restore_catching_up(record, word)
    assert record.cursor == 3
    assert doubts_of(NotedSlot(None, word), Progress(3), [record]) == []


def test_names_that_begin_alike_are_different_plugins() -> None:
    """A word about `notify` is not about `notify2`."""
    word = NotedCall(9, CallKey("notify2", "run"), (CallKey("notify", "run"),), returned=True)
    record = PluginRecord("notify", "main", Progress(3), apart=True)
    recovery.restore_catching_up(record, word)
    assert record.progress == Progress(3)


def test_a_register_beside_an_empty_journal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A database that is gone while its register is there does not pass for a first start."""
    register = Register(lane_register_path(tmp_path, "default"), KEYS)
    register.slots[0].returned(LANE_WORD, 5, 0)
    register.close()
    with closing(open_state(tmp_path).writer()) as state:
        start = recovering._join_register(HeldLane.take("default", state), {})
    assert start.progress == Progress(0)
    assert [vars(record)["action"] for record in caplog.records] == ["lane.register_ahead"]
