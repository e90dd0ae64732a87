"""The plan: which callbacks are called for an event, in which order. Pure, compiled at load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar

from sgevents_core.events import Route, route_of

if TYPE_CHECKING:
    from sgevents_core.events import Event
    from sgevents_core.plugins.callback import Callback
    from sgevents_core.state import entries

PlannedCalls: TypeAlias = "tuple[tuple[int, Callback], ...]"
"""Callbacks, each with its index in the plan, in call order."""

_TableKey = TypeVar("_TableKey")
_MAX_TABLE_SIZE: Final = 20_000


class Explanation(NamedTuple):
    """Whether a callback is called for an event, and if not, why."""

    callback: Callback
    matched: bool
    why_not: str
    """Empty if it is called."""


class Plan:
    """The tables event type -> callbacks, and route -> callbacks, in call order.

    They are filled as types and routes occur, so that a callback whose filter cannot match an event
    is not even asked.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        """Make the plan for `callbacks`, which are in call order."""
        self.callbacks: Final = tuple(callbacks)
        self.by_type: Final = _CallTable(self._compile_type)
        """Event type -> the callbacks that may be called for it, with their indices."""
        self.by_route: Final = _CallTable(self._compile_route)
        """`route_of` an event -> the callbacks that may be called for it, with their indices."""

    def for_type(self, event_type: str) -> PlannedCalls:
        """Return the callbacks that may be called for events of `event_type`, with their indices.

        The rest of their filters depends on the event: `callback.matches(event)`.
        """
        return self.by_type[event_type]

    def may_want(self, event_type: str, route: entries.Route | None) -> bool:
        """Return whether a callback may be called for an event of a type, or of a known route."""
        return bool(self.by_type[event_type] if route is None else self.by_route[route])

    def for_event(self, event: Event) -> PlannedCalls:
        """Return the callbacks that may be called for an event by its route, with their indices.

        The rest of their filters: `callback.match.may_accept_routed(event)`, and `where`.
        """
        return self.by_route[route_of(event)]

    def explain(self, event: Event) -> list[Explanation]:
        """Return, for every callback in call order, whether it is called for `event`."""
        reasons = [(callback, callback.why_not(event)) for callback in self.callbacks]
        return [Explanation(callback, reason is None, reason or "") for callback, reason in reasons]

    def _compile_type(self, event_type: str) -> PlannedCalls:
        return tuple(
            (callback_index, callback)
            for callback_index, callback in enumerate(self.callbacks)
            if callback.accepts_type(event_type)
        )

    def _compile_route(self, route_values: entries.Route) -> PlannedCalls:
        event_route = Route.read(route_values)
        return tuple(
            (callback_index, callback)
            for callback_index, callback in self.for_type(event_route[0])
            if callback.accepts_route(event_route)
        )


class _CallTable(dict[_TableKey, PlannedCalls]):
    """A table that is filled when somebody looks something up: that is one step per event.

    Args:
        compile_calls: Returns the value of a key.
    """

    def __init__(self, compile_calls: Callable[[_TableKey], PlannedCalls]) -> None:
        super().__init__()
        self._compile_calls = compile_calls

    def __missing__(self, table_key: _TableKey) -> PlannedCalls:
        if len(self) >= _MAX_TABLE_SIZE:  # a tool that numbers its types must not fill the memory
            self.clear()
        planned_calls = self[table_key] = self._compile_calls(table_key)
        return planned_calls
