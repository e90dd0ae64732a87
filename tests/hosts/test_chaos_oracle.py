"""The oracle of chaos runs: it finds each fault that it is there for, and no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from chaos_oracle import CallOracle, CopyRows, SiteRow, judge_copy, judge_log
from chaos_plugins import BATCHED_TYPE, LANES, NotedCall, plugin_of
from chaos_records import FEED, Holders, HostLog
from logs_in_memory import MemoryLogs
from takeover_times import Incident, TakeoverTimes

from sgevents_core.state.nats.messages import LaneFence, RegisterOpened, encode_message
from sgevents_core.state.nats.stream_keys import lane_key

ROWS = {
    1: SiteRow(1, "Studio_Ping", 7),
    2: SiteRow(2, BATCHED_TYPE, 8),
    3: SiteRow(3, "Studio_Ping", 7),
}
SEQS = {1: 1, 2: 2, 3: 3}


@dataclass
class Day:
    """What was noted in a run: everything once, in order, by one host and then another.

    Args:
        folder: Where the hosts' logs are written.
    """

    folder: Path
    calls: list[NotedCall] = field(default_factory=list)

    def __post_init__(self) -> None:
        for lane_name, rules in LANES.items():
            for callback in rules.callbacks:
                for row in ROWS.values():
                    if callback != "batch" or row.event_type == BATCHED_TYPE:
                        self.call(lane_name, callback, row.event_id)

    def call(
        self,
        lane_name: str,
        callback: str,
        event_id: int,
        at: float | None = None,
        *,
        host: str = "alpha",
        attempt: int = 1,
        outcome: str = "done",
        seconds: float = 0.1,
    ) -> NotedCall:
        """Note a call; by default it begins once every earlier event's is done."""
        plugin, key = plugin_of(lane_name), f"{lane_name}/{callback}/{event_id}"
        order = list(LANES[lane_name].callbacks).index(callback)
        at = 100.0 + event_id + 0.2 * order if at is None else at
        call = NotedCall(["begun", at, host, 1, plugin, callback, attempt, key, [event_id]])
        call.ended_at = at + seconds if outcome else None
        call.outcome = outcome
        self.calls.append(call)
        return call

    def find(self, lane_name: str, callback: str, event_id: int) -> NotedCall:
        """Return a call that was noted."""
        (call,) = [
            call
            for call in self.calls
            if (call.lane, call.callback, call.event_ids) == (lane_name, callback, [event_id])
        ]
        return call

    def holders(self) -> Holders:
        """Return who held what: alpha from 90 s on, beta from 200 s on."""
        logs = []
        for host, taken_at in (("alpha", 90), ("beta", 200)):
            path = self.folder / f"{host}.log"
            path.write_text("".join(_taken(work, taken_at) for work in (*LANES, FEED)))
            logs.append(HostLog(path, host))
            logs[-1].read()
        return Holders(logs)

    def wrong(self) -> list[str]:
        """Return what the oracle finds."""
        calls = sorted(self.calls, key=lambda call: call.begun_at)
        return list(CallOracle(ROWS, SEQS, calls, self.holders()).wrong())


def _taken(work: str, at: int) -> str:
    action, lane = ("feed.taken", "") if work == FEED else ("lane.taken", f', "lane": "{work}"')
    time_text = f"1970-01-01T00:{at // 60:02}:{at % 60:02}.000+00:00"
    return f'{{"time": "{time_text}", "action": "{action}"{lane}}}\n'


@pytest.fixture
def day(tmp_path: Path) -> Day:
    """A run in which all is right."""
    return Day(tmp_path)


def _lose(day: Day) -> None:
    day.calls.remove(day.find("night", "again", 2))


def _leave_undone(day: Day) -> None:
    call = day.find("night", "again", 2)
    call.outcome, call.ended_at = "", None


def _swap(day: Day) -> None:
    first, second = day.find("day", "every", 1), day.find("day", "every", 3)
    first.begun_at, second.begun_at = second.begun_at, first.begun_at


def _swap_in_entity(day: Day) -> None:
    first, second = day.find("farm", "every", 1), day.find("farm", "every", 3)
    first.begun_at, second.begun_at = second.begun_at, first.begun_at


def _repeat_unasked(day: Day) -> None:
    day.call("night", "every", 3, 110.0)


def _repeat_twice(day: Day) -> None:
    for event_id in (2, 3):
        day.call("night", "every", event_id, 200.0 + event_id, host="beta")


def _retry_again(day: Day) -> None:
    for at in (110.0, 111.0):
        day.call("day", "every", 3, at, attempt=2, outcome="Retry")


def _overlap(day: Day) -> None:
    day.find("day", "every", 1).ended_at = 102.05


def _begin_superseded(day: Day) -> None:
    day.call("night", "every", 3, 200.5, host="beta")
    for at in (201.0, 202.0):
        day.call("night", "again", 3, at, host="alpha")


def _batch_twice(day: Day) -> None:
    day.call("disk", "batch", 2, 110.0).key = "another"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (_lose, "night.again is not done for [2]"),
        (_leave_undone, "night.again is not done for [2]"),
        (_swap, "day.every is not in order"),
        (_swap_in_entity, "farm.every is not in order for 7"),
        (_repeat_unasked, "night repeated 1 calls in holdership 0"),
        (_repeat_twice, "night repeated 2 calls in holdership 1"),
        (_retry_again, "day repeated"),
        (_overlap, "began during"),
        (_begin_superseded, "was superseded, and began"),
        (_batch_twice, "had [2] in two different calls"),
    ],
)
def test_faults_of_calls_are_found(day: Day, fault: Callable[[Day], None], words: str) -> None:
    """What was lost, undone, out of order, repeated too often, side by side, or a zombie's."""
    assert day.wrong() == []
    fault(day)
    assert any(words in text for text in day.wrong()), day.wrong()


def _repeat_at_takeover(day: Day) -> None:
    day.call("night", "every", 3, 200.5, host="beta", attempt=2)


def _overlap_of_superseded(day: Day) -> None:
    day.find("night", "again", 3).ended_at = 201.0
    day.call("night", "again", 3, 200.5, host="beta", attempt=2)


def _retry_once(day: Day) -> None:
    day.find("day", "every", 3).outcome = "Retry"
    day.call("day", "every", 3, 110.0, attempt=2)


def _repeat_of_each_worker(day: Day) -> None:
    for event_id in (1, 2, 3):
        day.call("farm", "again", event_id, 201.0 + event_id, host="beta", attempt=2)


@pytest.mark.parametrize(
    "change", [_repeat_at_takeover, _overlap_of_superseded, _retry_once, _repeat_of_each_worker]
)
def test_what_is_promised_is_no_fault(day: Day, change: Callable[[Day], None]) -> None:
    """One repeat for each worker at a take-over, a running call that overlaps, and retries."""
    change(day)
    assert day.wrong() == []


COUNTS = {
    (plugin_of(lane_name), key): {"count": "3", "batched": "1"}[key]
    for lane_name, rules in LANES.items()
    for key in rules.counters
}


@pytest.mark.parametrize(
    ("journal", "stores", "words"),
    [
        ([(1, 1), (2, 2), (3, 3)], COUNTS, ""),
        ([(1, 1), (2, 2)], COUNTS, "lacks [3]"),
        ([(1, 1), (2, 2), (3, 3), (2, 4)], COUNTS, "has [2] twice"),
        ([(1, 1), (2, 2), (3, 3), (4, 4)], COUNTS, "has [4], which"),
        ([(1, 1), (2, 2), (3, 3)], COUNTS | {("plugin_day", "count"): "4"}, "count = 4 of 3"),
        ([(1, 1), (2, 2), (3, 3)], {}, "batched = 0 of 1"),
    ],
    ids=["right", "lost", "twice", "strange", "counted twice", "not counted"],
)
def test_faults_of_copies_are_found(
    journal: list[tuple[int, int]], stores: dict[tuple[str, str], str], words: str
) -> None:
    """A row that is missing or there twice, and a store that is not exact."""
    found = list(judge_copy("alpha", CopyRows(journal, stores), ROWS))
    assert any(words in text for text in found) if words else found == []


@pytest.mark.parametrize(
    ("writers", "is_right"),
    [(["a!", "a", "a", "b!", "b"], True), (["a!", "b!", "a"], False), (["a", "b!", "b"], True)],
)
def test_writer_that_was_superseded_is_found(writers: Sequence[str], is_right: bool) -> None:
    """After a fence, only its writer has written; what was cut off is not known."""
    log = MemoryLogs(["day"]).log(lane_key("day"))
    for place, writer in enumerate(writers):
        fence, opened = LaneFence(host=writer), RegisterOpened(None, [])
        data = encode_message(fence if writer.endswith("!") else opened)
        log.append("x", data, place, f"{writer.rstrip('!')}/{place}")
    assert (list(judge_log("day", log)) == []) is is_right


def test_take_over_times_count_what_was_in_nobodys_way(day: Day) -> None:
    """A host's death is over once another has what it had, and too late after ten seconds."""
    death = Incident("death", "alpha", frozenset({"day"}), at=195.0, ended_at=230.0)
    times = TakeoverTimes([death], day.holders(), ["alpha", "beta"], 5.0)
    assert [(one.work, one.seconds, one.is_clear) for one in times.times] == [("day", 5.0, True)]
    assert list(times.wrong()) == []
    late = Incident("death", "alpha", frozenset({"day"}), at=185.0, ended_at=230.0)
    assert len(list(TakeoverTimes([late], day.holders(), ["alpha", "beta"], 5.0).wrong())) == 1
    servers = Incident("trouble", "", at=190.0, ended_at=199.0)
    troubled = TakeoverTimes([servers, late], day.holders(), ["alpha", "beta"], 5.0)
    assert list(troubled.wrong()) == []
    short = Incident("freeze", "alpha", frozenset({"day"}), at=150.0, ended_at=153.0)
    assert TakeoverTimes([short], day.holders(), ["alpha", "beta"], 5.0).times == []
