"""Processes that plugins fork: one that comes back to the daemon's code ends there."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from lane_house import House

from sgevents_core.calling.describing import describe_error
from sgevents_core.events import Event
from sgevents_core.filters import Match
from sgevents_core.observe.redaction import Redactor

pytestmark = pytest.mark.disk

Act = Callable[[], object]


def raise_(error: BaseException) -> None:
    """Raise it; an expression can do that too."""
    raise error


ACTS = [
    (lambda: None, 0),
    (lambda: sys.exit(0), 0),
    (lambda: sys.exit(3), 3),
    (lambda: sys.exit("why"), 1),
    (lambda: raise_(ValueError("no")), 1),
    (lambda: raise_(GeneratorExit()), 1),
]


class Children:
    """Forks wherever it is called, and notes how the children end."""

    def __init__(self, act: Act, fork: Callable[[], int] = os.fork) -> None:
        self.codes: list[int] = []
        self._act = act
        self._fork = fork

    def __call__(self, *_: Any) -> bool:
        """Fork; the child does what it is to do, its parent waits for its end."""
        child = self._fork()
        if child == 0:
            self._act()
            return True
        self.codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        return True


@pytest.mark.parametrize(("act", "code"), ACTS)
@pytest.mark.parametrize("timeout", [None, 60.0], ids=["lane", "own thread"])
def test_child_that_comes_back_from_a_callback(
    house: House, act: Act, code: int, timeout: float | None
) -> None:
    """It returns, exits or raises: its process ends, and the daemon's goes on alone."""
    children = Children(act)
    house.plugin("forks", children.__call__, timeout=timeout, start=1)
    house.plugin("other", "run", start=1)
    house.events(1, 2, 3)
    house.run()
    assert children.codes == [code] * 3
    for name in ("forks.__call__", "other.run"):
        assert [call for call in house.calls if name in call] == [f"{n} {name}" for n in (1, 2, 3)]
    assert house.state.dead_letters() == []


FORKS_IN_C = """
import ctypes, json, sys
sys.path[:0] = json.loads(sys.argv[1])
from test_lane_forks import ACTS, Children
from sgevents_core.observe.current_call import CurrentCall
from sgevents_core.observe.invoking import invoke

codes = []
for act, _ in ACTS:
    children = Children(act, ctypes.PyDLL(None).fork)
    for _ in range(3):
        assert invoke(CurrentCall("forks", "run"), children) is None
    codes.append(children.codes)
print(json.dumps(codes))
"""


def test_child_that_a_library_written_in_c_has_forked() -> None:
    """Python is not told of such a process, and it ends where it comes back all the same.

    In such a child, another thread that wants to run would be waited for; so the parent is a
    process without any.
    """
    command = [
        sys.executable,
        "-c",
        FORKS_IN_C,
        json.dumps([str(Path(__file__).parent), *sys.path]),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[code] * 3 for _, code in ACTS]


def test_child_that_comes_back_from_a_filter(house: House) -> None:
    """A filter is a plugin's code as well."""
    children = Children(lambda: None)
    house.plugin("forks", "run", match=Match(where=children), start=1)
    house.events(1, 2)
    house.run()
    assert children.codes == [0, 0]
    assert house.calls == ["1 forks.run", "2 forks.run"]


def test_child_that_comes_back_from_a_hook(house: House) -> None:
    """The daemon starts, alerts and stops in one process."""
    children = Children(lambda: sys.exit(0))
    hooks = dict.fromkeys(("startup", "shutdown", "callback_failed"), children)

    def fails(event: Event, ctx: Any) -> None:
        raise ValueError("no")

    house.plugin("forks", fails, hooks=hooks, start=1)
    house.events(1)
    house.run()
    assert children.codes == [0, 0, 0]


def test_child_that_comes_back_from_a_thread_of_a_plugin() -> None:
    """Python ends it: no other thread is in it."""
    children = Children(lambda: None)
    thread = threading.Thread(target=children)
    thread.start()
    thread.join()
    assert children.codes == [0]


def test_child_that_comes_back_from_an_error() -> None:
    """What says what an error is may fork too."""
    children = Children(lambda: None)

    class Forks(Exception):
        def __str__(self) -> str:
            return f"forked {children()}"

    assert describe_error(Forks(), Redactor()).error_line.endswith("Forks: forked True")
    assert set(children.codes) == {0}


def double(number: int) -> int:
    """Return twice as much; found by name in another process."""
    return 2 * number


def test_pool_of_forked_processes_works(house: House) -> None:
    """Children that do a plugin's work and end by themselves are its right."""
    got: list[int] = []

    def shares(event: Event, ctx: Any) -> None:
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            got.extend(pool.map(double, [event.id, 10]))

    house.plugin("alpha", shares, start=1)
    house.events(1, 2)
    house.run()
    assert got == [2, 20, 4, 20]
