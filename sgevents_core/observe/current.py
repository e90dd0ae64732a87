"""The call that a thread is in, so that records logged meanwhile name it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final, NamedTuple


class Current(NamedTuple):
    """A call of a plugin's code; `event_id` is None for a hook that has no event."""

    plugin: str
    callback: str
    event_id: int | None = None


_current: Final[ContextVar[Current | None]] = ContextVar("sgevents_current", default=None)
note: Final = _current.set
"""Does what `enter` and `leave` do, for the border of every call, where each step counts."""


def enter(call: Current) -> None:
    """Note that this thread is in a call from now on."""
    _current.set(call)


def leave() -> None:
    """Note that this thread is no longer in a call."""
    _current.set(None)


def current() -> Current | None:
    """Return the call that this thread is in, None if it is in none."""
    return _current.get()
