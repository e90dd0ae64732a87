"""A lane with strands and workers: what is in order, what runs at once, what waits for what."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from typing import Any

import msgspec
import pytest
from hanging import SOON, Door
from journal_rows import event_row, grow
from lane_house import House, raising
from request_desk import asking, kept_event, letters
from waiting import PATIENCE, wait_until

from sgevents_core.choices import OrderBy
from sgevents_core.dispatch import intake
from sgevents_core.dispatch.caller import Call, Caller
from sgevents_core.dispatch.divided_lane import DividedLane
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.ledger import LaneLedger
from sgevents_core.errors import Retry
from sgevents_core.events import Event
from sgevents_core.settings import LaneSettings
from sgevents_core.state.progress import Progress
from sgevents_core.state.pulse import BlockedLane
from sgevents_core.state.steps import Step
from sgevents_core.state.strands import STRANDS

EIGHT = LaneSettings(workers=8, order_by="entity")


def of_entities(house: House, events: dict[int, int], **more: Any) -> None:
    """Let events come, each about an entity of its own number."""
    rows = [
        event_row(id_, entity={"type": "Shot", "id": entity}, **more)
        for id_, entity in events.items()
    ]
    grow(house.state, rows)
    for lane in house.lanes:
        lane.wake()


@pytest.fixture(autouse=True)
def eight_workers(house: House) -> None:
    """Eight workers by entity, unless a test says otherwise."""
    house.lane_settings["default"] = EIGHT


def test_each_entity_is_in_order_and_nothing_is_lost(house: House) -> None:
    """400 events of 23 entities: each event once to each callback, in the order of its entity."""
    entities = {id_: id_ * 7 % 23 for id_ in range(1, 401)}
    seen: dict[int, list[int]] = defaultdict(list)
    running: dict[int, int] = defaultdict(int)
    overlaps = []

    def first(event: Event, ctx: Any) -> None:
        entity = entities[event.id]
        running[entity] += 1
        if running[entity] > 1:
            overlaps.append(event.id)
        seen[entity].append(event.id)

    def second(event: Event, ctx: Any) -> None:
        running[entities[event.id]] -= 1

    house.plugin("first", first)
    house.plugin("second", second)
    with house.running():
        of_entities(house, entities)
        house.settle()
    assert overlaps == []
    assert sorted(house.calls) == sorted(
        f"{id_} {name}.{name}" for id_ in entities for name in ("first", "second")
    )
    for entity, ids in seen.items():
        assert ids == [id_ for id_ in entities if entities[id_] == entity]


def test_different_entities_run_at_once(house: House) -> None:
    """As many calls as there are workers meet; with one worker they never would."""
    met = threading.Barrier(8, timeout=PATIENCE)
    house.plugin("meets", lambda event, ctx: met.wait())
    with house.running():
        of_entities(house, {id_: 10 * id_ for id_ in range(1, 9)})
        house.settle()
    assert len(house.calls) == 8


def test_a_slow_entity_holds_up_only_its_own_events(house: House) -> None:
    """Others go on, and the lane's place is that of the slow event."""
    free = threading.Event()

    def slow(event: Event, ctx: Any) -> None:
        if event.id == 1:
            free.wait(PATIENCE)

    house.plugin("slow", slow)
    with house.running():
        of_entities(house, {id_: 1 if id_ in {1, 2} else id_ for id_ in range(1, 60)})
        wait_until(lambda: len(house.calls) >= 58)
        assert "2 slow.slow" not in house.calls
        assert house.lanes[0].seq == 0
        free.set()
        house.settle()
    assert house.lanes[0].seq == 59


@pytest.mark.parametrize("order_by", ["entity", "project", "none"])
def test_restarts_lose_and_repeat_nothing(house: House, order_by: OrderBy) -> None:
    """A lane that is stopped in the middle of many events goes on with exactly the others."""
    house.lane_settings["default"] = LaneSettings(workers=4, order_by=order_by)
    stopped = []

    def stops(event: Event, ctx: Any) -> None:
        if event.id % 40 == 0 and event.id not in stopped:
            stopped.append(event.id)
            house.stop()

    house.plugin("counts", stops)
    house.run()
    of_entities(house, {id_: id_ % 9 for id_ in range(1, 201)})
    for _ in range(9):
        with house.running():
            house.settle()
    assert sorted(house.calls) == sorted(f"{id_} counts.stops" for id_ in range(1, 201))


def test_a_hold_stops_one_strand_for_one_plugin(house: House) -> None:
    """A poisoned entity waits for its retry; the plugin's other strands and other plugins go on."""
    failing = [2]

    def fails(event: Event, ctx: Any) -> None:
        if event.id in failing:
            raise Retry(after=3600)

    house.plugin("fails", fails)
    house.plugin("other", "run")
    with house.running():
        of_entities(house, {id_: 1 if id_ in {2, 9} else id_ for id_ in range(1, 12)})
        wait_until(lambda: "11 other.run" in house.calls and "9 other.run" in house.calls)
        wait_until(lambda: len(house.calls) == 21)
    assert "9 fails.fails" not in house.calls
    record = house.records()["fails"]
    assert [strand.state for strand in record.strands.values()] == ["held"]
    failing.clear()
    with house.running():
        assert "9 fails.fails" not in house.calls  # the hold goes on after a restart


def test_a_held_strand_catches_up_in_order(house: House) -> None:
    """Once its retry succeeds, the events of the strand come in order, and it rejoins."""
    attempts: list[int] = []

    def fails(event: Event, ctx: Any) -> None:
        if event.id == 2 and len(attempts) < 2:
            attempts.append(event.id)
            raise Retry(after=0)

    house.plugin("fails", fails)
    with house.running():
        of_entities(house, {id_: 1 if id_ % 2 == 0 else id_ for id_ in range(1, 40)})
        wait_until(lambda: "38 fails.fails" in house.calls)
        house.settle()
    even = [call for call in house.calls if int(call.split()[0]) % 2 == 0]
    assert even == ["2 fails.fails", "2 fails.fails#2", "2 fails.fails#3"] + [
        f"{id_} fails.fails" for id_ in range(4, 40, 2)
    ]
    assert house.records()["fails"].strands == {}


def test_failures_in_a_row_pause_the_plugin_in_all_strands(house: House) -> None:
    """They count over all strands; nothing is lost, and it goes on everywhere once resumed."""
    house.plugin("fails", raising(ValueError), pause_after=3)
    house.plugin("other", "run")
    with house.running():
        of_entities(house, {id_: id_ for id_ in range(1, 41)})
        wait_until(lambda: sum("other" in call for call in house.calls) == 40)
        house.settle()
    record = house.records()["fails"]
    assert record.state == "paused"
    failed = {call for call in house.calls if "fails" in call}
    assert 3 <= len(failed) <= 3 + 8


def test_concurrency_bounds_calls_and_holds_up_nobody_else(house: House) -> None:
    """Never two at once of a plugin with `concurrency = 1`; the others' calls still meet."""
    running, most = [0], [0]
    met = threading.Barrier(3, timeout=PATIENCE)
    meeting = set(range(1, 4))

    def alone(event: Event, ctx: Any) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        running[0] -= 1

    def meets(event: Event, ctx: Any) -> None:
        if event.id in meeting:
            met.wait()

    house.plugin("meets", meets)
    house.plugin("safe", alone, concurrency=1)
    with house.running():
        of_entities(house, {id_: 3 * id_ for id_ in range(1, 121)})
        house.settle()
    assert most == [1]
    assert len(house.calls) == 240


def test_store_belongs_to_one_call_at_a_time(house: House) -> None:
    """Eight workers count together: nothing is lost between reading and writing."""

    def counts(event: Event, ctx: Any) -> None:
        ctx.store["number"] = ctx.store.get("number", 0) + 1

    house.plugin("counts", counts)
    with house.running():
        of_entities(house, {id_: id_ for id_ in range(1, 101)})
        house.settle()
    assert house.state.store("counts") == {"number": 100}


def test_hanging_call_stops_the_plugin_in_its_strand_alone(house: House) -> None:
    """Its other strands go on with other threads; the event is a dead letter."""
    door = Door(2)
    house.plugin("hangs", door, timeout=SOON)
    with house.running():
        of_entities(house, {id_: 1 if id_ in {2, 30} else id_ for id_ in range(1, 41)})
        wait_until(lambda: len(house.calls) == 39)
        wait_until(lambda: house.records()["hangs"].strands != {})
        (strand,) = house.records()["hangs"].strands.values()
        assert (strand.state, strand.hangs) == ("held", True)
        door.opened.set()
        wait_until(lambda: "30 hangs.door" in house.calls)
        house.settle()
    (letter,) = house.state.dead_letters()
    assert letter.event_id == 2
    assert house.records()["hangs"].strands == {}


def test_hang_is_no_hang_of_the_strands_that_its_worker_served_before(house: House) -> None:
    """One worker, many entities: the hang is one thread's, and all other events are handled."""
    house.lane_settings["default"] = LaneSettings(workers=1, order_by="entity")
    door = Door(20)
    house.plugin("hangs", door, timeout=SOON)
    with house.running():
        of_entities(house, {id_: id_ for id_ in range(1, 21)})
        wait_until(lambda: house.state.dead_letters() != [])
        assert house.lanes[0].hung_plugins() == ["hangs"]
        of_entities(house, {id_: id_ - 20 for id_ in range(21, 40)})
        wait_until(lambda: len(house.calls) == 39)
        door.opened.set()
        house.settle()
    assert [letter.event_id for letter in house.state.dead_letters()] == [20]


def test_a_hanging_call_keeps_its_slot(house: House) -> None:
    """With `concurrency = 1` nothing else of the plugin runs until it is back; all others do."""
    door = Door(2)
    house.plugin("hangs", door, timeout=SOON, concurrency=1)
    house.plugin("other", "run")
    with house.running():
        of_entities(house, {id_: id_ for id_ in range(1, 3)})
        wait_until(lambda: house.state.dead_letters() != [])
        of_entities(house, {id_: id_ for id_ in range(3, 20)})
        wait_until(lambda: {f"{id_} other.run" for id_ in range(1, 20)} <= {*house.calls})
        assert [call for call in house.calls if "hangs" in call and int(call.split()[0]) > 2] == []
        door.opened.set()
        wait_until(lambda: len(house.calls) == 38)


def test_pause_is_everywhere_and_resume_too(house: House) -> None:
    """No event is lost: each strand goes on where the plugin left it."""
    free = threading.Event()

    def waits(event: Event, ctx: Any) -> None:
        if event.id == 1:
            free.wait(PATIENCE)

    house.plugin("waits", waits)
    house.plugin("other", "run")
    with asking(house) as desk:
        of_entities(house, {1: 1})
        wait_until(lambda: house.calls == ["1 waits.waits"])
        assert desk.ask("pause", "waits").outcome == "done"  # although a call runs
        free.set()
        of_entities(house, {id_: id_ % 7 for id_ in range(2, 60)})
        wait_until(lambda: sum("other" in call for call in house.calls) == 59)
        assert [call for call in house.calls if "waits" in call] == ["1 waits.waits"]
    house.run()
    assert [call for call in house.calls if "waits" in call] == ["1 waits.waits"]
    with asking(house) as desk:
        assert desk.ask("resume", "waits").outcome == "done"
        house.settle()
    own = [int(call.split()[0]) for call in house.calls if "waits" in call]
    assert sorted(own) == list(range(1, 60))
    for entity in range(7):
        ids = [id_ for id_ in own[1:] if id_ % 7 == entity]
        assert ids == sorted(ids)


def test_held_event_can_be_skipped(house: House) -> None:
    """The strand goes on behind it; the other strands are not touched."""

    def fails(event: Event, ctx: Any) -> None:
        if event.id in {2, 3}:
            raise Retry(after=3600)

    house.plugin("fails", fails)
    with asking(house) as desk:
        of_entities(house, {id_: id_ % 3 for id_ in range(1, 12)})
        wait_until(lambda: len(house.records()["fails"].strands) == 2)
        assert desk.ask("skip", "fails", event_id=9).outcome == "refused"
        assert desk.ask("skip", "fails", event_id=2).outcome == "done"
        wait_until(lambda: "11 fails.fails" in house.calls)
        assert [one.state for one in house.records()["fails"].strands.values()] == ["held"]
        assert "6 fails.fails" not in house.calls
        assert desk.ask("resume", "fails").outcome == "done"
        wait_until(lambda: "3 fails.fails#2" in house.calls)


def test_retry_and_replay_run_in_the_strand_of_their_event(house: House) -> None:
    """Never beside another call of the entity, and while other entities go on."""
    busy: set[int] = set()
    overlaps = []
    free = threading.Event()
    broken = [True]

    def works(event: Event, ctx: Any) -> None:
        entity = event.entity_id or 0
        if entity in busy:
            overlaps.append(event.id)
        busy.add(entity)
        if event.id == 5:
            free.wait(PATIENCE)
        busy.discard(entity)
        if broken[0] and event.id == 1:
            raise ValueError

    house.plugin("works", works)
    with asking(house) as desk:
        of_entities(house, {1: 1})
        wait_until(lambda: house.state.dead_letters() != [])
        broken.clear()
        broken.append(False)
        of_entities(house, {id_: 1 if id_ == 5 else id_ for id_ in range(2, 9)})
        wait_until(lambda: len(house.calls) == 8)
        (letter,) = letters(house)
        retry = desk.note("retry", "works", letter=letter.number)
        replay = desk.note("replay", "works", [kept_event(house, 1), kept_event(house, 7)])
        desk.poll()
        assert desk.ask("pause", "other-plugin").outcome == "refused"  # not behind the retry
        free.set()
        assert [desk.answer(number).outcome for number in (retry, replay)] == ["done", "done"]
    assert overlaps == []
    assert sum(call.startswith("1 ") for call in house.calls) == 3


def test_replay_of_many_events_goes_from_strand_to_strand(house: House) -> None:
    """It takes several slices of time, and is carried out to its end."""
    house.plugin("slow", lambda event, ctx: time.sleep(0.02))
    with asking(house) as desk:
        of_entities(house, {id_: id_ for id_ in range(1, 21)})
        house.settle()
        events = [kept_event(house, seq) for seq in range(1, 21)]
        assert desk.ask("replay", "slow", events).outcome == "done"
    assert len(house.calls) == 40


@pytest.mark.parametrize("before", [None, "entity", "project"])
@pytest.mark.parametrize("after", [None, "entity", "none"])
def test_another_division_loses_and_repeats_nothing(
    house: House, before: OrderBy | None, after: OrderBy | None
) -> None:
    """Stopped in the middle, divided in another way: each event once, each entity in order."""
    stop_at = [30]

    def stops(event: Event, ctx: Any) -> None:
        if event.id in stop_at:
            house.stop()

    def workers(order_by: OrderBy | None) -> LaneSettings:
        return LaneSettings(workers=1 if order_by is None else 4, order_by=order_by)

    house.plugin("first", stops)
    house.plugin("second", "run")
    house.lane_settings["default"] = workers(before)
    house.run()
    of_entities(house, {id_: id_ % 5 for id_ in range(1, 101)})
    with house.running():
        house.settle()
    assert 0 < len(house.calls) < 200
    stop_at.clear()
    for order_by in (after, before):
        house.lane_settings["default"] = workers(order_by)
        house.run()
    assert sorted(house.calls) == sorted(
        f"{id_} {name}" for id_ in range(1, 101) for name in ("first.stops", "second.run")
    )
    for entity in range(5):
        if "none" not in {before, after}:
            own = [int(c.split()[0]) for c in house.calls if "second" in c]
            own = [id_ for id_ in own if id_ % 5 == entity]
            assert own == sorted(own)
    assert not house.records()["second"].apart


def test_a_hold_outlasts_another_division(house: House) -> None:
    """The plugin's newer events wait for its old ones, in their order, whatever divides them."""
    failing = [3]

    def fails(event: Event, ctx: Any) -> None:
        if event.id in failing:
            raise Retry(after=3600)

    house.plugin("fails", fails)
    house.run()
    of_entities(house, {id_: id_ % 3 for id_ in range(1, 20)})
    with house.running():
        wait_until(lambda: len(house.calls) == 19 - 5)
    house.lane_settings["default"] = LaneSettings(workers=4, order_by="project")
    with house.running():
        of_entities(house, {id_: id_ % 3 for id_ in range(20, 30)})
        wait_until(lambda: house.lanes[0].seq == 29)
        assert len(house.calls) == 14
    failing.clear()
    with asking(house) as desk:
        assert desk.ask("resume", "fails").outcome == "done"
        house.settle()
    later = [call for call in house.calls[14:] if not call.startswith("3 ")]
    assert later[:5] == [f"{id_} fails.fails" for id_ in (6, 9, 12, 15, 18)]
    assert sorted(later[5:]) == [f"{id_} fails.fails" for id_ in range(20, 30)]
    assert house.records()["fails"].strands == {}


def test_plugin_moves_to_a_lane_with_workers_and_back(house: House) -> None:
    """Its places go with it; what it has not finished comes first."""
    house.lane_settings["many"] = EIGHT
    stop_at = [15, 45]

    def stops(event: Event, ctx: Any) -> None:
        if event.id in stop_at:
            stop_at.remove(event.id)
            house.stop()

    house.plugin("moves", stops, lane="many")
    house.plugin("stays", "run", lane="default")
    house.run()
    of_entities(house, {id_: id_ % 5 for id_ in range(1, 61)})
    for lane in ("many", "default", "many", "default", "many"):
        house.plugins["moves"].lane = lane
        with house.running():
            house.settle()
    own = [call for call in house.calls if "moves" in call]
    assert sorted(own) == sorted(f"{id_} moves.stops" for id_ in range(1, 61))


def test_disabled_plugin_goes_on_where_each_strand_was(house: House) -> None:
    """What came meanwhile is not lost, and what some strands had finished is not repeated."""
    house.plugin("off", "run")
    house.plugin("on", raising(KeyboardInterrupt, on=[]))
    house.run()
    of_entities(house, {id_: id_ % 5 for id_ in range(1, 31)})
    house.run()
    table = house.plugins["off"].table
    house.plugins["off"].table = msgspec.structs.replace(table, enabled=False)
    of_entities(house, {id_: id_ % 5 for id_ in range(31, 61)})
    house.run()
    house.plugins["off"].table = table
    house.run()
    own = [call for call in house.calls if "off" in call]
    assert sorted(own) == sorted(f"{id_} off.run" for id_ in range(1, 61))


def test_a_plugin_catches_up_with_several_workers(house: House) -> None:
    """One that was paused for long does not come one event after another again."""
    met = threading.Barrier(4, timeout=PATIENCE)
    house.plugin("back", lambda event, ctx: met.wait() if event.id <= 4 else None)
    with asking(house) as desk:
        assert desk.ask("pause", "back").outcome == "done"
        of_entities(house, {id_: 3 * id_ for id_ in range(1, 80)})
        wait_until(lambda: house.lanes[0].seq == 79)
        assert house.calls == []
        assert desk.ask("resume", "back").outcome == "done"
        house.settle()
    assert len(house.calls) == 79


def test_intake_stays_within_its_bound(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many events wait, at most so many lie between the lowest place and the intake."""
    monkeypatch.setattr(intake, "MAX_AHEAD", 50)
    free = threading.Event()

    def slow(event: Event, ctx: Any) -> None:
        if event.id == 1:
            free.wait(PATIENCE)

    house.plugin("slow", slow)
    with house.running():
        of_entities(house, {id_: id_ for id_ in range(1, 301)})
        wait_until(lambda: len(house.calls) == 50)
        lane = house.lanes[0]
        assert isinstance(lane, DividedLane)
        strand = lane.places.places.index(Progress(0))
        wait_until(
            lambda: lane.blocking() == BlockedLane("default", strand, 1, "slow", "slow:slow")
        )
        free.set()
        house.settle()
    assert len(house.calls) == 300


def test_killed_lane_repeats_at_most_one_call_a_worker(house: House) -> None:
    """Its register says how far each strand was; what had returned is not called again."""
    errors: list[BaseException] = []
    house.plugin("counts", "run", "dies")
    house.run()
    of_entities(house, {id_: id_ % 30 for id_ in range(1, 201)})
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, 100)
        with house.running(errors):
            wait_until(lambda: not house.threads[0].is_alive())
    assert [type(error) for error in errors] == [Died]
    house.run()
    calls = Counter(call.partition("#")[0] for call in house.calls)
    assert set(calls) == {
        f"{id_} counts.{name}" for id_ in range(1, 201) for name in ("run", "dies")
    }
    assert sum(calls.values()) - len(calls) <= 8


class Died(BaseException):
    """Ends a lane as a kill does: nothing more is written, and its register is left behind."""


def kill_at(patch: pytest.MonkeyPatch, event_id: int) -> None:
    """Let the lane die with an event: from then on nothing is written by any worker."""
    dead = threading.Event()
    caller, record = Caller.call, LaneLedger.record

    def call(self: Caller, call: Call) -> bool:
        if call.event_id == event_id and call.callback_name.endswith("dies"):
            dead.set()
        if dead.is_set():
            raise Died
        return caller(self, call)

    def recorded(self: LaneLedger, step: Step) -> int:
        if dead.is_set():
            raise Died
        return record(self, step)

    patch.setattr(Caller, "call", call)
    patch.setattr(LaneLedger, "record", recorded)
    patch.setattr(LaneLedger, "record_once", recorded)


def test_errand_that_comes_while_its_strand_is_given_back_is_run(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for a strand runs next, whenever between two steps of its worker it came."""
    give_back, is_refused, is_done = intake.Intake.give_back, threading.Event(), threading.Event()
    given_back: list[int] = []

    def claim_strand(lane: Lane) -> bool:
        if not lane.access.claim(given_back[0]):
            is_refused.set()
            return False
        lane.access.release(given_back[0])
        is_done.set()
        return True

    def ask_and_give_back(self: intake.Intake, unit: int, **more: Any) -> None:
        if not given_back and unit < STRANDS:
            given_back.append(unit)
            house.lanes[0].post(claim_strand)
            assert is_refused.wait(PATIENCE)
        give_back(self, unit, **more)

    monkeypatch.setattr(intake.Intake, "give_back", ask_and_give_back)
    house.plugin("notes", "every")
    with house.running():
        of_entities(house, {1: 1})
        wait_until(is_done.is_set, what="the errand has run")
