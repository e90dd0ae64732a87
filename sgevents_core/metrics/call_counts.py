"""Counts of calls, failures and durations by callback, collected around every call."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from typing import Final, TypeAlias

from sgevents_core.observe.observers import CallObserver, ObservedCall, ObservedError
from sgevents_core.state.failures import Failure

BUCKETS: Final = (
    *(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
"""The upper bounds of the durations that are counted together, in seconds; the rest is longer."""
MOST_CALLBACKS: Final = 500
"""The most callbacks that are counted by name; all further ones are counted together."""
OTHERS: Final = ("(others)", "(others)")
CallbackName: TypeAlias = tuple[str, str]
"""A plugin and one of its callbacks."""


class CallbackCounts:
    """The counts of one callback.

    `buckets` are the calls by duration, `seconds` their sum, `failures` the calls that raised or
    were given up, `dead_letters` the events it failed on for good.
    """

    __slots__ = ("buckets", "dead_letters", "failures", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0
        self.failures = 0
        self.dead_letters = 0


class CallCounts(CallObserver):
    """An observer that counts the calls of all lanes.

    A plugin is in one lane, whose calls are observed one at a time, so no two threads count the
    same callback; those beyond `MOST_CALLBACKS` share counts that may miss a call.
    """

    def __init__(self) -> None:
        self._counts_by_callback: dict[CallbackName, CallbackCounts] = {}

    def ended(
        self, call: ObservedCall, began: float, seconds: float, error: ObservedError | None
    ) -> None:
        """Count a call."""
        callback_counts = self._counts_of((call.plugin, call.callback_name))
        callback_counts.buckets[bisect_left(BUCKETS, seconds)] += 1
        callback_counts.seconds += seconds
        if error is not None:
            callback_counts.failures += 1

    def note_failure(self, failure: Failure) -> None:
        """Count a failure that became a dead letter."""
        if failure.outcome == "dead-letter":
            self._counts_of((failure.plugin, failure.callback)).dead_letters += 1

    def by_callback(self, plugin_names: Collection[str]) -> dict[CallbackName, CallbackCounts]:
        """Return the counts of these plugins, and forget those of plugins that are gone.

        Args:
            plugin_names: The plugins that run.
        """
        for callback_name in list(self._counts_by_callback):
            if callback_name[0] not in plugin_names and callback_name != OTHERS:
                self._counts_by_callback.pop(callback_name, None)
        return dict(self._counts_by_callback)

    def _counts_of(self, callback_name: CallbackName) -> CallbackCounts:
        callback_counts = self._counts_by_callback.get(callback_name)
        if callback_counts is None:
            is_full = len(self._counts_by_callback) >= MOST_CALLBACKS
            callback_counts = self._counts_by_callback.setdefault(
                OTHERS if is_full else callback_name, CallbackCounts()
            )
        return callback_counts
