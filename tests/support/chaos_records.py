"""What hosts log in a chaos run: who held which lane from when to when, read as it grows."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

FEED: Final = "the feed"
_TAKEN: Final = {"lane.taken", "feed.taken"}
_GIVEN_UP: Final = {"lane.given_up", "feed.given_up"}
_LOG_DELAY: Final = 0.5
"""A lane's first call may begin this many seconds before the log says that it was taken."""


class Holdership(NamedTuple):
    """A lane, or the feed, that a host took.

    Args:
        work: The lane, or `FEED`.
        host: The host.
        taken_at: When, in seconds since 1970.
    """

    work: str
    host: str
    taken_at: float


class HostLog:
    """The log of one host, read as it grows.

    Args:
        path: The file.
        host: The host's name.
    """

    def __init__(self, path: Path, host: str) -> None:
        self._path = path
        self._host = host
        self._offset = 0
        self._held: set[str] = set()
        self._is_started = False
        self.holderships: list[Holdership] = []

    def read(self) -> None:
        """Read what is new."""
        with self._path.open("rb") as log:
            log.seek(self._offset)
            text = log.read()
        whole, end, _ = text.rpartition(b"\n")
        self._offset += len(whole) + len(end)
        for line in whole.splitlines():
            if line.startswith(b"{") and (b'"lane.' in line or b'"feed.' in line):
                self._take(json.loads(line))
            elif b'"daemon.started"' in line:
                self._is_started = True

    def _take(self, record: Mapping[str, Any]) -> None:
        work = record.get("lane", FEED)
        if record["action"] in _TAKEN:
            self._held.add(work)
            self.holderships.append(Holdership(work, self._host, seconds_of(record)))
        elif record["action"] in _GIVEN_UP:
            self._held.discard(work)

    def forget_held(self) -> None:
        """Take notice that the process has ended."""
        self._held.clear()
        self._is_started = False

    def is_started(self) -> bool:
        """Return whether the process that runs now has come so far as to work."""
        self.read()
        return self._is_started

    def held_work(self) -> set[str]:
        """Return what the host holds, as far as it has logged."""
        self.read()
        return set(self._held)


def seconds_of(record: Mapping[str, Any]) -> float:
    """Return when a record was written, in seconds since 1970."""
    return datetime.fromisoformat(record["time"]).timestamp()


class Holders:
    """Who held what when, as all hosts log it.

    Args:
        logs: The logs of the hosts, read to their ends.
    """

    def __init__(self, logs: Sequence[HostLog]) -> None:
        self._by_work: dict[str, list[Holdership]] = {}
        for log in logs:
            for holdership in log.holderships:
                self._by_work.setdefault(holdership.work, []).append(holdership)
        for holderships in self._by_work.values():
            holderships.sort(key=lambda holdership: holdership.taken_at)

    def of_work(self, work: str) -> Sequence[Holdership]:
        """Return who held a lane, or the feed, one after another."""
        return self._by_work.get(work, [])

    def count(self) -> int:
        """Return how often anything was taken."""
        return sum(map(len, self._by_work.values()))

    def number_at(self, work: str, host: str, at: float) -> int:
        """Return in which holdership of its lane a host made a call, by number from 0."""
        holderships = self.of_work(work)
        number = bisect_right(holderships, at + _LOG_DELAY, key=lambda one: one.taken_at) - 1
        while number >= 0 and holderships[number].host != host:
            number -= 1
        return number

    def next_taken(self, work: str, after: float) -> Holdership | None:
        """Return the first time that something was taken after a moment."""
        holderships = self.of_work(work)
        number = bisect_right(holderships, after, key=lambda one: one.taken_at)
        return holderships[number] if number < len(holderships) else None
