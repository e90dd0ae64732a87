"""Progress in the journal, as a value. Only this module adds one to a `seq` or subtracts one."""

from __future__ import annotations

from typing import Final, NamedTuple

from sgevents_core.state.keys import CallKey


class Progress(NamedTuple):
    """A position: all events up to one are finished, and some callbacks of the next.

    Args:
        finished: `seq` of the last event finished, 0 before the first.
        done: The callbacks finished for the event that follows.
    """

    finished: int = 0
    done: frozenset[CallKey] = frozenset()

    @classmethod
    def at(cls, seq: int, done: frozenset[CallKey] = frozenset()) -> Progress:
        """Return the progress at an event of which some callbacks are done."""
        return cls(seq - 1, done)

    @property
    def running(self) -> int:
        """`seq` of the current event: the next one to finish."""
        return self.finished + 1

    def is_done(self, seq: int, key: CallKey) -> bool:
        """Return whether a callback is finished for an event."""
        return seq <= self.finished or (seq == self.running and key in self.done)

    def is_next(self, seq: int, key: CallKey) -> bool:
        """Return whether a callback is still to be called for the current event."""
        return seq == self.running and key not in self.done

    def behind(self, end_seq: int) -> int:
        """Return how many events up to `end_seq` are not finished."""
        return max(end_seq - self.finished, 0)

    def before(self, seq: int) -> int:
        """Return how many events remain before `seq` is the current one."""
        return max(seq - self.running, 0)

    def with_done(self, key: CallKey) -> Progress:
        """Return the progress with one more callback finished for the current event."""
        return Progress(self.finished, self.done | {key})

    def of(self, plugin_name: str) -> Progress:
        """Return the progress of one plugin."""
        return Progress(
            self.finished, frozenset(key for key in self.done if key.plugin == plugin_name)
        )

    def joined(self, other_progress: Progress) -> Progress:
        """Return the later progress or, at the same event, one with the callbacks of both."""
        if self.finished != other_progress.finished:
            return max(self, other_progress, key=lambda later_progress: later_progress.finished)
        return Progress(self.finished, self.done | other_progress.done)


BEGINNING: Final = Progress()
"""Nothing is finished."""
