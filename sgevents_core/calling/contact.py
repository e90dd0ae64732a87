"""The results of a plugin's calls to the site, used to judge why its callbacks fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from sgevents_core.site.health import SiteHealth

_T = TypeVar("_T")
_SLACK: Final = 0.001
"""Seconds by which two readings of the clock may differ."""
_REPORTED: Final = 0
"""The number of a call in another process; those of this process count from 1."""


class SiteContact:
    """A record of one plugin's calls to the site, from any thread.

    Args:
        health: The health of the site; None if nothing monitors it.

    `failed` is when a call last got no answer, in monotonic seconds.
    """

    def __init__(self, health: SiteHealth | None = None) -> None:
        self.health = health
        self.failed = float("-inf")
        self._in_hand: set[int] = set()
        self._number = 0

    @property
    def waits(self) -> bool:
        """Whether a call to the site has not returned."""
        return bool(self._in_hand)

    def has_failed_since(self, began: float) -> bool:
        """Return whether a call got no answer since `began`, in monotonic seconds."""
        return self.failed >= began - _SLACK

    def hear(
        self, heard: Callable[[BaseException], bool | None], call: Callable[..., _T], *args: Any,
        **kwargs: Any,
    ) -> _T:  # fmt: skip
        """Make a call to the site, and record whether it was answered.

        Args:
            heard: Returns whether an error is an answer of the site; None if the site was not
                asked.
            call: The call.
            args: Its arguments.
            kwargs: Its keyword arguments.
        """
        began = time.monotonic()
        number = self._number = self._number + 1
        self._in_hand.add(number)
        answered: bool | None = True
        try:
            return call(*args, **kwargs)
        except BaseException as error:
            answered = heard(error)
            raise
        finally:
            self._in_hand.discard(number)
            if answered:
                self._answered(began)
            elif answered is not None:
                self.failed = time.monotonic()

    def note_report(
        self, *, waits: bool, failed: float | None = None, answered: float | None = None
    ) -> None:
        """Note what the plugin's worker process reports of its calls to the site.

        Args:
            waits: Whether one of them has not returned.
            failed: When one last got no answer, in monotonic seconds; None if none has failed.
            answered: When one began that was answered now; None if none was.
        """
        if waits:
            self._in_hand.add(_REPORTED)
        else:
            self._in_hand.discard(_REPORTED)
        if failed is not None:
            self.failed = max(self.failed, failed)
        if answered is not None:
            self._answered(answered)

    def _answered(self, began: float) -> None:
        if self.health is not None:
            self.health.answered(began)
