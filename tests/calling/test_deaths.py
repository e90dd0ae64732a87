"""How often a call that ends its process is made, and how soon its plugin is called again."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.calling.deaths import (
    DEATHS_LIMIT,
    LONGEST_WAIT,
    MEMORY_SECONDS,
    PROVED_LIMIT,
    TOLERATED_ENDS,
    EndedWorkers,
    count_death,
    died_too_often,
    first_death,
)
from sgevents_core.state.keys import CallKey


@given(st.lists(st.booleans(), max_size=8))
def test_two_proved_deaths_or_five_of_any_kind_are_enough(proofs: list[bool]) -> None:
    """Each death is counted once, with the cause of the last one that is proved."""
    died = first_death(CallKey("one", "m:a"), 7)
    for number, is_proved in enumerate(proofs):
        died = count_death(died, f"how {number}", "where", is_proved=is_proved)
    assert (died.plugin, died.callback, died.seq) == ("one", "m:a", 7)
    assert (died.proved, died.unproved) == (proofs.count(True), proofs.count(False))
    assert died_too_often(died) is (
        proofs.count(True) >= PROVED_LIMIT or len(proofs) >= DEATHS_LIMIT
    )
    if any(proofs):
        last = max(number for number, is_proved in enumerate(proofs) if is_proved)
        assert (died.how, died.traceback) == (f"how {last}", "where")


def test_a_plugin_that_ends_workers_waits_longer_each_time() -> None:
    """The first ones cost only their call; an hour later nothing of it is left."""
    ended = EndedWorkers()
    waits = []
    for number in range(40):
        waits.append(ended.count_end(number))
        assert ended.are_many is (number >= TOLERATED_ENDS)
    assert waits == sorted(waits)
    assert waits[0] < 1.0
    assert waits[-1] == LONGEST_WAIT
    assert ended.count_end(MEMORY_SECONDS * 2 + 40) == waits[0]
    assert not ended.are_many


def test_slow_plugin_is_called_once_at_a_time_and_after_its_wait() -> None:
    """Whatever the strand: the wait is the plugin's, and over with the last of the deaths."""
    ended = EndedWorkers()
    assert ended.wait_left(0.0) == 0.0
    waits = [ended.count_end(10.0) for _ in range(TOLERATED_ENDS + 1)]
    assert ended.is_slow
    assert ended.wait_left(10.0) == waits[-1]
    assert not ended.begin_call(3, 10.0)
    assert ended.begin_call(3, 10.0 + waits[-1])
    assert ended.wait_left(10.0 + waits[-1]) == math.inf
    assert not ended.begin_call(4, 10.0 + waits[-1])
    assert not ended.end_call(4)
    assert ended.end_call(3)
    assert ended.wait_left(10.0 + waits[-1]) == 0.0
    assert ended.wait_left(11.0 + MEMORY_SECONDS) == 0.0
    assert not ended.is_slow
