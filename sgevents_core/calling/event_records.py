"""The records behind events, read once for all callbacks of an event that ask for the same."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from copy import deepcopy
from typing import Any, Final, NamedTuple, TypeAlias

ReadFields: TypeAlias = Callable[[list[str]], "dict[str, Any] | None"]
"""Reads a record with some fields from the site; None if there is no such record."""

MOST_KEPT: Final = 128
"""The most records kept: as many events are handled side by side at most."""
KEPT_SECONDS: Final = 60.0
"""Seconds after which a record is read again: its event's callbacks are called at once, or late."""


class RecordKey(NamedTuple):
    """A record as one script sees it while an event is handled."""

    script_name: str
    event_id: int
    entity_type: str
    entity_id: int


class _KeptRecord(NamedTuple):
    fields: frozenset[str]
    record: dict[str, Any] | None
    read_at: float


class EventRecords:
    """The records last read for events, of all plugins; any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[RecordKey, _KeptRecord] = OrderedDict()
        self._writes = 0

    def read(
        self, record_key: RecordKey, fields: Collection[str], read_fields: ReadFields
    ) -> dict[str, Any] | None:
        """Return a record with some fields: a copy of the one kept, or read from the site.

        Args:
            record_key: The record.
            fields: The fields that are wanted.
            read_fields: Reads them.
        """
        wanted_fields = frozenset(fields)
        with self._lock:
            kept = self._kept.get(record_key)
            if kept is not None and time.monotonic() - kept.read_at > KEPT_SECONDS:
                kept = None
            if kept is not None and wanted_fields <= kept.fields:
                return deepcopy(kept.record)
            writes_before = self._writes
        all_fields = wanted_fields if kept is None else wanted_fields | kept.fields
        record = read_fields(sorted(all_fields))
        with self._lock:
            if writes_before == self._writes:
                self._keep(record_key, _KeptRecord(all_fields, record, time.monotonic()))
        return deepcopy(record)

    def _keep(self, record_key: RecordKey, kept_record: _KeptRecord) -> None:
        self._kept.pop(record_key, None)
        self._kept[record_key] = kept_record
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def forget_all(self) -> None:
        """Forget all records, because a plugin has written to the site."""
        with self._lock:
            self._writes += 1
            self._kept.clear()

    def forget_event(self, event_id: int) -> None:
        """Forget the records read for an event, because it is handled again."""
        with self._lock:
            for record_key in [key for key in self._kept if key.event_id == event_id]:
                del self._kept[record_key]
