"""Whether the site answers, judged by the calls of the feed and of the plugins' connections.

The feed's calls decide: if one gets no answer, there is an outage until any call is answered again.
A plugin's call without an answer proves nothing yet, since its query may be the cause: the feed is
asked to try.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum
from typing import Final

CALM_SECONDS: Final = 10.0
"""Seconds before a call's failure in which trouble of the feed still counts as its cause."""


class Standing(Enum):
    """What is known about the site at the time a plugin's call got no answer."""

    UNKNOWN = "nobody has tried since"
    DOWN = "nobody is answered"
    OVER = "nobody was answered, and now the site answers again"
    OWN = "others are answered: it was the call's own fault"


class SiteHealth:
    """The health of one site; may be used from any thread. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.outages = 0
        """The number of outages, including one under way."""
        self._lock = threading.Lock()
        self._answered_began_at = float("-inf")
        """When the newest answered call began."""
        self._failed_began_at = float("-inf")
        """When the feed's newest failed call began."""
        self._trouble_known_at = float("-inf")
        """When the feed's last call without an answer failed."""
        self._is_wanted = False
        self._change_listeners: list[Callable[[], None]] = []
        self._want_listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call a function whenever an outage begins or ends, or a doubt is settled."""
        self._change_listeners.append(listener)

    def on_want(self, listener: Callable[[], None]) -> None:
        """Call a function whenever a call to the site is wanted."""
        self._want_listeners.append(listener)

    @property
    def is_down(self) -> bool:
        """Whether the feed's last call got no answer."""
        return self._failed_began_at > self._answered_began_at

    @property
    def is_wanted(self) -> bool:
        """Whether a call is wanted that shows if the site answers."""
        return self._is_wanted

    def answered(self, began_at: float) -> None:
        """Note that a call was answered, the feed's or a plugin's.

        Args:
            began_at: When the call began.
        """
        with self._lock:
            is_newest = self.is_down or self._is_wanted
            self._answered_began_at = max(self._answered_began_at, began_at)
            if not is_newest or self.is_down:
                return
            self._is_wanted = False
        self._call_listeners(self._change_listeners)

    def failed(self, began_at: float, ended_at: float) -> None:
        """Note that a call of the feed got no answer.

        Args:
            began_at: When the call began.
            ended_at: When the call failed.
        """
        with self._lock:
            was_down = self.is_down
            self._failed_began_at, self._trouble_known_at = (
                max(self._failed_began_at, began_at),
                max(self._trouble_known_at, ended_at),
            )
            self.outages += self.is_down and not was_down
            has_changed = self.is_down != was_down or self._is_wanted
            self._is_wanted = False
        if has_changed:
            self._call_listeners(self._change_listeners)

    def want(self) -> None:
        """Ask for a call that shows whether the site answers."""
        with self._lock:
            self._is_wanted = True
        self._call_listeners(self._want_listeners)

    def standing(self, failed_at: float) -> Standing:
        """Return the state of the site when a call got no answer.

        Args:
            failed_at: When the call failed.
        """
        with self._lock:
            if self.is_down:
                return Standing.DOWN
            if self._answered_began_at <= failed_at:
                return Standing.UNKNOWN
            return (
                Standing.OVER if self._trouble_known_at > failed_at - CALM_SECONDS else Standing.OWN
            )

    def _call_listeners(self, listeners: list[Callable[[], None]]) -> None:
        for listener in listeners:
            listener()
