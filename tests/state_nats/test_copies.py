"""Copies of the logs: whatever hosts wrote, copies at the same places are equal."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from journal_rows import AT, event_row
from logs_in_memory import MemoryLogs, ViewOfLogs
from state_values import CHANGES, STEPS, failure

from sgevents_core.errors import BrokerUnreachable, StaleWriter, StateError
from sgevents_core.state.call_figures import CallFigure, FeedFigure, MinuteFigures
from sgevents_core.state.deferred import DeferredCall, DeferredEvent, IgnoredCall
from sgevents_core.state.done_parts import DonePart
from sgevents_core.state.entries import TakenRow
from sgevents_core.state.feed_values import FeedChange, FeedState, SetAside
from sgevents_core.state.letters import LetterChange
from sgevents_core.state.nats.copy import Copy
from sgevents_core.state.nats.nats_state import NatsState, NatsWriter
from sgevents_core.state.nats.stream_keys import lane_key
from sgevents_core.state.nats.stream_log import LogMessage
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import RecordedLane
from sgevents_core.state.requests import ReplayEvent, RequestAnswer, RequestStep
from sgevents_core.state.sqlite.log_copy import dump_tables
from sgevents_core.state.steps import CallDeaths, Step
from sgevents_core.state.strand_places import StrandPlaces

LANES: Final = {"main": "notify", "other": "count"}
"""Lanes, and the plugin of each."""
DONE: Final = RequestAnswer("done", "paused")
TRACEBACKS: Final = ["", "Traceback\n  at line 1\nValueError: 1", "Traceback\n  at line 2\nerror"]


def _same(logs: ViewOfLogs) -> ViewOfLogs:
    return logs


class Hosts:
    """Two hosts that share logs, each of which sees what the other wrote only when it looks."""

    def __init__(self, folder: Path) -> None:
        self.logs = MemoryLogs([*LANES])
        self.views = [ViewOfLogs(self.logs) for _ in range(2)]
        self.states = [
            NatsState(folder / f"host{number}", partial(_same, view), f"host{number}")
            for number, view in enumerate(self.views)
        ]
        self.writers: list[NatsWriter] = [state.writer() for state in self.states]
        self.fences: dict[tuple[int, str], int] = {}
        self.feed: NatsWriter | None = None

    def look(self, host: int) -> None:
        """Let a host see everything that is written."""
        self.views[host].look()
        session = self.states[host].session()
        session.reader.wake()
        session.copy.wait_for(self.logs.last_places(), 30)

    def close(self) -> None:
        """End both."""
        for writer, state in zip(self.writers, self.states, strict=True):
            writer.close()
            state.close()


@contextmanager
def two_hosts() -> Iterator[Hosts]:
    """Two hosts, until the block ends."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        hosts = Hosts(folder)
        opened.callback(hosts.close)
        yield hosts


def tables_of(state: NatsState) -> dict[str, Any]:
    """Everything that a host's copy holds."""
    copy = state.session().copy
    with copy.applying_lock:
        return dump_tables(copy.database)


def read_in_any_order(folder: Path, logs: MemoryLogs, seed: int) -> dict[str, Any]:
    """A new copy's tables, after its streams were read in an order that the seed decides."""
    order = random.Random(seed)
    copy = Copy(folder, "new")
    try:
        while not copy.has(logs.last_places()):
            stream_key = order.choice(logs.stream_keys())
            place = copy.positions.get(stream_key, 0)
            found = logs.log(stream_key).read_after(place)[: order.randint(1, 4)]
            copy.apply(stream_key, place, found)
        return dump_tables(copy.database)
    finally:
        copy.close()


# What a host does

Doing = Callable[[Hosts, int], object]
HOSTS: Final = st.integers(0, 1)
NUMBERS: Final = st.integers(1, 4)


def rows_of(hosts: Hosts, host: int, ids: Sequence[int], change: FeedChange) -> object:
    """The feed's host appends rows."""
    writer = hosts.writers[host]
    rows = [TakenRow(event_row(number), number % 2) for number in ids]
    feed = writer._hold_feed()
    return writer.append(feed.end, rows, change)


def step_of(hosts: Hosts, host: int, lane: str, step: Step) -> object:
    """A lane's host records a step about the lane's own plugin."""
    fence = hosts.fences.get((host, lane))
    return None if fence is None else hosts.writers[host].record(lane, fence, step)


def take(hosts: Hosts, host: int, lane: str) -> None:
    """A host takes a lane over."""
    hosts.fences[host, lane] = hosts.writers[host].take_lane(lane)


def advance(hosts: Hosts, host: int, lane: str) -> None:
    """A lane advances by what is recorded of it."""

    def advanced(recorded: RecordedLane) -> Step:
        for record in recorded.plugins:
            record.finish(recorded.progress.running)
        progress = Progress(recorded.progress.running)
        return Step(progress=progress, places=recorded.places, plugins=recorded.plugins)

    fence = hosts.fences.get((host, lane))
    if fence is not None:
        hosts.writers[host].advance(lane, fence, advanced)


def on_requests(hosts: Hosts, host: int, call: Callable[[Any], object]) -> None:
    """A host does something about people's requests."""
    with closing(hosts.states[host].requests()) as requests:
        call(requests)


def pass_over(hosts: Hosts, host: int) -> None:
    """A host cannot read the first entry that it has."""
    for entry in hosts.writers[host].read(0, 1):
        hosts.writers[host].pass_over(entry, ["notify", "count"], "damaged")


def of_lane(step: Step, lane: str) -> Step:
    """A step that is about the plugin of a lane."""
    plugin = LANES[lane]
    records = [
        replace(record, name=plugin, lane=lane)
        for record in step.plugins
        if isinstance(record, PluginRecord)
    ]
    return replace(
        step,
        plugins=records,
        failure=step.failure and replace(step.failure, plugin=plugin),
        settled=step.settled and (plugin, *step.settled[1:]),
        store=dict(zip([plugin], step.store.values(), strict=False)),
        collected=step.collected and step.collected._replace(plugin=plugin),
        batch=step.batch and step.batch._replace(plugin=plugin),
    )


LANE_STEPS: Final = st.sampled_from([*LANES]).flatmap(
    lambda lane: st.tuples(
        st.just(lane),
        st.builds(
            lambda step, more: replace(of_lane(step, lane), **more),
            STEPS,
            st.fixed_dictionaries(
                {},
                optional={
                    "doubts": st.just([(LANES[lane], "c", 2, 3)]),
                    "deaths": st.just([CallDeaths(LANES[lane], "c", 1, 1, 0, "ended", "")]),
                    "done_part": st.builds(
                        DonePart, st.just(LANES[lane]), st.just("c"), st.just(1), NUMBERS,
                        st.just("a"),
                    ),
                    "ignored": st.builds(
                        IgnoredCall, st.just(LANES[lane]), st.just("c"), NUMBERS,
                        st.sampled_from(["", "why"]),
                    ),
                    "deferred": st.just(
                        DeferredEvent(DeferredCall(LANES[lane], "c", 1, 2, 2, 9.0, 8.0), b"{}")
                    ),
                    "places": st.builds(
                        lambda strand, place: StrandPlaces.at("entity", Progress(1)).with_place(
                            strand, Progress(place)
                        ),
                        NUMBERS,
                        NUMBERS,
                    ),
                    "request": st.builds(
                        RequestStep,
                        st.just([*LANES].index(lane) + 1),
                        progress=st.none() | st.just({"done": 1}),
                        answer=st.none() | st.just(DONE),
                        letter=st.none()
                        | st.builds(
                            LetterChange,
                            st.none() | NUMBERS,
                            st.builds(
                                failure, st.just(LANES[lane]),
                                traceback=st.sampled_from(TRACEBACKS),
                            ),
                            st.just(lane == "main"),
                        ).filter(lambda letter: letter.number is None),
                    ),
                },
            ),
        ),
    )
)  # fmt: skip


def does(strategy: st.SearchStrategy[Any], doing: Callable[..., object]) -> Any:
    """Values, and what a host does with them."""
    return strategy.map(lambda values: lambda hosts, host: doing(hosts, host, *values))


DOINGS: Final = st.one_of(
    does(
        st.tuples(st.lists(st.integers(1, 40), max_size=4, unique=True), CHANGES),
        lambda hosts, host, ids, change: rows_of(
            hosts, host, ids, change._replace(state=replace(change.state, era=1))
        ),
    ),
    does(LANE_STEPS, step_of),
    does(LANE_STEPS, step_of),
    does(st.tuples(st.sampled_from([*LANES])), take),
    does(st.tuples(st.sampled_from([*LANES])), advance),
    does(st.just(()), pass_over),
    does(
        st.tuples(st.integers(1, 40)),
        lambda hosts, host, number: hosts.writers[host].mend(1, [event_row(number, "Mended")]),
    ),
    does(
        st.tuples(st.integers(0, 9), st.integers(1, 4)),
        lambda hosts, host, keep, limit: hosts.writers[host].prune(2 * AT, keep, limit),
    ),
    does(st.just(()), lambda hosts, host: hosts.writers[host].record_first_cursors()),
    does(
        st.tuples(st.sampled_from(["notify", "count"]), st.integers(0, 2)),
        lambda hosts, host, plugin, events: on_requests(
            hosts,
            host,
            lambda box: box.ask(
                "replay", plugin, {}, "anna", [ReplayEvent(1, 0, n, b"{}") for n in range(events)]
            ),
        ),
    ),
    does(
        st.tuples(NUMBERS, st.sampled_from(["done", "too late"])),
        lambda hosts, host, number, text: on_requests(
            hosts, host, lambda box: box.answer(number, RequestAnswer("failed", text))
        ),
    ),
    does(
        st.just(()), lambda hosts, host: on_requests(hosts, host, lambda box: box.forget(2.0**40))
    ),
    does(
        st.tuples(NUMBERS, st.sampled_from(["site", "journal"])),
        lambda hosts, host, number, where: hosts.writers[host].set_aside(number, "odd", where, 5.0),
    ),
    does(
        st.tuples(NUMBERS, st.sampled_from(["site", "journal"])),
        lambda hosts, host, number, where: hosts.writers[host].forget_aside(
            [SetAside(str(number), "", where, 0.0)], RequestStep(1)
        ),
    ),
    does(
        st.tuples(st.dictionaries(NUMBERS, st.text("ab", max_size=2), max_size=2)),
        lambda hosts, host, names: hosts.writers[host].keep_scripts(names, {}),
    ),
    does(
        st.tuples(NUMBERS),
        lambda hosts, host, calls: hosts.writers[host].record_figures(
            MinuteFigures(
                (CallFigure(60, "notify", "c", calls, 0, {4: calls}),), (FeedFigure(60, 1, 2, 3),)
            ),
            70.0,
        ),
    ),
    does(st.just(()), lambda hosts, host: hosts.look(host)),
)


@given(st.lists(st.tuples(HOSTS, DOINGS), max_size=30), st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_copies_are_equal_whatever_the_order(doings: list[tuple[int, Doing]], seed: int) -> None:
    """Two hosts write, partly without having seen each other; all copies come to the same tables.

    So does a new one, in whatever order it reads the streams.
    """
    with two_hosts() as hosts:
        for host in (0, 1):
            on_requests(hosts, host, lambda box: box.ask("pause", "notify", {}, "anna"))
        for host, doing in doings:
            try:
                doing(hosts, host)
            except (StaleWriter, StateError) as error:
                assert "read its own messages" not in str(error)  # noqa: PT017 - a refusal is right
        for host in (0, 1):
            hosts.look(host)
        first, second = map(tables_of, hosts.states)
        with tempfile.TemporaryDirectory() as folder:
            third = read_in_any_order(Path(folder), hosts.logs, seed)
    assert first == second
    assert first == third


def test_earliest_answer_stays_on_every_host() -> None:
    """Two hosts answer one request without having seen each other; both show one answer."""
    with two_hosts() as hosts:
        on_requests(hosts, 0, lambda box: box.ask("pause", "notify", {}, "anna"))
        hosts.look(1)
        take(hosts, 0, "main")
        step_of(hosts, 0, "main", Step(request=RequestStep(1, answer=DONE)))
        late = RequestAnswer("failed", "no such plugin")
        on_requests(hosts, 1, lambda box: box.answer(1, late))
        for host in (0, 1):
            hosts.look(host)
            on_requests(hosts, host, lambda box: _assert_answer(box.answer_of(1)))
        assert tables_of(hosts.states[0]) == tables_of(hosts.states[1])


def _assert_answer(answer: RequestAnswer | None) -> None:
    assert answer == DONE


def test_stream_that_cannot_be_read_keeps_no_other_waiting(tmp_path: Path) -> None:
    """While one of them has no leader, the others are read and applied."""
    with closing(Hosts(tmp_path)) as hosts:
        hosts.look(1)
        silent_log = hosts.views[1].log(lane_key("main"))
        silent_log.read_after, read_after = _find_no_leader, silent_log.read_after
        hosts.writers[0].take_lane("other")
        hosts.views[1].look()
        session, places = hosts.states[1].session(), hosts.logs.last_places()
        session.reader.wake()
        session.copy.wait_for({lane_key("other"): places[lane_key("other")]}, 30)
        assert isinstance(session.reader.trouble, BrokerUnreachable)
        silent_log.read_after = read_after
        hosts.look(1)


def _find_no_leader(sequence: int) -> Sequence[LogMessage]:
    raise BrokerUnreachable(path="nats://nowhere", reason="the stream has no leader")


def test_what_pruning_leaves_behind_goes_with_its_lane() -> None:
    """A host that holds a lane and not the feed removes it, once it knows what was pruned."""
    with two_hosts() as hosts:
        change = FeedChange(FeedState())
        rows_of(hosts, 0, [1, 2, 3], change)
        hosts.look(1)
        take(hosts, 1, "main")
        step_of(hosts, 1, "main", Step(failure=failure(seq=1), doubts=[("notify", "c", 3, 1)]))
        hosts.look(0)
        assert hosts.writers[0].prune(2 * AT, 3) == 2
        assert len(hosts.writers[0].attempts()) == 2
        hosts.look(1)
        assert hosts.writers[1].prune(2 * AT, 3) == 0
        hosts.look(0)
        for writer in hosts.writers:
            assert [seq for _, seq in writer.attempts()] == [3]
        places = hosts.logs.last_places()
        assert hosts.writers[1].prune(2 * AT, 3) == 0
        assert hosts.logs.last_places() == places
