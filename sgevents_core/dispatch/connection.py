"""The site as plugins get it: the client that takes only answers, and counts what it writes."""

from __future__ import annotations

from typing import Any, Final

from sgevents_core.site.guarded import GuardedShotgun

_WRITES: Final = frozenset({"batch", "create", "delete", "revive", "update"})


class CountingShotgun(GuardedShotgun):
    """Does what the guarded client does; `writes` is how often it has changed the site."""

    writes = 0

    def _call_rpc(self, method: str, *args: Any, **kwargs: Any) -> Any:
        self.writes += method in _WRITES
        return super()._call_rpc(method, *args, **kwargs)

    def _send_form(self, *args: Any, **kwargs: Any) -> Any:
        self.writes += 1  # an upload, or a thumbnail that is shared
        return super()._send_form(*args, **kwargs)
