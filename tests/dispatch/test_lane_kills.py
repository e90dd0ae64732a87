"""A lane whose process is killed in the middle of a callback, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lane_house import House
from waiting import PATIENCE

pytestmark = pytest.mark.disk

ROOT = Path(__file__).parents[2]
SCRIPT = """
import os, signal, sys
from pathlib import Path
from lane_house import House

folder, kills = Path(sys.argv[1]), sys.argv[2].split(",")
calls = folder / "calls"


def note(text):
    with calls.open("a") as out:
        out.write(text)


def named(name):
    def callback(event, ctx):
        call, before = f"{event.id} {ctx.plugin}.{name}", calls.exists() and calls.read_text()
        note(f"{call}#{ctx.attempt}\\n")
        if name == "two":
            ctx.store["n"] = ctx.store.get("n", 0) + 1
        if call in kills and f"{call}#" not in (before or ""):
            os.kill(os.getpid(), signal.SIGKILL)

    callback.__name__ = name
    return callback


def startup(ctx):
    before = calls.exists() and calls.read_text()
    if "startup" in kills and before and "startup" not in before:
        note("startup\\n")
        os.kill(os.getpid(), signal.SIGKILL)


HOOKS = {"startup": startup}


def run():
    house = House(folder)
    if kills == ["idle"] and not calls.exists():
        die_idle(house)
    for plugin in sys.argv[3:]:
        name, _, start = plugin.partition(":")
        steps = map(named, ["one", "two", "three"])
        house.plugin(name, *steps, hooks=HOOKS, start=int(start) if start else None)
    house.run()


def die_idle(house):
    house.plugin("alpha", *map(named, ["one", "two", "three"]))
    with house.running():
        for event in (1, 2, 3):
            house.events(event)
            house.settle()
        os.kill(os.getpid(), signal.SIGKILL)


for life in range(len(kills) + 1):
    child = os.fork()
    if not child:
        run()
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if ended != -signal.SIGKILL:
        sys.exit(ended)
sys.exit("killed too often")
"""
STEPS = ("one", "two", "three")


def run_until_it_ends(folder: Path, kills: list[str], *plugins: str) -> list[str]:
    """Run the lane, again after each kill, until all is done; return the calls."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    command = [sys.executable, "-c", SCRIPT, str(folder), ",".join(kills), *plugins]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, timeout=PATIENCE, check=True)
    return (folder / "calls").read_text().splitlines()


def with_repeats(order: list[str], kills: list[str]) -> list[str]:
    """The calls as they should be: those in which the process died come twice."""
    calls = []
    for call in order:
        calls += [f"{call}#1", f"{call}#2"] if call in kills else [f"{call}#1"]
    return calls


def test_lane_killed_in_callbacks_repeats_those_and_nothing_else(
    tmp_path: Path, house: House
) -> None:
    """First, middle and last callback of events: each is called once more, with attempt 2."""
    house.plugin("alpha", *STEPS)
    house.plugin("bravo", *STEPS)
    house.run()
    house.events(1, 2, 3, 4)
    kills = ["1 alpha.one", "2 alpha.three", "2 bravo.two", "4 bravo.three"]
    calls = run_until_it_ends(tmp_path, kills, "alpha", "bravo")
    order = [
        f"{event} {plugin}.{step}"
        for event in (1, 2, 3, 4)
        for plugin in ("alpha", "bravo")
        for step in STEPS
    ]
    assert calls == with_repeats(order, kills)
    for plugin in ("alpha", "bravo"):
        assert house.state.store(plugin) == {"n": 4}


def test_plugin_killed_while_it_catches_up_repeats_those_and_nothing_else(
    tmp_path: Path, house: House
) -> None:
    """The others, which were at the end or behind too, are not concerned."""
    house.plugin("live", *STEPS)
    house.run()
    house.events(1, 2, 3, 4)
    house.run()
    kills = ["1 behind.one", "2 behind.three", "4 behind.two", "3 farther.two"]
    calls = run_until_it_ends(tmp_path, kills, "live", "behind:1", "farther:3")
    for plugin, first in (("behind", 1), ("farther", 3)):
        own = [call for call in calls if f" {plugin}." in call]
        order = [f"{event} {plugin}.{step}" for event in range(first, 5) for step in STEPS]
        assert own == with_repeats(order, kills)
        assert house.state.store(plugin) == {"n": 5 - first}
    assert not [call for call in calls if " live." in call]


def test_killed_between_two_calls_nothing_is_repeated(tmp_path: Path, house: House) -> None:
    """What had returned is known, whether or not the ledger had a note of it yet."""
    house.plugin("alpha", *STEPS)
    house.run()
    calls = run_until_it_ends(tmp_path, ["idle"], "alpha")
    assert calls == [f"{event} alpha.{step}#1" for event in (1, 2, 3) for step in STEPS]


def test_killed_again_before_the_call_is_made_again(tmp_path: Path, house: House) -> None:
    """A process that dies while it starts adds nothing to the attempts of the call before."""
    house.plugin("alpha", *STEPS)
    house.run()
    house.events(1)
    calls = run_until_it_ends(tmp_path, ["1 alpha.one", "startup"], "alpha")
    rest = [f"1 alpha.{step}#1" for step in STEPS[1:]]
    assert calls == ["1 alpha.one#1", "startup", "1 alpha.one#2", *rest]
