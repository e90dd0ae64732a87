"""A process that may die at any instruction: all its writes pass through here until it is dead.

Time, boots and files belong to a simulated machine; the code that runs on it is real.
"""

from __future__ import annotations

import math
import random
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Protocol
from weakref import WeakSet

import pytest
from simulated_site import EPOCH, SimulatedSite

from sgevents_core.choices import OrderBy
from sgevents_core.dispatch import batch_caller, divided_lane, lane
from sgevents_core.dispatch import caller as calls
from sgevents_core.requests import replaying
from sgevents_core.state import register
from sgevents_core.state.keys import CallKey
from sgevents_core.state.sqlite import database, sqlite_state  # noqa: F401 - loads all with a clock

CLOCKED = (
    "sgevents_core.calling.",
    "sgevents_core.dispatch.",
    "sgevents_core.state.call_times",
    "sgevents_core.state.sqlite.lane_writing",
    "sgevents_core.state.sqlite.requests",
)
"""Prefixes of the names of modules that read the clock."""


class Killed(BaseException):
    """The process died at this very instruction."""


class MortalProcess:
    """One life of the daemon.

    Args:
        left: Instructions that count until it dies, None if it does not.
    """

    def __init__(self, left: int | None = None) -> None:
        self.left = left
        self.steps = 0
        """Instructions so far at which it might have died."""
        self.dead = False
        self.connections: set[sqlite3.Connection] = set()

    def step(self) -> None:
        """Reach an instruction at which it may die; a dead process reaches none.

        Raises:
            Killed: It is dead.
        """
        self.steps += 1
        if self.left is not None and not self.dead:
            self.left -= 1
            self.dead = self.left < 0
        if self.dead:
            raise Killed

    def die(self) -> None:
        """Die at this instruction."""
        self.dead = True
        raise Killed

    def bury(self) -> None:
        """Close what the system closes for a dead process: nothing is committed."""
        self.dead = True
        for connection in list(self.connections):
            connection.close()


class MortalConnection(sqlite3.Connection):
    """A connection of a process that may die before and after each statement."""

    process: MortalProcess | None = None
    is_closed = False

    def execute(self, *args: Any) -> sqlite3.Cursor:
        """Execute a statement."""
        return self._around(super().execute, *args)

    def executemany(self, *args: Any) -> sqlite3.Cursor:
        """Execute a statement for many rows."""
        return self._around(super().executemany, *args)

    def _around(self, call: Callable[..., sqlite3.Cursor], *args: Any) -> sqlite3.Cursor:
        if self.process is None:
            return call(*args)
        self.process.step()
        cursor = call(*args)
        self.process.step()
        return cursor

    def close(self) -> None:
        """Close it; a cursor somewhere must not keep its transaction."""
        if self.is_closed:
            return
        self.is_closed = True
        super().rollback()
        super().close()
        if self.process is not None:
            self.process.connections.discard(self)


class Watcher(Protocol):
    """An observer of what registers record."""

    def begun(self, lane: str, word: int, seq: int, key: CallKey, strand: int | None) -> None:
        """Note that a call is about to be made."""

    def returned(self, lane: str, word: int, seq: int, key: CallKey) -> None:
        """Note that a call was recorded as finished."""

    def cleared(self, lane: str, word: int) -> None:
        """Note that the content of a word is in the ledger."""


def _modules_with_a_clock() -> list[ModuleType]:
    """Return the modules under test that read the real clock."""
    return [
        module
        for name, module in sorted(sys.modules.items())
        if name.startswith(CLOCKED) and getattr(module, "time", None) is time
    ]


class Machine:
    """A computer with a clock, and at most one process of ours.

    Args:
        seed: Seeds everything random in the code that runs on it.
        site: The site, whose time is the machine's.
    """

    def __init__(self, seed: int, site: SimulatedSite) -> None:
        self.process: MortalProcess | None = None
        self.watcher: Watcher | None = None
        self.boot = 1
        self.booted = 0.0
        self._connections: WeakSet[sqlite3.Connection] = WeakSet()
        self._site = site
        self._seed = seed

    @property
    def now(self) -> float:
        """Seconds since the site's beginning."""
        return self._site.now

    def monotonic(self) -> float:
        """Return the time since the boot, as the module `time` does."""
        return self.now - self.booted

    perf_counter = monotonic

    def time(self) -> float:
        """Return the time since 1970, as the module `time` does."""
        return EPOCH + self.now

    def connect(self, *args: Any, **options: Any) -> MortalConnection:
        """Open a database for the running process, or for an onlooker if none runs."""
        connection = sqlite3.connect(*args, **options, factory=MortalConnection)
        connection.process = self.process
        self._connections.add(connection)
        if self.process is not None:
            self.process.connections.add(connection)
        return connection

    def close(self) -> None:
        """Close what processes and onlookers have open: a file would stay open as long as they."""
        for connection in list(self._connections):
            connection.close()

    def step(self) -> None:
        """Let the running process reach an instruction at which it may die."""
        if self.process is not None:
            self.process.step()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the code under test on this machine while the block lasts."""
        fake = SimpleNamespace(
            connect=self.connect, Error=sqlite3.Error, Connection=sqlite3.Connection
        )
        with pytest.MonkeyPatch.context() as patch:
            for module in _modules_with_a_clock():
                patch.setattr(module, "time", self)
            patch.setattr(calls, "random", random.Random(self._seed))
            patch.setattr(batch_caller, "random", random.Random(self._seed))
            patch.setattr(database, "sqlite3", fake)
            patch.setattr(lane, "Register", self._register_class())
            patch.setattr(lane, "LONGEST_SLEEP", 600.0)
            patch.setattr(replaying, "SLICE_SECONDS", math.inf)  # it goes by the real clock
            patch.setattr(divided_lane, "LONGEST_SLEEP", 600.0)
            patch.setattr(register, "boot_id", lambda: f"boot-{self.boot}")
            patch.setattr(register, "remove_register", self._stepping(register.remove_register))
            yield
            assert not _modules_with_a_clock(), "one was imported meanwhile, with the real clock"

    def _stepping(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*args: Any) -> Any:
            self.step()
            result = function(*args)
            self.step()
            return result

        return stepping

    def _register_class(self) -> type[register.Register]:
        machine = self

        class WatchedRegister(register.Register):
            """A register whose writes are seen, with a death before and after each."""

            def __init__(
                self, path: Path, keys: Sequence[CallKey], order_by: OrderBy | None = None
            ) -> None:
                machine.step()
                super().__init__(path, keys, order_by)
                machine.step()
                lane = path.stem.removeprefix("lane-")
                self.slots = [
                    _WatchedSlot(machine, slot, lane, list(keys), strand if order_by else None)
                    for strand, slot in enumerate(self.slots)
                ]

        return WatchedRegister


class _WatchedSlot(register.Slot):
    """The words of a strand, whose writes are seen, with a death before and after each."""

    def __init__(
        self,
        machine: Machine,
        slot: register.Slot,
        lane: str,
        keys: list[CallKey],
        strand: int | None,
    ) -> None:
        super().__init__(slot._slot_words)
        self.machine, self.lane, self.keys, self.strand = machine, lane, keys, strand

    def begun(self, word: int, seq: int, index: int, attempt: int = 1) -> None:
        self.machine.step()
        super().begun(word, seq, index, attempt)
        if self.machine.watcher is not None:
            self.machine.watcher.begun(self.lane, word, seq, self.keys[index], self.strand)
        self.machine.step()

    def returned(self, word: int, seq: int, index: int) -> None:
        self.machine.step()
        super().returned(word, seq, index)
        if self.machine.watcher is not None:
            self.machine.watcher.returned(self.lane, word, seq, self.keys[index])
        self.machine.step()

    def clear(self, word: int) -> None:
        self.machine.step()
        super().clear(word)
        if self.machine.watcher is not None:
            self.machine.watcher.cleared(self.lane, word)
        self.machine.step()
