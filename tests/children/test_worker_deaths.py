"""Worker processes that die: whose fault it was, and what it costs."""

from __future__ import annotations

import logging
import os
import select
import signal
import threading

import pytest
from waiting import PATIENCE, wait_until
from worker_house import NOTES, WorkerHouse, error_of, is_running

from sgevents_core.calling.outcome import CallDeath, RaisedError
from sgevents_core.children.process import Child

SUDDEN = {
    "segfault": ("ctypes.string_at(0)", "Segmentation fault"),
    "exit": ("os._exit(0)", "it called os._exit(0)"),
    "abort": ("os.abort()", "Fatal Python error: Aborted"),
    "kill": ("os.kill(os.getpid(), signal.SIGKILL)", "it called os.kill("),
    "c exit": ("ctypes.CDLL(None)._exit(3)", "it ended with exit code 3"),
}
"""How a callback can end its process: code, and what is said of it."""


@pytest.mark.parametrize("name", SUDDEN)
def test_a_death_is_proved_and_costs_its_call_alone(house: WorkerHouse, name: str) -> None:
    """The next call, of another plugin, is made in a new process."""
    act, how = SUDDEN[name]
    house.plugin("dies", f"@hookimpl\ndef on_event(event, ctx):\n    {act}\n")
    house.plugin("notes", NOTES)
    with house.working() as worker:
        first = worker.pid
        outcome = house.call(worker, "dies")
        assert outcome.death is not None
        assert outcome.death.is_proved
        assert how in outcome.death.how
        assert error_of(outcome).line.startswith("ProcessDied: its worker process died")
        assert house.call(worker, "notes", 2).error is None
        assert worker.pid != first
    assert house.written("calls").startswith("notes 2 ")


@pytest.mark.parametrize("act", ["sys.exit(3)", "raise KeyboardInterrupt", "exit()"])
def test_an_exit_that_python_raises_is_an_error(house: WorkerHouse, act: str) -> None:
    """The process goes on."""
    house.plugin("exits", f"@hookimpl\ndef on_event(event, ctx):\n    {act}\n")
    with house.working() as worker:
        first = worker.pid
        outcome = house.call(worker, "exits")
        assert error_of(outcome).type_name in {"SystemExit", "KeyboardInterrupt"}
        assert outcome.death is None
        assert worker.pid == first


def test_a_kill_from_outside_is_no_proof(house: WorkerHouse) -> None:
    """Somebody's `kill -9` ends the call that runs, and blames nobody."""
    house.plugin(
        "waits",
        """
@hookimpl
def on_event(event, ctx):
    if event.id == 1:
        (FOLDER / "pid").write_text(str(os.getpid()))
        threading.Event().wait()
""",
    )
    with house.working() as worker:
        killer = threading.Thread(target=_kill_once_written, args=(house,))
        killer.start()
        outcome = house.call(worker, "waits", 1)
        killer.join()
        assert outcome.death == CallDeath("it was killed by SIGKILL", "", False)
        assert house.call(worker, "waits", 2).error is None


def _kill_once_written(house: WorkerHouse) -> None:
    wait_until(lambda: house.written("pid"))
    os.kill(int(house.written("pid")), signal.SIGKILL)


def test_a_fork_that_returns_is_no_second_worker(house: WorkerHouse) -> None:
    """It ends at once: it sends no outcome, commits nothing and makes no further call."""
    house.plugin(
        "forks",
        """
@hookimpl
def on_event(event, ctx):
    ctx.store["pid"] = os.getpid()
    if os.fork() == 0:
        ctx.store["pid"] = "fork"
        ctx.heartbeat()
        ctx.logger.warning("from the fork")
        (FOLDER / "forked").write_text(str(os.getpid()))
""",
    )
    house.plugin("notes", NOTES)
    with house.working() as worker:
        pid = worker.pid
        for event_id in (1, 2, 3):
            assert house.call(worker, "forks", event_id).error is None
            assert house.call(worker, "notes", event_id).error is None
        assert house.store("forks") == {"pid": pid}
        wait_until(lambda: house.written("forked"))
        wait_until(lambda: not is_running(int(house.written("forked"))))
        assert worker.pid == pid
    assert len(house.written("calls").splitlines()) == 3


def test_a_fork_that_stays_ends_with_its_worker(house: WorkerHouse) -> None:
    """Although the worker process ends in order, no copy of it is left behind."""
    house.plugin(
        "stays",
        """
@hookimpl
def on_event(event, ctx):
    child = os.fork()
    if child == 0:
        threading.Event().wait()
    (FOLDER / "forked").write_text(str(child))
""",
    )
    with house.working() as worker:
        assert house.call(worker, "stays").error is None
        forked = int(house.written("forked"))
        assert is_running(forked)
    wait_until(lambda: not is_running(forked))


def test_a_fork_cannot_use_a_store_that_the_call_had_not_used(house: WorkerHouse) -> None:
    """It is told why, and ends."""
    house.plugin(
        "forks",
        """
@hookimpl
def on_event(event, ctx):
    child = os.fork()
    if child == 0:
        try:
            ctx.store["x"] = 1
        except Exception as error:
            (FOLDER / "refused").write_text(f"{type(error).__name__}")
        return
    os.waitpid(child, 0)
""",
    )
    with house.working() as worker:
        assert house.call(worker, "forks").error is None
    assert house.written("refused") == "WorkerForkedError"


def test_a_thread_left_behind_is_charged_to_its_own_plugin(house: WorkerHouse) -> None:
    """What it does later proves nothing against the call that runs then."""
    house.plugin(
        "leaves",
        """
@hookimpl
def on_event(event, ctx):
    if event.id == 1:
        threading.Thread(target=ends, daemon=True).start()

def ends():
    while not (FOLDER / "now").exists():
        time.sleep(0.01)
    os._exit(9)
""",
    )
    house.plugin(
        "waits",
        """
@hookimpl
def on_event(event, ctx):
    (FOLDER / "now").touch()
    if event.id == 1:
        threading.Event().wait()
""",
    )
    with house.working() as worker:
        assert house.call(worker, "leaves", 1).error is None
        outcome = house.call(worker, "waits", 1, limit=PATIENCE)
        assert outcome.death is not None
        assert "os._exit(9)" in outcome.death.how
        assert not outcome.death.is_proved


def test_a_death_before_a_call_begins_in_it_is_nobodys(house: WorkerHouse) -> None:
    """The call is made in another process, once, as if nothing had been."""
    house.plugin("notes", NOTES)
    with house.working() as worker:
        first = worker.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)  # so that the call is sent, and never begins

        def kill() -> None:
            wait_until(lambda: worker.is_calling)
            os.kill(first, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        outcome = house.call(worker, "notes", 4)
        killer.join()
        assert (outcome.error, outcome.death) == (None, None)
        assert worker.pid != first
    assert len(house.written("calls").splitlines()) == 1


def test_nothing_that_was_sent_before_a_death_is_lost(house: WorkerHouse) -> None:
    """What the daemon has not read when the process dies is read after its end."""
    house.plugin(
        "talks",
        """
@hookimpl
def on_event(event, ctx):
    for number in range(100):
        ctx.logger.warning("%d", number)
    ctypes.CDLL(None)._exit(1)
""",
    )
    logger, seen = logging.getLogger("sgevents.plugin.talks"), []
    with house.working() as worker:
        assert worker.pid is not None
        pidfd = os.pidfd_open(worker.pid)  # readable once all threads of the process have ended

        def wait_for_the_end(record: logging.LogRecord) -> bool:
            assert select.select([pidfd], [], [], PATIENCE)[0]
            seen.append(record.getMessage())
            return True

        logger.addFilter(wait_for_the_end)
        try:
            assert house.call(worker, "talks", 5).death is not None
        finally:
            logger.removeFilter(wait_for_the_end)
            os.close(pidfd)
    assert seen == [str(number) for number in range(100)]


def test_a_process_started_beside_a_call_gets_its_event(
    house: WorkerHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook that replaces a dead process just before a call is sent leaves it nothing to miss."""
    house.plugin("notes", NOTES)
    dead_processes: list[Child | None] = []
    with house.working() as worker:
        process = worker._process
        child_for = process.child_for

        def child_replaced_meanwhile(plugin_name: str) -> tuple[Child | None, RaisedError | None]:
            child, child_error = child_for(plugin_name)
            if child is not None and not dead_processes:
                dead_processes.append(child)
                child.kill()
                child.wait()
                assert process.replace(child) is None
            return child, child_error

        monkeypatch.setattr(process, "child_for", child_replaced_meanwhile)
        outcome = house.call(worker, "notes", 7)
    assert dead_processes
    assert outcome.error is None
    assert house.written("calls") == "notes 7 site:1:7:notes:notes:on_event 1\n"
