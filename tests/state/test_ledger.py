"""The ledger: one step of a lane's work is kept whole, or not at all."""

from __future__ import annotations

import copy
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_rows import event_row, grow
from state_values import PLUGINS, STEPS, failure

from sgevents_core.errors import StaleWriter
from sgevents_core.state.failures import KEPT_FAILURES, Failure
from sgevents_core.state.keys import CallKey
from sgevents_core.state.opening import open_state
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import Writer
from sgevents_core.state.sqlite.database import DATABASE
from sgevents_core.state.steps import REMOVED, Step


def contents(state: Writer, lane: str = "main") -> tuple[Any, ...]:
    """All that a step can change."""
    stores = {name: state.store(name) for name in ("notify", "count")}
    return (
        state.lane_progress(lane),
        state.plugins(),
        state.attempts(),
        state.dead_letters(),
        stores,
    )


def test_step_is_kept_whole(state: Writer) -> None:
    """Progress, records, failure, attempts and stores of one step are there afterwards."""
    grow(state, [event_row(101)])
    fence = state.take_lane("main")
    assert state.lane_progress("main") == Progress(0)
    assert state.lane_progress("other") is None
    record = PluginRecord(
        "notify", "main", Progress(4, frozenset({CallKey("notify", "a"), CallKey("notify", "b")})),
        apart=True,
        state="held", reason="Retry: later", retry_at=99.5, failures=2,
    )  # fmt: skip
    step = Step(
        progress=Progress.at(5, frozenset({CallKey("a", "b:c")})),
        plugins=[record],
        failure=failure(attempt=3),
        doubts=[("count", "count:run", 5, 1)],
        store={"notify": {"seen": [1, {"deep": None}], "text": "ä ☃"}, "count": {"n": 3}},
        durable=True,
    )
    number = state.record("main", fence, step)
    assert number > 0
    assert state.lane_progress("main") == step.progress
    assert state.plugins() == {"notify": record}
    assert state.attempts() == {
        (CallKey("notify", "notify:on_new"), 1): 3,
        (CallKey("count", "count:run"), 5): 1,
    }
    assert state.store("notify") == {"seen": [1, {"deep": None}], "text": "ä ☃"}
    assert state.dead_letters() == []


def test_step_that_fails_half_way_leaves_nothing(state: Writer) -> None:
    """When the last thing of a step cannot be written, nothing of it is, and the next step can."""
    fence = state.take_lane("main")
    state.record("main", fence, Step(progress=Progress(1), store={"count": {"n": 1}}))
    before = contents(state)
    step = Step(
        progress=Progress.at(9, frozenset({CallKey("x", "y")})),
        plugins=[PluginRecord("notify", "main", Progress(3), apart=True)],
        failure=failure(outcome="dead-letter"),
        dead=True,
        doubts=[("notify", "b", 2, 4)],
        store={"count": {"n": 2, "wrong": object()}},
    )
    with pytest.raises(TypeError):
        state.record("main", fence, step)
    assert contents(state) == before
    state.record("main", fence, Step(progress=Progress(2)))
    assert state.lane_progress("main") == Progress(2)


def test_stale_fence_is_refused(state: Writer, tmp_path: Path) -> None:
    """Who took a lane over is the only one to write for it; other lanes are not concerned."""
    first, other = state.take_lane("main"), state.take_lane("other")
    second = open_state(tmp_path).writer()
    newer = second.take_lane("main")
    with pytest.raises(StaleWriter, match="lane main"):
        state.record("main", first, Step(progress=Progress(7), store={"count": {"n": 1}}))
    assert contents(state)[0] == Progress(0)
    assert state.store("count") == {}
    second.record("main", newer, Step(progress=Progress(8)))
    state.record("other", other, Step(progress=Progress(9)))
    assert (state.lane_progress("main"), state.lane_progress("other")) == (Progress(8), Progress(9))
    with pytest.raises(StaleWriter):
        state.record("never taken", 1, Step())
    second.close()


def test_dead_letter_keeps_its_event_and_ends_the_count(state: Writer) -> None:
    """A dead letter has a number of its own, and attempts for the event start anew."""
    grow(state, [event_row(101)])
    fence = state.take_lane("main")
    state.record("main", fence, Step(failure=failure(attempt=1)))
    assert state.attempts() == {(CallKey("notify", "notify:on_new"), 1): 1}
    letter = failure(attempt=2, outcome="dead-letter")
    step = Step(failure=letter, dead=True, settled=("notify", "notify:on_new", 1))
    number = state.record("main", fence, step)
    assert state.attempts() == {}
    assert state.dead_letters() == [letter]
    assert state.dead_letters("notify") == [letter]
    assert state.dead_letters("count") == []
    assert state.record("main", fence, copy.copy(step)) > number


def test_dead_letters_outlive_their_events(state: Writer) -> None:
    """Pruning takes attempts and failures of the events it takes, and leaves dead letters."""
    grow(state, [event_row(n) for n in range(1, 6)])
    fence = state.take_lane("main")
    letter = failure(seq=2, outcome="dead-letter")
    state.record("main", fence, Step(failure=failure(seq=1)))
    state.record("main", fence, Step(failure=letter, dead=True))
    state.record("main", fence, Step(failure=failure(seq=4)))
    assert state.prune(created_before=2**40, first_kept_seq=4) == 3
    assert state.dead_letters() == [letter]
    assert state.attempts() == {(CallKey("notify", "notify:on_new"), 4): 1}


def test_failures_of_a_plugin_that_skips_do_not_fill_the_disk(
    disk_state: Writer, tmp_path: Path
) -> None:
    """Of failures that are no dead letters only the newest are kept; others go in portions."""
    state = disk_state
    grow(state, [event_row(1), event_row(2)])
    fence = state.take_lane("main")
    letter = failure(outcome="dead-letter")
    state.record("main", fence, Step(failure=letter, dead=True))
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db, db:
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO failures (plugin, callback, seq, event_id, attempt, error, traceback,"
            " at, outcome, dead) SELECT 'p', 'c', 2, 2, 1, '', '', 0.0, 'skip', 0 FROM n",
            (KEPT_FAILURES + 700,),
        )
    kept = []
    for _ in range(3):
        state.prune(created_before=0, first_kept_seq=0)
        with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
            kept += db.execute("SELECT count(*) FROM failures WHERE dead = 0").fetchone()
    assert kept == [KEPT_FAILURES + 200, KEPT_FAILURES, KEPT_FAILURES]
    assert state.dead_letters() == [letter]


@given(st.lists(STEPS, max_size=8))
@settings(max_examples=25, deadline=None)
def test_ledger_is_what_its_steps_made_of_it(steps: Sequence[Step]) -> None:
    """After any steps, reopened, the ledger says what a few dictionaries would say."""
    progress = Progress(0)
    plugins: dict[str, PluginRecord] = {}
    tried: dict[tuple[CallKey, int], int] = {}
    dead: list[Failure] = []
    stores: dict[str, dict[str, Any]] = {name: {} for name in PLUGINS}
    with tempfile.TemporaryDirectory() as folder:
        state = open_state(Path(folder)).writer()
        fence = state.take_lane("main")
        for step in steps:
            state.record("main", fence, step)
            progress = step.progress or progress
            plugins.update((one.name, one) for one in step.plugins if isinstance(one, PluginRecord))
            if step.failure:
                key = CallKey(step.failure.plugin, step.failure.callback), step.failure.seq
                tried[key] = step.failure.attempt
                dead += [step.failure] if step.dead else []
            if step.settled:
                tried.pop((CallKey(*step.settled[:2]), step.settled[2]), None)
            for name, changes in step.store.items():
                stores[name].update(changes)
                for removed in [key for key, value in changes.items() if value is REMOVED]:
                    del stores[name][removed]
        state.close()
        state = open_state(Path(folder)).writer()
        found = contents(state)
        state.close()
    assert found == (progress, plugins, tried, dead, stores)
