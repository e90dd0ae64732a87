"""Whether the site answers, as the feed and the connections of plugins know it together."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.site.health import CALM_SECONDS, SiteHealth, Standing


def heard(*what: tuple[str, float]) -> SiteHealth:
    """What is known after calls that began at these times and took no time."""
    health = SiteHealth()
    for outcome, at in what:
        if outcome == "answered":
            health.answered(at)
        else:
            health.failed(at, at)
    return health


@pytest.mark.parametrize(
    ("what", "standing"),
    [
        ([], Standing.UNKNOWN),
        ([("answered", 99.0)], Standing.UNKNOWN),
        ([("failed", 99.0)], Standing.DOWN),
        ([("failed", 101.0)], Standing.DOWN),
        ([("answered", 99.0), ("failed", 101.0)], Standing.DOWN),
        ([("answered", 101.0)], Standing.OWN),
        ([("failed", 100.0 - CALM_SECONDS - 1), ("answered", 101.0)], Standing.OWN),
        ([("failed", 100.0 - CALM_SECONDS + 1), ("answered", 101.0)], Standing.OVER),
        ([("failed", 101.0), ("answered", 102.0)], Standing.OVER),
        ([("failed", 99.0), ("answered", 99.5)], Standing.UNKNOWN),
        ([("answered", 101.0), ("failed", 100.5)], Standing.OVER),
    ],
)
def test_a_call_that_failed_at_100(what: list[tuple[str, float]], standing: Standing) -> None:
    """Only what was asked after it proves anything, and trouble shortly before it counts too."""
    assert heard(*what).standing(100.0) is standing


def test_outages_are_counted_and_told_once() -> None:
    """However many calls fail in one: its beginning and its end are told, nothing between."""
    health = SiteHealth()
    told: list[bool] = []
    health.on_change(lambda: told.append(health.is_down))
    for outcome, at in [("a", 1), ("f", 2), ("f", 3), ("a", 4), ("a", 5), ("f", 6), ("f", 7)]:
        if outcome == "a":
            health.answered(at)
        else:
            health.failed(at, at)
    assert told == [True, False, True]
    assert health.outages == 2


def test_wanted_call_is_asked_for_and_told() -> None:
    """Who has a doubt is told as soon as it is over, whichever way."""
    for outcome in ("answered", "failed"):
        health = heard(("answered", 1.0))
        wanted, told = [], []
        health.on_want(lambda: wanted.append(True))  # noqa: B023 - called within the turn
        health.on_change(lambda: told.append(True))  # noqa: B023 - called within the loop
        health.want()
        assert (health.is_wanted, len(wanted), told) == (True, 1, [])
        if outcome == "answered":
            health.answered(2.0)
        else:
            health.failed(2.0, 2.0)
        assert (health.is_wanted, len(told)) == (False, 1)


@given(st.lists(st.tuples(st.sampled_from(["answered", "failed"]), st.floats(0, 200)), max_size=9))
def test_an_answer_ends_every_outage(what: list[tuple[str, float]]) -> None:
    """Whatever was heard in whatever order, a later answer is the last word."""
    health = heard(*what)
    health.answered(1000.0)
    assert not health.is_down
    assert health.standing(500.0) in {Standing.OVER, Standing.OWN}
    assert health.standing(999.0) is Standing.OWN


def test_many_threads_hear_at_once() -> None:
    """It is used by the feed, lanes and plugins' threads together."""
    health = SiteHealth()
    at = iter(range(100_000))

    def hears() -> None:
        for _ in range(300):
            now = float(next(at))
            (health.answered if now % 3 else lambda t: health.failed(t, t))(now)
            health.want()
            health.standing(now)

    threads = [threading.Thread(target=hears) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    health.answered(1e9)
    assert not health.is_down
    assert not health.is_wanted
