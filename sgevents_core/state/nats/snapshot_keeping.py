"""When snapshots are made: by the host that holds the feed, once the streams have grown enough.

The journal counts too: it is cut with each snapshot, and would else grow while lanes are quiet.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from sgevents_core.errors import StateError
from sgevents_core.state.nats.copy import Copy
from sgevents_core.state.nats.copy_snapshots import make_snapshot, read_snapshot_pointer
from sgevents_core.state.nats.logs import Logs

logger = logging.getLogger(__name__)
_INTERVAL: Final = 60.0
LEAST_GROWTH: Final = 1_000_000
"""The least bytes by which the streams grow from one snapshot to the next."""
_LEAST_JOURNAL_GROWTH: Final = 4_000_000
"""The least bytes of the journal after which there is one without that."""


class SnapshotKeeping:
    """A thread that makes snapshots while this process holds the feed.

    Args:
        copy: The copy.
        logs: The logs.
        holds_feed: Returns whether this process holds the feed.
    """

    def __init__(self, copy: Copy, logs: Logs, holds_feed: Callable[[], bool]) -> None:
        self._copy = copy
        self._logs = logs
        self._holds_feed = holds_feed
        self._bytes_before = 0
        self._journal_bytes_before = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="state-snapshots", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join()

    def look(self) -> bool:
        """Make a snapshot if it is time, or none is left; return whether it is the newest now.

        Raises:
            StateError: It cannot be made.
        """
        if not self._holds_feed():
            return False
        newest, _ = read_snapshot_pointer(self._logs)
        is_missing = newest is None or not self._logs.has_file(newest.file)
        if not is_missing and newest is not None and not self._has_grown(newest.size):
            return False
        bytes_now, journal_bytes = self._copy.applied_bytes, self._copy.applied_journal_bytes
        is_made = make_snapshot(self._copy, self._logs, is_missing=is_missing)
        self._bytes_before, self._journal_bytes_before = bytes_now, journal_bytes
        return is_made

    def _has_grown(self, snapshot_size: int) -> bool:
        """Return whether the streams have grown so much that a snapshot pays."""
        growth = self._copy.applied_bytes - self._bytes_before
        journal_growth = self._copy.applied_journal_bytes - self._journal_bytes_before
        return growth >= max(LEAST_GROWTH, snapshot_size) or journal_growth >= max(
            _LEAST_JOURNAL_GROWTH, snapshot_size
        )

    def _run(self) -> None:
        while not self._stopping.wait(_INTERVAL):
            try:
                self.look()
            except StateError as error:
                logger.warning(
                    "%s No snapshot of the state is made for now; the streams grow.",
                    error,
                    extra={"action": "snapshot.not_made"},
                )
