"""One worker process as the daemon sees it: its messages, its end, and what ended it."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NamedTuple, TypeAlias

import msgspec

from sgevents_core.children.channel import Channel, ChannelClosed
from sgevents_core.children.launching import STACK_SIGNAL, Launched
from sgevents_core.children.messages import (
    PREPARATION,
    End,
    LogRecord,
    Prepared,
    Reply,
    SiteReport,
    ToChild,
    decode_to_daemon,
    encode,
)
from sgevents_core.children.received_log import PrintedByChild, log_received
from sgevents_core.crashes.evidence import LoadingStep, find_blamed_step, parse_evidence
from sgevents_core.crashes.out_of_memory import OomKills, count_oom_kills
from sgevents_core.crashes.plugin_frames import keep_plugin_frames
from sgevents_core.observe.current_call import CurrentCall
from sgevents_core.observe.redaction import Redactor

CALL_LANE: Final = "call"
"""As the lane of a child's last words: its main thread, which makes the calls."""
ALERTS_LANE: Final = "alerts"
"""The same for the thread of hooks that alert."""
ENDS_WITHIN: Final = 10.0
"""Seconds that a child may take to end in order, after its running call."""
_CLOSED_WITHIN: Final = 1.0
"""Seconds within which a child that has closed its connection has to end."""
_STACK_WITHIN: Final = 0.5
_EVERY: Final = 0.01
_AT_ONCE: Final = 1 << 16
_MOST_READS: Final = 256
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class ChildDeath(NamedTuple):
    """The end of a child.

    Args:
        how: What ended it, for people.
        traceback: Where, if known.
        is_proved: Whether it was ended from inside, and not by somebody's `kill -9`.
        is_of_call: Whether the thread that makes the calls may have ended it.
        is_of_hook: Whether a hook that alerts has ended it.
        step: The step of loading a plugin that ended it; None if none did.
        timed_out: Whether that step took too long.
        running: The number of the call that was running; 0 if none was.
    """

    how: str
    traceback: str = ""
    is_proved: bool = True
    is_of_call: bool = True
    step: LoadingStep | None = None
    timed_out: bool = False
    running: int = 0
    is_of_hook: bool = False

    def is_in(self, number: int) -> bool:
        """Return whether a call had begun, and not ended, when the process died."""
        return self.running == number


Replies: TypeAlias = "SimpleQueue[Reply | ChildDeath]"


class Child:
    """One worker process.

    Args:
        launched: The process, just started.
        redact: Removes secrets.
        report_site: Called with what it reports of its calls to the site.
    """

    def __init__(
        self, launched: Launched, redact: Redactor, report_site: Callable[[SiteReport], None]
    ) -> None:
        self.pid = launched.process.pid
        self.running_call: CurrentCall | None = None
        """The call it is in, for the records of what it prints."""
        self.prepared: Prepared | None = None
        self.death: ChildDeath | None = None
        self._process = launched.process
        self._words = launched.words
        self._running = launched.running
        self._printed = launched.printed
        self._lines = PrintedByChild(redact)
        self._channel = Channel(launched.connection)
        self._report_site = report_site
        self._is_ending = False
        self._is_reaped = False
        self._lock = threading.Lock()
        self._replies: dict[int, Replies] = {}
        self._gone = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"child-{self.pid}", daemon=True)
        self._thread.start()

    def send(self, message: ToChild) -> None:
        """Send a message; one to a child that has ended goes nowhere, as its replies say."""
        with suppress(ChannelClosed):
            self._channel.send(encode(message))

    def listen(self, number: int) -> Replies:
        """Return the queue with the replies to a call; the last one is the child's death."""
        with self._lock:
            replies = self._replies[number] = SimpleQueue()
            if self.death is not None:
                replies.put(self.death)
        return replies

    def forget(self, number: int) -> None:
        """Drop further replies to a call."""
        with self._lock:
            self._replies.pop(number, None)

    def memory(self) -> int:
        """Return the memory it holds, in bytes; 0 if that cannot be read."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1]) * _PAGE
        except (OSError, ValueError, IndexError):
            return 0

    def stack(self) -> str:
        """Return where its main thread stands, for people; only for a child that is then killed."""
        with self._lock:
            if self._is_reaped:
                return ""
            words = os.dup(self._words)
        try:
            before = os.fstat(words).st_size
            self._signal(STACK_SIGNAL)
            self._await_growth(words, before)
            text = os.pread(words, os.fstat(words).st_size - before, before)
        finally:
            os.close(words)
        return (
            keep_plugin_frames(f"Where it stood:\n{text.decode('utf-8', 'replace')}")
            if text
            else ""
        )

    def _await_growth(self, words: int, before: int) -> None:
        """Wait until a file has grown, and grows no more."""
        until = time.monotonic() + _STACK_WITHIN
        size = before
        while time.monotonic() < until and not self._gone.wait(_EVERY):
            grown = os.fstat(words).st_size
            if grown == size > before:
                return
            size = grown

    def end(self, *, shuts_down: bool) -> None:
        """Let it end after its running call; `wait` for it then."""
        self._is_ending = True
        self.send(End(shuts_down=shuts_down))

    def kill(self) -> None:
        """End it and the processes it has started, at once."""
        self._signal(signal.SIGKILL, to_group=True)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is gone; return False if that takes too long (seconds)."""
        return self._gone.wait(seconds)

    def close(self, seconds: float = ENDS_WITHIN) -> None:
        """Wait until it is gone, and kill it if that takes too long."""
        if not self.wait(seconds):
            self.kill()
            self.wait()

    def _signal(self, number: int, *, to_group: bool = False) -> None:
        send = os.killpg if to_group else os.kill
        with self._lock, suppress(OSError):
            if not self._is_reaped:  # afterwards its pid may belong to another process
                send(self.pid, number)

    # In the thread that hears it

    def _run(self) -> None:
        pidfd = os.pidfd_open(self.pid)
        try:
            self._hear(pidfd)
            self._await_end(pidfd)
        finally:
            self._finish()
            os.close(pidfd)

    def _hear(self, pidfd: int) -> None:
        """Handle its messages and what it prints, until it ends or closes the connection."""
        poll = select.poll()
        printed = -1 if self._printed is None else self._printed
        for file in (self._channel.fileno(), pidfd, printed):
            if file >= 0:
                poll.register(file, select.POLLIN)
        while True:
            ready = [file for file, _ in poll.poll()]
            if printed in ready and not self._take_printed(printed):
                poll.unregister(printed)
            if self._channel.fileno() in ready:
                try:
                    self._channel.read()
                    self._handle_all()
                except (ChannelClosed, msgspec.MsgspecError):
                    return
            elif pidfd in ready:
                return

    def _handle_all(self) -> None:
        while (message := self._channel.next_whole()) is not None:
            self._handle(message)

    def _handle(self, message: bytes) -> None:
        received = decode_to_daemon(message)
        if isinstance(received, LogRecord):
            log_received(received)
        elif isinstance(received, SiteReport):
            self._report_site(received)
        else:
            self._reply(received)

    def _reply(self, received: Reply) -> None:
        number = PREPARATION if isinstance(received, Prepared) else received.number
        with self._lock:
            replies = self._replies.get(number)
        if replies is not None:
            replies.put(received)

    def _take_printed(self, printed: int) -> bool:
        """Log what it has printed; return False if nothing will follow."""
        received = os.read(printed, _AT_ONCE)
        self._lines.take(received, self.running_call)
        return bool(received)

    def _await_end(self, pidfd: int) -> None:
        """Wait until it is dead, and end it if it has only closed the connection."""
        within = ENDS_WITHIN if self._is_ending else _CLOSED_WITHIN  # `atexit`, other threads
        if not select.select([pidfd], [], [], within)[0]:
            self.kill()
            select.select([pidfd], [], [])

    def _finish(self) -> None:
        """Read the rest of what it sent and printed, and record how it ended."""
        if not self._is_ending:
            self.kill()  # what it has started
        with self._lock:
            self._is_reaped = True
            status = self._process.wait()
        self._channel.read_rest()
        with suppress(ChannelClosed, msgspec.MsgspecError):
            self._handle_all()
        self._finish_printed()
        running = int.from_bytes(self._running[:8], sys.byteorder)
        self._running.close()
        death = self._found_death(status)._replace(running=running)
        with self._lock:
            self.death = death
            waiting = list(self._replies.values())
        self._channel.close()
        self._gone.set()
        for replies in waiting:
            replies.put(death)

    def _finish_printed(self) -> None:
        if self._printed is None:
            return
        with suppress(OSError):  # a program that it started may keep the other end
            os.set_blocking(self._printed, False)
            for _ in range(_MOST_READS):
                if not self._take_printed(self._printed):
                    break
        self._lines.end(self.running_call)
        os.close(self._printed)

    def _found_death(self, status: int) -> ChildDeath:
        text = os.pread(self._words, os.fstat(self._words).st_size, 0).decode("utf-8", "replace")
        os.close(self._words)
        was_killed = status == -signal.SIGKILL
        words = parse_evidence(text, count_oom_kills() if was_killed else OomKills())
        step = find_blamed_step(text, words)
        if words is None:
            return ChildDeath(_how_of(status), is_proved=not was_killed, step=step)
        is_of_call = words.may_blame_lane(CALL_LANE)
        is_of_hook = words.lane_name == ALERTS_LANE
        return ChildDeath(
            words.cause_text,
            words.traceback_text,
            is_of_call=is_of_call,
            step=step,
            timed_out=words.timed_out,
            is_of_hook=is_of_hook,
        )


def _how_of(status: int) -> str:
    if status < 0:
        with suppress(ValueError):
            return f"it was killed by {signal.Signals(-status).name}"
        return f"it was killed by signal {-status}"
    return f"it ended with exit code {status}"
