"""The plan: which callbacks are called for an event, in which order. Pure, compiled at load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar

from sgevents_core.events import Route, route_of

if TYPE_CHECKING:
    from sgevents_core.events import Event
    from sgevents_core.plugins.callback import Callback

Planned: TypeAlias = "tuple[tuple[int, Callback], ...]"
"""Callbacks, each with its index in the plan, in call order."""

_Key = TypeVar("_Key")
_MOST_KNOWN: Final = 10_000


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
        self._by_type: dict[str, Planned] = {}
        self._by_route: dict[tuple[str, str | None, str | None], Planned] = {}

    def for_type(self, event_type: str) -> Planned:
        """Return the callbacks that may be called for events of `event_type`, with their indices.

        The rest of their filters depends on the event: `callback.matches(event)`.
        """
        planned = self._by_type.get(event_type)
        return self._compile(event_type) if planned is None else planned

    def for_event(self, event: Event) -> Planned:
        """Return the callbacks that may be called for an event by its route, with their indices.

        The rest of their filters: `callback.match.may_accept_routed(event)`, and `where`.
        """
        texts = route_of(event)
        planned = self._by_route.get(texts)
        return self._compile_route(texts) if planned is None else planned

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
        _keep(self._by_type, event_type, planned)
        return planned

    def _compile_route(self, texts: tuple[str, str | None, str | None]) -> Planned:
        route = Route.read(texts)
        planned = tuple(
            (index, callback)
            for index, callback in self.for_type(route[0])
            if callback.accepts_route(route)
        )
        _keep(self._by_route, texts, planned)
        return planned


def _keep(table: dict[_Key, Planned], key: _Key, planned: Planned) -> None:
    """Put an entry into a table; a tool that numbers its types must not fill the memory."""
    if len(table) >= _MOST_KNOWN:
        table.clear()
    table[key] = planned
