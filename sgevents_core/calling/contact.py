"""The results of a plugin's calls to the site, used to judge why its callbacks fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from sgevents_core.site.health import SiteHealth

_T = TypeVar("_T")
_CLOCK_TOLERANCE: Final = 0.001
"""Seconds by which two readings of the clock may differ."""
_REPORTED_CALL: Final = 0
"""The number of a call in another process; those of this process count from 1."""


class SiteContact:
    """A record of one plugin's calls to the site, from any thread.

    Args:
        health: The health of the site; None if nothing monitors it.

    `failed_at` is when a call last got no answer, in monotonic seconds.
    """

    def __init__(self, health: SiteHealth | None = None) -> None:
        self.health = health
        self.failed_at = float("-inf")
        self._running_calls: set[int] = set()
        self._last_number = 0
        self._reported_calls = 0

    @property
    def call_count(self) -> int:
        """How many calls were made, in this process and in worker processes."""
        return self._last_number + self._reported_calls

    @property
    def is_waiting(self) -> bool:
        """Whether a call to the site has not returned."""
        return bool(self._running_calls)

    def has_failed_since(self, began_at: float) -> bool:
        """Return whether a call got no answer since `began_at`, in monotonic seconds."""
        return self.failed_at >= began_at - _CLOCK_TOLERANCE

    def watch_call(
        self,
        is_answer: Callable[[BaseException], bool | None],
        site_call: Callable[..., _T],
        *args: Any,
        **kwargs: Any,
    ) -> _T:
        """Make a call to the site, and record whether it was answered.

        Args:
            is_answer: Returns whether an error is an answer of the site; None if the site was not
                asked.
            site_call: The call.
            args: Its arguments.
            kwargs: Its keyword arguments.
        """
        began_at = time.monotonic()
        call_number = self._last_number = self._last_number + 1
        self._running_calls.add(call_number)
        was_answered: bool | None = True
        try:
            return site_call(*args, **kwargs)
        except BaseException as error:
            was_answered = is_answer(error)
            raise
        finally:
            self._running_calls.discard(call_number)
            if was_answered:
                self._report_answer(began_at)
            elif was_answered is not None:
                self.failed_at = time.monotonic()

    def take_report(
        self,
        *,
        is_waiting: bool,
        begins: bool = False,
        failed_at: float | None = None,
        answered_began: float | None = None,
    ) -> None:
        """Note what the plugin's worker process reports about its calls to the site.

        Args:
            is_waiting: Whether one of them has not returned.
            begins: Whether one begins now.
            failed_at: When one last got no answer, in monotonic seconds; None if none has failed.
            answered_began: When one began that was answered now; None if none was.
        """
        self._reported_calls += begins
        if is_waiting:
            self._running_calls.add(_REPORTED_CALL)
        else:
            self._running_calls.discard(_REPORTED_CALL)
        if failed_at is not None:
            self.failed_at = max(self.failed_at, failed_at)
        if answered_began is not None:
            self._report_answer(answered_began)

    def _report_answer(self, began_at: float) -> None:
        if self.health is not None:
            self.health.answered(began_at)
