"""Calls as observers see them, and an observer that keeps its notifications."""

from __future__ import annotations

from typing import NamedTuple

from sgevents_core.observe.observers import CallObserver, ObservedCall, ObservedError


class SeenCall(NamedTuple):
    """A call of a plugin that was never made."""

    plugin: str = "notify"
    callback_name: str = "notify:on_new"
    event_id: int = 7
    created: float = 0.0
    seq: int = 7
    number_in_lane: int | None = 0


class Diary(CallObserver):
    """Keeps each notification in `heard` as one line: what happens, the event and the callback."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.limits: list[float | None] = []

    def began(self, call: ObservedCall, limit: float | None) -> None:
        """Keep that a call began."""
        self.heard.append(_line("began", call))
        self.limits.append(limit)

    def ended(
        self, call: ObservedCall, began: float, seconds: float, error: ObservedError | None
    ) -> None:
        """Keep that a call ended."""
        assert seconds >= 0
        self.heard.append(_line("returned" if error is None else error.type_name, call))

    def passed(self, call: ObservedCall) -> None:
        """Keep that a filter did not want the event."""
        self.heard.append(_line("passed", call))


def _line(what: str, call: ObservedCall) -> str:
    asked = " asked for" if call.number_in_lane is None else ""
    return f"{what} {call.event_id} {call.plugin}.{call.callback_name.rpartition(':')[2]}{asked}"
