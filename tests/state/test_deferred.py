"""Calls that are put off and calls that did nothing, as a state keeps them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from journal_rows import event_row, grow
from state_values import failure

from sgevents_core.cli.check_records import record_findings
from sgevents_core.errors import StaleWriter
from sgevents_core.site.ageing import prune
from sgevents_core.state.deferred import DeferredCall, DeferredCount, DeferredEvent, IgnoredCall
from sgevents_core.state.keys import CallKey
from sgevents_core.state.opening import open_state, open_storage
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import State, Writer
from sgevents_core.state.sqlite.database import DATABASE
from sgevents_core.state.steps import Step

FIRST = DeferredCall("notify", "notify:on_new", 1, 101, 1, 50.0, 40.0, reason="not yet")
SECOND = DeferredCall("notify", "notify:on_change", 1, 102, 2, 45.0, 41.0)
OTHER = DeferredCall("count", "count:on_new", 1, 101, 1, 60.0, 42.0)


def put_off(state: Writer, *calls: DeferredCall) -> int:
    """Record calls as put off, each in a step of its own; return the lane's fence."""
    fence = state.take_lane("main")
    for call in calls:
        state.record("main", fence, Step(deferred=DeferredEvent(call, b'{"id": 101}')))
    return fence


def test_calls_that_are_put_off_are_listed_by_time(home: State, state: Writer) -> None:
    """The next one first, of one plugin or of all, with their number."""
    put_off(state, FIRST, OTHER, SECOND)
    with closing(home.reader()) as reader:
        assert reader.deferred_calls() == [SECOND, FIRST, OTHER]
        assert reader.deferred_calls("count") == [OTHER]
        counts = {"notify": DeferredCount(2, 45.0), "count": DeferredCount(1, 60.0)}
        assert reader.deferred_counts() == counts
        assert reader.deferred_event(FIRST.key) == DeferredEvent(FIRST, b'{"id": 101}')
        assert reader.deferred_event(FIRST.key._replace(era=2)) is None
    with closing(home.past()) as past:
        assert past.deferred_of(101) == [FIRST, OTHER]


def test_call_is_put_off_once(state: Writer) -> None:
    """Put off again, it is changed; made, it is gone."""
    fence = put_off(state, FIRST)
    again = FIRST._replace(due_at=90.0, deferrals=2, attempts=1, begun=1, reason="still not")
    state.record("main", fence, Step(deferred=DeferredEvent(again, b'{"id": 101}')))
    assert state.deferred_calls() == [again]
    dead = failure(outcome="dead-letter")
    state.record("main", fence, Step(failure=dead, dead=True, no_more_deferred=again.key))
    assert state.deferred_calls() == []
    assert state.dead_letters() == [dead]


def test_stale_lane_puts_off_nothing(state: Writer) -> None:
    """A lane that somebody else has taken over writes nothing."""
    fence = state.take_lane("main")
    state.take_lane("main")
    with pytest.raises(StaleWriter):
        state.record("main", fence, Step(deferred=DeferredEvent(FIRST, b"{}")))
    assert state.deferred_calls() == []


def test_event_of_a_call_that_is_put_off_is_not_pruned(state: Writer) -> None:
    """As long as its plugin is enabled; a disabled one holds up nothing."""
    grow(state, [event_row(n, at=100) for n in range(101, 109)])
    fence = put_off(state, SECOND._replace(seq=3, event_id=103))
    records = [PluginRecord(name, "main") for name in ("notify", "count")]
    state.record("main", fence, Step(progress=Progress(8), plugins=records))
    assert prune(state, {"notify", "count"}, 200) == 2
    assert state.lowest() == 3
    assert prune(state, {"count"}, 200) == 5
    assert state.deferred_calls() == [SECOND._replace(seq=3, event_id=103)]


def test_reasons_for_doing_nothing_stay_with_their_event(home: State, state: Writer) -> None:
    """One for each callback; a call that does something after all has none; they are pruned."""
    grow(state, [event_row(n, at=100) for n in range(101, 104)])
    fence = state.take_lane("main")
    for seq in (1, 2):
        ignored = IgnoredCall("notify", "notify:on_new", seq, f"no route {seq}")
        state.record("main", fence, Step(ignored=ignored))
    with closing(home.past()) as past:
        key = CallKey("notify", "notify:on_new")
        assert past.ignored_reasons(1) == {key: "no route 1"}
        state.record("main", fence, Step(ignored=IgnoredCall(*key, 1, "")))
        assert past.ignored_reasons(1) == {}
        state.prune(created_before=200, first_kept_seq=3)
        assert past.ignored_reasons(2) == {}


@pytest.mark.parametrize(
    "change",
    ["body = '{\"id\": 102}'", "due_at = 51", "attempts = 3", "reason = 'not Yet'"],
)
def test_flipped_byte_is_noticed(disk_state: Writer, tmp_path: Path, change: str) -> None:
    """In whichever column; `sgevents state check` names the call."""
    put_off(disk_state, FIRST, SECOND)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        database.execute(f"UPDATE deferred SET {change} WHERE event_id = 101")
        database.commit()
    damaged, intact = (disk_state.deferred_event(call.key) for call in (FIRST, SECOND))
    assert damaged is not None
    assert intact is not None
    assert (damaged.whole, intact.whole) == (False, True)
    home = open_state(tmp_path)
    with closing(open_storage(tmp_path).inspection()) as inspection:
        messages = [one.message for one in record_findings(home, inspection, quick=False)]
    assert messages == ["the call of plugin notify that was put off for event 101 cannot be read"]


def test_older_state_has_put_off_nothing(tmp_path: Path) -> None:
    """One that was never opened for writing by this version can be read."""
    open_state(tmp_path).writer().close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        database.executescript("DROP TABLE deferred; DROP TABLE ignored;")
    with closing(open_state(tmp_path).reader()) as reader:
        assert (reader.deferred_calls(), reader.deferred_counts()) == ([], {})
    with closing(open_state(tmp_path).past()) as past:
        assert (past.deferred_of(101), past.ignored_reasons(1)) == ([], {})
