"""What ends a call or its process: limits, heartbeats, memory, a stop that waits."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from waiting import PATIENCE, wait_until
from worker_house import WorkerHouse, error_of, is_running

from sgevents_core.observe.liveness import Liveness
from sgevents_core.settings import LaneSettings


def test_a_call_that_exceeds_its_limit_is_ended_for_good(house: WorkerHouse) -> None:
    """Its process is gone, and what that had started; the outcome tells where it stood."""
    house.plugin(
        "hangs",
        """
import subprocess
@hookimpl
def on_event(event, ctx):
    program = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    (FOLDER / "pid").write_text(str(program.pid))
    ctx.store["lost"] = 1
    program.wait()
""",
    )
    with house.working() as worker:
        pid = worker.pid
        outcome = house.call(worker, "hangs", limit=3.0)
        assert outcome.timed_out
        assert outcome.store_changes == {}
        assert error_of(outcome).line == "CallbackTimeout: It did not return within 3s."
        assert "in on_event" in error_of(outcome).traceback
        assert worker.pid is None
    wait_until(lambda: not is_running(int(house.written("pid"))))
    assert not Path(f"/proc/{pid}").exists()


def test_a_limit_ends_code_that_keeps_all_threads_from_running(house: WorkerHouse) -> None:
    """A loop in C that never gives up the interpreter is ended too, and says where it stood."""
    house.plugin("locked", "@hookimpl\ndef on_event(event, ctx):\n    ctypes.PyDLL(None).pause()\n")
    with house.working() as worker:
        outcome = house.call(worker, "locked", limit=1.0)
    assert outcome.timed_out
    assert "in on_event" in error_of(outcome).traceback


def test_the_limit_counts_from_the_last_heartbeat(house: WorkerHouse) -> None:
    """A call that says that it lives may take longer than its limit."""
    house.plugin(
        "long",
        """
@hookimpl
def on_event(event, ctx):
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        ctx.heartbeat()
        time.sleep(0.01)
""",
    )
    with house.working() as worker:
        assert house.call(worker, "long", limit=1.5).error is None


def test_a_call_sees_that_a_stop_waits(house: WorkerHouse) -> None:
    """`ctx.stopping` turns true while the call runs."""
    house.plugin(
        "asks",
        """
@hookimpl
def on_event(event, ctx):
    (FOLDER / "seen").write_text(str(ctx.stopping))
    while not ctx.stopping:
        time.sleep(0.01)
""",
    )
    with house.working() as worker:

        def stop() -> None:
            wait_until(lambda: house.written("seen") == "False")
            worker.say_stopping()

        stopper = threading.Thread(target=stop)
        stopper.start()
        assert house.call(worker, "asks", limit=PATIENCE).error is None
        stopper.join()


def test_a_process_that_outgrows_max_rss_is_replaced_between_events(house: WorkerHouse) -> None:
    """The call that leaked counts, and costs nothing."""
    house.lane_table = LaneSettings(executor="process", max_rss=300_000_000)
    house.plugin(
        "leaks",
        """
kept = []
@hookimpl
def on_event(event, ctx):
    if event.id == 1:
        kept.append(b"x" * 500_000_000)
@hookimpl
def shutdown(ctx):
    (FOLDER / "shut").write_text(ctx.store.get("nothing", "down"))
    ctx.store["kept"] = "not"
""",
    )
    with house.working() as worker:
        first = worker.pid
        assert worker.prepare()
        assert worker.pid == first
        assert house.call(worker, "leaks", 1).error is None
        assert worker.prepare()
        assert worker.pid not in {first, None}
        assert (worker.start_count, worker.death_count) == (2, 0)
        assert house.written("shut") == "down"
        assert house.store("leaks") == {}
        assert house.call(worker, "leaks", 2).error is None


def test_lane_counts_as_alive_while_a_call_says_so(house: WorkerHouse) -> None:
    """A call that lives for longer than its limit does not look like a lane that hangs."""
    house.plugin(
        "long",
        """
@hookimpl
def on_event(event, ctx):
    for number in range(3):
        ctx.heartbeat()
        time.sleep(0.02)
""",
    )
    liveness = Liveness(["lane"])
    with house.working() as worker:
        house.call(worker, "long", 1)
        signs: list[int] = []

        def body() -> None:
            signs.append(liveness._loops["lane"].last_sign[0])
            house.call(worker, "long", 2, limit=PATIENCE)
            signs.append(liveness._loops["lane"].last_sign[0])

        liveness.run("lane", body)
    assert signs[1] - signs[0] >= 3


SLOW_ASYNC = """
import asyncio

@hookimpl
async def on_event(event, ctx):
    (FOLDER / "pid").write_text(str(os.getpid()))
    if event.id == 1:
        ctx.store["before"] = True
        await asyncio.get_running_loop().create_future()
    while event.id == 2:
        try:
            await asyncio.sleep(0.01)
            ctx.heartbeat()
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            pass
"""


def test_an_async_call_is_cancelled_at_its_limit(
    house: WorkerHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is charged as a timeout and costs no process, unless the call ignores it."""
    house.plugin("slow", SLOW_ASYNC)
    with house.working() as worker:
        first = worker.pid
        outcome = house.call(worker, "slow", 1, limit=0.2)
        assert error_of(outcome).line == "CallbackTimeout: It did not return within 200ms."
        assert "in on_event" in error_of(outcome).traceback
        assert (outcome.timed_out, outcome.ended_worker, outcome.store_changes) == (True, False, {})
        assert house.call(worker, "slow", 3).error is None
        assert worker.pid == first
        monkeypatch.setattr("sgevents_core.children.worker.CANCEL_SECONDS", 0.2)
        outcome = house.call(worker, "slow", 2, limit=0.2)
        assert (outcome.timed_out, outcome.worker_was_ended) == (True, True)
        assert house.call(worker, "slow", 3).error is None
        assert worker.pid != first
