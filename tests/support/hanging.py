"""Callbacks that do not return until the test releases them."""

from __future__ import annotations

import threading
from typing import Any

from lane_house import Function
from waiting import PATIENCE

from sgevents_core.events import Event

SOON = 0.05
"""Seconds that a callback may take here."""


class Door:
    """A callback that does not return for some events until the door is opened.

    Args:
        on: The events it hangs on.
        then: What is called once it is let through.
    """

    def __init__(self, *on: int, then: Function | None = None) -> None:
        self.on = on
        self.then = then
        self.opened = threading.Event()
        self.passed = threading.Event()
        self.threads: list[int] = []
        self.events: list[int] = []
        self.__name__ = "door"

    def __call__(self, event: Event, ctx: Any) -> None:
        """Be called."""
        self.threads.append(threading.get_ident())
        self.events.append(event.id)
        if event.id not in self.on:
            return
        ctx.store["before"] = event.id
        self.opened.wait(PATIENCE)
        try:
            if self.then is not None:
                self.then(event, ctx)
        finally:
            self.passed.set()
