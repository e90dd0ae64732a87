"""The feed's change as a page holds it: its state as the difference from the one before.

The whole state is several times as long as a row, and comes with every step of the feed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct, field

from sgevents_core.state.feed_values import (
    FeedChange,
    FeedState,
    MissingRange,
    ParkedRange,
    SetAside,
)

Pair: TypeAlias = tuple[int, int]
_LISTS: Final = ("marks", "recent")
_PLAIN_FIELDS: Final = tuple(name for name in FeedState.__dataclass_fields__ if name not in _LISTS)


class ListChange(Struct, array_like=True):
    """A list that lost its first entries, and got others at its end."""

    cut: int
    added: list[Pair]

    @classmethod
    def of(cls, before: Sequence[Pair], after: Sequence[Pair]) -> ListChange:
        """Return the change from one list to another."""
        pairs = [(*pair,) for pair in after]
        for cut in range(len(before)):
            kept = before[cut:]
            if [(*pair,) for pair in kept] == pairs[: len(kept)]:
                return cls(cut, [(first, second) for first, second in pairs[len(kept) :]])
        return cls(len(before), [(first, second) for first, second in pairs])

    def applied(self, before: Sequence[Pair]) -> list[Pair]:
        """Return the list after the change."""
        return [*before[self.cut :], *self.added]


class FeedWords(Struct, omit_defaults=True):
    """A `FeedChange`: what changed of its state, and the rest of it as it is.

    Args:
        whole: The whole state, in the first message of a writer.
        changed: The values that changed, by name.
        marks: The change of the list `marks`.
        recent: The change of the list `recent`.
    """

    whole: FeedState | None = None
    changed: dict[str, Any] = field(default_factory=dict)
    marks: ListChange | None = None
    recent: ListChange | None = None
    put: list[MissingRange] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    put_gone: list[Pair] = field(default_factory=list)
    cut_gone: list[int] = field(default_factory=list)
    closed: list[Pair] = field(default_factory=list)
    put_parked: list[ParkedRange] = field(default_factory=list)
    cut_parked: list[int] = field(default_factory=list)
    dropped: list[Pair] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    no_more_aside: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, change: FeedChange, before: FeedState | None) -> FeedWords:
        """Return a change in words.

        Args:
            change: The change.
            before: The feed's state before it, as every copy has it; None to give it whole.
        """
        words = cls(
            put=list(change.put),
            cut=list(change.cut),
            put_gone=list(change.put_gone),
            cut_gone=list(change.cut_gone),
            closed=list(change.closed),
            put_parked=list(change.put_parked),
            cut_parked=list(change.cut_parked),
            dropped=list(change.dropped),
            set_aside=list(change.set_aside),
            no_more_aside=list(change.no_more_aside),
        )
        state = change.state
        if before is None:
            words.whole = state
            return words
        words.changed = {
            name: getattr(state, name)
            for name in _PLAIN_FIELDS
            if getattr(state, name) != getattr(before, name)
        }
        if state.marks != before.marks:
            words.marks = ListChange.of(before.marks, state.marks)
        if state.recent != before.recent:
            words.recent = ListChange.of(before.recent, state.recent)
        return words

    def change(self, before: FeedState | None) -> FeedChange:
        """Return the change.

        Args:
            before: The feed's state as the copy has it.

        Raises:
            ValueError: There is none, and the words do not give it whole.
        """
        return FeedChange(
            self._state(before),
            self.put,
            self.cut,
            self.put_gone,
            self.cut_gone,
            self.closed,
            self.put_parked,
            self.cut_parked,
            self.dropped,
            self.set_aside,
            self.no_more_aside,
        )

    def _state(self, before: FeedState | None) -> FeedState:
        if self.whole is not None:
            return self.whole
        if before is None:
            raise ValueError("it changes a state of the feed that was never given")
        values: dict[str, Any] = dict(self.changed)
        if self.marks is not None:
            values["marks"] = self.marks.applied(before.marks)
        if self.recent is not None:
            values["recent"] = self.recent.applied(before.recent)
        return replace(before, **values)


def copied(state: FeedState) -> FeedState:
    """Return a copy of the feed's state that shares no list with it."""
    return msgspec.convert(msgspec.to_builtins(state), FeedState)
