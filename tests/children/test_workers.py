"""A worker process makes one call at a time; whatever a call does to it costs that call alone."""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from waiting import PATIENCE, wait_until
from worker_house import LANE, WorkerHouse, error_of

from sgevents_core.calling.batches import batch_request, key_message
from sgevents_core.calling.making import CallRequest
from sgevents_core.calling.outcome import CallDeath, CallMessage, RaisedElsewhere
from sgevents_core.children.lane_lock import LaneLock
from sgevents_core.observe import printed_output
from sgevents_core.observe.liveness import Liveness
from sgevents_core.settings import LaneSettings, Secret
from sgevents_core.state.done_parts import DonePart

NOTES = """
@hookimpl
def on_event(event, ctx):
    with (FOLDER / "calls").open("a") as file:
        file.write(f"{ctx.plugin} {event.id} {ctx.key} {ctx.attempt}\\n")
"""
"""A plugin that writes down its calls."""


def test_a_call_returns_what_it_came_to(house: WorkerHouse) -> None:
    """The callback gets the event and a full `ctx`; this process never imports it."""
    house.plugin("notes", NOTES)
    with house.working() as worker:
        outcome = house.call(worker, "notes", 7)
    assert outcome.error is None
    assert outcome.was_called
    assert house.written("calls") == "notes 7 site:1:7:notes:notes:on_event 1\n"
    assert "notes" not in sys.modules


def test_an_error_is_described_where_it_was_raised(house: WorkerHouse) -> None:
    """Line, traceback and facts come up, without secrets."""
    house.plugin(
        "fails",
        """
@hookimpl
def on_event(event, ctx):
    if event.id == 1:
        raise ValueError("with demo-key-of-the-site")
    raise Retry("later", after=5)
""",
    )
    with house.working() as worker:
        bug, later = house.call(worker, "fails", 1), house.call(worker, "fails", 2)
    assert error_of(bug).line == "ValueError: with ***"
    assert 'raise ValueError("with ***")' in error_of(bug).traceback
    assert not error_of(bug).facts.is_transient
    assert error_of(later).facts.asks_retry
    assert error_of(later).facts.retry_after == 5.0


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
    wait_until(lambda: not _lives(int(house.written("pid"))))
    assert not Path(f"/proc/{pid}").exists()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


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
        assert house.written("shut") == "down"
        assert house.store("leaks") == {}
        assert house.call(worker, "leaks", 2).error is None


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
        wait_until(lambda: not _lives(int(house.written("forked"))))
        assert worker.pid == pid
    assert len(house.written("calls").splitlines()) == 3


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


def test_the_store_is_granted_at_its_first_use(house: WorkerHouse) -> None:
    """Changes come up with the outcome, and the next call sees them."""
    house.plugin(
        "counts",
        """
@hookimpl
def on_event(event, ctx):
    ctx.store["calls"] = ctx.store.get("calls", 0) + 1
    ctx.store.setdefault("first", event.id)
    if event.id == 2:
        del ctx.store["first"]
        raise ValueError
    if event.id == 3:
        del ctx.store["first"]
""",
    )
    with house.working() as worker:
        for event_id in (1, 2, 3):
            house.call(worker, "counts", event_id)
    assert house.store("counts") == {"calls": 2}


def test_what_is_logged_comes_out_here(
    house: WorkerHouse, caplog: pytest.LogCaptureFixture
) -> None:
    """Records name plugin, callback and event; those of a call precede its death."""
    house.plugin(
        "talks",
        """
import logging
@hookimpl
def on_event(event, ctx):
    ctx.logger.warning("hello %s", event.id, extra={"shot": "010"})
    logging.getLogger("sgevents.plugin.talks").warning("last")
    os._exit(1)
""",
    )
    with caplog.at_level(logging.INFO, "sgevents"), house.working() as worker:
        house.call(worker, "talks", 5)
        texts = [record.getMessage() for record in caplog.records]
    assert texts[:2] == ["hello 5", "last"]
    fields = vars(caplog.records[0])
    assert (fields["plugin"], fields["callback"]) == ("talks", "talks:on_event")
    assert (fields["event_id"], fields["shot"]) == (5, "010")


def test_what_is_printed_names_its_call(
    house: WorkerHouse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each line is a record of the call that runs, even the last one before a death."""
    monkeypatch.setattr(printed_output, "_redirected", [(1, -1)])
    house.plugin(
        "prints",
        """
@hookimpl
def on_event(event, ctx):
    print("from Python")
    os.write(2, b"from anywhere\\n")
    os.write(1, b"unfinished")
    os._exit(0)
""",
    )
    with caplog.at_level(logging.INFO, "sgevents"), house.working() as worker:
        house.call(worker, "prints", 3)
        lines = [vars(record) for record in caplog.records if record.name == "sgevents.printed"]
    assert [line["message"] for line in lines] == ["from Python", "from anywhere", "unfinished"]
    assert {(line["plugin"], line["event_id"]) for line in lines} == {("prints", 3)}


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


def test_hooks_are_called_beside_a_running_call(house: WorkerHouse) -> None:
    """One that alerts does not wait for it, reads the store, and fails by itself."""
    house.plugin(
        "alerts",
        """
@hookimpl
def on_event(event, ctx):
    while not (FOLDER / "told").exists():
        time.sleep(0.01)

@hookimpl
def dead_lettered(details, ctx):
    (FOLDER / "told").write_text(f"{details} {dict(ctx.store)}")

@hookimpl
def plugin_paused(details, ctx):
    raise ValueError("no")
""",
    )
    with house.working() as worker:
        house.services["alerts"].store.commit({"a": b"1"})

        def alert() -> None:
            wait_until(lambda: worker.is_calling)
            assert house.hook("alerts", "dead_lettered", "hello") is None

        alerting = threading.Thread(target=alert)
        alerting.start()
        assert house.call(worker, "alerts", 1, limit=PATIENCE).error is None
        alerting.join()
        assert house.written("told") == "hello {'a': 1}"
        error = house.hook("alerts", "plugin_paused", "bye")
    assert isinstance(error, RaisedElsewhere)
    assert error.error.line == "ValueError: no"


def test_calls_to_the_site_are_known_here(house: WorkerHouse) -> None:
    """One that gets no answer is seen at once, also if the call never ends."""
    house.plugin(
        "asks",
        """
@hookimpl
def on_event(event, ctx):
    ctx.sg.config.rpc_attempt_interval = 0
    try:
        ctx.sg.find_one("Shot", [])
    except Exception:
        if event.id == 1:
            raise
        threading.Event().wait()
""",
    )
    with house.working() as worker:
        outcome = house.call(worker, "asks", 1)
        assert outcome.site_unanswered
        assert house.services["asks"].contact.failed_at > 0
        assert house.call(worker, "asks", 2, limit=3.0).site_unanswered


def test_filters_are_asked_in_the_process(house: WorkerHouse) -> None:
    """Static conditions are known here; a function, and values, are the plugin's own."""
    house.plugin(
        "chooses",
        """
@hookimpl
@match(event_type="Shotgun_*", where=lambda event: event.id > 1)
def on_event(event, ctx):
    ctx.logger.info("called")
""",
    )
    with house.working() as worker:
        (callback,) = house.plugins["chooses"].callbacks
        assert callback.match.event_type == ("Shotgun_*",)
        assert callback.match.where is not None
        first, second = house.request("chooses", 1), house.request("chooses", 2)
        first.runs_filter = second.runs_filter = True
        assert worker.call(first, None).is_unwanted
        assert worker.call(second, None).was_called


def test_secrets_reach_the_process_by_the_pipe_alone(house: WorkerHouse) -> None:
    """Neither its command line nor its environment has them, and they never come back in clear."""
    house.plugin(
        "knows",
        """
@hookimpl
def on_event(event, ctx):
    words = Path("/proc/self/cmdline").read_bytes() + Path("/proc/self/environ").read_bytes()
    assert b"demo-key" not in words
    assert ctx.settings["token"].reveal() == "token-of-the-plugin"
    raise ValueError(ctx.settings["token"].reveal())
""",
        settings={"token": Secret("token-of-the-plugin")},
        script_name="own",
        api_key=Secret("demo-key-of-the-plugin"),
    )
    with house.working() as worker:
        assert error_of(house.call(worker, "knows")).line == "ValueError: ***"


def test_a_lane_starts_only_when_its_old_processes_are_gone(house: WorkerHouse) -> None:
    """Each holds a share of the lane's lock until it has ended; a fork of a callback does not."""
    house.plugin(
        "forks",
        """
@hookimpl
def on_event(event, ctx):
    child = os.fork()
    if child == 0:
        time.sleep(600)
    (FOLDER / "pid").write_text(str(child))
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


def test_hook_is_called_again_if_a_call_beside_it_ends_the_process(house: WorkerHouse) -> None:
    """No alert is lost to another call's death; a hook that ends its own process is over."""
    house.plugin(
        "alerts",
        """
@hookimpl
def on_event(event, ctx):
    while not (FOLDER / "tries").exists():
        time.sleep(0.01)
    os._exit(0)

@hookimpl
def dead_lettered(details, ctx):
    is_first = not (FOLDER / "tries").exists()
    with (FOLDER / "tries").open("a") as file:
        file.write(details)
    if is_first:
        threading.Event().wait()

@hookimpl
def plugin_paused(details, ctx):
    with (FOLDER / "ends").open("a") as file:
        file.write(details)
    os._exit(0)
""",
    )
    with house.working() as worker:

        def alert() -> None:
            wait_until(lambda: worker.is_calling)
            assert house.hook("alerts", "dead_lettered", "x") is None

        alerting = threading.Thread(target=alert)
        alerting.start()
        assert house.call(worker, "alerts", 1, limit=PATIENCE).death is not None
        alerting.join()
        assert house.written("tries") == "xx"
        error = house.hook("alerts", "plugin_paused", "y")
        assert house.written("ends") == "y"
    assert isinstance(error, RaisedElsewhere)
    assert error.error.line.startswith("ProcessDied: its worker process died in its plugin_paused")


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


def test_what_a_call_says_of_its_event_comes_up(house: WorkerHouse) -> None:
    """That it is put off, that nothing was done and why, and what passes by the plugin's rule."""
    house.plugin(
        "says",
        """
from sgevents_core import Defer

class Full(Exception): ...

@hookimpl
@match(retry_on=Full, max_attempts=3)
def on_event(event, ctx):
    if event.id == 1:
        raise Defer("no media yet", after="10m")
    if event.id == 2:
        ctx.ignore("no route, with demo-key-of-the-site")
    if event.id == 3:
        raise Full

@hookimpl
def failure_passes(error, ctx):
    return ctx.attempt < 2
""",
    )
    with house.working() as worker:
        put_off, ignored, listed = (house.call(worker, "says", number) for number in (1, 2, 3))
        (callback,) = house.plugins["says"].callbacks
    assert error_of(put_off).line == "Defer: no media yet"
    assert error_of(put_off).facts.defer_after == 600.0
    assert (ignored.error, ignored.ignored) == (None, "no route, with ***")
    assert error_of(listed).facts.is_listed
    assert callback.max_attempts == 3
    assert "failure_passes" not in house.plugins["says"].hooks


BATCHES = """
@hookimpl
@match(batch="2s", by=lambda event: event.id % 2, where=lambda event: event.id < 9)
def on_event(events, ctx):
    with (FOLDER / "calls").open("a") as file:
        file.write(f"{[event.id for event in events]} {ctx.key} {ctx.attempt}\\n")
"""


def test_a_worker_says_the_key_of_an_event_and_is_called_with_a_batch(house: WorkerHouse) -> None:
    """The filter and the key are the plugin's code, and run there too."""
    house.plugin("rolls", BATCHES)
    with house.working() as worker:
        rules = house.plugins["rolls"].callbacks[0].batch
        assert rules is not None
        assert (rules.pause, rules.size, rules.asks_plugin) == (2.0, 100, True)
        asked = KeyRequest(**vars_of(house.request("rolls", 3)), runs_filter=True)
        assert worker.call(asked, None).batch_key == "1"
        unwanted = KeyRequest(**vars_of(house.request("rolls", 9)), runs_filter=True)
        assert worker.call(unwanted, None).is_unwanted
        single = house.request("rolls", 3)
        bodies = [house.request("rolls", number).source.body for number in (3, 5)]
        request = batch_request(
            single.callback, bodies, single.source, house.services["rolls"], None
        )
        assert worker.call(request, None).error is None
    assert house.written("calls") == "[3, 5] site:1:3:rolls:rolls:on_event 1\n"


class KeyRequest(CallRequest):
    """A call that asks for an event's key."""

    def message(self, body: bytes) -> CallMessage:
        """Return the call as a plain value."""
        return key_message(super().message(body))


def vars_of(request: CallRequest) -> dict[str, Any]:
    """Return what a call is about."""
    names = ("callback", "event", "source", "services")
    return {name: getattr(request, name) for name in names}


def test_parts_of_calls_are_recorded_by_the_daemon(house: WorkerHouse) -> None:
    """At once, also where the call fails or the process dies later; the next call knows them."""
    house.plugin(
        "posts",
        """
@hookimpl
def on_event(event, ctx):
    with ctx.once("dailies") as first:
        print("first" if first else "done")
    if event.id == 1 and first:
        raise ValueError("a bug")
    if event.id == 2 and first:
        os._exit(3)
    try:
        with ctx.once("leads"):
            raise KeyError
    except KeyError:
        pass
""",
    )
    records = PartsInMemory()
    with house.working() as worker:
        house.services["posts"].part_records = records
        assert error_of(house.call(worker, "posts", 1)).line == "ValueError: a bug"
        assert house.call(worker, "posts", 1).error is None
        assert house.call(worker, "posts", 2).death is not None
        assert house.call(worker, "posts", 2).error is None
    assert {(part.event_id, part.name) for part in records.done} == {(1, "dailies"), (2, "dailies")}


class PartsInMemory:
    """Records parts of calls as a lane's ledger does."""

    def __init__(self) -> None:
        self.done: set[DonePart] = set()

    def is_part_done(self, done_part: DonePart) -> bool:
        """Return whether a part is done."""
        return done_part in self.done

    def note_part_done(self, done_part: DonePart) -> None:
        """Record that a part is done."""
        self.done.add(done_part)
