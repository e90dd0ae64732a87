"""A process that is killed around batches: each event is in exactly one call that has ended."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from lane_house import House
from waiting import PATIENCE

from sgevents_core.batching import BatchRules
from sgevents_core.crashes.recovering import give_up_fatal_calls, recover
from sgevents_core.state.opening import open_state

pytestmark = pytest.mark.disk

ROOT = Path(__file__).parents[2]
SCRIPT = """
import os, signal, sys, threading
from pathlib import Path
from lane_house import House
from sgevents_core.batching import BatchRules
from sgevents_core.crashes.recovering import give_up_fatal_calls
from sgevents_core.observe.observers import CallObserver
from sgevents_core.settings import LaneSettings

folder, workers = Path(sys.argv[1]), int(sys.argv[2])
deadly = sys.argv[3:]
SHOT = {"entity": {"type": "Shot", "id": 7}}
LONG = 3600.0


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class Dies(CallObserver):
    def ended(self, call, began, seconds, error):
        die()


def adds(events, ctx):
    if step == "in the call":
        die()
    ctx.store["calls"] = [*ctx.store.get("calls", []), [event.id for event in events]]


def live(number):
    global step
    step = deadly[number] if number < len(deadly) else ""
    house = House(folder)
    if workers > 1:
        house.lane_settings["default"] = LaneSettings(workers=workers, order_by="entity")
    house.plugin("rolls", adds, batch=BatchRules(LONG, LONG, 100))
    if number == 0:
        house.run()
    if step == "after the call":
        house.observers.append(Dies())
    house.events(*range(10 * number + 1, 10 * number + 11), **SHOT)
    with house.running():
        house.settle()
        if step == "between events":
            die()
        if step or number == len(deadly):
            for lane in house.lanes:
                lane.end_batches()
            house.settle()
        if step == "after the record":
            die()


for number in range(len(deadly) + (deadly[-1] != "stop") - (deadly[-1] == "stop")):
    child = os.fork()
    if not child:
        live(number)
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if ended != (-signal.SIGKILL if number < len(deadly) else 0):
        sys.exit(f"life {number} ended with {ended}")
"""
DEADLY = ["between events", "in the call", "after the record", "after the call", "in the call"]


def run(folder: Path, workers: int, *deadly: str) -> None:
    """Run one life for each step at which it is killed, and one that is not."""
    path = os.pathsep.join([str(ROOT / "tests" / "support"), str(ROOT)])
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), str(workers), *deadly],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("workers", [1, 3])
def test_each_event_is_in_one_call_that_ended(house: House, workers: int) -> None:
    """Sixty events of one record, five kills: before, in and after calls, and after the record."""
    run(house.folder, workers, *DEADLY)
    calls = house.state.store("rolls")["calls"]
    assert sorted(event for call in calls for event in call) == list(range(1, 61))
    assert len(calls) <= 8
    assert all(call == sorted(call) for call in calls)
    assert house.state.batches() == []
    assert house.state.attempts() == {}


def test_a_batch_in_which_the_process_dies_again_and_again_is_given_up(house: House) -> None:
    """It becomes a dead letter with the events of its first call; later ones are called."""
    run(house.folder, 1, *["in the call"] * 5, "stop")
    house.plugin("rolls", "adds", batch=BatchRules(3600.0, 3600.0, 100))
    held_lanes = recover(house.settings(), house.loaded(), house.state)
    (deaths,) = house.state.deaths()
    assert (deaths.callback, deaths.seq, deaths.times) == ("rolls:adds", 1, 5)
    (given_up,) = give_up_fatal_calls(house.settings(), house.loaded(), held_lanes)
    assert [event.id for event in given_up.events] == list(range(1, 11))
    with closing(open_state(house.folder).letters()) as letters:
        (letter,) = letters.find()
        assert letter.failure.error.startswith("ProcessDied: the process died 5 times")
        assert len(letters.events_of(letter.number)) == 10
    assert house.state.deaths() == []
    assert sum(batch.events for batch in house.state.batches()) in {30, 40}  # as far as collected
    assert house.records()["rolls"].failures == 1
