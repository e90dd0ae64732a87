"""How the feed and the lanes are spread over hosts: evenly, as pinned, and without unrest."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.hosts.spread import (
    FEED,
    PresentHost,
    assign_work,
    decide_change,
    lane_of_work,
    lane_work,
)

LANE_NAMES = [f"lane{number}" for number in range(7)]
ALL_WORK = [FEED, *map(lane_work, LANE_NAMES)]
HOST_NAMES = ["alpha", "beta", "gamma", "delta"]


def host_of(name: str) -> st.SearchStrategy[PresentHost]:
    """Return a strategy for a host of this name, allowed and pinned to any lanes."""
    some_lanes = st.frozensets(st.sampled_from(LANE_NAMES))
    return st.builds(
        PresentHost,
        name=st.just(name),
        weight=st.sampled_from([0, 1, 1, 1, 2, 3]),
        lanes=st.none() | some_lanes,
        pinned=st.frozensets(st.sampled_from(LANE_NAMES), max_size=1),
        takes_feed=st.sampled_from([True, True, False]),
        is_ready=st.sampled_from([True, True, True, False]),
    )


@st.composite
def clusters(draw: st.DrawFn) -> list[PresentHost]:
    """Return hosts; a lane is pinned to one of them at most."""
    names = draw(st.lists(st.sampled_from(HOST_NAMES), min_size=1, unique=True))
    hosts: list[PresentHost] = []
    pinned: set[str] = set()
    for name in names:
        host = draw(host_of(name))
        hosts.append(replace(host, pinned=host.pinned - pinned))
        pinned |= host.pinned
    return hosts


def holders_by(hosts: list[PresentHost]) -> st.SearchStrategy[dict[str, str]]:
    """Return a strategy for what the hosts, and one that is gone, may have."""
    names = [host.name for host in hosts]
    return st.dictionaries(st.sampled_from(ALL_WORK), st.sampled_from(names))


def settle(hosts: list[PresentHost], holders: dict[str, str], seed: int = 0) -> int:
    """Let the hosts decide in any order until none changes anything; return how much was taken."""
    order, taken_count = random.Random(seed), 0
    for _ in range(200):
        has_changed = False
        seen_holders = dict(holders)  # several decide on the same view
        for host in order.sample(hosts, len(hosts)):
            view = seen_holders if order.random() < 0.5 else holders
            change = decide_change(host.name, ALL_WORK, view, hosts)
            for work_name in change.released:
                del holders[work_name]
            for work_name in change.taken:
                if work_name not in holders:
                    holders[work_name] = host.name
                    taken_count += 1
            has_changed = has_changed or bool(change.taken or change.released)
        if not has_changed:
            return taken_count
    raise AssertionError(f"{hosts} do not come to rest: {holders}")


@given(hosts=clusters(), data=st.data(), seed=st.integers(0, 1000))
def test_everything_that_may_be_done_is_held_once_in_the_end(
    hosts: list[PresentHost], data: st.DataObject, seed: int
) -> None:
    """Whoever has what at first, and whoever decides first: by a host that may have it."""
    holders = data.draw(holders_by(hosts))
    held_before = dict(holders)
    settle(hosts, holders, seed)
    by_name = {host.name: host for host in hosts}
    for work_name in ALL_WORK:
        able = [host for host in hosts if host.may_do(work_name)]
        able = [host for host in able if host.is_ready] or able
        if able:
            assert by_name[holders[work_name]] in able
        else:  # it stays where it is: somebody has to do it until a host may
            assert holders.get(work_name) == held_before.get(work_name)


@given(hosts=clusters(), data=st.data())
def test_pinned_lane_is_with_its_host_whenever_that_is_ready(
    hosts: list[PresentHost], data: st.DataObject
) -> None:
    """And with another one while it is not."""
    holders = data.draw(holders_by(hosts))
    settle(hosts, holders)
    for host in hosts:
        for lane_name in host.pinned:
            if host.is_ready and host.may_do(lane_work(lane_name)):
                assert holders[lane_work(lane_name)] == host.name


@given(hosts=clusters(), data=st.data())
def test_rest_is_kept(hosts: list[PresentHost], data: st.DataObject) -> None:
    """Once it is spread, nobody gives anything away."""
    holders = data.draw(holders_by(hosts))
    settle(hosts, holders)
    assert settle(hosts, dict(holders)) == 0


@given(hosts=clusters(), data=st.data())
def test_host_that_is_not_ready_takes_nothing_that_a_ready_one_may_do(
    hosts: list[PresentHost], data: st.DataObject
) -> None:
    """It lacks the wanted version: it keeps what it has until others can have it."""
    holders = data.draw(holders_by(hosts))
    ready_hosts = [host for host in hosts if host.is_ready]
    for host in hosts:
        change = decide_change(host.name, ALL_WORK, holders, hosts)
        assert host.is_ready or not any(
            other.may_do(work_name) for other in ready_hosts for work_name in change.taken
        )
        assert len(change.released) <= 1


@given(
    count=st.integers(1, 4),
    weights=st.lists(st.integers(1, 3), min_size=4, max_size=4),
    seed=st.integers(0, 99),
)
def test_shares_are_as_the_weights_say(count: int, weights: list[int], seed: int) -> None:
    """No host has so much that another one would have less for its weight with one more."""
    hosts = [
        PresentHost(name=name, weight=weight)
        for name, weight in zip(HOST_NAMES[:count], weights[:count], strict=True)
    ]
    holders: dict[str, str] = {}
    settle(hosts, holders, seed)
    counts = Counter(holders.values())
    for giver in hosts:
        for receiver in hosts:
            assert (
                counts[giver.name] / giver.weight <= (counts[receiver.name] + 1) / receiver.weight
            )


@pytest.mark.parametrize("gone", HOST_NAMES[:3])
def test_death_moves_only_what_the_dead_host_had(gone: str) -> None:
    """The others keep what they have, and share the rest."""
    hosts = [PresentHost(name=name) for name in HOST_NAMES[:3]]
    holders: dict[str, str] = {}
    settle(hosts, holders)
    kept = {work: name for work, name in holders.items() if name != gone}
    holders = dict(kept)
    settle([host for host in hosts if host.name != gone], holders)
    assert kept.items() <= holders.items()
    assert sorted(Counter(holders.values()).values()) == [4, 4]


def test_host_that_comes_gets_its_share_and_no_feed() -> None:
    """Lanes move to it, the feed stays where it is: moving it delays all lanes."""
    hosts = [PresentHost(name=name) for name in HOST_NAMES[:2]]
    holders: dict[str, str] = {}
    settle(hosts, holders)
    follower = holders[FEED]
    taken_count = settle([*hosts, PresentHost(name="gamma")], holders)
    assert sorted(Counter(holders.values()).values()) == [2, 3, 3]
    assert (holders[FEED], taken_count) == (follower, 2)


def test_host_of_no_weight_works_only_where_no_other_can() -> None:
    """It gives everything away as soon as another host is there."""
    spare = PresentHost(name="spare", weight=0)
    holders: dict[str, str] = {}
    settle([spare], holders)
    assert set(holders.values()) == {"spare"}
    settle([spare, PresentHost(name="alpha")], holders)
    assert set(holders.values()) == {"alpha"}


def test_work_has_names() -> None:
    """A lane's name may be anything, also that of the feed."""
    assert lane_of_work(FEED) is None
    assert lane_of_work(lane_work("feed")) == "feed"
    assert assign_work([lane_work("x")], {}, []) == {}
