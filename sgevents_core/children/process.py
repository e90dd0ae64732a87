"""One worker process as the daemon sees it: its messages, its end, and the cause of that."""

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
from sgevents_core.children.log_record import LogRecord
from sgevents_core.children.messages import (
    PREPARATION,
    End,
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
from sgevents_core.readiness import wait_until_readable

CALL_LANE: Final = "call"
"""The lane name in a child's evidence for its main thread, which makes the calls."""
ALERTS_LANE: Final = "alerts"
"""The lane name in a child's evidence for the thread of alerting hooks."""
END_TIMEOUT: Final = 10.0
"""Seconds that a child may take to end normally, after its running call."""
_CLOSE_TIMEOUT: Final = 1.0
"""Seconds within which a child that has closed its connection has to end."""
_STACK_TIMEOUT: Final = 0.5
_POLL_INTERVAL: Final = 0.01
_READ_SIZE: Final = 1 << 16
_MAX_READS: Final = 256
_PAGE_SIZE: Final = os.sysconf("SC_PAGE_SIZE")


class ChildDeath(NamedTuple):
    """The end of a child.

    Args:
        how: The cause of its end, for people.
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

    def is_in(self, call_number: int) -> bool:
        """Return whether a call had begun, and not ended, when the process died."""
        return self.running == call_number


Replies: TypeAlias = "SimpleQueue[Reply | ChildDeath]"


class Child:
    """One worker process.

    Args:
        launched: The process, just started.
        redact: Removes secrets.
        report_site: Called with its reports about calls to the site.
    """

    def __init__(
        self, launched: Launched, redact: Redactor, report_site: Callable[[SiteReport], None]
    ) -> None:
        self.pid = launched.process.pid
        self.running_call: CurrentCall | None = None
        """The call it is in, for the records of what it prints."""
        self.drops_records = False
        """Whether what it logs is dropped."""
        self.prepared: Prepared | None = None
        self.death: ChildDeath | None = None
        self._process = launched.process
        self._evidence_file = launched.evidence_file
        self._running_page = launched.running_page
        self._output_pipe = launched.output_pipe
        self._printed_lines = PrintedByChild(redact)
        self._channel = Channel(launched.connection)
        self._report_site = report_site
        self._is_ending = False
        self._is_reaped = False
        self._child_lock = threading.Lock()
        self._replies: dict[int, Replies] = {}
        self._gone_event = threading.Event()
        self._watch_thread = threading.Thread(
            target=self._watch_child, name=f"child-{self.pid}", daemon=True
        )
        self._watch_thread.start()

    def send(self, message: ToChild) -> None:
        """Send a message; one to a child that has ended is lost, as its replies show."""
        with suppress(ChannelClosed):
            self._channel.send(encode(message))

    def listen(self, call_number: int) -> Replies:
        """Return the queue with the replies to a call; the last one is the child's death."""
        with self._child_lock:
            replies = self._replies[call_number] = SimpleQueue()
            if self.death is not None:
                replies.put(self.death)
        return replies

    def forget(self, call_number: int) -> None:
        """Drop further replies to a call."""
        with self._child_lock:
            self._replies.pop(call_number, None)

    def memory(self) -> int:
        """Return the memory it holds, in bytes; 0 if that cannot be read."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1]) * _PAGE_SIZE
        except (OSError, ValueError, IndexError):
            return 0

    def stack(self) -> str:
        """Return its main thread's stack, for people; only for a child about to be killed."""
        with self._child_lock:
            if self._is_reaped:
                return ""
            evidence_file = os.dup(self._evidence_file)
        try:
            size_before = os.fstat(evidence_file).st_size
            self._send_signal(STACK_SIGNAL)
            self._await_growth(evidence_file, size_before)
            stack_bytes = os.pread(
                evidence_file, os.fstat(evidence_file).st_size - size_before, size_before
            )
        finally:
            os.close(evidence_file)
        return (
            keep_plugin_frames(f"Where it stood:\n{stack_bytes.decode('utf-8', 'replace')}")
            if stack_bytes
            else ""
        )

    def _await_growth(self, evidence_file: int, size_before: int) -> None:
        """Wait until a file has grown and then stopped growing."""
        deadline = time.monotonic() + _STACK_TIMEOUT
        last_size = size_before
        while time.monotonic() < deadline and not self._gone_event.wait(_POLL_INTERVAL):
            current_size = os.fstat(evidence_file).st_size
            if current_size == last_size > size_before:
                return
            last_size = current_size

    def end(self, *, shuts_down: bool) -> None:
        """Ask it to end after its running call; then call `wait`."""
        self._is_ending = True
        self.send(End(shuts_down=shuts_down))

    def kill(self) -> None:
        """Kill it and the processes it has started."""
        self._send_signal(signal.SIGKILL, to_group=True)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is gone; return False if that takes too long (seconds)."""
        return self._gone_event.wait(seconds)

    def close(self, seconds: float = END_TIMEOUT) -> None:
        """Wait until it is gone, and kill it if that takes too long."""
        if not self.wait(seconds):
            self.kill()
            self.wait()

    def _send_signal(self, signal_number: int, *, to_group: bool = False) -> None:
        send_signal = os.killpg if to_group else os.kill
        with self._child_lock, suppress(OSError):
            if not self._is_reaped:  # afterwards its pid may belong to another process
                send_signal(self.pid, signal_number)

    # In the thread that receives its messages

    def _watch_child(self) -> None:
        pidfd = os.pidfd_open(self.pid)
        try:
            self._hear(pidfd)
            self._await_end(pidfd)
        finally:
            self._record_end()
            os.close(pidfd)

    def _hear(self, pidfd: int) -> None:
        """Handle its messages and what it prints, until it ends or closes the connection."""
        event_poll = select.poll()
        output_pipe = -1 if self._output_pipe is None else self._output_pipe
        for descriptor in (self._channel.fileno(), pidfd, output_pipe):
            if descriptor >= 0:
                event_poll.register(descriptor, select.POLLIN)
        while True:
            ready_descriptors = [descriptor for descriptor, _ in event_poll.poll()]
            if output_pipe in ready_descriptors and not self._log_printed(output_pipe):
                event_poll.unregister(output_pipe)
            if self._channel.fileno() in ready_descriptors:
                try:
                    self._channel.read()
                    self._handle_messages()
                except (ChannelClosed, msgspec.MsgspecError):
                    return
            elif pidfd in ready_descriptors:
                return

    def _handle_messages(self) -> None:
        while (message := self._channel.next_whole()) is not None:
            self._handle(message)

    def _handle(self, message: bytes) -> None:
        received = decode_to_daemon(message)
        if isinstance(received, LogRecord):
            if not self.drops_records:
                log_received(received)
        elif isinstance(received, SiteReport):
            self._report_site(received)
        else:
            self._pass_reply_on(received)

    def _pass_reply_on(self, received_reply: Reply) -> None:
        call_number = PREPARATION if isinstance(received_reply, Prepared) else received_reply.number
        with self._child_lock:
            replies = self._replies.get(call_number)
        if replies is not None:
            replies.put(received_reply)

    def _log_printed(self, output_pipe: int) -> bool:
        """Log its latest output; return False at the end of the output."""
        printed_bytes = os.read(output_pipe, _READ_SIZE)
        self._printed_lines.take(printed_bytes, self.running_call)
        return bool(printed_bytes)

    def _await_end(self, pidfd: int) -> None:
        """Wait until it is dead, and end it if it has only closed the connection."""
        end_timeout = END_TIMEOUT if self._is_ending else _CLOSE_TIMEOUT  # `atexit`, other threads
        if not wait_until_readable([pidfd], end_timeout):
            self.kill()
            wait_until_readable([pidfd], None)

    def _record_end(self) -> None:
        """Read the rest of what it sent and printed, and record how it ended."""
        if not self._is_ending:
            self.kill()  # what it has started
        with self._child_lock:
            self._is_reaped = True
            exit_status = self._process.wait()
        self._channel.read_rest()
        with suppress(ChannelClosed, msgspec.MsgspecError):
            self._handle_messages()
        self._read_last_output()
        running_number = int.from_bytes(self._running_page[:8], sys.byteorder)
        self._running_page.close()
        child_death = self._find_death(exit_status)._replace(running=running_number)
        with self._child_lock:
            self.death = child_death
            waiting_replies = list(self._replies.values())
        self._channel.close()
        self._gone_event.set()
        for replies in waiting_replies:
            replies.put(child_death)

    def _read_last_output(self) -> None:
        if self._output_pipe is None:
            return
        with suppress(OSError):  # a program that it started may keep the other end
            os.set_blocking(self._output_pipe, False)
            for _ in range(_MAX_READS):
                if not self._log_printed(self._output_pipe):
                    break
        self._printed_lines.end(self.running_call)
        os.close(self._output_pipe)

    def _find_death(self, exit_status: int) -> ChildDeath:
        evidence_text = os.pread(
            self._evidence_file, os.fstat(self._evidence_file).st_size, 0
        ).decode("utf-8", "replace")
        os.close(self._evidence_file)
        was_killed = exit_status == -signal.SIGKILL
        words = parse_evidence(evidence_text, count_oom_kills() if was_killed else OomKills())
        step = find_blamed_step(evidence_text, words)
        if words is None:
            return ChildDeath(_how_of(exit_status), is_proved=not was_killed, step=step)
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
