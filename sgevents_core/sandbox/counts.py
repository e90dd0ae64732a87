"""How often the sandbox site was called, for what, and how many rows it returned."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Counts:
    """Counts of calls by method and entity type, and of rows read by entity type.

    A call is counted when it arrives, even if a fault then answers it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[tuple[str, str]] = Counter()
        self._rows: Counter[str] = Counter()

    def call(self, method: str, entity_type: str = "") -> None:
        """Count a call."""
        with self._lock:
            self._calls[method, entity_type] += 1

    def read(self, entity_type: str, rows: int) -> None:
        """Count rows returned."""
        with self._lock:
            self._rows[entity_type] += rows

    def calls(self, method: str | None = None, entity_type: str | None = None) -> int:
        """Return the number of calls: all, of a method, for an entity type."""
        with self._lock:
            return sum(
                number
                for (some_method, some_type), number in self._calls.items()
                if method in (None, some_method) and entity_type in (None, some_type)
            )

    def rows(self, entity_type: str = "EventLogEntry") -> int:
        """Return the number of rows of an entity type that were returned."""
        with self._lock:
            return self._rows[entity_type]

    def reset(self) -> None:
        """Start again at zero."""
        with self._lock:
            self._calls.clear()
            self._rows.clear()

    def as_dict(self) -> dict[str, Any]:
        """Return `{"calls": {"read EventLogEntry": 3, ...}, "rows": {"EventLogEntry": 500}}`."""
        with self._lock:
            calls = {f"{m} {t}".strip(): number for (m, t), number in sorted(self._calls.items())}
            return {"calls": calls, "rows": dict(sorted(self._rows.items()))}

    @contextmanager
    def during(self) -> Iterator[Counts]:
        """Count separately what happens within: `with site.counts.during() as counts: ...`.

        The yielded counts have their numbers once the block is left.
        """
        before = self._copy()
        inside = Counts()
        try:
            yield inside
        finally:
            after = self._copy()
            inside._calls = after[0] - before[0]
            inside._rows = after[1] - before[1]

    def _copy(self) -> tuple[Counter[tuple[str, str]], Counter[str]]:
        with self._lock:
            return self._calls.copy(), self._rows.copy()
