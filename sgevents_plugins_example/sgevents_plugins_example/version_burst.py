"""Warn when versions of one shot are created so fast that somebody should have a look.

The callback is a callable instance, which keeps what it has seen.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from sgevents_core import Context, Event, Registrar, hookimpl


class BurstWatch:
    """Remembers when the last versions of each shot were created.

    Args:
        limit: The number of versions ...
        within: ... in this time that make a burst.
    """

    def __init__(self, limit: int = 5, within: timedelta = timedelta(minutes=10)) -> None:
        self.limit = limit
        self.within = within
        self._made: dict[int, deque[datetime]] = {}

    def __call__(self, event: Event, ctx: Context) -> None:
        """Record a new version, by the site's clock, and warn if it completes a burst."""
        version = ctx.sg.find_one("Version", [["id", "is", event.entity_id]], ["entity"])
        shot = version and version["entity"]
        if shot and event.created_at and self.is_burst(shot["id"], event.created_at):
            count, name = self.limit, shot["name"]
            ctx.logger.warning("%d versions of %s within %s", count, name, self.within)

    def is_burst(self, shot_id: int, made: datetime) -> bool:
        """Record a version of a shot; return whether it completes a burst, and if so start over."""
        times = self._made.setdefault(shot_id, deque(maxlen=self.limit))
        times.append(made)
        if len(times) < self.limit or made - times[0] > self.within:
            return False
        times.clear()
        return True


@hookimpl
def register_callbacks(registrar: Registrar) -> None:
    """Register one watch, configured by the settings `limit` and `minutes`."""
    limit = registrar.settings.get("limit", 5)
    within = timedelta(minutes=registrar.settings.get("minutes", 10))
    registrar.register(BurstWatch(limit, within), event_type="Shotgun_Version_New")
