"""Bugs put into a daemon on purpose, after a fork: the tests of kills must detect each of them.

One of them is none: an order of the strands that seldom happens.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sgevents_core.dispatch.batch_caller import BatchCaller
from sgevents_core.dispatch.caller import Call, Caller
from sgevents_core.dispatch.ledger import LaneLedger
from sgevents_core.state.entries import TakenRow
from sgevents_core.state.feed_values import FeedChange
from sgevents_core.state.progress import Progress
from sgevents_core.state.register import NotedLane, Slot
from sgevents_core.state.sqlite.feed_writing import SqliteFeedWriter
from sgevents_core.state.steps import Step
from sgevents_core.state.strand_places import StrandPlaces


def returned_before_the_call() -> None:
    """Record in the register that a callback has returned before it is called."""
    returned = Slot.returned

    def begun(slot: Slot, word: int, seq: int, place: int, attempt: int = 1) -> None:
        returned(slot, word, seq, place)

    Slot.begun = begun  # type: ignore[assignment, method-assign]


def nothing_noted() -> None:
    """Never write the register: progress is recorded only once a second."""
    Slot.begun = lambda *args: None  # type: ignore[method-assign]  # a bug put in
    Slot.returned = lambda *args: None  # type: ignore[method-assign]  # a bug put in


def cursor_before_the_call() -> None:
    """Record an event as finished in the ledger before its callbacks are called."""
    call_it = Caller.call

    def call(caller: Caller, call: Call) -> bool:
        caller._ledger.record(Step(progress=Progress(call.entry.seq)))
        return call_it(caller, call)

    Caller.call = call  # type: ignore[assignment, method-assign]


def store_apart() -> None:
    """Commit a call's changes to the store separately from the rest of its step."""

    def first(step: Step) -> Step:
        return Step(store=step.store)

    _in_two(lambda step: bool(step.store), first, lambda step: replace(step, store={}))


def collected_apart() -> None:
    """Commit that an event came into a batch before the place behind it."""

    def first(step: Step) -> Step:
        return Step(collected=step.collected)

    _in_two(
        lambda step: step.collected is not None, first, lambda step: replace(step, collected=None)
    )


def ended_apart() -> None:
    """Commit what the call of a batch came to before the end of the batch."""

    def first(step: Step) -> Step:
        return replace(step, batch=None)

    def then(step: Step) -> Step:
        return Step(batch=step.batch)

    _in_two(lambda step: step.batch is not None and bool(step.store), first, then)


def answer_apart() -> None:
    """Commit the effect of a request before the record that it was carried out."""

    def first(step: Step) -> Step:
        return replace(step, request=None)

    def then(step: Step) -> Step:
        return Step(request=step.request)

    _in_two(lambda step: step.request is not None, first, then)


def _in_two(
    concerned: Callable[[Step], bool],
    first: Callable[[Step], Step],
    then: Callable[[Step], Step],
) -> None:
    record_it = LaneLedger.record

    def record(ledger: LaneLedger, step: Step) -> int:
        if not concerned(step):
            return record_it(ledger, step)
        number = record_it(ledger, first(step))
        return record_it(ledger, then(step)) or number

    LaneLedger.record = record  # type: ignore[assignment, method-assign]


def frontier_before_the_rows() -> None:
    """Commit the feed's state before the rows that it counts as taken."""
    append_it = SqliteFeedWriter.append

    def append(
        state: SqliteFeedWriter, expected_seq: int, rows: Sequence[TakenRow], change: FeedChange
    ) -> int:
        append_it(state, expected_seq, [], change)
        return append_it(state, expected_seq, rows, change)

    SqliteFeedWriter.append = append  # type: ignore[assignment, method-assign]


def two_transactions() -> None:
    """Commit a migration's statements one by one."""
    from sgevents_core.state.sqlite import schema

    migrate = schema._apply_migrations

    def one_by_one(connection: Any) -> None:
        class Eager:
            in_transaction = False

            def execute(self, sql: str) -> Any:
                return None if sql.startswith(("BEGIN", "COMMIT")) else connection.execute(sql)

        migrate(Eager())  # type: ignore[arg-type]  # a bug put in

    schema._apply_migrations = one_by_one


def one_slot_believed() -> None:
    """Believe the register of a divided lane about its first strand alone."""
    from sgevents_core.crashes import recovery

    join = recovery.join_places

    def join_places(strand_places: StrandPlaces, noted_lane: NotedLane) -> StrandPlaces:
        slots = {strand: slot for strand, slot in noted_lane.slots.items() if strand == 0}
        return join(strand_places, NotedLane(noted_lane.order_by, slots))

    recovery.join_places = join_places


def strand_records_not_written() -> None:
    """Let a plugin that is paused leave strands only in memory."""
    from sgevents_core.dispatch.strand import Strand

    def leave_paused(strand: Strand) -> None:
        for lane_plugin in strand.lane_plugins:
            if lane_plugin.record.state == "paused" and not lane_plugin.record.apart:
                lane_plugin.record.leave_lane(strand.progress)
        strand.ledger.record(Step())

    Strand.leave_paused = leave_paused  # type: ignore[assignment, method-assign]


def last_event_collected_first() -> None:
    """Let the first event of a batch come into it after the last, which is in another strand."""
    first_event, last_event = 6, 16
    collect = BatchCaller._collect
    has_last_come = threading.Event()

    def collect_in_turn(caller: BatchCaller, call: Call, key: str) -> None:
        event_id = call.entry.event_id if call.callback.plugin == "zulu" else 0
        if event_id == first_event:
            has_last_come.wait()
        collect(caller, call, key)
        if event_id == last_event:
            has_last_come.set()

    BatchCaller._collect = collect_in_turn  # type: ignore[assignment, method-assign]  # put in


BUGS: dict[str, Callable[[], None]] = {
    bug.__name__: bug
    for bug in (
        returned_before_the_call,
        nothing_noted,
        cursor_before_the_call,
        store_apart,
        collected_apart,
        ended_apart,
        answer_apart,
        frontier_before_the_rows,
        two_transactions,
        one_slot_believed,
        strand_records_not_written,
        last_event_collected_first,
    )
}
"""By name."""
