"""The threads of plugins with time limits, in simulated time: one thread runs at any moment.

The code of `PluginThread` is the real one, and so are its threads; but each runs only while the
main thread waits for it, and sleeping takes no time except the machine's.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from queue import Empty
from types import SimpleNamespace
from typing import Any

import pytest
from mortal_process import Machine

from sgevents_core.calling import own_thread, store

NEXT_MOMENT = 1e-9
"""Seconds that pass at least where code waits: a real clock never stands still."""
MOST_IDLE_WAITS = 1000
"""Waits of the main thread in a row in which no other had anything to do: it waits for ever."""


class ProcessEnded(BaseException):
    """The process of this thread is gone."""


class SimulatedThread:
    """A thread that runs only while it is its turn.

    Args:
        threads: All threads of its process.
        body: What it runs.
    """

    def __init__(self, threads: SimulatedThreads, body: Callable[[], None]) -> None:
        self.wakes_at = math.inf
        self.awaits: Sized | None = None
        self.is_over = False
        self._is_ended = False
        self._threads = threads
        self._body = body
        self._turn = threading.Semaphore(0)
        self.real_thread = threading.Thread(target=self._run, daemon=True)

    @property
    def ident(self) -> int | None:
        """The ident of the real thread."""
        return self.real_thread.ident

    @property
    def is_ready(self) -> bool:
        """Whether it has something to do without time passing."""
        return self.awaits is not None and len(self.awaits) > 0

    def start(self) -> None:
        """Start it; it runs once the main thread waits for it."""
        self._threads.live_threads.append(self)
        self.real_thread.start()
        self.give_turn()

    def join(self, timeout: float | None = None) -> None:
        """Let it run for as long as it has something to do now."""
        while self.is_ready and not self.is_over:
            self.give_turn()

    def give_turn(self) -> None:
        """Let it run until it sleeps, waits or ends."""
        self._turn.release()
        self._threads.main_turn.acquire()

    def block(self) -> None:
        """Let the main thread go on, and wait for the next turn; in this thread.

        Raises:
            ProcessEnded: Its process is gone.
        """
        if not self._is_ended:
            self._threads.main_turn.release()
            self._turn.acquire()
        if self._is_ended:
            raise ProcessEnded

    def end(self) -> None:
        """End it with its process, wherever it is."""
        self._is_ended = True
        while not self.is_over:
            self.give_turn()

    def _run(self) -> None:
        self._turn.acquire()
        try:
            self._body()
        except ProcessEnded:
            pass
        finally:
            self.is_over = True
            self._threads.main_turn.release()


class SimulatedQueue:
    """A queue between the main thread and a simulated one.

    Args:
        threads: The threads.
    """

    def __init__(self, threads: SimulatedThreads) -> None:
        self.items: deque[Any] = deque()
        self._threads = threads

    def put(self, item: Any) -> None:
        """Append an item."""
        self.items.append(item)

    def get(self, timeout: float | None = None) -> Any:
        """Return the next item, once there is one.

        Raises:
            Empty: There was none in the time given.
        """
        self._threads.wait_for(self.items, timeout)
        return self.items.popleft()


class SimulatedCondition:
    """The lock of a store, which calls wait for.

    Args:
        threads: The threads.
    """

    def __init__(self, threads: SimulatedThreads) -> None:
        self._threads = threads
        self._notes: list[list[bool]] = []

    def __enter__(self) -> SimulatedCondition:
        return self

    def __exit__(self, *_: object) -> None:
        """Give the lock back: no other thread runs anyway."""

    def wait(self) -> None:
        """Wait until it is notified."""
        note: list[bool] = []
        self._notes.append(note)
        self._threads.wait_for(note)

    def notify_all(self) -> None:
        """Let all threads that wait go on."""
        for note in self._notes:
            note.append(True)
        self._notes.clear()


class SimulatedThreads:
    """The threads of one process after another.

    Args:
        machine: The machine, whose time passes.
        pass_time: Lets so many seconds pass.
    """

    def __init__(self, machine: Machine, pass_time: Callable[[float], None]) -> None:
        self.main_turn = threading.Semaphore(0)
        self.live_threads: list[SimulatedThread] = []
        self._machine = machine
        self._pass_time = pass_time
        self._idle_waits = 0

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let plugins with limits use these threads while the block lasts."""
        simulated_threading = SimpleNamespace(
            Thread=lambda target, **_: SimulatedThread(self, target),
            Lock=threading.Lock,
            TIMEOUT_MAX=threading.TIMEOUT_MAX,
            get_ident=threading.get_ident,
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(own_thread, "threading", simulated_threading)
            patch.setattr(own_thread, "SimpleQueue", lambda: SimulatedQueue(self))
            store_threading = SimpleNamespace(
                Condition=lambda: SimulatedCondition(self), RLock=threading.RLock
            )
            patch.setattr(store, "threading", store_threading)
            yield

    @property
    def current(self) -> SimulatedThread | None:
        """The running thread; None if it is the main one."""
        running = threading.current_thread()
        return next((one for one in self.live_threads if one.real_thread is running), None)

    @property
    def next_wake(self) -> float:
        """When the next sleeping thread wakes, in the machine's time."""
        return min((one.wakes_at for one in self.live_threads), default=math.inf)

    def sleep(self, seconds: float) -> None:
        """Let time pass for the running thread."""
        current_thread = self.current
        if current_thread is None:
            self._pass_time(seconds)
            return
        current_thread.wakes_at = self._machine.now + seconds
        current_thread.block()
        current_thread.wakes_at = math.inf

    def wait_for(self, awaited: Sized, timeout: float | None = None) -> None:
        """Wait in the running thread until something is not empty.

        Raises:
            Empty: It was empty all the time given, which only the main thread may limit.
        """
        current_thread = self.current
        if current_thread is None:
            self._run_others(awaited, timeout)
            return
        current_thread.awaits = awaited
        while not awaited:
            current_thread.block()
        current_thread.awaits = None

    def _run_others(self, awaited: Sized, timeout: float | None) -> None:
        """Let the other threads run until something is not empty; time passes as they sleep."""
        deadline = math.inf if timeout is None else self._machine.now + timeout + NEXT_MOMENT
        while not awaited:
            if not self._run_next(deadline):
                self._idle_waits += 1
                assert deadline < math.inf, "nobody will ever answer"
                assert self._idle_waits < MOST_IDLE_WAITS, "it waits for ever"
                self._pass_until(deadline)
                raise Empty

    def run_due(self) -> bool:
        """Let threads run whose sleep is over; return whether there were any."""
        has_run = False
        while self._run_next(self._machine.now):
            has_run = True
        return has_run

    def end(self) -> None:
        """End all threads, as the end of their process does."""
        for one in self.live_threads:
            one.end()
        self.live_threads.clear()

    def _run_next(self, deadline: float) -> bool:
        """Let the thread run that has something to do first, if that is in time."""
        self.live_threads = [one for one in self.live_threads if not one.is_over]
        ready = [one for one in self.live_threads if one.is_ready]
        asleep = [one for one in self.live_threads if one.wakes_at <= deadline]
        if not ready and not asleep:
            return False
        thread = ready[0] if ready else min(asleep, key=lambda one: one.wakes_at)
        if not ready:
            self._pass_until(thread.wakes_at)
        self._idle_waits = 0
        thread.give_turn()
        return True

    def _pass_until(self, moment: float) -> None:
        self._pass_time(max(moment - self._machine.now, 0.0))
