"""The process that follows the log while the feed is far behind: its entrance and its work.

It has its own connections to the site and to the state. Its main thread follows the log; another
receives what the daemon sends, and ends the process once the daemon is gone.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from queue import SimpleQueue
from types import FrameType
from typing import Final, NoReturn

from sgevents_core.children.channel import Channel, ChannelClosed
from sgevents_core.children.child_log import ChildOutlet
from sgevents_core.children.feed_messages import (
    BeginFeed,
    BeginStint,
    FeedReady,
    FromFeedProcess,
    ScriptsKnown,
    ScriptsShown,
    StintOver,
    decode_to_feed,
    encode,
    step_message,
)
from sgevents_core.observe.logs import logging_to
from sgevents_core.settings import Settings
from sgevents_core.site.catching_up import catch_up
from sgevents_core.site.client import EventLog
from sgevents_core.site.feed import rules_of
from sgevents_core.site.handing_over import Stint
from sgevents_core.site.script_lookup import Ask
from sgevents_core.state.opening import open_state

_COLLECTION_THRESHOLDS: Final = (50_000, 20, 1_000)
"""How rarely garbage is collected: rows and gaps are many, live long and form no cycles."""
_IGNORED_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class FeedChild:
    """The process.

    Args:
        channel: The connection to the daemon.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._stints: SimpleQueue[Stint] = SimpleQueue()
        self._answers: SimpleQueue[ScriptsKnown] = SimpleQueue()
        self._shown_scripts: set[tuple[int, str]] = set()

    def run(self) -> None:
        """Follow the log whenever the daemon says so, until the daemon ends this process."""
        begin_feed = decode_to_feed(self._channel.receive())
        if not isinstance(begin_feed, BeginFeed):
            raise TypeError("the first message does not begin the feed")
        sys.path[:] = begin_feed.search_path
        settings: Settings = pickle.loads(begin_feed.settings)  # noqa: S301 - from our own daemon
        gc.freeze()
        gc.set_threshold(*_COLLECTION_THRESHOLDS)
        threading.Thread(target=self._receive_messages, name="receiver", daemon=True).start()
        with logging_to(ChildOutlet(self._send), settings.log, ()):
            self._send(FeedReady())
            while True:
                stint = self._stints.get()
                self._send(StintOver(has_failed=not self._run_stint(settings, stint)))

    def look(self, row_scripts: Iterable[tuple[int, str]], ask_scripts: Ask) -> None:
        """Let the daemon learn the names of scripts that rows show for the first time."""
        new_scripts = [
            row_script for row_script in row_scripts if row_script not in self._shown_scripts
        ]
        if new_scripts:
            self._shown_scripts.update(new_scripts)
            self._send(ScriptsShown(new_scripts))
            self._answers.get()

    def _run_stint(self, settings: Settings, stint: Stint) -> bool:
        """Follow the log until nothing is due; return False if something failed."""
        feed_rules = replace(rules_of(settings.feed), page_size=stint.page_size)
        with (
            closing(EventLog(settings.site, settings.feed.fields, self)) as event_log,
            closing(open_state(settings.state.path).feed_writer()) as feed_writer,
        ):
            return catch_up(
                event_log,
                feed_writer,
                feed_rules,
                lambda committed_step: self._send(step_message(committed_step)),
                highest_id=stint.highest_id,
                counts_refused=stint.counts_refused,
            )

    def _receive_messages(self) -> NoReturn:
        """Receive the daemon's messages; end the process at once when the daemon is gone."""
        try:
            while True:
                message = decode_to_feed(self._channel.receive())
                if isinstance(message, BeginStint):
                    self._stints.put(message.stint)
                elif isinstance(message, ScriptsKnown):
                    self._answers.put(message)
        finally:
            os._exit(1)

    def _send(self, message: FromFeedProcess) -> None:
        self._channel.send(encode(message))


def main() -> None:
    """Run the process; its descriptors are in the command line, before the daemon's pid."""
    connection_descriptor, lock_descriptor = map(int, sys.argv[-3:-1])
    for descriptor in (connection_descriptor, lock_descriptor):
        os.set_inheritable(descriptor, False)
    for signal_number in _IGNORED_SIGNALS:  # the daemon ends this process
        signal.signal(signal_number, _ignore_signal)
    try:
        FeedChild(Channel(socket.socket(fileno=connection_descriptor))).run()
    except ChannelClosed:
        os._exit(1)


def _ignore_signal(signal_number: int, stack_frame: FrameType | None) -> None:
    pass
