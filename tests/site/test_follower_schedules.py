"""Random schedules of a site and its feed: nothing lost, nothing twice, order kept."""

from __future__ import annotations

import pytest
from random_schedules import Schedule, check, check_pace, check_ranges


@pytest.mark.parametrize("seed", range(32))
def test_every_visible_row_is_appended_once(seed: int) -> None:
    """Whatever commits late or never, fails or crashes: each row once, late ones marked."""
    check(Schedule(seed).run())


@pytest.mark.parametrize("seed", range(100, 112))
def test_rows_hidden_and_shown_again_stop_nothing(seed: int) -> None:
    """A row that vanishes, the newest one too, and comes back is neither lost nor repeated."""
    check(Schedule(seed).run(hiding=True))


@pytest.mark.parametrize("seed", range(200, 208))
def test_settling_loses_and_repeats_nothing(seed: int) -> None:
    """With `settle` set newer rows wait a little, and the promise is the same."""
    check(Schedule(seed, settle=5.0).run())


@pytest.mark.parametrize("seed", range(300, 310))
def test_a_log_that_goes_back_and_forth_adds_nothing(seed: int) -> None:
    """A restored backup and what grows on it is left alone; what was real all along is taken."""
    check(Schedule(seed).run_back_and_forth())


@pytest.mark.parametrize("seed", range(400, 424))
def test_a_site_that_refuses_much_is_followed_all_the_same(seed: int) -> None:
    """Large questions refused, rows not to be had, rows without a time: all others come."""
    feed = Schedule(seed).run_limited()
    check(feed)
    check_pace(feed)


@pytest.mark.parametrize("seed", range(500, 516))
def test_ranges_read_at_the_same_time_lose_and_repeat_nothing(seed: int) -> None:
    """Far behind, with failures and crashes: each row once, and in order as with single pages."""
    feed = Schedule(seed).run_far_behind()
    check(feed)
    check_ranges(feed)


@pytest.mark.parametrize("seed", range(600, 606))
def test_ranges_of_another_log_are_not_taken(seed: int) -> None:
    """A backup is restored while ranges are under way: nothing that grows on it is appended."""
    check(Schedule(seed).run_far_behind_another())
