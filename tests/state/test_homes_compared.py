"""All homes of a state show the same after any calls: nobody can see which one it is in."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from journal_rows import AT, event_row
from logs_in_memory import MemoryLogs
from msgspec.structs import replace
from state_values import (
    CHANGES,
    DEFERRED_CALLS,
    FIRSTS,
    IGNORED_CALLS,
    PLUGINS,
    PROGRESS,
    STEPS,
    failure,
)

from sgevents_core.choices import OrderBy
from sgevents_core.errors import SgEventsError
from sgevents_core.scripts import Scripts
from sgevents_core.state.deferred import DeferredEvent
from sgevents_core.state.done_parts import DonePart
from sgevents_core.state.entries import TakenRow
from sgevents_core.state.event_choice import EventChoice
from sgevents_core.state.feed_values import FeedChange, SetAside
from sgevents_core.state.letters import LetterChange, LetterChoice
from sgevents_core.state.nats.nats_state import NatsState
from sgevents_core.state.opening import kept_in_memory, open_state
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import RecordedLane, State, Writer
from sgevents_core.state.requests import ReplayEvent, RequestAnswer, RequestStep
from sgevents_core.state.sqlite import journal_pages
from sgevents_core.state.steps import CallDeaths, Step
from sgevents_core.state.strand_places import StrandPlaces

NUMBERS = st.integers(1, 5)
LANES = st.sampled_from(["main", "other"])
NAMES = st.sampled_from(PLUGINS)


def late_row(event_id: int, at: int, late: bool, strands: int | None) -> TakenRow:
    """A row of the journal."""
    return TakenRow(replace(event_row(event_id, at=AT + at), strands=strands), late)


SOME_STRANDS = st.none() | st.sampled_from([0, 16, 32])
ANY_ROWS = st.lists(
    st.builds(late_row, st.integers(1, 30), st.integers(0, 9), st.booleans(), SOME_STRANDS),
    max_size=4,
)
PAGES = st.lists(st.integers(1, 40), min_size=2, max_size=5, unique=True).flatmap(
    lambda event_ids: st.tuples(
        *(
            st.builds(late_row, st.just(one), st.integers(0, 9), st.just(False), SOME_STRANDS)
            for one in sorted(event_ids)
        )
    ).map(list)
)
ROWS = ANY_ROWS | PAGES
DEATHS = st.builds(
    CallDeaths,
    NAMES,
    st.just("notify:on_new"),
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.text("ab"),
    st.text("ab"),
)
STRAND_NUMBERS = st.integers(0, 3)
ORDERS: st.SearchStrategy[OrderBy] = st.sampled_from(["entity", "project", "none"])
PLACES = st.builds(
    lambda order_by, first, strand, other: StrandPlaces.at(order_by, first).with_place(
        strand, other
    ),
    ORDERS,
    PROGRESS,
    STRAND_NUMBERS,
    PROGRESS,
)
LETTERS = st.builds(
    LetterChange,
    st.none() | NUMBERS,
    st.builds(failure, NAMES, NUMBERS, NUMBERS, outcome=st.sampled_from(["retried", "dismissed"])),
    st.booleans(),
    NUMBERS,
    st.sampled_from([b"", b"{}"]),
)
REQUEST_STEPS = st.builds(
    RequestStep,
    NUMBERS,
    progress=st.none() | st.dictionaries(st.text("ab"), NUMBERS, max_size=2),
    answer=st.none()
    | st.builds(RequestAnswer, st.sampled_from(["done", "refused"]), st.text("ab")),
    letter=st.none() | LETTERS,
    passed=st.none() | st.tuples(NAMES, NUMBERS),
    dismissed=st.lists(NUMBERS, max_size=2),
    retried=st.lists(NUMBERS, max_size=2),
)
SOME_PARTS = [
    DonePart(name, "notify:on_new", era, event_id, "x")
    for name in PLUGINS
    for era in (1, 2)
    for event_id in (5, 101)
]
DONE_PARTS = st.sampled_from(SOME_PARTS)
ERAS = range(1, 4)
EVENT_CHOICES = [
    EventChoice(),
    EventChoice(late=True),
    EventChoice(failed=True),
    EventChoice(failed_plugin="notify", event_type="Shotgun_*"),
    EventChoice(ids=(3, 20), created_since=AT + 3, created_until=AT + 6),
]
CHOICES = [
    LetterChoice(),
    LetterChoice(plugin="notify", callback="notify:on_new"),
    LetterChoice(error="Value#rror"),
    LetterChoice(error="no #"),
    LetterChoice(event_id=102),
]


def ledger(state: Writer) -> list[Any]:
    """All that a reader of journal and ledger shows; the order where it means something."""
    return [
        (state.is_ready, state.end(), state.lowest(), state.read(0, 99), state.read(3, 2)),
        [state.created_after(seq) for seq in range(0, 6, 2)],
        [(state.seq_before_event(n), state.seq_before_time(AT + n)) for n in range(0, 12, 3)],
        sorted(state.event_types()),
        (state.load_feed(), state.feed_trouble(), state.scripts()),
        [aside._replace(at=0.0) for aside in state.set_aside_events()],
        [sorted(state.passed_over_ids(era)) for era in ERAS],
        [(state.lane_progress(lane), state.lane_places(lane)) for lane in ("main", "other", "no")],
        [state.read_strand(n, "entity", after=1, until=9, limit=2) for n in range(0, 64, 16)],
        (state.plugins(), state.attempts(), state.deaths(), state.dead_letter_counts()),
        [(state.store(name), state.dead_letters(name)) for name in PLUGINS],
        (state.deferred_calls(), state.deferred_counts(), state.deferred_calls("notify")),
        [state.deferred_event(call.key) for call in state.deferred_calls()],
        [state.is_part_done(part) for part in SOME_PARTS],
        [state.lowest_deferred(names) for names in (PLUGINS, ["notify"], [])],
        [set(state.batches())],
        [set(state.batch(name, "notify:on_new", n)) for name in PLUGINS for n in range(4)],
        [set(state.batches_of_event(seq)) for seq in range(10)],
    ]


def requests(state: State) -> list[Any]:
    """All that people's requests show, without the time they were made."""
    with closing(state.requests()) as box:
        shown = [asked._replace(asked_at=0.0, answered_at=None) for asked in box.list_latest(50)]
        numbers = range(1, 6)
        return [
            (shown, box.waiting(), box.waiting(above_number=2, plugin_name="notify")),
            (box.unanswered(numbers), [box.get(number) for number in numbers]),
            [box.answer_of(number) for number in numbers],
            [box.replay_event(number, index) for number in numbers for index in range(2)],
            [set(box.replay_batch(number)) for number in numbers],
        ]


def past(state: State) -> list[Any]:
    """All that is shown of dead letters and of what has been."""
    with closing(state.letters()) as letters, closing(state.past()) as records:
        kinds: Any = ("parked", "dropped", "closed")
        return [
            [(letters.get(n), set(letters.events_of(n))) for n in range(6)],
            [(letters.find(name), letters.find(event_id=102)) for name in PLUGINS],
            [[*letters.listed(chosen, after_number=1, letter_limit=2)] for chosen in CHOICES],
            [(letters.count(chosen), letters.groups(chosen)) for chosen in CHOICES],
            letters.of_call("notify", "notify:on_new", 1, 101),
            [(records.event(number), records.failures(number + 100)) for number in range(1, 6)],
            [(records.between(era, 3, 20), records.since(era, AT + 5)) for era in ERAS],
            [records.kept_from(era) for era in ERAS],
            [
                records.chosen(choice, Scripts(), above=1, below=9, limit=4)
                for choice in EVENT_CHOICES
            ],
            [[sorted(records.left_out(kind, era)) for kind in kinds] for era in ERAS],
            records.first_cursors(),
            [records.deferred_of(event_id) for event_id in (101, 102, 9)],
            [records.ignored_reasons(seq) for seq in range(1, 6)],
        ]


class Homes(RuleBasedStateMachine):
    """The same calls on a state in each home."""

    def __init__(self) -> None:
        super().__init__()
        self._open = ExitStack()
        folder = Path(self._open.enter_context(tempfile.TemporaryDirectory()))
        patched = self._open.enter_context(pytest.MonkeyPatch.context())
        patched.setattr(journal_pages, "FEWEST_EVENTS", 2)
        in_memory = self._open.enter_context(kept_in_memory(folder / "memory"))
        logs = MemoryLogs(["main", "other"])
        shared = self._open.enter_context(
            closing(NatsState(folder / "shared", lambda: logs, "here"))
        )
        self.states = [open_state(folder), in_memory, shared]
        self.writers = [self._open.enter_context(closing(state.writer())) for state in self.states]
        self.era = 1

    def teardown(self) -> None:
        """Close everything."""
        self._open.close()

    def all(self, call: Callable[[Writer], object]) -> object:
        """Make a call on each, which must return the same or be refused in the same way."""
        results = []
        for writer in self.writers:
            try:
                results.append(call(writer))
            except SgEventsError as error:
                results.append(type(error))
        assert results == results[:1] * len(self.states)
        return results[0]

    def all_requests(self, call: Callable[[Any], object]) -> None:
        """Make a call on the requests of each."""
        results = []
        for state in self.states:
            with closing(state.requests()) as box:
                results.append(call(box))
        assert results == results[:1] * len(self.states)

    @rule(rows=ROWS, change=CHANGES, wrong=st.sampled_from([0, 0, 0, 1]))
    def append(self, rows: list[TakenRow], change: FeedChange, wrong: int) -> None:
        """Rows of the feed, or what it knows without any; sometimes rows that are known."""
        change.state.era = self.era
        self.all(lambda state: state.append(state.end() + wrong, rows, change))

    @rule(change=CHANGES, step=REQUEST_STEPS, wrong=st.sampled_from([0, 0, 1]))
    def decide(self, change: FeedChange, step: RequestStep, wrong: int) -> None:
        """A person's decision."""
        change.state.era = self.era
        self.all(lambda state: state.decide(state.end() + wrong, change, step))

    @rule(change=CHANGES, step=REQUEST_STEPS)
    def begin_era(self, change: FeedChange, step: RequestStep) -> None:
        """A reset of the feed."""
        if self.era < ERAS[-1]:
            self.era += 1
            change.state.era = self.era
            self.all(lambda state: state.begin_era(state.end(), change, step))

    @rule(event=FIRSTS, where=st.sampled_from(["site", "journal"]), era=st.integers(1, 2))
    def set_aside(self, event: int, where: str, era: int) -> None:
        """An event that cannot be stored."""
        self.all(lambda state: state.set_aside(event, "odd", where, 5.0, era))

    @rule(event=FIRSTS, where=st.sampled_from(["site", "journal"]), step=REQUEST_STEPS)
    def forget_aside(self, event: int, where: str, step: RequestStep) -> None:
        """A person dismisses it."""
        self.all(lambda state: state.forget_aside([SetAside(str(event), "", where, 0.0)], step))

    @rule(names=st.dictionaries(NUMBERS, NAMES, max_size=3), own=st.booleans())
    def keep_scripts(self, names: dict[int, str], own: bool) -> None:
        """Names of scripts, some renamed."""
        renamed = {"notify": [9]} if own else {}
        self.all(lambda state: state.keep_scripts(names, renamed))

    @rule(age=st.integers(0, 10), keep_from=st.integers(0, 20))
    def prune(self, age: int, keep_from: int) -> None:
        """Old events leave."""
        self.all(lambda state: state.prune(AT + age, keep_from))

    @rule(lane=LANES)
    def take_lane(self, lane: str) -> None:
        """A lane is taken over."""
        self.all(lambda state: state.take_lane(lane))

    @rule(
        lane=LANES,
        fence=st.integers(1, 3),
        step=STEPS,
        request=st.none() | REQUEST_STEPS,
        deaths=st.lists(DEATHS, max_size=2),
        doubts=st.lists(st.tuples(NAMES, st.just("c"), NUMBERS, NUMBERS), max_size=2),
        strand=st.none() | STRAND_NUMBERS,
        places=st.none() | PLACES,
        undivided=st.sampled_from([False, False, True]),
        deferred=st.none() | DEFERRED_CALLS.map(lambda call: DeferredEvent(call, b"{}")),
        no_more_deferred=st.none() | DEFERRED_CALLS.map(lambda call: call.key),
        ignored=st.none() | IGNORED_CALLS,
        done_part=st.none() | DONE_PARTS,
    )
    def record(self, lane: str, fence: int, step: Step, **more: Any) -> None:
        """A step, sometimes of a lane that was taken over."""
        whole = dataclasses.replace(step, **more)
        self.all(lambda state: state.record(lane, fence, whole))

    @rule(
        lane=LANES,
        fence=st.integers(1, 3),
        order_by=ORDERS,
        left=st.sets(STRAND_NUMBERS),
        held=st.booleans(),
    )
    def spread(self, lane: str, fence: int, order_by: OrderBy, left: set[int], held: bool) -> None:
        """A plugin that is apart in some strands."""

        def record(state: Writer) -> int:
            plugin = PluginRecord("notify", lane, Progress(2), apart=True)
            strands = plugin.spread(order_by)[:4]
            for strand in strands:
                if strand.strand in left:
                    strand.rejoin_lane()
                elif held:
                    strand.hold(9.0, "later")
            return state.record(lane, fence, Step(plugins=strands))

        self.all(record)

    @rule(lane=LANES, places=PLACES)
    def leave_strands(self, lane: str, places: StrandPlaces) -> None:
        """It leaves them all."""

        def record(state: Writer) -> int:
            plugin = state.plugins().get("notify") or PluginRecord("notify", lane)
            plugin.leave_strands(places)
            return state.record(lane, state.take_lane(lane), Step(plugins=[plugin]))

        self.all(record)

    @rule(lane=LANES, fence=st.integers(1, 3))
    def advance(self, lane: str, fence: int) -> None:
        """Progress read from the registers."""

        def advanced(recorded: RecordedLane) -> Step:
            seq = recorded.progress.running
            for record in recorded.plugins:
                record.finish(seq)
            return Step(progress=Progress(seq), places=recorded.places, plugins=recorded.plugins)

        self.all(lambda state: state.advance(lane, fence, advanced))

    @rule(after=st.integers(0, 9), plugins=st.lists(NAMES, max_size=2, unique=True))
    def pass_over(self, after: int, plugins: list[str]) -> None:
        """An entry that cannot be read."""
        self.all(
            lambda state: [
                state.pass_over(entry, plugins, "damaged") for entry in state.read(after, 1)
            ]
        )

    @rule(era=st.integers(1, 2), ids=st.lists(st.integers(1, 30), max_size=9, unique=True))
    def mend(self, era: int, ids: list[int]) -> None:
        """Rows read again from the site."""
        rows = [event_row(event_id, "Shotgun_Shot_New", at=AT + 1) for event_id in ids]
        self.all(lambda state: state.mend(era, rows))

    @rule()
    def note_joined(self) -> None:
        """Where plugins began."""
        self.all(lambda state: state.record_first_cursors())

    @rule(kind=st.sampled_from(["retry", "pause"]), plugin=NAMES, events=st.integers(0, 2))
    def ask(self, kind: str, plugin: str, events: int) -> None:
        """A person asks for something."""
        replays = [ReplayEvent(1, 0, number, b"{}") for number in range(events)]
        detail = {"reason": "because", "letters": [1, 2]}
        self.all_requests(lambda box: box.ask(kind, plugin, detail, "anna@host", replays))

    @rule(number=NUMBERS)
    def begin(self, number: int) -> None:
        """A call for it begins."""
        self.all_requests(lambda box: box.begin(number))

    @rule(step=REQUEST_STEPS)
    def answer(self, step: RequestStep) -> None:
        """It is answered, or goes on."""
        self.all(lambda state: state.answer(step))

    @rule(before=st.sampled_from([0.0, 2.0**40]))
    def forget(self, before: float) -> None:
        """Answers grow old."""
        self.all_requests(lambda box: box.forget(before))

    @invariant()
    def shows_the_same(self) -> None:
        """Whatever is read."""
        for state, writer in zip(self.states[1:], self.writers[1:], strict=True):
            assert ledger(writer) == ledger(self.writers[0])
            assert requests(state) == requests(self.states[0])
            assert past(state) == past(self.states[0])


Homes.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)


class TestHomes(Homes.TestCase):  # type: ignore[misc,valid-type] # made by hypothesis
    """All homes show the same after any calls."""


def test_a_home_that_differs_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compared shows a difference of one attempt."""
    machine = Homes()
    try:
        machine.take_lane("main")
        machine.writers[0].record("main", 1, Step(doubts=[("notify", "c", 1, 1)]))
        with pytest.raises(AssertionError):
            machine.shows_the_same()
    finally:
        machine.teardown()
