"""Fail points: places of the daemon where a test kills it, put in from outside after a fork.

Every write is one: each statement that changes the database and each COMMIT, each word of a
register, each file of the state that is made, replaced or removed; and so is each call of a plugin.
A point's name says who writes what: `before lane._record_progress: COMMIT`.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

_KILL: Final = os.kill
"""The real one: the daemon's wrapper records its caller, unlike a kill from outside."""
_WRITE: Final = re.compile(
    r"\s*(COMMIT|PRAGMA (?:journal_mode|user_version)(?= =)"
    r"|(?:CREATE (?:UNIQUE )?(?:TABLE|INDEX)|INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM"
    r"|ALTER TABLE) \w+)"
)
_PASSED_OVER: Final = re.compile(
    r"contextlib|fail_points|kill_bugs|sgevents_core\.(dispatch\.ledger|requests\.request_work)"
    r"|sgevents_core\.state\.(?!sqlite\.schema|sqlite\.backup)"
)
"""Modules that write on behalf of others: a point is named after its caller."""
PAGES: Final = 4
"""Pages of the database's log after which a COMMIT copies them into the database."""


class _Points:
    """Counts how often each point is reached, and kills at one.

    Args:
        kill: The name of the point to be killed at; empty for none.
        hit: At which time it is reached, from 1.
        trace: A file to write the name of each point to that is reached; empty for none.
    """

    def __init__(self, kill: str, hit: int, trace: str) -> None:
        self._kill, self._hit = kill, hit
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._trace = os.open(trace, flags) if trace else None
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def reach(self, name: str) -> None:
        """Count a point, and end here if it is its turn."""
        with self._lock:
            if self._trace is not None:
                os.write(self._trace, f"{name}\n".encode())
            self._counts[name] += 1
            if name == self._kill and self._counts[name] == self._hit:
                _KILL(os.getpid(), signal.SIGKILL)
                signal.pause()

    def around(self, name: str, function: Callable[..., Any], *args: Any, **more: Any) -> Any:
        """Call a function between two points."""
        self.reach(f"before {name}")
        result = function(*args, **more)
        self.reach(f"after {name}")
        return result


def arm(kill: str = "", hit: int = 1, trace: str = "", bug: str = "") -> None:
    """Put the points into this process, which is about to run the daemon.

    Args:
        kill: The name of the point to be killed at; empty for none.
        hit: At which time it is reached, from 1.
        trace: A file to write the name of each point to that is reached; empty for none.
        bug: The name of a bug to put in as well, see `kill_bugs`.
    """
    if bug:
        import kill_bugs

        kill_bugs.BUGS[bug]()
    points = _Points(kill, hit, trace)
    _at_once()
    _database(points)
    _registers(points)
    _files(points)
    _callbacks(points)


def _at_once() -> None:
    """Do in every run what otherwise happens every ten minutes, or when a plugin is due."""
    from sgevents_core.calling import deferral
    from sgevents_core.daemon import housekeeping, run
    from sgevents_core.state.sqlite import journal_pages

    vars(journal_pages).update(FEWEST_EVENTS=2)
    vars(housekeeping).update(PRUNE_INTERVAL=0.01)
    vars(deferral).update(SHORTEST_DEFER=0.0)
    vars(run).update(DRAIN_TICK_SECONDS=0.002)
    _synced_with_the_calls()


def _synced_with_the_calls() -> None:
    """Let each lane sync its register after every event: a clock would do so at random."""
    from sgevents_core.crashes import syncing
    from sgevents_core.dispatch.strand import Strand

    made: list[syncing.ProgressSyncer] = []
    one_at_a_time = threading.Lock()
    initialise = syncing.ProgressSyncer.__init__

    def keep(self: syncing.ProgressSyncer, *args: Any) -> None:
        initialise(self, *args)
        made.append(self)

    def followed(handle: Callable[..., bool]) -> Callable[..., bool]:
        def handled(*args: Any) -> bool:
            result = handle(*args)
            with one_at_a_time:
                if made:
                    made[-1].sync_once()
            return result

        return handled

    vars(syncing)["SYNC_INTERVAL"] = 3600.0
    syncing.ProgressSyncer.__init__ = keep  # type: ignore[assignment, method-assign]
    for name in ("handle", "_call_behind"):
        setattr(Strand, name, followed(getattr(Strand, name)))


def _database(points: _Points) -> None:
    class Watched(sqlite3.Connection):
        """A connection whose writes are points; where it is in a transaction, only before them.

        A statement changes nothing on the disk before the COMMIT.
        """

        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if sql.startswith("PRAGMA synchronous"):
                # Syncs matter only for power cuts; waiting for them would take most of a run.
                sql = "PRAGMA synchronous = OFF"
            elif sql.startswith("PRAGMA wal_autocheckpoint"):
                sql = f"PRAGMA wal_autocheckpoint = {PAGES}"
            return self._written(sql, partial(super().execute, sql, *values))

        def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:
            found = list(rows)
            write = partial(super().executemany, sql, found)
            return self._written(sql, write) if found else write()

        def close(self) -> None:
            points.around(f"{_who()}: close", super().close)

        def backup(self, *args: Any, **more: Any) -> None:
            points.around(f"{_who()}: backup", super().backup, *args, **more)

        def _written(self, sql: str, write: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
            found = _WRITE.match(sql)
            if found is None:
                return write()
            name = f"{_who()}: {found[1]}"
            points.reach(f"before {name}")
            cursor = write()
            if not self.in_transaction:
                points.reach(f"after {name}")
            return cursor

    connect = sqlite3.connect

    def opened(*args: Any, **more: Any) -> Any:
        if "mode=ro" in str(args[0]):
            return connect(*args, **more)
        return points.around(f"{_who()}: connect", connect, *args, factory=Watched, **more)

    sqlite3.connect = opened


def _who() -> str:
    """Return the writer: the function that called those that write on behalf of others."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _PASSED_OVER.match(frame.f_globals["__name__"]):
        frame = frame.f_back
    return f"{frame.f_globals['__name__'].rpartition('.')[2]}.{frame.f_code.co_name}"


def _registers(points: _Points) -> None:
    from sgevents_core.state import register

    words = {register.LANE_WORD: "lane", register.APART_WORD: "apart"}
    for name in ("begun", "returned", "clear"):
        function = getattr(register.Slot, name)

        def noted(self: Any, word: int, *args: int, _do: Any = function, _as: str = name) -> None:
            points.around(f"register: {_as} {words[word]}", _do, self, word, *args)

        setattr(register.Slot, name, noted)


def _files(points: _Points) -> None:
    from sgevents_core.state import lock

    for name in ("replace", "unlink", "mkdir", "chmod"):
        function = getattr(Path, name)

        def changed(
            path: Path, *args: Any, _do: Any = function, _as: str = name, **more: Any
        ) -> Any:
            if "state" not in path.parts:
                return _do(path, *args, **more)
            return points.around(f"file: {_as} {path.name}", _do, path, *args, **more)

        setattr(Path, name, changed)
    opened = os.open

    def made(path: Any, flags: int, *args: Any, **more: Any) -> int:
        place = Path(path) if isinstance(path, str | Path) else None
        if not flags & os.O_CREAT or place is None or "state" not in place.parts:
            return opened(path, flags, *args, **more)
        number: int = points.around(f"file: open {place.name}", opened, path, flags, *args, **more)
        return number

    os.open = made
    sign = lock.StateLock._write_holder

    def signed(holder: lock.StateLock, *args: Any) -> None:
        points.around("file: write lock", sign, holder, *args)

    lock.StateLock._write_holder = signed  # type: ignore[assignment, method-assign]


def _callbacks(points: _Points) -> None:
    from sgevents_core.calling import making
    from sgevents_core.dispatch import alerting

    for module in (making, alerting):
        invoke = module.invoke

        def called(current: Any, function: Any, *args: Any, _do: Any = invoke) -> Any:
            name = f"callback: {_kind_of_call(sys._getframe(1))}"
            return _do(current, partial(points.around, name, function), *args)

        vars(module)["invoke"] = called


def _kind_of_call(frame: FrameType) -> str:
    """Return what a call is for, by the request that its caller holds; a hook has none."""
    request = frame.f_locals.get("request")
    if request is None:
        return "hook"
    return "request" if request.number_in_lane is None else "lane"
