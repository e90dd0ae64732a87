"""When a loop of the daemon is alive, and when it hangs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watched_loops import WatchedLoop

from sgevents_core.observe.liveness import LIVENESS_MARGIN, Liveness, report_alive, report_busy


class TestLiveness:
    """Which loops are taken to hang, and which not."""

    @pytest.fixture
    def liveness(self) -> Liveness:
        """Of the feed and one lane."""
        return Liveness(["feed", "lane default"])

    @pytest.fixture
    def loops(self, liveness: Liveness) -> Iterator[dict[str, WatchedLoop]]:
        """The feed and the lane at work."""
        workers = {loop: WatchedLoop(liveness, loop) for loop in ("feed", "lane default")}
        yield workers
        for worker in workers.values():
            worker.ends()

    @pytest.mark.parametrize("hung", ["feed", "lane default"])
    def test_one_loop_that_hangs_is_logged(
        self,
        liveness: Liveness,
        loops: dict[str, WatchedLoop],
        hung: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """However lively the others are; the log says once which one it is, and where it stands."""
        (lively,) = (worker for loop, worker in loops.items() if loop != hung)
        for second in range(int(LIVENESS_MARGIN) + 21):
            lively.does(report_alive)
            hanging_loops = liveness.hanging_loops(float(second))
        assert hanging_loops == {hung}
        (record,) = caplog.records
        assert (record.levelno, vars(record)["action"]) == (logging.ERROR, "daemon.hung")
        assert hung in record.message
        assert "_serve" in vars(record)["traceback"]

    def test_loop_that_moves_again_is_forgiven(
        self,
        liveness: Liveness,
        loops: dict[str, WatchedLoop],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """It does not hang any more, and the log says so."""
        liveness.hanging_loops(0.0)
        assert liveness.hanging_loops(LIVENESS_MARGIN + 1)
        for worker in loops.values():
            worker.does(report_alive)
        assert not liveness.hanging_loops(LIVENESS_MARGIN + 2)
        assert vars(caplog.records[-1])["action"] == "daemon.moves"

    def test_lane_in_a_callback_is_alive_however_long_it_takes(
        self, liveness: Liveness, loops: dict[str, WatchedLoop]
    ) -> None:
        """A callback has no time limit; the time of the next one counts from its end."""
        loops["lane default"].does(report_busy)
        for hour in range(5):
            loops["feed"].does(report_alive)
            assert not liveness.hanging_loops(3600.0 * hour)
        loops["lane default"].does(report_alive)
        loops["feed"].does(report_alive)
        assert not liveness.hanging_loops(3600.0 * 5)
        loops["feed"].does(report_alive)
        assert liveness.hanging_loops(3600.0 * 5 + LIVENESS_MARGIN + 1) == {"lane default"}

    def test_loop_may_wait_as_long_as_it_said(
        self, liveness: Liveness, loops: dict[str, WatchedLoop]
    ) -> None:
        """A feed in a call to the site is alive for the call's longest time, and no longer."""
        wait = 240.0
        loops["lane default"].does(report_busy)
        loops["feed"].does(partial(report_alive, wait))
        assert not liveness.hanging_loops(0.0)
        assert not liveness.hanging_loops(wait + LIVENESS_MARGIN)
        assert liveness.hanging_loops(wait + LIVENESS_MARGIN + 1) == {"feed"}

    def test_signs_of_other_threads_count_for_nobody(
        self, liveness: Liveness, loops: dict[str, WatchedLoop]
    ) -> None:
        """A thread that a plugin starts, and the main thread, are none of the loops."""
        liveness.hanging_loops(0.0)
        report_alive()
        report_busy()
        assert liveness.hanging_loops(LIVENESS_MARGIN + 1) == set(loops)

    def test_loop_that_never_began_hangs(self, liveness: Liveness) -> None:
        """Being registered is no sign of life."""
        liveness.hanging_loops(0.0)
        assert liveness.hanging_loops(LIVENESS_MARGIN + 1) == {"feed", "lane default"}

    def test_loop_that_has_ended_is_not_waited_for(
        self, liveness: Liveness, loops: dict[str, WatchedLoop]
    ) -> None:
        """While the daemon stops, one lane may be done long before another."""
        liveness.hanging_loops(0.0)
        loops["feed"].ends()
        assert liveness.hanging_loops(LIVENESS_MARGIN + 1) == {"lane default"}


@given(st.lists(st.tuples(st.sampled_from("abw"), st.floats(0, 2 * LIVENESS_MARGIN)), max_size=30))
def test_a_loop_hangs_exactly_when_it_was_silent_for_too_long(
    history: list[tuple[str, float]],
) -> None:
    """Whatever it did before: what counts is its last sign, and the time since it was seen."""
    liveness = Liveness(["lane"])
    lane = WatchedLoop(liveness, "lane")
    now, since, is_busy = 0.0, 0.0, False
    liveness.hanging_loops(now)
    right = []
    for sign, passes in history:
        now += passes
        if sign != "w":
            lane.does(report_alive if sign == "a" else report_busy)
            is_busy = sign == "b"
        if sign != "w" or is_busy:
            since = now
        right.append(bool(liveness.hanging_loops(now)) == (now - since > LIVENESS_MARGIN))
    lane.ends()
    assert all(right)
