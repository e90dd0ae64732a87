"""The decision how the feed and the lanes are spread over the hosts that are there. Pure.

Every host decides for all, from the same leases, and comes to the same result. A stale view does no
harm: it only costs a refused attempt to take what somebody else has.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

FEED: Final = "feed"
"""The work of following the site."""
_LANE_PREFIX: Final = "lane."


def lane_work(lane_name: str) -> str:
    """Return the name of the work at a lane."""
    return f"{_LANE_PREFIX}{lane_name}"


def lane_of_work(work_name: str) -> str | None:
    """Return the lane that a name of work is about; None for the feed."""
    return work_name.removeprefix(_LANE_PREFIX) if work_name.startswith(_LANE_PREFIX) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentHost:
    """A host that is there.

    Args:
        name: Its name.
        weight: How large its share is; with 0 it takes only what no other host can.
        lanes: The lanes that it may work at; None for all.
        pinned: The lanes that it works at whenever it is ready.
        takes_feed: Whether it may follow the site.
        is_ready: Whether it has the wanted version; if not, it takes only what no other host may
            do that has it.
    """

    name: str
    weight: int = 1
    lanes: frozenset[str] | None = None
    pinned: frozenset[str] = frozenset()
    takes_feed: bool = True
    is_ready: bool = True

    def may_do(self, work_name: str) -> bool:
        """Return whether the configuration allows the host this work."""
        lane_name = lane_of_work(work_name)
        if lane_name is None:
            return self.takes_feed
        return self.lanes is None or lane_name in self.lanes


class WorkChange(NamedTuple):
    """What one host is to change.

    Args:
        taken: The work to take, which nobody has.
        released: The work to end and to give to others.
        awaited: Work that nobody has -> the other host that should take it.
    """

    taken: tuple[str, ...]
    released: tuple[str, ...]
    awaited: Mapping[str, str]


def decide_change(
    host_name: str,
    work_names: Iterable[str],
    holders: Mapping[str, str],
    hosts: Sequence[PresentHost],
    *,
    overdue: Collection[str] = (),
    avoided: Collection[str] = (),
) -> WorkChange:
    """Return what a host is to take now, and what it is to give to others: one at a time.

    Args:
        host_name: The host.
        work_names: All work there is: the feed, and each lane.
        holders: Work -> the host that has it.
        hosts: The hosts that are there.
        overdue: Work that another host should have taken: whoever may take it does.
        avoided: Hosts that took too long: they are given nothing.
    """
    assigned = assign_work(work_names, holders, hosts)
    awaited = {work_name: name for work_name, name in assigned.items() if work_name not in holders}
    taken = [
        work_name
        for work_name, name in awaited.items()
        if name == host_name
        or (work_name in overdue and host_name in _find_candidates(work_name, hosts))
    ]
    released = [
        work_name
        for work_name, name in assigned.items()
        if name not in {host_name, *avoided} and holders.get(work_name) == host_name
    ]
    others = {work_name: name for work_name, name in awaited.items() if name != host_name}
    return WorkChange(tuple(taken), tuple(released[:1]), others)


def assign_work(
    work_names: Iterable[str], holders: Mapping[str, str], hosts: Sequence[PresentHost]
) -> dict[str, str]:
    """Return work -> the host that should have it; what no host may do is left out.

    Each host's share is as its weight says, and as few as possible change hands.

    Args:
        work_names: All work there is.
        holders: Work -> the host that has it now.
        hosts: The hosts that are there.
    """
    candidates = {name: _find_candidates(name, hosts) for name in sorted(set(work_names))}
    weights = {host.name: host.weight for host in hosts}
    present_names = set(weights)
    assigned: dict[str, str] = {}
    for work_name, names in candidates.items():
        holder = holders.get(work_name)
        if holder in names or (not names and holder in present_names):
            assigned[work_name] = str(holder)
    spread = _Spread(assigned, candidates, weights)
    for work_name in sorted(candidates, key=lambda name: (len(candidates[name]), name)):
        if work_name not in assigned and candidates[work_name]:
            spread.assign(work_name)
    while spread.move_one():
        pass
    return spread.assigned


def _find_candidates(work_name: str, hosts: Sequence[PresentHost]) -> list[str]:
    """Return the names of the hosts that may take a piece of work."""
    able_hosts = [host for host in hosts if host.may_do(work_name)]
    able_hosts = [host for host in able_hosts if host.is_ready] or able_hosts
    for may_take in (
        lambda host: lane_of_work(work_name) in host.pinned,
        lambda host: host.weight > 0,
        lambda host: True,
    ):
        names = sorted(host.name for host in able_hosts if may_take(host))
        if names:
            return names
    return []


class _Spread:
    """Work that is assigned to hosts, while it is spread more evenly."""

    def __init__(
        self,
        assigned: dict[str, str],
        candidates: Mapping[str, Sequence[str]],
        weights: Mapping[str, int],
    ) -> None:
        self.assigned = assigned
        self._candidates = candidates
        self._weights = weights
        self._counts = dict.fromkeys(weights, 0)
        for host_name in assigned.values():
            self._counts[host_name] += 1

    def assign(self, work_name: str) -> None:
        """Give work that nobody has to the host that has least for its weight."""
        host_name = min(self._candidates[work_name], key=lambda name: (self._load(name, 1), name))
        self.assigned[work_name] = host_name
        self._counts[host_name] += 1

    def move_one(self) -> bool:
        """Move one piece of work where that makes the spread more even; return whether it did."""
        moves = [
            (self._load(giver, 0) - self._load(receiver, 1), work_name != FEED, work_name, receiver)
            for work_name, giver in self.assigned.items()
            for receiver in self._candidates[work_name]
            if receiver != giver and self._load(giver, 0) > self._load(receiver, 1)
        ]
        if not moves:
            return False
        _, _, work_name, receiver = max(moves)
        self._counts[self.assigned[work_name]] -= 1
        self._counts[receiver] += 1
        self.assigned[work_name] = receiver
        return True

    def _load(self, host_name: str, more_count: int) -> float:
        """Return how much a host has for its weight, with so many more pieces of work."""
        weight, count = self._weights[host_name], self._counts[host_name] + more_count
        return count / weight if weight else math.inf
