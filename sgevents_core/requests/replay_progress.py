"""How far a replay has come, as its request records it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class ReplayProgress:
    """How far a replay has come.

    Args:
        place: The index of the event that is replayed.
        calls: How many calls were made.
        failed: How many of them failed.
        named: The numbers of the first dead letters that they left.
        done: The callbacks that are done with the event.
        due: The callback and the number of a batch that is full, and called before anything else.
    """

    place: int = 0
    calls: int = 0
    failed: int = 0
    named: list[int] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    due: tuple[str, int] | None = None

    @classmethod
    def load(
        cls,
        *,
        place: int = 0,
        calls: int = 0,
        failed: int = 0,
        named: Iterable[int] = (),
        done: Iterable[str] = (),
        due: Sequence[Any] = (),
    ) -> ReplayProgress:
        """Return the progress that `fields` has described."""
        full_batch = (str(due[0]), int(due[1])) if due else None
        return cls(place, calls, failed, [*named], [*done], full_batch)

    def fields(self) -> dict[str, Any]:
        """Return the progress as a request records it."""
        progress_fields: dict[str, Any] = {
            "place": self.place,
            "calls": self.calls,
            "failed": self.failed,
            "named": self.named,
            "done": self.done,
        }
        return progress_fields if self.due is None else {**progress_fields, "due": [*self.due]}
