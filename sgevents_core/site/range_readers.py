"""Ranges of the event log read ahead of the feed's thread, each on a connection of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Final

from sgevents_core.site.log_reader import LogReader, Reading
from sgevents_core.site.questions import PageRange

MOST_CONNECTIONS: Final = 16


class RangeReaders:
    """Connections that request ranges at the same time; each is opened when first needed.

    Args:
        open_reader: Returns a connection; may be called from any thread.
    """

    def __init__(self, open_reader: Callable[[], LogReader]) -> None:
        self._open_reader = open_reader
        self._executor: ThreadPoolExecutor | None = None
        self._under_way: dict[PageRange, Future[Reading]] = {}
        self._given_up: list[Future[Reading]] = []
        self._idle: SimpleQueue[LogReader] = SimpleQueue()
        self._readers: list[LogReader] = []

    def read_ahead(self, range_calls: Sequence[PageRange], connection_count: int) -> None:
        """Request new ranges as connections become free; give up ranges that are not listed.

        After a failure, nothing more is requested before the feed has seen it. A call that was
        given up still occupies its connection until the site answers.

        Args:
            range_calls: The next ranges to read, in order.
            connection_count: How many ranges to request at the same time.
        """
        for range_call in self._under_way.keys() - set(range_calls):
            self._give_up(self._under_way.pop(range_call))
        self._given_up = [
            reading_future for reading_future in self._given_up if not reading_future.done()
        ]
        has_failed = any(
            reading_future.done() and reading_future.exception()
            for reading_future in self._under_way.values()
        )
        for range_call in () if has_failed else range_calls:
            if range_call not in self._under_way and self._occupied < connection_count:
                self._begin(range_call)

    def wait(self, range_call: PageRange) -> Reading:
        """Return the answer to a range; request it now if it is not under way.

        Raises:
            SiteError: The call failed.
        """
        if range_call not in self._under_way:
            self._begin(range_call)
        return self._under_way.pop(range_call).result()

    def close(self) -> None:
        """Give up all ranges and close the connections; calls under way fail."""
        self.read_ahead((), 0)
        self._close_readers()
        if self._executor is not None:
            self._executor.shutdown()
        self._close_readers()  # those that were just being opened

    def _close_readers(self) -> None:
        for log_reader in self._readers:
            log_reader.close()

    @property
    def _occupied(self) -> int:
        """The number of connections in use or about to be."""
        running_count = sum(
            not reading_future.done() for reading_future in self._under_way.values()
        )
        return running_count + len(self._given_up)

    def _give_up(self, reading_future: Future[Reading]) -> None:
        if not reading_future.cancel():
            self._given_up.append(reading_future)

    def _begin(self, range_call: PageRange) -> None:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(MOST_CONNECTIONS, "feed-range")
        self._under_way[range_call] = self._executor.submit(self._read, range_call)

    def _read(self, range_call: PageRange) -> Reading:
        log_reader = self._idle_reader()
        try:
            return log_reader.read(range_call)
        finally:
            self._idle.put(log_reader)

    def _idle_reader(self) -> LogReader:
        try:
            return self._idle.get_nowait()
        except Empty:
            log_reader = self._open_reader()
            self._readers.append(log_reader)
            return log_reader
