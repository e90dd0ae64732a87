"""Reading the logs into the copy, from one thread.

A stream is read at once when there is news of it, and twice a second otherwise. The words of a
lane's register are no news: they are needed once somebody takes the lane over, and many at a time
cost a fraction of what they cost one by one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final

from sgevents_core.errors import (
    BrokerUnreachable,
    FrontCut,
    LogsUnreadable,
    SgEventsError,
    StateError,
)
from sgevents_core.state.nats import messages
from sgevents_core.state.nats.copy import Copy
from sgevents_core.state.nats.copy_snapshots import remake
from sgevents_core.state.nats.logs import Logs
from sgevents_core.state.nats.moved_logs import elsewhere_error
from sgevents_core.state.nats.stream_keys import JOURNAL, JOURNAL_ROWS
from sgevents_core.state.nats.stream_log import LogMessage

_POLL_INTERVAL: Final = 0.5
"""Seconds after which streams are read without news of them."""
_STREAMS_INTERVAL: Final = 10.0
"""Seconds after which new streams are looked for."""
_RETRY_PAUSE: Final = 0.25
_FEW_MESSAGES: Final = 64
"""A stream that has so many more messages never returns fewer."""


class CopyReader:
    """Keeps the copy up with the logs.

    Args:
        copy: The copy.
        logs: The logs.
    """

    def __init__(self, copy: Copy, logs: Logs) -> None:
        self._copy = copy
        self._logs = logs
        self._unread: set[str] = set()
        self._fetched: dict[str, tuple[int, Sequence[LogMessage]]] = {}
        self._identified: set[str] = set()
        self._stream_keys: list[str] = []
        self._streams_read_at = float("-inf")
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._has_read_all = threading.Event()
        self._trouble: StateError | None = None
        self._thread = threading.Thread(target=self._run, name="state-copy", daemon=True)

    @property
    def trouble(self) -> StateError | None:
        """Why the logs cannot be read right now; None if they can."""
        return self._trouble

    def start(self) -> None:
        """Begin to read."""
        self._logs.listen(self.wake)
        self._thread.start()

    def wake(self, stream_key: str | None = None) -> None:
        """Read a stream now; None for all."""
        with self._lock:
            self._unread.update([stream_key] if stream_key is not None else self._stream_keys)
        self._news.set()

    def wait_until_read(self, within: float) -> bool:
        """Wait until everything was read that the logs held at the start."""
        return self._has_read_all.wait(within)

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join()

    def catch_up(self) -> bool:
        """Read and apply once what there is; return whether the copy moved."""
        if not self._copy.positions:
            remake(self._copy, self._logs)
        if JOURNAL_ROWS in self._copy.positions:
            return self._read_rows()
        self._look_for_streams()
        with self._lock:
            unread, self._unread = self._unread, set()
        has_moved = False
        trouble: StateError | None = None
        for stream_key in self._stream_keys:
            try:
                is_newly_read = stream_key in unread and self._fetch(stream_key)
            except BrokerUnreachable as error:  # that of one stream keeps no other waiting
                trouble = error
                continue
            has_moved |= self._apply_fetched(stream_key, is_newly_read=is_newly_read)
        if trouble is not None:
            raise trouble
        return has_moved

    def _begin_again(self) -> bool:
        """Begin with a snapshot if the state was moved to these logs again; return whether."""
        if self._copy.elsewhere is None:
            return False
        positions = self._copy.positions
        remake(self._copy, self._logs)
        if self._copy.positions == positions:
            return False
        self._copy.elsewhere = None
        self._fetched.clear()
        self.wake()
        return True

    def _read_rows(self) -> bool:
        """Read some rows of the journal again, for a copy that was made anew; return if any."""
        place = self._copy.positions[JOURNAL_ROWS]
        try:
            log_messages = self._logs.log(JOURNAL).read_after(place)
        except FrontCut as front_cut:
            if self._copy.needs_rows_before(front_cut.first):
                raise  # a newer snapshot may need less
            self._copy.skip_rows(front_cut.first - 1)
            return True
        self._copy.apply_rows(place, log_messages)
        self.wake()
        return bool(log_messages)

    def _fetch(self, stream_key: str) -> bool:
        """Read a stream's next messages, unless some wait for another stream; return if any."""
        if stream_key in self._fetched:
            return False
        place = self._copy.positions.get(stream_key, 0)
        log_messages = self._logs.log(stream_key).read_after(place)
        if log_messages:
            self._fetched[stream_key] = (place, log_messages)
        if stream_key not in self._identified and (identity := self._logs.identity(stream_key)):
            self._copy.keep_identity(stream_key, identity)
            self._identified.add(stream_key)
        return bool(log_messages)

    def _apply_fetched(self, stream_key: str, *, is_newly_read: bool) -> bool:
        if stream_key not in self._fetched:
            return False
        place, log_messages = self._fetched.pop(stream_key)
        applied_count = self._copy.apply(stream_key, place, log_messages)
        if applied_count is not None and applied_count < len(log_messages):
            self._fetched[stream_key] = (place, log_messages[applied_count:])
            if is_newly_read or applied_count:
                self.wake()  # there is no news of words that it may have to wait for
            return applied_count > 0
        if applied_count is None or not _is_end_of_words(log_messages):
            with self._lock:
                self._unread.add(stream_key)
        return True

    def _look_for_streams(self) -> None:
        current_time = time.monotonic()
        if current_time < self._streams_read_at + _STREAMS_INTERVAL and self._stream_keys:
            return
        stream_keys = self._logs.stream_keys()
        new_keys = set(stream_keys) - set(self._stream_keys)
        self._stream_keys, self._streams_read_at = stream_keys, current_time
        with self._lock:
            self._unread |= new_keys

    def _run(self) -> None:
        polled_at = float("-inf")
        while not self._stopping.is_set():
            if time.monotonic() >= polled_at + _POLL_INTERVAL:
                self.wake()
                polled_at = time.monotonic()
            self._news.clear()
            try:
                has_moved = self._catch_up_safely()
            except SgEventsError as error:
                self._copy.fail(error)
                return
            except Exception as error:
                reason_text = f"its logs cannot be read: {type(error).__name__}: {error}"
                self._copy.fail(LogsUnreadable(path=str(self._copy.folder), reason=reason_text))
                raise
            if not has_moved and not self._unread and not self._stopping.is_set():
                if self._copy.elsewhere is not None:
                    self._copy.fail(elsewhere_error(self._copy.elsewhere))
                    return
                if self._trouble is None and JOURNAL_ROWS not in self._copy.positions:
                    self._has_read_all.set()
                self._news.wait(max(polled_at + _POLL_INTERVAL - time.monotonic(), 0.0))

    def _catch_up_safely(self) -> bool:
        """Catch up once; wait a moment if the servers or the disk do not answer."""
        try:
            has_moved = self.catch_up() or self._begin_again()
        except FrontCut as front_cut:
            self._fetched.clear()
            remake(self._copy, self._logs, front_cut)
            has_moved = True
        except StateError as error:
            if error.is_lasting:
                raise
            self._trouble = error
            self._fetched.clear()
            self._copy.reload_if_possible()
            self._stopping.wait(_RETRY_PAUSE)
            self.wake()
            return True
        self._trouble = None
        return has_moved


def _is_end_of_words(log_messages: Sequence[LogMessage]) -> bool:
    """Return whether these are words, and so few that the stream had no more."""
    return len(log_messages) < _FEW_MESSAGES and all(
        log_message.subject.rpartition(".")[2] == messages.WORDS for log_message in log_messages
    )
