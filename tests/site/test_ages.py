"""The site's clock as rows tell it, and the marks of which ids are how old."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgevents_core.site import ages
from sgevents_core.state.entries import Row
from sgevents_core.state.feed_values import FeedState

DAY = 86_400
NOON = 1_750_000_000


def remembered(times: list[int], state: FeedState | None = None) -> FeedState:
    """A state that has taken rows created at those times, one after the other."""
    state = state or FeedState()
    first = state.recent[-1][0] + 1 if state.recent else 1
    for id_, at in enumerate(times, first):
        ages.remember_rows(state, [Row(id_, at, "Type", b"{}")], None, DAY)
    return state


def test_the_clock_is_what_most_rows_say() -> None:
    """A few rows with a wrong time among the last ones do not move the clock."""
    state = remembered([NOON + second for second in range(20)])
    assert ages.site_clock(state, None) == NOON + 15
    for wrong in (0, 2 * NOON, 2 * NOON, 0):
        remembered([wrong], state)
        assert abs(ages.site_clock(state, None) - NOON) < 20


def test_the_clock_is_not_ahead_of_what_the_site_says() -> None:
    """Where the site tells its time, rows dated ahead cannot put the clock forward."""
    state = remembered([2 * NOON] * 9)
    assert ages.site_clock(state, NOON) == NOON
    assert ages.site_clock(state, None) == 2 * NOON
    assert ages.site_clock(FeedState(), NOON) == NOON
    assert ages.site_clock(FeedState(), None) == 0


def test_the_last_rows_are_remembered() -> None:
    """Two hundred rows are enough to recognise the log by."""
    state = remembered([NOON] * 500)
    assert state.recent == [(id_, NOON) for id_ in range(301, 501)]


def test_late_rows_are_remembered_in_their_place() -> None:
    """A late row is among the last ones if its id is."""
    state = remembered([NOON] * 300)
    state.recent = [pair for pair in state.recent if pair[0] != 250]
    ages.remember_late_rows(
        state, [Row(50, NOON, "Type", b"{}"), Row(250, NOON + 1, "Type", b"{}")]
    )
    assert [id_ for id_, _ in state.recent] == list(range(101, 301))
    assert (250, NOON + 1) in state.recent


@pytest.mark.parametrize("apart", [5, 31, 600, 3600, 7 * 3600])
def test_marks_reach_back_to_the_horizon(apart: int) -> None:
    """However fast rows come: ids of a day ago are known, finer the younger, in few marks."""
    state = FeedState()
    rows = max(int(1.3 * DAY) // apart, 40)
    remembered([NOON + apart * place for place in range(rows)], state)
    now = ages.site_clock(state, None)
    assert len(state.marks) < 110
    for back in (900, 7200, DAY):
        id_ = ages.first_id_after(state, now - back)
        assert id_ is not None
        age = now - (NOON + apart * (id_ - 1))
        assert back <= age <= back * 1.2 + 10 * apart + ages.MARKS_APART


def test_before_the_first_mark_nothing_is_known() -> None:
    """Younger than the feed itself: no id is known for that time."""
    state = remembered([NOON, NOON + 100])
    assert ages.first_id_after(state, NOON - 1) is None
    assert ages.first_id_after(FeedState(), NOON) is None


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.sampled_from([0, NOON - 90_000, NOON + 90_000, 2 * NOON]))
def test_wrong_times_only_widen_what_is_looked_at(seed: int, wrong: int) -> None:
    """With wrong times among the rows, in runs too, the id for a time is never too high."""
    rng = random.Random(seed)
    state = FeedState()
    true_at: dict[int, int] = {}
    at, id_ = NOON, 0
    for _ in range(rng.randrange(5, 60)):
        run = rng.choice([0, 0, 0, 1, 3, 12]) if wrong < NOON else rng.choice([0, 0, 0, 1, 2])
        page = []
        for place in range(rng.randrange(1, 6) + run):
            at += rng.randrange(0, 90)
            id_ += 1
            true_at[id_] = at
            page.append(Row(id_, wrong if place < run else at, "Type", b"{}"))
        ages.remember_rows(state, page, None, DAY)
    clock = ages.site_clock(state, None)
    for back in (60, 900, 7200):
        found = ages.first_id_after(state, clock - back)
        if found is not None and clock <= at:
            younger = [i for i, true in true_at.items() if i < found and true > clock - back]
            assert not younger
