"""Starting worker processes: a new interpreter each, which ends with the daemon however that ends.

The system ends a child once the thread that started it has ended, so all are started by one thread
that lives as long as the daemon.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NamedTuple

from sgevents_core.children.lane_lock import LaneLock
from sgevents_core.observe.printed_output import is_redirected
from sgevents_core.observe.process_guard import keep_open

STACK_SIGNAL: Final = signal.SIGRTMIN + 7
"""The signal at which a child writes where its main thread stands, even if that holds the GIL."""
_ROOT: Final = str(Path(__file__).resolve().parent.parent.parent)
_PROGRAM: Final = (
    "import sys; sys.path[:] = [*filter(None, sys.path), sys.argv[1]]; "
    "from sgevents_core.children.child_main import main; main()"
)
"""What a child runs; a module in the working folder must not take the place of another."""


class Launched(NamedTuple):
    """A child that has just been started.

    Args:
        process: The process; it leads a process group of its own.
        connection: The daemon's end of the connection.
        words: A file in memory to which the child writes how it is ended by its own code.
        running: A page in memory in which the child keeps the number of the running call.
        printed: What it prints; None if it prints to where the daemon does.
    """

    process: subprocess.Popen[bytes]
    connection: socket.socket
    words: int
    running: mmap.mmap
    printed: int | None


class Launcher:
    """The thread that starts worker processes.

    Args:
        variables: The environment of the children; by default, that of this process as it is now.
    """

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = dict(os.environ if variables is None else variables)
        self._wanted: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="launcher", daemon=True)
        self._thread.start()

    def launch(self, lane: str, lock: LaneLock) -> Launched:
        """Start a child.

        Args:
            lane: Its lane's name, for `ps`.
            lock: The lock that it holds as long as it lives.

        Raises:
            OSError: The system has no room for one.
            StateError: The lock's file cannot be opened.
        """
        results: SimpleQueue[Launched | Exception] = SimpleQueue()

        def start() -> None:
            try:
                results.put(self._launch(lane, lock))
            except Exception as error:
                results.put(error)

        self._wanted.put(start)
        result = results.get()
        if isinstance(result, Exception):
            raise result
        return result

    def close(self) -> None:
        """End the thread, and with it every child that is left."""
        self._wanted.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (start := self._wanted.get()) is not None:
            start()

    def _launch(self, lane: str, lock: LaneLock) -> Launched:
        with ExitStack() as undo, ExitStack() as given:
            own, its = socket.socketpair()
            undo.callback(own.close)
            given.callback(its.close)
            words = os.memfd_create("sgevents-last-words", os.MFD_CLOEXEC)
            undo.callback(os.close, words)
            page = os.memfd_create("sgevents-running-call", os.MFD_CLOEXEC)
            given.callback(os.close, page)
            os.ftruncate(page, mmap.PAGESIZE)
            running = mmap.mmap(page, mmap.PAGESIZE)
            share = lock.share()
            given.callback(os.close, share)
            printed, output = _output(undo, given)
            process = subprocess.Popen(
                _command(lane, its.fileno(), words, page, share),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._variables,
                pass_fds=(its.fileno(), words, page, share),
                start_new_session=True,
            )
            undo.pop_all()
        keep_open(own.fileno(), words)
        return Launched(process, own, words, running, printed)


def _output(undo: ExitStack, given: ExitStack) -> tuple[int | None, int | None]:
    """Return both ends of a pipe for what a child prints, if that becomes records."""
    if not is_redirected():
        return None, None
    reads, writes = os.pipe2(os.O_CLOEXEC)
    undo.callback(os.close, reads)
    given.callback(os.close, writes)
    return reads, writes


def _command(lane: str, *descriptors: int) -> list[str]:
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # as `multiprocessing` does
    numbers = [str(number) for number in (*descriptors, os.getpid())]
    return [sys.executable, *flags, "-c", _PROGRAM, _ROOT, f"sgevents worker of {lane}", *numbers]
