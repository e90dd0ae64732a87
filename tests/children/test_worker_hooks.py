"""Hooks that are called in a worker process, beside calls of events."""

from __future__ import annotations

import threading

from waiting import PATIENCE, wait_until
from worker_house import WorkerHouse

from sgevents_core.calling.outcome import RaisedElsewhere


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
