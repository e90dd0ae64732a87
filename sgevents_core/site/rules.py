"""What the follower goes by and what it leads to, as values."""

from __future__ import annotations

from dataclasses import dataclass, field

from sgevents_core.journal.base import LateRow
from sgevents_core.settings import Start
from sgevents_core.site.notices import Notice


@dataclass(frozen=True, slots=True)
class Rules:
    """What of the settings the follower goes by; times in seconds.

    Args:
        page_size: Most rows asked for at once; not more than the site gives, at least 2.
        poll_interval: Time between two pages while rows come.
        idle_interval: Longest time between two pages.
        backlog_timeout: How long a missing id is waited for.
        settle: How long rows above a young gap are held back.
        audit_horizon: How long audits look for missing ids.
        start: Where the first start begins.
    """

    page_size: int = 500
    poll_interval: float = 1.0
    idle_interval: float = 5.0
    backlog_timeout: float = 300.0
    settle: float = 0.0
    audit_horizon: float = 86400.0
    start: Start = "now"


@dataclass(slots=True)
class Taken:
    """What an answer led to: rows to append, in order, and what to report to people."""

    rows: list[LateRow] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
