"""`ctx.store` in a lane: changes commit with the callback's record, or not at all."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from lane_house import House, only, raising
from waiting import PATIENCE, wait_until

from sgevents_core.errors import CallIsOverError, Retry
from sgevents_core.events import Event
from sgevents_core.state.keys import CallKey
from sgevents_core.state.progress import Progress


def count(event: Event, ctx: Any) -> None:
    """Count the events in the store."""
    ctx.store["n"] = ctx.store.get("n", 0) + 1


def test_changes_are_kept_when_the_callback_returns(house: House) -> None:
    """The next event, the next callback and the next process see what was assigned."""
    seen = []

    def look(event: Event, ctx: Any) -> None:
        seen.append(ctx.store["n"])

    house.plugin("alpha", count, look)
    house.plugin("bravo", count)
    with house.running():
        house.events(1, 2)
        house.settle()
    with house.running():
        house.events(3)
        house.settle()
    assert seen == [1, 2, 3]
    assert house.state.store("alpha") == {"n": 3}
    assert house.state.store("bravo") == {"n": 3}


def test_changes_are_dropped_when_the_callback_raises(house: House) -> None:
    """What a failed callback assigned is gone, for a retry, a dead letter and what follows."""

    def fails(event: Event, ctx: Any) -> None:
        count(event, ctx)
        ctx.store["half"] = event.id
        del ctx.store["kept"]
        if event.id == 2:
            raise ValueError("no")
        if ctx.attempt == 1:
            raise Retry(after=0)

    def keep(event: Event, ctx: Any) -> None:
        ctx.store["kept"] = sorted(ctx.store)

    house.plugin("alpha", keep, fails)
    with house.running():
        house.events(1)
        wait_until(lambda: "1 alpha.fails#2" in house.calls)
        house.settle()
        house.events(2)
        house.settle()
    assert house.state.store("alpha") == {"n": 1, "half": 1, "kept": ["half", "n"]}


def test_values_that_cannot_be_kept_are_a_failure_of_the_callback(house: House) -> None:
    """The error names plugin and key; nothing of the callback's changes is kept."""

    def odd(event: Event, ctx: Any) -> None:
        ctx.store["fine"] = 1
        ctx.store["odd"] = {1, 2}

    house.plugin("alpha", odd)
    with house.running():
        house.events(1)
        house.settle()
    (letter,) = house.state.dead_letters()
    assert letter.error.startswith("StoreValueError: Plugin alpha cannot keep 'odd' in ctx.store")
    assert house.state.store("alpha") == {}


def test_changes_commit_with_the_place_of_the_lane(house: House) -> None:
    """Another connection sees the change and the record that the callback is done, or neither."""
    gate, seen = threading.Event(), threading.Event()

    def wait(event: Event, ctx: Any) -> None:
        seen.set()
        gate.wait(PATIENCE)

    house.plugin("alpha", count, wait)
    try:
        with house.running():
            house.events(1)
            assert seen.wait(PATIENCE)
            place = house.state.lane_progress("default")
            assert house.state.store("alpha") == {"n": 1}
            assert place == Progress.at(1, frozenset({CallKey("alpha", "alpha:count")}))
            gate.set()
            house.settle()
    finally:
        gate.set()


def test_changes_while_catching_up_are_kept_once(house: House) -> None:
    """A plugin on its own way keeps its store the same way, stopped and started in between."""

    def stopping(event: Event, ctx: Any) -> None:
        count(event, ctx)
        if event.id % 2:
            house.stop()

    house.plugin("live", "run")
    house.run()
    house.events(1, 2, 3, 4, 5)
    house.run()
    house.plugin("new", stopping, start=1)
    for _ in range(4):
        house.run()
    assert only(house.calls, "new") == [f"{event} new.stopping" for event in range(1, 6)]
    assert house.state.store("new") == {"n": 5}


def test_changes_of_startup_and_shutdown_are_kept(house: House) -> None:
    """What these hooks assign is kept when they return, and dropped when they raise."""

    def startup(ctx: Any) -> None:
        ctx.store["started"] = ctx.store.get("started", 0) + 1

    def shutdown(ctx: Any) -> None:
        ctx.store["stopped"] = True
        if ctx.plugin == "bad":
            raise ValueError("no")

    def broken(ctx: Any) -> None:
        ctx.store["started"] = 1
        raise ValueError("no")

    hooks = {"startup": startup, "shutdown": shutdown}
    for name in ("good", "bad"):
        house.plugin(name, "run", hooks=hooks)
    house.plugin("broken", "run", hooks={"startup": broken})
    house.run()
    house.run()
    assert house.state.store("good") == {"started": 2, "stopped": True}
    assert house.state.store("bad") == {"started": 2}
    assert house.state.store("broken") == {}


def test_hooks_that_alert_only_read_the_store(house: House) -> None:
    """They run beside the callbacks: they see what was committed, and are refused a change."""
    seen: list[Any] = []

    def failed(details: Any, ctx: Any) -> None:
        seen.append(dict(ctx.store))
        ctx.store["alerts"] = 1

    house.plugin("alpha", count, raising(ValueError("no")), hooks={"callback_failed": failed})
    with house.running():
        house.events(1)
        house.settle()
        wait_until(lambda: seen)
        house.events(2)
        house.settle()
    assert seen[0] == {"n": 1}
    assert house.state.store("alpha") == {"n": 2}


def test_threads_of_a_call_share_its_store(house: House) -> None:
    """What a pool of the callback's own assigns is kept, also where it uses the store first."""

    def shares(event: Event, ctx: Any) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: ctx.store.update({f"k{n}": event.id}), range(50)))

    house.plugin("alpha", shares, start=1)
    house.events(1)
    house.run()
    assert house.state.store("alpha") == {f"k{n}": 1 for n in range(50)}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("used_before", [False, True])
def test_thread_that_is_left_behind_is_refused(
    house: House, caplog: pytest.LogCaptureFixture, fails: bool, used_before: bool
) -> None:
    """What it assigns after the verdict is nobody's: refused, told once, and kept by no other."""
    left: list[Any] = []

    def leaves(event: Event, ctx: Any) -> None:
        if used_before:
            ctx.store["in time"] = event.id
        left.append(ctx)
        if fails:
            raise ValueError("no")

    def late(event: Event, ctx: Any) -> None:
        for _ in range(3):
            with pytest.raises(CallIsOverError, match="alpha:leaves of plugin alpha is over"):
                left[-1].store["late"] = 1
            with pytest.raises(CallIsOverError):
                left[-1].store.clear() if used_before and not fails else left[-1].store.update(a=1)
        ctx.store["mine"] = event.id

    house.plugin("alpha", leaves, late, start=1)
    house.events(1)
    house.run()
    kept = {"in time": 1, "mine": 1} if used_before and not fails else {"mine": 1}
    assert house.state.store("alpha") == kept
    told = [one for one in caplog.records if vars(one).get("action") == "store.refused"]
    assert [(vars(one)["callback"], vars(one)["event_id"]) for one in told] == [("alpha:leaves", 1)]


def test_thread_that_writes_without_end_ends_no_lane(house: House) -> None:
    """Whenever the verdict comes, the lane goes on, and what came before it is kept whole."""

    def writes(ctx: Any) -> None:
        with contextlib.suppress(CallIsOverError):
            for number in range(10**9):
                ctx.store[f"k{number % 100}"] = number

    def leaves(event: Event, ctx: Any) -> None:
        threading.Thread(target=writes, args=(ctx,), daemon=True).start()
        ctx.store["last"] = event.id

    house.plugin("alpha", leaves, start=1)
    house.events(*range(1, 101))
    house.run()
    assert house.state.store("alpha")["last"] == 100
