"""What a plugin's calls to the site come to, for those who judge why its callbacks fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from sgevents_core.site.health import SiteHealth

_T = TypeVar("_T")


class SiteContact:
    """Hears of all calls to the site of one plugin, in whatever thread.

    Args:
        health: What is known of the site; None where nobody follows it.

    `failed` is when a call of it last got no answer, in monotonic seconds.
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

    def hear(
        self, heard: Callable[[BaseException], bool | None], call: Callable[..., _T], *args: Any,
        **kwargs: Any,
    ) -> _T:  # fmt: skip
        """Make a call to the site, and take note of whether it was answered.

        Args:
            heard: Says of an error whether the site has answered; None where it was not asked.
            call: The call.
            args: With what.
            kwargs: With what else.
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

    def _answered(self, began: float) -> None:
        if self.health is not None:
            self.health.answered(began)
