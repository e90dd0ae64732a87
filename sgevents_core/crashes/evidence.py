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

from sgevents_core.crashes.out_of_memory import OomKills, count_oom_kills, ran_out_of_memory
from sgevents_core.crashes.plugin_frames import keep_plugin_frames
from sgevents_core.errors import StateError
from sgevents_core.observe.logs import flush_log
from sgevents_core.state.plain_files import PRIVATE_FILE_MODE, read_plain_file

EVIDENCE_FILE: Final = "last-words"
_OWN_LINE_PREFIX: Final = "@{"
"""The beginning of a line that faulthandler did not write."""
_CURRENT_THREAD: Final = re.compile(r"Current thread 0x([0-9a-f]+)")
_TIMEOUT_PREFIX: Final = "Timeout ("
"""The first words that faulthandler writes after a timeout."""
_FRAME_LIMIT: Final = 20
_FLUSH_TIMEOUT: Final = 0.5
"""Seconds to flush the log before the process ends."""
_UNKNOWN_LANE: Final = ""
"""The lane name in the evidence if unknown: it may be any running call."""
_MAIN_THREAD: Final = "\0main"
"""The lane name in the evidence for the main thread, which calls no callback."""

_STEP_KEYS: Final = {
    "plugin_name": "plugin",
    "activity": "doing",
    "fingerprint": "mark",
    "thread_seen_at": "thread_since",
}
"""Field -> its key in the file, which the next process reads, of this version or a later one."""
_LINE_KEYS: Final = {
    "thread_id": "thread",
    "lane_name": "lane",
    "loading_step": "step",
    "cause_text": "says",
    "traceback_text": "traceback",
    "oom_kills": "memory",
}
LOADING_LANE: Final = "\0loading"
"""The lane name in the evidence while a plugin is loaded, started or shut down."""


class DeathEvidence(NamedTuple):
    """The way in which a process was ended by its own code.

    Args:
        cause_text: The cause of its end, for people.
        traceback_text: Where, if known.
        lane_name: The lane of the thread; empty if that is not known.
        timed_out: Whether `EvidenceKeeper.end_after` ended it.
    """

    cause_text: str
    traceback_text: str
    lane_name: str = _UNKNOWN_LANE
    timed_out: bool = False

    def may_blame_lane(self, lane_name: str) -> bool:
        """Return whether a lane's running call may have ended the process."""
        return self.lane_name in (_UNKNOWN_LANE, lane_name)

    def rules_out_lane(self, lane_name: str) -> bool:
        """Return whether another lane's call is known to have ended the process."""
        return self.lane_name not in (_UNKNOWN_LANE, _MAIN_THREAD, lane_name)


class LoadingStep(msgspec.Struct, frozen=True, rename=_STEP_KEYS.get):
    """A step of loading a plugin.

    Args:
        plugin_name: The plugin.
        activity: A description of the step, for people.
        fingerprint: The fingerprint of the plugin's code and settings.
        thread_seen_at: When a thread of the plugin's own was first seen, in seconds since 1970; 0
            for the step itself.
    """

    plugin_name: str
    activity: str
    fingerprint: str
    thread_seen_at: float = 0.0


class _EvidenceLine(msgspec.Struct, omit_defaults=True, rename=_LINE_KEYS.get):
    """One line that this module writes to the file; the fields set decide its meaning."""

    thread_id: int = 0
    lane_name: str = ""
    loading_step: LoadingStep | None = None
    cause_text: str = ""
    traceback_text: str = ""
    oom_kills: OomKills | None = None


class EvidenceRecorder:
    """The recorder of evidence of how a process ends; once closed, it leaves none.

    `os._exit` and similar functions are wrapped from the start, so that plugins find the wrapped
    ones. Nothing is written before `start_recording`: until then, the file holds what the last
    process left.

    Args:
        folder: The state's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / EVIDENCE_FILE
        self._file: IO[bytes] | None = None
        self._process_id = os.getpid()
        self._was_handler_enabled = faulthandler.is_enabled()
        self._wrapped: list[tuple[ModuleType, str, Any]] = []
        for module, function_name, targets_this_process in _ENDING_FUNCTIONS:
            self._wrap_function(module, function_name, targets_this_process)

    def start_recording(self, file: IO[bytes] | None = None) -> None:
        """Start recording, and discard the last process's evidence.

        Args:
            file: The file to write to, instead of the one in the state's folder.

        Raises:
            StateError: The file cannot be written.
        """
        self._file = file or self._create_file()
        self._append_line(
            _EvidenceLine(
                thread_id=threading.get_ident(), lane_name=_MAIN_THREAD, oom_kills=count_oom_kills()
            )
        )
        self.enable_crash_tracebacks()
        os.register_at_fork(after_in_child=self._stop_in_fork)

    def enable_crash_tracebacks(self) -> None:
        """Make a crash leave its traceback, even if a plugin has replaced the handler."""
        if self._file is not None:
            faulthandler.enable(self._file, all_threads=True)

    def _create_file(self) -> IO[bytes]:
        try:
            self._path.unlink(missing_ok=True)  # it may be another user's; it can still be replaced
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            return os.fdopen(os.open(self._path, flags, PRIVATE_FILE_MODE), "ab", buffering=0)
        except OSError as error:
            raise StateError(path=str(self._path), reason=f"{error.strerror or error}") from None

    @contextmanager
    def attribute_to_step(self, step: LoadingStep) -> Iterator[None]:
        """Attribute this thread's actions in the block to a step of loading a plugin."""
        thread = threading.get_ident()
        self._append_line(
            _EvidenceLine(thread_id=thread, lane_name=LOADING_LANE, loading_step=step)
        )
        try:
            yield
        finally:
            self._append_line(_EvidenceLine(thread_id=thread, lane_name=_MAIN_THREAD))

    def attribute_thread(self, thread: int, step: LoadingStep) -> None:
        """Attribute a thread's actions to the plugin that started it."""
        self._append_line(
            _EvidenceLine(thread_id=thread, lane_name=_lane_of_thread(thread), loading_step=step)
        )

    def end_process_after(self, seconds: float) -> None:
        """End the process after some seconds, with its stack recorded, unless this is cancelled.

        For code that keeps all other threads from running, this one included.
        """
        if self._file is not None:
            faulthandler.dump_traceback_later(seconds, exit=True, file=self._file)

    def cancel_ending(self) -> None:
        """Cancel the end that `end_process_after` has set."""
        if self._file is not None:
            faulthandler.cancel_dump_traceback_later()

    def record_ending(self, thread: int, cause_text: str, stack_text: str) -> None:
        """Record how a thread is about to end the process."""
        self._append_line(
            _EvidenceLine(thread_id=thread, cause_text=cause_text, traceback_text=stack_text)
        )

    def run_lane(self, lane_name: str, run_events: Callable[[], None]) -> None:
        """Run the body of a lane's thread, and attribute the thread's actions to the lane."""
        self.attribute_to_lane(threading.get_ident(), lane_name)
        run_events()

    def attribute_to_lane(self, thread: int, lane_name: str) -> None:
        """Attribute a thread's actions from now on to a lane; `LATE` for no lane."""
        self._append_line(_EvidenceLine(thread_id=thread, lane_name=lane_name))

    def close(self) -> None:
        """Undo all wrapping and leave no evidence: the process ends normally."""
        for module, function_name, function in self._wrapped:
            setattr(module, function_name, function)
        self._wrapped.clear()
        if self._file is None:
            return
        faulthandler.disable()
        if self._was_handler_enabled and sys.__stderr__ is not None:
            faulthandler.enable(sys.__stderr__)
        self._file.close()
        self._file = None
        with suppress(OSError):  # the entry is about threads that have ended
            self._path.unlink(missing_ok=True)

    def _stop_in_fork(self) -> None:
        """Stop recording in a process that a plugin has forked: its end is not the daemon's."""
        if self._file is not None:
            faulthandler.disable()
            self._file = None

    def _wrap_function(
        self, module: ModuleType, function_name: str, targets_this_process: Callable[..., bool]
    ) -> None:
        function = getattr(module, function_name)

        @functools.wraps(function)
        def recording_function(*args: Any, **kwargs: Any) -> Any:
            if os.getpid() != self._process_id or not targets_this_process(*args, **kwargs):
                return function(*args, **kwargs)
            self._append_line(_describe_ending(f"{module.__name__}.{function_name}", args))
            flush_log(_FLUSH_TIMEOUT)
            try:
                return function(*args, **kwargs)
            finally:  # it did not end the process, whether it returned or raised
                self._append_line(_EvidenceLine(thread_id=threading.get_ident()))

        self._wrapped.append((module, function_name, function))
        setattr(module, function_name, recording_function)

    def _append_line(self, line: _EvidenceLine) -> None:
        if self._file is not None:
            with suppress(OSError, ValueError):  # a full disk must not end the process
                os.write(self._file.fileno(), b"@" + msgspec.json.encode(line) + b"\n")


def read_death_evidence(folder: Path) -> DeathEvidence | None:
    """Return how the last process died; None if nothing shows that its own code ended it."""
    return parse_evidence(read_evidence_text(folder), count_oom_kills())


def find_open_step(evidence_text: str) -> LoadingStep | None:
    """Return the step of loading a plugin that began but did not end, from a file's text."""
    step_lines = [
        line
        for line in _parse_own_lines(evidence_text)
        if line.lane_name in (LOADING_LANE, _MAIN_THREAD)
    ]
    return step_lines[-1].loading_step if step_lines else None


def find_blamed_step(evidence_text: str, evidence: DeathEvidence | None) -> LoadingStep | None:
    """Return the step of loading a plugin that ended a process; None if none did.

    Args:
        evidence_text: The text of a file.
        evidence: How the process was ended by its own code; None if that is not known.
    """
    if evidence is None or evidence.lane_name in (_UNKNOWN_LANE, LOADING_LANE):
        return find_open_step(evidence_text)
    step_by_lane = {
        line.lane_name: line.loading_step
        for line in _parse_own_lines(evidence_text)
        if line.loading_step is not None
    }
    return step_by_lane.get(evidence.lane_name)


def _lane_of_thread(thread: int) -> str:
    """Return the value used as the lane of a thread that a plugin has started."""
    return f"\0thread {thread}"


def read_evidence_text(folder: Path) -> str:
    """Return the text left by the last process; empty if there is none."""
    try:
        return read_plain_file(folder / EVIDENCE_FILE).decode("utf-8", "replace")
    except OSError:
        return ""


def parse_evidence(evidence_text: str, current_kills: OomKills) -> DeathEvidence | None:
    """Return the evidence in the text of a file; None if there is none.

    Args:
        evidence_text: The file.
        current_kills: The system's counters of kills for lack of memory, as they are now.
    """
    lane_by_thread: dict[int, str] = {}
    last_lines: dict[int, _EvidenceLine] = {}
    kills_at_start: OomKills | None = None
    for line in _parse_own_lines(evidence_text):
        kills_at_start = kills_at_start or line.oom_kills
        if line.lane_name:
            lane_by_thread[line.thread_id] = line.lane_name
        else:
            last_lines[line.thread_id] = line
    crash = _parse_crash(evidence_text, lane_by_thread)
    if crash is not None:
        return crash
    for thread, line in last_lines.items():
        if line.cause_text:
            return DeathEvidence(
                line.cause_text,
                keep_plugin_frames(line.traceback_text),
                lane_by_thread.get(thread, _UNKNOWN_LANE),
            )
    if kills_at_start is not None and ran_out_of_memory(kills_at_start, current_kills):
        return DeathEvidence("the system ran out of memory and killed the process", "")
    return None


def _parse_own_lines(evidence_text: str) -> Iterator[_EvidenceLine]:
    for line in evidence_text.splitlines():
        if line.startswith(_OWN_LINE_PREFIX):
            with suppress(msgspec.MsgspecError):  # a line cut off by a full disk
                yield msgspec.json.decode(line[1:], type=_EvidenceLine)


def _parse_crash(evidence_text: str, lane_by_thread: dict[int, str]) -> DeathEvidence | None:
    """Return faulthandler's stack of the thread that crashed."""
    lines = [line for line in evidence_text.splitlines() if not line.startswith(_OWN_LINE_PREFIX)]
    written_lines = [line for line in lines if line.strip()]
    if not written_lines:
        return None
    timed_out = written_lines[0].startswith(_TIMEOUT_PREFIX)
    start_index = next(
        (index for index, line in enumerate(lines) if _CURRENT_THREAD.match(line)), None
    )
    if start_index is None:
        return DeathEvidence(written_lines[0], "\n".join(written_lines), timed_out=timed_out)
    thread_match = _CURRENT_THREAD.match(lines[start_index])
    thread = int(thread_match[1], 16) if thread_match else 0
    end_index = next(
        (index for index in range(start_index, len(lines)) if not lines[index].strip()), len(lines)
    )
    trace = keep_plugin_frames("\n".join([written_lines[0], *lines[start_index:end_index]]))
    return DeathEvidence(
        written_lines[0], trace, lane_by_thread.get(thread, _UNKNOWN_LANE), timed_out
    )


def _describe_ending(function_name: str, arguments: tuple[Any, ...]) -> _EvidenceLine:
    """Return the line for a thread that calls a function that ends a process; never raise.

    Only numbers are kept of the arguments: an exit code, a pid, a signal. Others may be a program's
    arguments and environment, which can hold secrets.
    """
    try:
        stack_text = "".join(traceback.format_stack(sys._getframe(2), limit=_FRAME_LIMIT))
        argument_texts = [
            str(int(argument)) if isinstance(argument, int) else "..." for argument in arguments
        ]
        cause_text = f"it called {function_name}({', '.join(argument_texts)})"
    except Exception:  # stack and arguments are a plugin's and may fail to print
        stack_text, cause_text = "", f"it called {function_name}"
    return _EvidenceLine(
        thread_id=threading.get_ident(), cause_text=cause_text, traceback_text=stack_text
    )


def _always_ends(*args: Any, **kwargs: Any) -> bool:
    return True


def _is_own_process(process_id: Any = None, *args: Any, **kwargs: Any) -> bool:
    """Return whether a pid, as passed to `os.kill`, includes this process."""
    return process_id in (os.getpid(), 0, -1, -os.getpgrp())


def _is_own_group(process_group: Any = None, *args: Any, **kwargs: Any) -> bool:
    return process_group in (0, os.getpgrp())


_ENDING_FUNCTIONS: Final = (
    (os, "_exit", _always_ends),
    (os, "abort", _always_ends),
    (os, "execv", _always_ends),
    (os, "execve", _always_ends),
    (os, "kill", _is_own_process),
    (os, "killpg", _is_own_group),
    (signal, "raise_signal", _always_ends),
    (signal, "pthread_kill", _always_ends),
)
"""Functions that end a process at once: module, name, and whether a call targets this process."""
