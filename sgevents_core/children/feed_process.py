"""The process that follows the log while the feed is far behind, as the daemon sees it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from sgevents_core.children.channel import Channel, ChannelClosed
from sgevents_core.children.feed_messages import (
    BeginFeed,
    BeginStint,
    FeedReady,
    FromFeedProcess,
    ScriptsKnown,
    ScriptsShown,
    StintOver,
    ToFeedProcess,
    decode_from_feed,
    encode,
    report_of,
)
from sgevents_core.children.launching import child_command
from sgevents_core.children.log_record import LogRecord
from sgevents_core.children.messages import pickled_with_secrets
from sgevents_core.children.received_log import log_received
from sgevents_core.observe.process_guard import keep_open
from sgevents_core.readiness import wait_until_readable
from sgevents_core.settings import Settings
from sgevents_core.site.client import MOST_CALLS
from sgevents_core.site.handing_over import Report, Stint, StintEnded
from sgevents_core.state.feed_values import FeedRecord
from sgevents_core.state.lock import StateLock

logger = logging.getLogger("sgevents.feed")

LONG_DOWNTIME: Final = 600.0
"""Seconds without an answer of the site after which a start expects to be far behind."""
_TICK: Final = 0.1
"""Seconds between two empty reports."""
_END_SECONDS: Final = 1.0
_STEP_SECONDS: Final = 60.0
"""Seconds that a step may take besides its calls to the site."""


class _Running(NamedTuple):
    process: subprocess.Popen[bytes]
    channel: Channel


class FeedProcess:
    """A process of the feed's own, which is started when it is wanted; see `CatchUpProcess`.

    It holds a share of the state's lock, so no other process can take the state while it lives.

    Args:
        settings: The configuration.
        state_lock: The lock of the state.
    """

    def __init__(self, settings: Settings, state_lock: StateLock) -> None:
        self._settings = settings
        self._state_lock = state_lock
        self._variables = dict(os.environ)
        self._running: _Running | None = None
        self._is_ready = False
        self._longest_silence = MOST_CALLS * settings.site.timeout + _STEP_SECONDS

    def prepare(self) -> None:
        """Start it, if that has not happened, without waiting for it."""
        if self._running is not None:
            return
        try:
            self._running = self._start()
        except OSError as error:
            log_extra = {"action": "feed.not_apart"}
            logger.info("The feed gets no process of its own: %s", error, extra=log_extra)
            return
        without_plugins = replace(self._settings, plugins={})
        self._send(
            BeginFeed(settings=pickled_with_secrets(without_plugins), search_path=list(sys.path))
        )

    def prepare_early(self, feed_record: FeedRecord | None, host_time: float) -> None:
        """Start it with the daemon if the log is probably far ahead.

        Args:
            feed_record: The feed's record; None at a first start.
            host_time: The host's time, in seconds since 1970.
        """
        if feed_record is None:
            is_behind = self._settings.feed.start != "now"
        else:
            is_behind = host_time - feed_record.state.answered > LONG_DOWNTIME
        if is_behind and self._settings.feed.connections > 1:
            self.prepare()

    @property
    def is_ready(self) -> bool:
        """Whether it can begin a stint."""
        if self._running is not None and not self._is_ready:
            try:
                self._is_ready = isinstance(self._next_message(0.0), FeedReady)
            except ChannelClosed:
                self.close()
        return self._is_ready

    def follow(self, stint: Stint) -> Iterator[Report]:
        """Let it follow the log; yield what it reports, and None from time to time."""
        self._send(BeginStint(stint))
        last_message_at = time.monotonic()
        while time.monotonic() - last_message_at < self._longest_silence:
            try:
                message = self._next_message(_TICK)
            except (ChannelClosed, msgspec.MsgspecError):
                break
            if message is None or isinstance(message, LogRecord | FeedReady):
                yield None
                continue
            last_message_at = time.monotonic()
            yield report_of(message)
            if isinstance(message, StintOver):
                return
            if isinstance(message, ScriptsShown):
                self._send(ScriptsKnown())
        self._report_failure()
        yield StintEnded(has_failed=True)

    def close(self) -> None:
        """End it: when this returns, it writes nothing more."""
        running, self._running, self._is_ready = self._running, None, False
        if running is not None:
            running.process.kill()  # a commit is whole or has not happened
            running.process.wait()
            running.channel.close()

    def _start(self) -> _Running:
        with ExitStack() as undo_stack, ExitStack() as child_stack:
            own_socket, child_socket = socket.socketpair()
            undo_stack.callback(own_socket.close)
            child_stack.callback(child_socket.close)
            lock_descriptor = self._state_lock.share()
            child_stack.callback(os.close, lock_descriptor)
            process = subprocess.Popen(
                child_command("feed_child", "feed", child_socket.fileno(), lock_descriptor),
                stdin=subprocess.DEVNULL,
                env=self._variables,
                pass_fds=(child_socket.fileno(), lock_descriptor),
                start_new_session=True,
            )
            undo_stack.pop_all()
        keep_open(own_socket.fileno())
        return _Running(process, Channel(own_socket))

    def _send(self, message: ToFeedProcess) -> None:
        if self._running is not None:
            with suppress(ChannelClosed):  # what follows shows it
                self._running.channel.send(encode(message))

    def _next_message(self, seconds: float) -> FromFeedProcess | None:
        """Return its next message, after having logged it if it is a record; None if none comes.

        Args:
            seconds: How long to wait.

        Raises:
            ChannelClosed: It has ended.
        """
        if self._running is None:
            raise ChannelClosed
        channel = self._running.channel
        whole_message = channel.next_whole()
        if whole_message is None and _has_input(channel, seconds):
            channel.read()
            whole_message = channel.next_whole()
        if whole_message is None:
            return None
        message: FromFeedProcess = decode_from_feed(whole_message)
        if isinstance(message, LogRecord):
            log_received(message)
        return message

    def _report_failure(self) -> None:
        """Log that the process has ended by itself, or does not move."""
        how = "does not move"
        if self._running is not None:
            with suppress(subprocess.TimeoutExpired):  # it may only just have closed its end
                how = f"has ended ({_how_of(self._running.process.wait(_END_SECONDS))})"
        logger.warning(
            "The process in which the feed catches up %s: the feed continues without it",
            how,
            extra={"action": "feed.process_ended"},
        )


def _has_input(channel: Channel, seconds: float) -> bool:
    """Return whether anything arrives within some seconds, be it the end."""
    return bool(wait_until_readable([channel], seconds))


def _how_of(status: int) -> str:
    if status < 0:
        with suppress(ValueError):
            return f"killed by {signal.Signals(-status).name}"
    return f"exit code {status}"
