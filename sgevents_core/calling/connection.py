"""The client that plugins get: it checks answers and counts its writes."""

from __future__ import annotations

from typing import Any, Final

from sgevents_core.calling.contact import SiteContact
from sgevents_core.site.client import has_answered
from sgevents_core.site.guarded import GuardedShotgun

_WRITING_METHODS: Final = frozenset({"batch", "create", "delete", "revive", "update"})


class CountingShotgun(GuardedShotgun):
    """The guarded client, with a count of its changes to the site in `writes`."""

    writes = 0
    contact = SiteContact()
    """The record of its calls; clients without a record share a dummy that is never read."""

    def _call_rpc(self, method: str, *args: Any, **kwargs: Any) -> Any:
        self.writes += method in _WRITING_METHODS
        base_call = super()._call_rpc
        return self.contact.watch_call(has_answered, base_call, method, *args, **kwargs)

    def _send_form(self, *args: Any, **kwargs: Any) -> Any:
        self.writes += 1  # an upload or a shared thumbnail
        return self.contact.watch_call(has_answered, super()._send_form, *args, **kwargs)
