"""How long lanes and the feed are without a holder after something happened to their host."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from chaos_records import Holders

LONGEST: Final = 10.0
"""Seconds within which others have to take over."""
STARTING: Final = 8.0
"""Seconds after its start for which a host does not count as ready to take anything."""


@dataclass
class Incident:
    """Something that happened to a host, or to the servers.

    Args:
        kind: What, for people.
        machine: The host; empty for the servers.
        work: What the host held.
        at: When, in seconds since 1970.
        ended_at: When it was over; None if it is not yet.
    """

    kind: str
    machine: str
    work: frozenset[str] = frozenset()
    at: float = field(default_factory=time.time)
    ended_at: float | None = None

    def end(self) -> None:
        """Note that it is over."""
        self.ended_at = time.time()

    def lasts(self) -> float:
        """Return how long it lasted, or has lasted by now."""
        return (self.ended_at or time.time()) - self.at

    def overlaps(self, begin: float, end: float, afterwards: float = 0.0) -> bool:
        """Return whether it was going on, or was over for less than `afterwards` seconds."""
        return self.at < end and (self.ended_at or end) + afterwards > begin


class TakeoverTime(NamedTuple):
    """How long something was without a holder.

    Args:
        kind: What had happened.
        work: The lane, or the feed.
        seconds: How long.
        is_clear: Whether the servers were well all the time, and a host that could take it.
        at: When it happened.
    """

    kind: str
    work: str
    seconds: float
    is_clear: bool
    at: float


class TakeoverTimes:
    """The times of a run.

    Args:
        incidents: What happened, in order.
        holders: Who held what when.
        hosts: The names of all hosts.
        lease: How many seconds a lease lasts.
    """

    def __init__(
        self, incidents: Sequence[Incident], holders: Holders, hosts: Sequence[str], lease: float
    ) -> None:
        self._incidents = incidents
        self._holders = holders
        self._hosts = hosts
        self._lease = lease
        self.times = [time for incident in incidents for time in self._times_of(incident)]

    def _times_of(self, incident: Incident) -> Iterator[TakeoverTime]:
        is_gone = incident.kind in {"kill", "death", "stop"}
        for work in sorted(incident.work):
            taken = self._holders.next_taken(work, incident.at)
            seconds = (taken.taken_at if taken else time.time()) - incident.at
            if not is_gone and (incident.lasts() < max(seconds, self._lease + 2.0)):
                if incident.lasts() < LONGEST + 1.0:
                    continue  # it may have kept what it had
                seconds = incident.lasts()
            is_clear = self._is_clear(incident, incident.at + min(seconds, LONGEST))
            yield TakeoverTime(incident.kind, work, seconds, is_clear, incident.at)

    def _is_clear(self, incident: Incident, until: float) -> bool:
        """Return whether nothing else was in the way of the others until a moment."""
        meanwhile = [other for other in self._incidents if other is not incident]
        just_before = incident.at - LONGEST
        if any(
            other.machine == incident.machine and other.overlaps(just_before, incident.at)
            for other in meanwhile
        ):
            return False  # what it held was about to be taken already
        if any(not other.machine and other.overlaps(incident.at, until) for other in meanwhile):
            return False
        return any(
            not any(
                other.machine == host and other.overlaps(incident.at, until, STARTING)
                for other in meanwhile
            )
            for host in self._hosts
            if host != incident.machine
        )

    def wrong(self) -> Iterator[str]:
        """Report a kind of which more than one in a hundred took too long."""
        for kind, seconds in self._clear_times().items():
            if _percentile(seconds, 0.99) > LONGEST:
                late = [time for time in self.times if time.kind == kind and time.is_clear]
                late = [time for time in late if time.seconds > LONGEST]
                yield f"after {kind}, {late[:8]} took too long"

    def lines(self) -> Iterator[str]:
        """Yield a line for people about each kind."""
        for kind, seconds in self._clear_times().items():
            yield (
                f"take-over after {kind}: {len(seconds)} times, median "
                f"{_percentile(seconds, 0.5):.1f} s, p99 {_percentile(seconds, 0.99):.1f} s"
            )
        others = [time.seconds for time in self.times if not time.is_clear]
        if others:
            yield (
                f"take-over while servers or all others were in trouble too: {len(others)} times, "
                f"median {_percentile(others, 0.5):.1f} s, longest {max(others):.1f} s"
            )

    def slow_lines(self) -> Iterator[str]:
        """Yield a line about each time that was too long, with what else happened."""
        for takeover in self.times:
            if takeover.seconds > LONGEST:
                begin, end = takeover.at - 1.0, takeover.at + takeover.seconds
                meanwhile = [
                    f"{other.kind} {other.machine} {other.at - takeover.at:+.1f} s "
                    f"for {other.lasts():.1f} s".replace("  ", " ")
                    for other in self._incidents
                    if other.overlaps(begin, end, STARTING) and other.at != takeover.at
                ]
                yield (
                    f"{takeover.work} was without a holder for {takeover.seconds:.1f} s after "
                    f"{takeover.kind} at {takeover.at:.3f}; meanwhile {'; '.join(meanwhile)}"
                )

    def _clear_times(self) -> Mapping[str, Sequence[float]]:
        by_kind: dict[str, list[float]] = defaultdict(list)
        for takeover in self.times:
            if takeover.is_clear:
                by_kind[takeover.kind].append(takeover.seconds)
        return {kind: by_kind[kind] for kind in sorted(by_kind)}


def _percentile(seconds: Sequence[float], share: float) -> float:
    """Return the time that so many are not above; of few, the longest."""
    ordered = sorted(seconds)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
