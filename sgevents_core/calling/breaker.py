"""The loop breaker: stops a plugin whose own writes cause events that call it again.

Pure: it takes the calls and their times, and returns a decision. Times are those of the events, on
the site's clock, so that catching up does not look like a loop.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sgevents_core.origin import is_by_script
from sgevents_core.settings import format_duration

if TYPE_CHECKING:
    from sgevents_core.events import Event


class Breaker:
    """A counter of one plugin's calls that may be part of a loop.

    Args:
        script: The script name that the plugin signs in with.
        is_own: Whether nobody else signs in with it.
        events: The number of calls that make a loop.
        within: The most seconds between the first of these events and the last.
    """

    def __init__(self, script: str, *, is_own: bool, events: int, within: float) -> None:
        self._script = script
        self._is_own = is_own
        self._within = within
        self._turns: deque[int] = deque(maxlen=events)
        self._has_written = False

    def trips(self, event: Event, created: int, writes: int) -> bool:
        """Return whether a call completes a loop; the count is then reset.

        Args:
            event: The event of the call.
            created: The event's `created_at`, in seconds since 1970.
            writes: How often the call has written to the site through `ctx.sg`.
        """
        self._has_written = self._has_written or writes > 0
        # A plugin that never writes through `ctx.sg` may write through a client of its own.
        writes_elsewhere = self._is_own and not self._has_written
        if not (writes or writes_elsewhere) or not is_by_script(event, self._script):
            return False
        self._turns.append(created)
        if len(self._turns) != self._turns.maxlen or created - self._turns[0] > self._within:
            return False
        self._turns.clear()
        return True

    @property
    def reason(self) -> str:
        """Why the plugin is paused, and how to fix it."""
        return (
            f"a loop: {self._turns.maxlen} times within {format_duration(self._within)} it was "
            f"called for what its script {self._script!r} had done, and wrote to the site again; "
            "let it ignore its own events (ignore_own = true) or narrow its filter, then resume it"
        )
