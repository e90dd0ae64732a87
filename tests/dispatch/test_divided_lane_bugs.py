"""The tests of lanes with workers are worth something: each bug here, put in on purpose, is seen.

What schedules cannot see, because they run in one thread, is looked for with threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hanging import SOON, Door
from journal_rows import event_row, grow
from lane_house import House, opened_house, raising
from request_desk import asking, letters
from waiting import wait_until

from sgevents_core.calling.store import PluginStore
from sgevents_core.dispatch import intake
from sgevents_core.dispatch.admission import Admission
from sgevents_core.dispatch.divided_lane_access import DividedLaneAccess
from sgevents_core.dispatch.intake import Intake
from sgevents_core.dispatch.strand_unit import StrandGate
from sgevents_core.errors import Retry
from sgevents_core.events import Event
from sgevents_core.settings import LaneSettings
from sgevents_core.state.plugin_record import StrandRecord

Patch = pytest.MonkeyPatch
Scenario = Callable[[House], bool]
A_MOMENT = 0.3
"""Seconds to wait for what must not happen."""


def let_come(house: House, *entities: int) -> None:
    """Let events come, numbered from behind the last, each about an entity."""
    first = house.state.end() + 1
    rows = [event_row(n, entity={"type": "Shot", "id": e}) for n, e in enumerate(entities, first)]
    grow(house.state, rows)
    for lane in house.lanes:
        lane.wake()


# Scenarios: each returns whether what is promised held


def one_call_of_an_entity_at_a_time(house: House) -> bool:
    """The second event of an entity does not begin while the first runs."""
    running, both = [0], threading.Event()

    def meets(event: Event, ctx: Any) -> None:
        running[0] += 1
        if running[0] > 1:
            both.set()
        both.wait(A_MOMENT)
        running[0] -= 1

    house.plugin("meets", meets)
    with house.running():
        let_come(house, 1, 1)
        wait_until(lambda: len(house.calls) == 2)
    return not both.is_set()


def store_counts_each_call(house: House) -> bool:
    """Two calls that count at once have counted to two."""
    read = threading.Barrier(2)

    def counts(event: Event, ctx: Any) -> None:
        number = ctx.store.get("n", 0)
        with suppress(threading.BrokenBarrierError):
            read.wait(A_MOMENT)
        ctx.store["n"] = number + 1

    house.plugin("counts", counts)
    with house.running():
        let_come(house, 1, 2)
        house.settle()
    return house.state.store("counts") == {"n": 2}


def hold_lets_other_strands_go_on(house: House) -> bool:
    """One event waits for an hour; the plugin gets those of other entities meanwhile."""

    def waits(event: Event, ctx: Any) -> None:
        if event.id == 1:
            raise Retry(after=3600)

    house.plugin("waits", waits)
    with house.running():
        let_come(house, 1)
        wait_until(lambda: house.records()["waits"].strands != {})
        let_come(house, 2, 3, 4)
        wait_until(lambda: house.lanes[0].seq == 4)
    return len(house.calls) == 4


def failures_of_all_strands_pause(house: House) -> bool:
    """Three failures of three entities are three in a row."""
    house.plugin("fails", raising(ValueError), pause_after=3)
    with house.running():
        let_come(house, 1, 2, 3)
        house.settle()
    return house.records()["fails"].state == "paused"


def intake_waits_at_its_bound(house: House) -> bool:
    """Nothing further than so many events from the oldest open one is handed out."""
    free = threading.Event()
    house.plugin("slow", lambda event, ctx: event.id == 1 and free.wait(20 * A_MOMENT))
    with house.running():
        let_come(house, *range(1, 41))
        wait_until(lambda: len(house.calls) >= 20)
        free.wait(A_MOMENT)
        within = len(house.calls) == 20
        free.set()
        house.settle()
    return within


def retry_waits_for_its_strand(house: House) -> bool:
    """A dead letter is not called again beside another call of its entity."""
    running, both, free = [0], threading.Event(), threading.Event()

    def works(event: Event, ctx: Any) -> None:
        running[0] += 1
        if running[0] > 1:
            both.set()
            free.set()
        if event.id == 2:
            free.wait(A_MOMENT)
        running[0] -= 1
        if len(house.calls) == 1:
            raise ValueError

    house.plugin("works", works)
    with asking(house) as person:
        let_come(house, 1)
        wait_until(lambda: letters(house) != [])
        let_come(house, 1)
        wait_until(lambda: len(house.calls) == 2)
        assert person.ask("retry", "works", letter=letters(house)[0].number).outcome == "done"
    return not both.is_set()


def concurrency_is_kept(house: House) -> bool:
    """With `concurrency = 1` no two calls of the plugin run at once."""
    running, both = [0], threading.Event()

    def alone(event: Event, ctx: Any) -> None:
        running[0] += 1
        if running[0] > 1:
            both.set()
        both.wait(A_MOMENT / 3)
        running[0] -= 1

    house.plugin("alone", alone, concurrency=1)
    with house.running():
        let_come(house, 1, 2, 3)
        wait_until(lambda: len(house.calls) == 3)
    return not both.is_set()


def hanging_call_keeps_its_slot(house: House) -> bool:
    """A call that hangs counts for `concurrency` until it is back."""
    door = Door(1)
    house.plugin("hangs", door, timeout=SOON, concurrency=1)
    with house.running():
        let_come(house, 1)
        wait_until(house.state.dead_letters)
        let_come(house, 2, 3)
        door.opened.wait(A_MOMENT)
        kept = len(house.calls) == 1
        door.opened.set()
        wait_until(lambda: len(house.calls) == 3)
    return kept


# Bugs


def two_workers_in_one_strand(patch: Patch) -> None:
    """A strand is served again although a worker has it."""

    def wake(self: Intake, unit: int) -> None:
        self._ready_units.append(unit)
        self._condition.notify()

    def take(self: Intake, timeout: float | None = None) -> int | None:
        with self._condition:
            while not self._is_ended:
                if self._ready_units:
                    return self._ready_units.popleft()
                if not self._condition.wait(timeout):
                    return None
            return None

    patch.setattr(Intake, "_wake_unit", wake)
    patch.setattr(Intake, "take", take)
    patch.setattr(Intake, "next_entry", _shifted)
    patch.setattr(Intake, "finish", lambda self, strand, seq: None)


def _shifted(self: Intake, strand: int) -> Any:
    queue = self._strand_queues[strand]
    return queue.popleft() if queue else None


def store_shared_by_two_calls(patch: Patch) -> None:
    """A call gets the store although another has it."""
    patch.setattr(PluginStore, "grant", lambda self, call: dict(self._committed))
    patch.setattr(PluginStore, "release", lambda self, call: None)


def hold_stops_the_plugin_everywhere(patch: Patch) -> None:
    """A hold is of the plugin, not of the plugin in a strand."""

    real = StrandRecord.hold

    def hold(self: StrandRecord, until: float, reason: str) -> None:
        real(self, until, reason)
        self.plugin.pause(reason)

    patch.setattr(StrandRecord, "hold", hold)


def failures_counted_in_each_strand(patch: Patch) -> None:
    """Failures in a row are those of one strand."""
    numbers: dict[int, int] = {}

    def count(self: StrandRecord) -> None:
        numbers[id(self)] = numbers.get(id(self), 0) + 1

    patch.setattr(StrandRecord, "count_failure", count)
    patch.setattr(StrandRecord, "failures", property(lambda self: numbers.get(id(self), 0)))


def intake_without_a_bound(patch: Patch) -> None:
    """The intake goes on, however far the oldest open event is behind."""
    patch.setattr(Intake, "room", lambda self: 10**6)


def errand_takes_no_strand(patch: Patch) -> None:
    """A request runs at once, whoever serves the strand of its event."""
    patch.setattr(DividedLaneAccess, "claim", lambda *_: True)
    patch.setattr(DividedLaneAccess, "release", lambda *_: None)


def concurrency_ignored(patch: Patch) -> None:
    """Any number of calls is admitted."""
    patch.setattr(Admission, "take", lambda _: True)


def hanging_call_gives_its_slot_back(patch: Patch) -> None:
    """A call that is given up counts as over."""

    def over(self: Any, lane_plugin: Any) -> None:
        if lane_plugin.admission is not None:
            lane_plugin.admission.give_back()

    patch.setattr(StrandGate, "over", over)


BUGS: dict[Scenario, Callable[[Patch], None]] = {
    one_call_of_an_entity_at_a_time: two_workers_in_one_strand,
    store_counts_each_call: store_shared_by_two_calls,
    hold_lets_other_strands_go_on: hold_stops_the_plugin_everywhere,
    failures_of_all_strands_pause: failures_counted_in_each_strand,
    intake_waits_at_its_bound: intake_without_a_bound,
    retry_waits_for_its_strand: errand_takes_no_strand,
    concurrency_is_kept: concurrency_ignored,
    hanging_call_keeps_its_slot: hanging_call_gives_its_slot_back,
}


@pytest.mark.parametrize("scenario", BUGS)
def test_each_bug_is_seen(
    scenario: Scenario, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is promised holds, and does not with the bug."""
    monkeypatch.setattr(intake, "MAX_AHEAD", 20)
    for folder, is_broken in (("whole", False), ("broken", True)):
        (tmp_path / folder).mkdir()
        with opened_house(tmp_path / folder) as house, monkeypatch.context() as patch:
            house.lane_settings["default"] = LaneSettings(workers=4, order_by="entity")
            if is_broken:
                BUGS[scenario](patch)
            assert scenario(house) is not is_broken
