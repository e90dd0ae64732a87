"""The client that plugins get: it checks answers and counts its writes."""

from __future__ import annotations

from typing import Any, Final

from sgevents_core.calling.contact import SiteContact
from sgevents_core.calling.event_records import EventRecords
from sgevents_core.site.client import has_answered
from sgevents_core.site.guarded import GuardedShotgun

_WRITING_METHODS: Final = frozenset({"batch", "create", "delete", "revive", "update"})


class CountingShotgun(GuardedShotgun):
    """The guarded client, with a count of its changes to the site in `writes`."""

    writes = 0
    contact = SiteContact()
    """The record of its calls; clients without a record share a dummy that is never read."""
    event_records: EventRecords | None = None
    """The records read for events, which a write may change; None if none are kept."""

    def _call_rpc(self, method: str, *args: Any, **kwargs: Any) -> Any:
        base_call, is_write = super()._call_rpc, method in _WRITING_METHODS
        self.writes += is_write
        try:
            return self.contact.watch_call(has_answered, base_call, method, *args, **kwargs)
        finally:
            if is_write:
                self._forget_records()

    def _send_form(self, *args: Any, **kwargs: Any) -> Any:
        self.writes += 1  # an upload or a shared thumbnail
        try:
            return self.contact.watch_call(has_answered, super()._send_form, *args, **kwargs)
        finally:
            self._forget_records()

    def _forget_records(self) -> None:
        if self.event_records is not None:
            self.event_records.forget_all()
