"""Counts of the calls to the sandbox site, and of the rows it returned."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class CallCounts:
    """Counts of calls by method and entity type, and of rows read by entity type.

    A call is counted when it arrives, even if a fault then answers it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls_by_method: Counter[tuple[str, str]] = Counter()
        self._rows_by_type: Counter[str] = Counter()

    def count_call(self, method: str, entity_type: str = "") -> None:
        """Count a call."""
        with self._lock:
            self._calls_by_method[method, entity_type] += 1

    def count_rows_read(self, entity_type: str, row_count: int) -> None:
        """Count rows returned."""
        with self._lock:
            self._rows_by_type[entity_type] += row_count

    def calls(self, method: str | None = None, entity_type: str | None = None) -> int:
        """Return the number of calls: all, of a method, for an entity type."""
        with self._lock:
            return sum(
                call_count
                for (counted_method, counted_type), call_count in self._calls_by_method.items()
                if method in (None, counted_method) and entity_type in (None, counted_type)
            )

    def rows(self, entity_type: str = "EventLogEntry") -> int:
        """Return the number of rows of an entity type that were returned."""
        with self._lock:
            return self._rows_by_type[entity_type]

    def reset(self) -> None:
        """Reset all counts to zero."""
        with self._lock:
            self._calls_by_method.clear()
            self._rows_by_type.clear()

    def as_dict(self) -> dict[str, Any]:
        """Return `{"calls": {"read EventLogEntry": 3, ...}, "rows": {"EventLogEntry": 500}}`."""
        with self._lock:
            calls_by_name = {
                f"{counted_method} {counted_type}".strip(): call_count
                for (counted_method, counted_type), call_count in sorted(
                    self._calls_by_method.items()
                )
            }
            return {"calls": calls_by_name, "rows": dict(sorted(self._rows_by_type.items()))}

    @contextmanager
    def during(self) -> Iterator[CallCounts]:
        """Count separately what happens within: `with site.counts.during() as counts: ...`.

        The yielded counts have their numbers once the block is left.
        """
        counters_before = self._copy_counters()
        block_counts = CallCounts()
        try:
            yield block_counts
        finally:
            counters_after = self._copy_counters()
            block_counts._calls_by_method = counters_after[0] - counters_before[0]
            block_counts._rows_by_type = counters_after[1] - counters_before[1]

    def _copy_counters(self) -> tuple[Counter[tuple[str, str]], Counter[str]]:
        with self._lock:
            return self._calls_by_method.copy(), self._rows_by_type.copy()
