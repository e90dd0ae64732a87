"""A record of an event log, the settings of a site, and how to connect to one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

from sgevents_core.settings import Secret, SiteSettings
from sgevents_core.site.client import EventLog
from sgevents_core.site.log_reader import FIELDS

ROW = {
    **dict.fromkeys(FIELDS),
    "type": "EventLogEntry",
    "id": 7,
    "event_type": "Shotgun_Shot_New",
    "created_at": "2026-01-31T12:00:00Z",
}
AT = int(datetime(2026, 1, 31, 12, tzinfo=timezone.utc).timestamp())
Connect = Callable[..., EventLog]


def settings(url: str, key: str = "demo-key", timeout: float = 10.0) -> SiteSettings:
    """The settings of a site."""
    return SiteSettings(url=url, script_name="sgevents", api_key=Secret(key), timeout=timeout)
