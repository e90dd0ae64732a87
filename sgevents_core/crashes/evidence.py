"""The evidence that a process leaves for the next one when plugin code ends it: a small file.

A callback can end the process: it crashes, calls `os._exit`, kills the process or uses up all
memory. An operator's `kill -9` looks the same from outside, and no callback is to blame for it. So
plugin code that is about to end the process is recorded first, and a crash leaves its traceback.
"""

from __future__ import annotations

import faulthandler
import functools
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Final, NamedTuple

import msgspec

from sgevents_core.crashes.out_of_memory import OomKills, oom_kills, ran_out
from sgevents_core.crashes.plugin_frames import plugin_frames
from sgevents_core.errors import StateError
from sgevents_core.observe.logs import flush_log
from sgevents_core.state.own_files import PRIVATE, read_own

FILE: Final = "last-words"
_OURS: Final = "@{"
"""The beginning of a line that faulthandler did not write."""
_CURRENT: Final = re.compile(r"Current thread 0x([0-9a-f]+)")
_TIMED_OUT: Final = "Timeout ("
"""The beginning of what faulthandler writes after a timeout."""
_FRAMES: Final = 20
_FLUSHES_WITHIN: Final = 0.5
"""Seconds to flush the log before the process ends."""
_ALL: Final = ""
"""As the lane of last words: unknown; it may be any running call."""
_NONE: Final = "\0main"
"""As the lane of last words: the main thread, which calls no callback."""

LOADING: Final = "\0loading"
"""As the lane of last words: a plugin being loaded, started or shut down."""


class DeathEvidence(NamedTuple):
    """The way in which a process was ended by its own code.

    Args:
        how: What ended it, for people.
        traceback: Where, if known.
        lane: The lane of the thread; empty if that is not known.
        timed_out: Whether `EvidenceKeeper.end_after` ended it.
    """

    how: str
    traceback: str
    lane: str = _ALL
    timed_out: bool = False

    def blames(self, lane: str) -> bool:
        """Return whether a lane's running call may have ended the process."""
        return self.lane in (_ALL, lane)

    def clears(self, lane: str) -> bool:
        """Return whether another lane's call is known to have ended the process."""
        return self.lane not in (_ALL, _NONE, lane)


class LoadingStep(msgspec.Struct, frozen=True):
    """A step of loading a plugin.

    Args:
        plugin: The plugin.
        doing: What the step does, for people.
        mark: What the plugin was loaded from.
        thread_since: When a thread of the plugin's own was first seen, in seconds since 1970; 0 for
            the step itself.
    """

    plugin: str
    doing: str
    mark: str
    thread_since: float = 0.0


class _Said(msgspec.Struct, omit_defaults=True):
    """One line that this module writes to the file; the fields set decide its meaning."""

    thread: int = 0
    lane: str = ""
    step: LoadingStep | None = None
    says: str = ""
    traceback: str = ""
    memory: OomKills | None = None


class EvidenceKeeper:
    """The recorder of a process's last words while it runs; once closed, it keeps none.

    `os._exit` and similar functions are wrapped from the start, so that plugins find the wrapped
    ones. Nothing is written before `begin`: until then, the file holds what the last process left.

    Args:
        folder: The state's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._file: IO[bytes] | None = None
        self._pid = os.getpid()
        self._was_enabled = faulthandler.is_enabled()
        self._wrapped: list[tuple[ModuleType, str, Any]] = []
        for module, name, aims_at_us in _ENDINGS:
            self._wrap(module, name, aims_at_us)

    def begin(self, file: IO[bytes] | None = None) -> None:
        """Start recording, and discard what the last process left.

        Args:
            file: The file to write to, instead of the one in the state's folder.

        Raises:
            StateError: The file cannot be written.
        """
        self._file = file or self._new_file()
        self._write(_Said(thread=threading.get_ident(), lane=_NONE, memory=oom_kills()))
        self.listen_for_crashes()
        os.register_at_fork(after_in_child=self._deaf)

    def listen_for_crashes(self) -> None:
        """Make a crash leave its traceback, even if a plugin has replaced the handler."""
        if self._file is not None:
            faulthandler.enable(self._file, all_threads=True)

    def _new_file(self) -> IO[bytes]:
        try:
            self._path.unlink(missing_ok=True)  # it may be another user's; it can still be replaced
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            return os.fdopen(os.open(self._path, flags, PRIVATE), "ab", buffering=0)
        except OSError as error:
            raise StateError(path=str(self._path), reason=f"{error.strerror or error}") from None

    @contextmanager
    def loading(self, step: LoadingStep) -> Iterator[None]:
        """Attribute what this thread does in the block to a step of loading a plugin."""
        thread = threading.get_ident()
        self._write(_Said(thread=thread, lane=LOADING, step=step))
        try:
            yield
        finally:
            self._write(_Said(thread=thread, lane=_NONE))

    def owns(self, thread: int, step: LoadingStep) -> None:
        """Attribute what a thread does to the plugin that started it."""
        self._write(_Said(thread=thread, lane=_thread_lane(thread), step=step))

    def end_after(self, seconds: float) -> None:
        """End the process after some seconds, recording its stack, unless `stays` is called.

        For code that keeps all other threads from running, this one included.
        """
        if self._file is not None:
            faulthandler.dump_traceback_later(seconds, exit=True, file=self._file)

    def stays(self) -> None:
        """Cancel `end_after`."""
        if self._file is not None:
            faulthandler.cancel_dump_traceback_later()

    def say(self, thread: int, how: str, where: str) -> None:
        """Record how a thread is about to end the process."""
        self._write(_Said(thread=thread, says=how, traceback=where))

    def run_lane(self, lane: str, run: Callable[[], None]) -> None:
        """Run the body of a lane's thread, and attribute what the thread does to the lane."""
        self.hear(threading.get_ident(), lane)
        run()

    def hear(self, thread: int, lane: str) -> None:
        """Attribute what a thread does from now on to a lane; `LATE` for no lane."""
        self._write(_Said(thread=thread, lane=lane))

    def close(self) -> None:
        """Undo all wrapping and leave no last words: the process ends normally."""
        for module, name, function in self._wrapped:
            setattr(module, name, function)
        self._wrapped.clear()
        if self._file is None:
            return
        faulthandler.disable()
        if self._was_enabled and sys.__stderr__ is not None:
            faulthandler.enable(sys.__stderr__)
        self._file.close()
        self._file = None
        with suppress(OSError):  # it is about threads that have ended
            self._path.unlink(missing_ok=True)

    def _deaf(self) -> None:
        """Stop recording in a process that a plugin has forked: its end is not the daemon's."""
        if self._file is not None:
            faulthandler.disable()
            self._file = None

    def _wrap(self, module: ModuleType, name: str, aims_at_us: Callable[..., bool]) -> None:
        function = getattr(module, name)

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if os.getpid() != self._pid or not aims_at_us(*args, **kwargs):
                return function(*args, **kwargs)
            self._write(_about_to_end(f"{module.__name__}.{name}", args))
            flush_log(_FLUSHES_WITHIN)
            try:
                return function(*args, **kwargs)
            finally:  # it did not end the process, whether it returned or raised
                self._write(_Said(thread=threading.get_ident()))

        self._wrapped.append((module, name, function))
        setattr(module, name, wrapped)

    def _write(self, said: _Said) -> None:
        if self._file is not None:
            with suppress(OSError, ValueError):  # a full disk must not end the process
                os.write(self._file.fileno(), b"@" + msgspec.json.encode(said) + b"\n")


def left_behind(folder: Path) -> DeathEvidence | None:
    """Return how the last process died; None if nothing shows that its own code ended it."""
    return read(words_in(folder), oom_kills())


def step_left_open(text: str) -> LoadingStep | None:
    """Return the step of loading a plugin that has no end in the text of a file."""
    steps = [said for said in _lines_of_ours(text) if said.lane in (LOADING, _NONE)]
    return steps[-1].step if steps else None


def blamed_step(text: str, words: DeathEvidence | None) -> LoadingStep | None:
    """Return the step of loading a plugin that ended a process; None if none did.

    Args:
        text: The text of a file.
        words: How the process was ended by its own code; None if that is not known.
    """
    if words is None or words.lane in (_ALL, LOADING):
        return step_left_open(text)
    of_threads = {said.lane: said.step for said in _lines_of_ours(text) if said.step is not None}
    return of_threads.get(words.lane)


def _thread_lane(thread: int) -> str:
    """Return the value used as the lane of a thread that a plugin has started."""
    return f"\0thread {thread}"


def words_in(folder: Path) -> str:
    """Return the text left by the last process; empty if there is none."""
    try:
        return read_own(folder / FILE).decode("utf-8", "replace")
    except OSError:
        return ""


def read(text: str, memory: OomKills) -> DeathEvidence | None:
    """Return the last words in the text of a file; None if there are none.

    Args:
        text: The file.
        memory: The system's counters of kills for lack of memory, as they are now.
    """
    lanes: dict[int, str] = {}
    said: dict[int, _Said] = {}
    before: OomKills | None = None
    for one in _lines_of_ours(text):
        before = before or one.memory
        if one.lane:
            lanes[one.thread] = one.lane
        else:
            said[one.thread] = one
    crash = _crash(text, lanes)
    if crash is not None:
        return crash
    for thread, one in said.items():
        if one.says:
            return DeathEvidence(one.says, plugin_frames(one.traceback), lanes.get(thread, _ALL))
    if before is not None and ran_out(before, memory):
        return DeathEvidence("the system ran out of memory and killed the process", "")
    return None


def _lines_of_ours(text: str) -> Iterator[_Said]:
    for line in text.splitlines():
        if line.startswith(_OURS):
            with suppress(msgspec.MsgspecError):  # a line cut off by a full disk
                yield msgspec.json.decode(line[1:], type=_Said)


def _crash(text: str, lanes: dict[int, str]) -> DeathEvidence | None:
    """Return what faulthandler wrote about the thread that crashed."""
    lines = [line for line in text.splitlines() if not line.startswith(_OURS)]
    words = [line for line in lines if line.strip()]
    if not words:
        return None
    timed_out = words[0].startswith(_TIMED_OUT)
    start = next((n for n, line in enumerate(lines) if _CURRENT.match(line)), None)
    if start is None:
        return DeathEvidence(words[0], "\n".join(words), timed_out=timed_out)
    found = _CURRENT.match(lines[start])
    thread = int(found[1], 16) if found else 0
    end = next((n for n in range(start, len(lines)) if not lines[n].strip()), len(lines))
    trace = plugin_frames("\n".join([words[0], *lines[start:end]]))
    return DeathEvidence(words[0], trace, lanes.get(thread, _ALL), timed_out)


def _about_to_end(function: str, args: tuple[Any, ...]) -> _Said:
    """Return the line for a thread that calls a function that ends a process; never raise.

    Only numbers are kept of the arguments: an exit code, a pid, a signal. Others may be a program's
    arguments and environment, which can hold secrets.
    """
    try:
        where = "".join(traceback.format_stack(sys._getframe(2), limit=_FRAMES))
        numbers = [str(int(one)) if isinstance(one, int) else "..." for one in args]
        how = f"it called {function}({', '.join(numbers)})"
    except Exception:  # stack and arguments are a plugin's and may fail to print
        where, how = "", f"it called {function}"
    return _Said(thread=threading.get_ident(), says=how, traceback=where)


def _always(*args: Any, **kwargs: Any) -> bool:
    return True


def _is_own_process(pid: Any = None, *args: Any, **kwargs: Any) -> bool:
    """Return whether a pid, as passed to `os.kill`, includes this process."""
    return pid in (os.getpid(), 0, -1, -os.getpgrp())


def _is_own_group(group: Any = None, *args: Any, **kwargs: Any) -> bool:
    return group in (0, os.getpgrp())


_ENDINGS: Final = (
    (os, "_exit", _always),
    (os, "abort", _always),
    (os, "execv", _always),
    (os, "execve", _always),
    (os, "kill", _is_own_process),
    (os, "killpg", _is_own_group),
    (signal, "raise_signal", _always),
    (signal, "pthread_kill", _always),
)
"""Functions that end a process at once: module, name, and whether a call targets this process."""
