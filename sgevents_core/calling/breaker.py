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
        script_name: The script name that the plugin signs in with.
        is_own: Whether no other plugin or script signs in with that name.
        loop_calls: The number of calls that make a loop.
        loop_seconds: The most seconds between the first of these events and the last.
    """

    def __init__(
        self, script_name: str, *, is_own: bool, loop_calls: int, loop_seconds: float
    ) -> None:
        self._script_name = script_name
        self._loop_seconds = loop_seconds
        self._write_times: deque[int] = deque(maxlen=loop_calls)
        self.counts_every_call = is_own
        """Whether calls count that have not written: one may write through another client."""

    def completes_loop(self, event: Event, created_at: int, write_count: int) -> bool:
        """Return whether a call completes a loop; the count is then reset.

        Args:
            event: The event of the call.
            created_at: The event's `created_at`, in seconds since 1970.
            write_count: How often the call has written to the site through `ctx.sg`.
        """
        if write_count:  # a plugin that writes through `ctx.sg` has no client of its own
            self.counts_every_call = False
        if not (write_count or self.counts_every_call):
            return False
        if not is_by_script(event, self._script_name):
            return False
        self._write_times.append(created_at)
        if (
            len(self._write_times) != self._write_times.maxlen
            or created_at - self._write_times[0] > self._loop_seconds
        ):
            return False
        self._write_times.clear()
        return True

    @property
    def reason(self) -> str:
        """Why the plugin is paused, and how to fix it."""
        within = format_duration(self._loop_seconds)
        return (
            f"a loop: {self._write_times.maxlen} times within {within} it was called for what its "
            f"script {self._script_name!r} had done, and wrote to the site again; "
            "let it ignore its own events (ignore_own = true) or narrow its filter, then resume it"
        )
