"""Which call a thread is in, so that whatever is logged meanwhile says so."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final, NamedTuple


class Current(NamedTuple):
    """A call of a plugin's code; `event_id` is None for a hook that is no event's."""

    plugin: str
    callback: str
    event_id: int | None = None


_current: Final[ContextVar[Current | None]] = ContextVar("sgevents_current", default=None)
note: Final = _current.set
"""What `enter` and `leave` do, for the border of every call, where a step more is measured."""


def enter(call: Current) -> None:
    """Note that this thread is in a call from here on."""
    _current.set(call)


def leave() -> None:
    """Note that this thread is in no call any more."""
    _current.set(None)


def current() -> Current | None:
    """Return the call that this thread is in, None for none."""
    return _current.get()
