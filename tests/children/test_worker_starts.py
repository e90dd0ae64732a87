"""Processes that load their plugins and start them, or cannot."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from waiting import PATIENCE, wait_until
from worker_house import LANE, NOTES, WorkerHouse, error_of

from sgevents_core.calling.outcome import RaisedElsewhere
from sgevents_core.children.lane_lock import LaneLock


@pytest.mark.parametrize("act", ["ctypes.string_at(0)", "os._exit(3)", "time.sleep(1000)"])
def test_a_plugin_that_ends_the_process_while_it_is_loaded_is_left_out(
    house: WorkerHouse, act: str
) -> None:
    """The others are loaded without it; the status says what it did."""
    house.plugin("bad", act, load_timeout=2.0)
    house.plugin("notes", NOTES)
    with house.working() as worker:
        assert house.call(worker, "notes", 1).error is None
    statuses = {status.name: status for status in house.prepared.statuses}
    assert (statuses["notes"].status, statuses["bad"].status) == ("enabled", "broken")
    assert "importing bad" in statuses["bad"].reason


def kill_once_written(house: WorkerHouse, name: str) -> threading.Thread:
    """Start a thread that kills the process whose pid a plugin writes to a file."""

    def kill() -> None:
        wait_until(lambda: house.written(name) != "")
        os.kill(int(house.written(name)), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    return killer


WAITS_ONCE = """
def wait_once():
    if not (FOLDER / "pid").exists():
        (FOLDER / "new").write_text(str(os.getpid()))
        (FOLDER / "new").rename(FOLDER / "pid")
        time.sleep(1000)
"""


def test_a_kill_from_outside_while_a_plugin_is_loaded_is_nobodys_fault(house: WorkerHouse) -> None:
    """The lane starts in another process, with all its plugins."""
    house.plugin("waits", WAITS_ONCE + "wait_once()\n" + NOTES)
    house.plugin("notes", NOTES)
    killer = kill_once_written(house, "pid")
    with house.working() as worker:
        killer.join()
        assert house.call(worker, "waits", 1).error is None
    assert {status.status for status in house.prepared.statuses} == {"enabled"}
    assert house.lane.known_broken == {}


def test_a_kill_from_outside_in_startup_is_nobodys_fault(house: WorkerHouse) -> None:
    """The hook is called again in another process."""
    house.plugin("waits", WAITS_ONCE + "@hookimpl\ndef startup():\n    wait_once()\n" + NOTES)
    with house.working() as worker:
        killer = kill_once_written(house, "pid")
        house.start("waits")
        killer.join()
        assert house.call(worker, "waits", 1).error is None
    assert house.lane.known_broken == {}


STARTS = """
@hookimpl
def startup(ctx):
    starts = len((FOLDER / "starts").read_text()) if (FOLDER / "starts").exists() else 0
    (FOLDER / "starts").write_text("x" * (starts + 1))
    ctx.store["seen"] = ctx.store.get("seen", 0) + 1
    if (FOLDER / "broken").exists():
        raise ValueError("not now")

@hookimpl
def on_event(event, ctx):
    ctx.store["calls"] = ctx.store.get("seen", 0)
    if event.id == 1:
        os._exit(0)
"""


def test_startup_runs_in_each_process_and_is_recorded_once(house: WorkerHouse) -> None:
    """A later process calls it too; the changes that it makes to the store there are dropped."""
    house.plugin("starts", STARTS)
    with house.working() as worker:
        house.start("starts")
        assert house.store("starts") == {"seen": 1}
        assert house.call(worker, "starts", 1).death is not None
        assert house.call(worker, "starts", 2).error is None
    assert house.written("starts") == "xx"
    assert house.store("starts") == {"seen": 1, "calls": 1}


def test_startup_that_fails_in_a_later_process_delays_its_own_calls(house: WorkerHouse) -> None:
    """They are tried again, and made once it has passed."""
    house.plugin("starts", STARTS)
    house.plugin("notes", NOTES)
    with house.working() as worker:
        house.start("starts")
        (house.folder / "broken").touch()
        house.call(worker, "starts", 1)
        outcome = house.call(worker, "starts", 2)
        assert (outcome.was_called, outcome.unmade) == (False, "for now")
        assert error_of(outcome).line.startswith("StartupFailed: its startup failed in a new")
        assert error_of(outcome).facts.asks_retry
        assert house.call(worker, "notes", 2).error is None
        (house.folder / "broken").unlink()
        assert house.call(worker, "starts", 2).error is None


def test_plugin_that_cannot_be_loaded_later_waits_for_a_person(house: WorkerHouse) -> None:
    """No other plugin waits for it; once it is mended, its next call finds it."""
    house.plugin("late", "assert not (FOLDER / 'broken').exists()\n" + NOTES)
    house.plugin("dies", "@hookimpl\ndef on_event(event, ctx):\n    os._exit(0)\n")
    with house.working() as worker:
        (house.folder / "broken").touch()
        house.call(worker, "dies", 1)
        outcome = house.call(worker, "late", 2)
        assert outcome.unmade == "until resumed"
        assert "AssertionError" in error_of(outcome).line
        (house.folder / "broken").unlink()
        assert house.call(worker, "late", 2).error is None


def test_a_lane_starts_only_when_its_old_processes_are_gone(house: WorkerHouse) -> None:
    """Each holds a share of the lane's lock until it has ended; a fork that stays does not."""
    house.plugin(
        "forks",
        """
@hookimpl
def on_event(event, ctx):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    elif os.fork() == 0:
        time.sleep(600)
    else:
        (FOLDER / "pid").write_text(Path(f"/proc/self/task/{os.getpid()}/children").read_text())
""",
    )
    lock = LaneLock(house.state, LANE)
    assert lock.is_free()
    with house.working() as worker:
        assert house.call(worker, "forks").error is None
        fork = int(house.written("pid"))
        try:
            assert not lock.is_free()
            waiting = threading.Thread(target=house.lane.await_old)
            waiting.start()
            assert waiting.is_alive()
            worker.close()
            waiting.join(PATIENCE)
            assert not waiting.is_alive()
            assert lock.is_free()
        finally:
            os.kill(fork, signal.SIGKILL)


def test_startup_that_hangs_ends_its_process_and_only_its_plugin(house: WorkerHouse) -> None:
    """It is given up after `load_timeout`, and left out of the processes started later."""
    text = "@hookimpl\ndef startup(ctx):\n    time.sleep(1000)\n" + NOTES
    house.plugin("hangs", text, load_timeout=1.0)
    house.plugin("notes", NOTES)
    with house.working() as worker:
        error = house.hook("hangs", "startup")
        assert isinstance(error, RaisedElsewhere)
        assert error.error.line.startswith("ProcessDied: its worker process died in its startup")
        assert house.call(worker, "notes", 1).error is None
        assert "hangs" in house.lane.known_broken


def test_stop_does_not_wait_for_a_process_that_is_being_started(house: WorkerHouse) -> None:
    """The call that needs it is not made, and not counted."""
    house.plugin("slow", "while (FOLDER / 'block').exists(): time.sleep(0.01)\n" + NOTES)
    with house.working() as worker:
        assert worker.pid is not None
        (house.folder / "block").touch()
        os.kill(worker.pid, signal.SIGKILL)
        wait_until(lambda: worker.pid is None)

        def stop() -> None:
            wait_until(lambda: worker.is_starting)
            house.lane.stopping.set()
            worker.say_stopping()

        stopper = threading.Thread(target=stop)
        stopper.start()
        assert house.call(worker, "slow", 1).unmade == "for now"
        stopper.join()
    assert house.written("calls") == ""
