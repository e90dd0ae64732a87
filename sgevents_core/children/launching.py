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
"""The signal on which a child writes its main thread's stack, even if that holds the GIL."""
_PACKAGE_ROOT: Final = str(Path(__file__).resolve().parent.parent.parent)
_CHILD_PROGRAM: Final = (
    "import sys; sys.path[:] = [*filter(None, sys.path), sys.argv[1]]; "
    "from sgevents_core.children.death_signal import end_with_daemon; "
    "end_with_daemon(int(sys.argv[-1])); "
    "from sgevents_core.children.{entrance} import main; main()"
)
"""The command of a child; a module in the working folder must not shadow another."""


class Launched(NamedTuple):
    """A child that has just been started.

    Args:
        process: The process; it leads a process group of its own.
        connection: The daemon's end of the connection.
        evidence_file: A file in memory to which the child writes how it is ended by its own code.
        running_page: A page in memory in which the child keeps the number of the running call.
        output_pipe: The pipe that it prints to; None if it shares the daemon's output.
    """

    process: subprocess.Popen[bytes]
    connection: socket.socket
    evidence_file: int
    running_page: mmap.mmap
    output_pipe: int | None


class Launcher:
    """The thread that starts worker processes.

    Args:
        variables: The environment of the children; by default, that of this process as it is now.
        drops_output: Whether what the children print is dropped.
    """

    def __init__(
        self, variables: Mapping[str, str] | None = None, *, drops_output: bool = False
    ) -> None:
        self._drops_output = drops_output
        self._variables = dict(os.environ if variables is None else variables)
        self._start_queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._launcher_thread = threading.Thread(
            target=self._run_starts, name="launcher", daemon=True
        )
        self._launcher_thread.start()

    def launch(self, lane_name: str, lane_lock: LaneLock) -> Launched:
        """Start a child.

        Args:
            lane_name: Its lane's name, for `ps`.
            lane_lock: The lock that it holds as long as it lives.

        Raises:
            OSError: The system has no room for one.
            StateError: The lock's file cannot be opened.
        """
        launch_results: SimpleQueue[Launched | Exception] = SimpleQueue()

        def start_child() -> None:
            try:
                launch_results.put(self._start_child(lane_name, lane_lock))
            except Exception as error:
                launch_results.put(error)

        self._start_queue.put(start_child)
        launch_result = launch_results.get()
        if isinstance(launch_result, Exception):
            raise launch_result
        return launch_result

    def close(self) -> None:
        """End the thread, and with it every child that is left."""
        self._start_queue.put(None)
        self._launcher_thread.join()

    def _run_starts(self) -> None:
        while (start_child := self._start_queue.get()) is not None:
            start_child()

    def _start_child(self, lane_name: str, lane_lock: LaneLock) -> Launched:
        with ExitStack() as undo_stack, ExitStack() as child_stack:
            own_socket, child_socket = socket.socketpair()
            undo_stack.callback(own_socket.close)
            child_stack.callback(child_socket.close)
            evidence_file = os.memfd_create("sgevents-last-words", os.MFD_CLOEXEC)
            undo_stack.callback(os.close, evidence_file)
            page_file = os.memfd_create("sgevents-running-call", os.MFD_CLOEXEC)
            child_stack.callback(os.close, page_file)
            os.ftruncate(page_file, mmap.PAGESIZE)
            running_page = mmap.mmap(page_file, mmap.PAGESIZE)
            lock_descriptor = lane_lock.share()
            child_stack.callback(os.close, lock_descriptor)
            output_pipe, child_output = (
                (None, subprocess.DEVNULL)
                if self._drops_output
                else _open_output(undo_stack, child_stack)
            )
            process = subprocess.Popen(
                child_command(
                    "child_main",
                    f"worker of {lane_name}",
                    child_socket.fileno(),
                    evidence_file,
                    page_file,
                    lock_descriptor,
                ),
                stdin=subprocess.DEVNULL,
                stdout=child_output,
                stderr=child_output,
                env=self._variables,
                pass_fds=(child_socket.fileno(), evidence_file, page_file, lock_descriptor),
                start_new_session=True,
            )
            undo_stack.pop_all()
        keep_open(own_socket.fileno(), evidence_file)
        return Launched(process, own_socket, evidence_file, running_page, output_pipe)


def _open_output(undo_stack: ExitStack, child_stack: ExitStack) -> tuple[int | None, int | None]:
    """Return both ends of a pipe for a child's output, if that is logged as records."""
    if not is_redirected():
        return None, None
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    undo_stack.callback(os.close, read_end)
    child_stack.callback(os.close, write_end)
    return read_end, write_end


def child_command(entrance: str, title: str, *descriptors: int) -> list[str]:
    """Return the command that starts a child of this process.

    Args:
        entrance: The module of this room whose `main` it runs.
        title: What it is, for `ps`.
        descriptors: The open files that it inherits; `main` finds them before the daemon's pid.
    """
    interpreter_flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # as `multiprocessing` does
    descriptor_texts = [str(descriptor) for descriptor in (*descriptors, os.getpid())]
    return [
        sys.executable,
        *interpreter_flags,
        "-c",
        _CHILD_PROGRAM.format(entrance=entrance),
        _PACKAGE_ROOT,
        f"sgevents {title}",
        *descriptor_texts,
    ]
