"""The plan: which callbacks are called for an event, in which order. Pure, compiled at load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from sgevents_core.events import Event
    from sgevents_core.plugins.callback import Callback

Planned: TypeAlias = "tuple[tuple[int, Callback], ...]"
"""Callbacks, each with its index in the plan, in call order."""

_MOST_TYPES: Final = 10_000


class Explanation(NamedTuple):
    """Whether a callback is called for an event, and if not, why."""

    callback: Callback
    matched: bool
    why_not: str
    """Empty if it is called."""


class Plan:
    """The table event type -> callbacks in call order, filled as types occur."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        """Make the plan for `callbacks`, which are in call order."""
        self.callbacks: Final = tuple(callbacks)
        self._by_type: dict[str, Planned] = {}

    def for_type(self, event_type: str) -> Planned:
        """Return the callbacks that may be called for events of `event_type`, with their indices.

        The rest of their filters depends on the event: `callback.matches(event)`.
        """
        planned = self._by_type.get(event_type)
        return self._compile(event_type) if planned is None else planned

    def explain(self, event: Event) -> list[Explanation]:
        """Return, for every callback in call order, whether it is called for `event`."""
        reasons = [(callback, callback.why_not(event)) for callback in self.callbacks]
        return [Explanation(callback, reason is None, reason or "") for callback, reason in reasons]

    def _compile(self, event_type: str) -> Planned:
        planned = tuple(
            (index, callback)
            for index, callback in enumerate(self.callbacks)
            if callback.accepts_type(event_type)
        )
        if len(self._by_type) >= _MOST_TYPES:  # a tool that numbers its types must not fill memory
            self._by_type.clear()
        self._by_type[event_type] = planned
        return planned
