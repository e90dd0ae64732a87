"""Several worker processes of one lane: each makes one call at a time, and they share the store."""

from __future__ import annotations

import threading

from waiting import PATIENCE, wait_until
from worker_house import WorkerHouse

from sgevents_core.calling.outcome import CallOutcome
from sgevents_core.settings import LaneSettings
from sgevents_core.state.pulse import RunningWorker

MEETS = """
@hookimpl
def on_event(event, ctx):
    (FOLDER / f"here-{event.id}").write_text(str(os.getpid()))
    while not all((FOLDER / f"here-{one}").exists() for one in (1, 2)):
        time.sleep(0.01)
    if event.id == 2:
        os._exit(0)
"""

DIES_ON_ONE = """
@hookimpl
def on_event(event, ctx):
    if event.id == 1:
        os._exit(0)
    (FOLDER / f"here-{event.id}").write_text(str(os.getpid()))
"""

COUNTS = """
@hookimpl
def on_event(event, ctx):
    count = ctx.store.get("count", 0)
    time.sleep(0.02)
    ctx.store["count"] = count + 1
"""


def calls_at_once(house: WorkerHouse, plugin: str, *event_ids: int) -> dict[int, CallOutcome]:
    """Make a call for each event, each from a thread of its own; return what they came to."""
    outcomes: dict[int, CallOutcome] = {}

    def call(event_id: int) -> None:
        outcomes[event_id] = house.call(house.pool, plugin, event_id, limit=PATIENCE)

    threads = [threading.Thread(target=call, args=(event_id,)) for event_id in event_ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_calls_run_side_by_side_in_processes_of_their_own(house: WorkerHouse) -> None:
    """A death in one costs the other nothing."""
    house.lane_table = LaneSettings(executor="process", workers=2)
    house.plugin("meets", MEETS)
    with house.working():
        outcomes = calls_at_once(house, "meets", 1, 2)
        assert outcomes[1].error is None
        assert outcomes[2].death is not None
        assert outcomes[2].death.is_proved
    assert house.written("here-1") != house.written("here-2")


def test_the_store_belongs_to_one_call_at_a_time(house: WorkerHouse) -> None:
    """Whatever process it runs in: each increment counts."""
    house.lane_table = LaneSettings(executor="process", workers=2)
    house.plugin("counts", COUNTS)
    with house.working():
        calls_at_once(house, "counts", *range(1, 3))
        calls_at_once(house, "counts", *range(3, 5))
        assert house.store("counts") == {"count": 4}


def test_worker_describes_itself_at_any_time(house: WorkerHouse) -> None:
    """Before its first process, with one, and once that has died."""
    house.lane_table = LaneSettings(executor="process", workers=2)
    house.plugin("dies", DIES_ON_ONE)
    with house.working() as worker:
        assert house.pool.workers[1].describe() == RunningWorker(2, "not running")
        described = worker.describe()
        assert (described.state, described.pid, described.call) == ("idle", worker.pid, None)
        assert described.memory > 1_000_000
        assert house.call(worker, "dies", 1).death is not None
        assert worker.describe() == RunningWorker(1, "not running")
        assert worker.prepare()
        assert (worker.describe().state, worker.describe().restarts) == ("idle", 1)


def test_further_processes_are_started_ahead(house: WorkerHouse) -> None:
    """Before an event needs them, and only once."""
    house.lane_table = LaneSettings(executor="process", workers=3)
    house.plugin("counts", COUNTS)
    with house.working():
        house.pool.warm_up()
        wait_until(lambda: all(worker.pid for worker in house.pool.workers))
        pids = [worker.pid for worker in house.pool.workers]
        assert len(set(pids)) == 3
        assert all(worker.prepare() for worker in house.pool.workers)
        assert [worker.pid for worker in house.pool.workers] == pids


def test_dead_process_is_replaced_while_another_makes_the_next_call(house: WorkerHouse) -> None:
    """A call never waits for the start of a process while another one is idle."""
    house.lane_table = LaneSettings(executor="process", workers=2)
    house.plugin("dies", DIES_ON_ONE)
    with house.working():
        house.pool.warm_up()
        wait_until(lambda: all(worker.pid for worker in house.pool.workers))
        pids = [worker.pid for worker in house.pool.workers]
        assert house.call(house.pool, "dies", 1).death is not None
        assert house.call(house.pool, "dies", 2).error is None
        assert int(house.written("here-2")) in pids
        wait_until(lambda: all(worker.pid for worker in house.pool.workers))
        assert len({worker.pid for worker in house.pool.workers} - set(pids)) == 1


STARTS_AND_STOPS = """
def note(word):
    with (FOLDER / "notes").open("a") as file:
        file.write(f"{word} {os.getpid()}\\n")

@hookimpl
def startup(ctx):
    note("startup")

@hookimpl
def shutdown(ctx):
    note("shutdown")

@hookimpl
def on_event(event, ctx):
    pass
"""


def notes(house: WorkerHouse, word: str) -> list[int]:
    """Return the processes in which a hook was called, in order."""
    lines = [line.split() for line in house.written("notes").splitlines()]
    return [int(pid) for noted, pid in lines if noted == word]


def test_each_process_shuts_its_plugins_down_once(house: WorkerHouse) -> None:
    """Also where a host gives a lane up, and takes it again: then processes start anew."""
    house.lane_table = LaneSettings(executor="process", workers=3)
    house.plugin("opens", STARTS_AND_STOPS)
    with house.working() as worker:
        first_pid = worker.pid or 0
        house.start("opens")
        house.pool.warm_up()
        wait_until(lambda: len(notes(house, "startup")) == 3)
        wait_until(lambda: all(one.pid for one in house.pool.workers))
        other_pids = [one.pid for one in house.pool.workers[1:] if one.pid is not None]
        assert house.hook("opens", "shutdown") is None
        house.pool.rest()
        assert sorted(notes(house, "shutdown")) == sorted([first_pid, *other_pids])
        assert [one.pid for one in house.pool.workers] == [first_pid, None, None]
        assert house.pool.death_count == 0
        assert house.pool.workers[1].prepare()  # before the lane is taken, nothing has started
        assert len(notes(house, "startup")) == 3
        house.pool.rest()
        house.start("opens")
        house.pool.warm_up()
        wait_until(lambda: len(notes(house, "startup")) == 6)
        wait_until(lambda: all(one.pid for one in house.pool.workers))
    started, shut_down = notes(house, "startup"), notes(house, "shutdown")
    assert all(shut_down.count(pid) >= started.count(pid) for pid in set(started))
