"""Views shared by readers who ask for the same at the same time, so that each is read once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, Final

_MOST_VIEWS: Final = 200
"""The most views that are kept."""


class _SharedView:
    """A view, or the wait for it."""

    __slots__ = ("lock", "read_at", "view")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.read_at = float("-inf")
        self.view: Any = None


class SharedViews:
    """The views of the last seconds, by what was asked for."""

    def __init__(self) -> None:
        self._views: dict[Hashable, _SharedView] = {}
        self._lock = threading.Lock()

    def read(self, key: Hashable, shared_for: float, read_view: Callable[[], Any]) -> Any:
        """Return a view that is at most `shared_for` seconds old; others wait for its reader.

        Args:
            key: What is asked for.
            shared_for: Seconds; 0 to read it anew in any case.
            read_view: Reads it.
        """
        if shared_for <= 0:
            return read_view()
        shared_view = self._shared_view(key)
        with shared_view.lock:
            if time.monotonic() - shared_view.read_at >= shared_for:
                shared_view.view = read_view()
                shared_view.read_at = time.monotonic()
            return shared_view.view

    def forget_all(self) -> None:
        """Forget every view; the next reader of each reads it anew."""
        with self._lock:
            self._views.clear()

    def _shared_view(self, key: Hashable) -> _SharedView:
        with self._lock:
            shared_view = self._views.pop(key, None) or _SharedView()
            self._views[key] = shared_view
            while len(self._views) > _MOST_VIEWS:
                del self._views[next(iter(self._views))]
            return shared_view
