"""The follower's rules and results, as values."""

from __future__ import annotations

from dataclasses import dataclass, field

from sgevents_core.settings import Start
from sgevents_core.site.notices import Notice
from sgevents_core.state.entries import TakenRow


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that the follower uses; times in seconds.

    Args:
        page_size: The largest number of rows requested at once: at least 2, and no more than the
            site gives.
        poll_interval: Time between two pages while rows arrive.
        idle_interval: The longest time between two pages.
        backlog_timeout: How long the feed waits for a missing id.
        settle: How long rows above a young gap are held back.
        audit_horizon: How long audits look for missing ids.
        start: Where the first start begins.
        connections: The number of ranges requested at the same time while far behind.
    """

    page_size: int = 500
    poll_interval: float = 1.0
    idle_interval: float = 5.0
    backlog_timeout: float = 300.0
    settle: float = 0.0
    audit_horizon: float = 86400.0
    start: Start = "now"
    connections: int = 4


@dataclass(slots=True)
class StepResult:
    """The result of an answer: rows to append, in order, and notices to report."""

    rows: list[TakenRow] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
