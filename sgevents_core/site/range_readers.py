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
    """Connections that ask for ranges at the same time; each is opened when first needed.

    Args:
        connect: Returns a connection; may be called from any thread.
    """

    def __init__(self, connect: Callable[[], LogReader]) -> None:
        self._connect = connect
        self._executor: ThreadPoolExecutor | None = None
        self._under_way: dict[PageRange, Future[Reading]] = {}
        self._given_up: list[Future[Reading]] = []
        self._idle: SimpleQueue[LogReader] = SimpleQueue()
        self._readers: list[LogReader] = []

    def read_ahead(self, calls: Sequence[PageRange], connections: int) -> None:
        """Ask for ranges that were not asked for yet, as connections are free; give up all others.

        After a failure nothing more is asked before the feed has seen it. A call that was given up
        still occupies its connection until the site answers.

        Args:
            calls: The ranges that come next, in order.
            connections: How many may be asked for at the same time.
        """
        for call in self._under_way.keys() - set(calls):
            self._give_up(self._under_way.pop(call))
        self._given_up = [future for future in self._given_up if not future.done()]
        has_failed = any(
            future.done() and future.exception() for future in self._under_way.values()
        )
        for call in () if has_failed else calls:
            if call not in self._under_way and self._occupied < connections:
                self._begin(call)

    def wait(self, call: PageRange) -> Reading:
        """Return the answer to a range, which is asked for now if it is not under way.

        Raises:
            SiteError: The call failed.
        """
        if call not in self._under_way:
            self._begin(call)
        return self._under_way.pop(call).result()

    def close(self) -> None:
        """Give up all ranges and close the connections; calls under way fail."""
        self.read_ahead((), 0)
        self._close_readers()
        if self._executor is not None:
            self._executor.shutdown()
        self._close_readers()  # those that were just being opened

    def _close_readers(self) -> None:
        for reader in self._readers:
            reader.close()

    @property
    def _occupied(self) -> int:
        """How many connections are, or are about to be, in use."""
        asked = sum(not future.done() for future in self._under_way.values())
        return asked + len(self._given_up)

    def _give_up(self, future: Future[Reading]) -> None:
        if not future.cancel():
            self._given_up.append(future)

    def _begin(self, call: PageRange) -> None:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(MOST_CONNECTIONS, "feed-range")
        self._under_way[call] = self._executor.submit(self._read, call)

    def _read(self, call: PageRange) -> Reading:
        reader = self._idle_reader()
        try:
            return reader.read(call)
        finally:
            self._idle.put(reader)

    def _idle_reader(self) -> LogReader:
        try:
            return self._idle.get_nowait()
        except Empty:
            reader = self._connect()
            self._readers.append(reader)
            return reader
