"""Calls are counted by callback, and neither counts nor labels grow without bound."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.metrics.call_counts import BUCKETS, MOST_CALLBACKS, OTHERS, CallCounts
from sgevents_core.metrics.labels import LONGEST_LABEL, label_value

NAMES = st.text(max_size=300) | st.sampled_from(["\n", "\\n", "\x1b[31m", "\ud800", "a" * 500])


def end_call(counts: CallCounts, plugin: str, callback: str, seconds: float = 0.02) -> None:
    """Observe the end of a call."""
    call: Any = SimpleNamespace(plugin=plugin, callback_name=callback)
    counts.ended(call, 0.0, seconds, None)


def test_durations_are_counted_by_their_bounds() -> None:
    """A duration counts in the first bucket that it fits into, a very long one in the last."""
    counts = CallCounts()
    for seconds in (0.0, 0.001, 0.0011, 60.0, 1e9):
        end_call(counts, "p", "c", seconds)
    counted = counts.by_callback({"p"})["p", "c"]
    assert counted.buckets[0] == 2
    assert counted.buckets[1] == 1
    assert counted.buckets[BUCKETS.index(60.0)] == 1
    assert counted.buckets[-1] == 1


def test_callbacks_beyond_the_bound_are_counted_together() -> None:
    """A plugin that registers callbacks without end does not fill the memory of monitoring."""
    counts = CallCounts()
    for number in range(MOST_CALLBACKS + 100):
        end_call(counts, "p", f"callback {number}")
    by_callback = counts.by_callback({"p"})
    assert len(by_callback) == MOST_CALLBACKS + 1
    assert sum(by_callback[OTHERS].buckets) == 100


def test_plugins_that_are_gone_are_forgotten() -> None:
    """A folder of classic plugins in which files come and go does not leave counts behind."""
    counts = CallCounts()
    for number in range(2 * MOST_CALLBACKS):
        end_call(counts, f"classic:g/{number}", "c")
        assert list(counts.by_callback({f"classic:g/{number}"})) == [(f"classic:g/{number}", "c")]


@given(NAMES, NAMES)
def test_labels_are_visible_bounded_and_different(one: str, other: str) -> None:
    """No name can break a line or a terminal, and two names never share a label."""
    label = label_value(one)
    assert len(label) <= LONGEST_LABEL
    assert not any(ord(character) < 32 or character == "\x7f" for character in label)
    label.encode("utf-8")
    assert (label == label_value(other)) == (one == other)
