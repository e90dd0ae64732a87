"""What the follower goes by and what it leads to, as values."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sgevents_core.journal.aside import SetAside
from sgevents_core.journal.base import LateRow
from sgevents_core.settings import Start
from sgevents_core.site.ranges import Span


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


@dataclass(frozen=True, slots=True)
class Notice:
    """Something people are told: the action it is logged under, a sentence, its ids, its level."""

    action: str
    text: str
    detail: dict[str, Any] = field(default_factory=dict)
    level: int = logging.WARNING


@dataclass(slots=True)
class Taken:
    """What an answer led to: rows to append, in order, and what to tell people."""

    rows: list[LateRow] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


MOST_NAMED: Final = 5
"""Ranges of one look that are told one by one when they are given up; more are told as one."""


def timeouts_elapsed(elapsed: Sequence[tuple[Span, float]]) -> list[Notice]:
    """Return what is told when ranges are no longer waited for.

    Args:
        elapsed: Ascending ranges, each with its age in seconds.
    """
    if len(elapsed) > MOST_NAMED:
        return [_many_elapsed(elapsed)]
    return [_elapsed(f"id{_ids(span)}", [(span, age)]) for span, age in elapsed]


def _many_elapsed(elapsed: Sequence[tuple[Span, float]]) -> Notice:
    first, last = elapsed[0][0].first, elapsed[-1][0].last
    named = ",".join(_ids(span).removeprefix("s") for span, _ in elapsed[:MOST_NAMED])
    count = sum(span.size for span, _ in elapsed)
    more = len(elapsed) - MOST_NAMED
    what = f"{count} ids between {first} and {last}:{named} and {more} more range(s)"
    return _elapsed(what, elapsed)


def _elapsed(what: str, elapsed: Sequence[tuple[Span, float]]) -> Notice:
    return Notice(
        "feed.timeout_elapsed",
        f"Timeout elapsed on backlog event {what}",
        {
            "event_id": elapsed[0][0].first,
            "last_event_id": elapsed[-1][0].last,
            "ids": sum(span.size for span, _ in elapsed),
            "age_s": round(max(age for _, age in elapsed), 3),
        },
    )


def _ids(span: Span) -> str:
    return f" {span.first}" if span.size == 1 else f"s {span.first} to {span.last}"


def vanished(ids: Sequence[int]) -> list[Notice]:
    """Return what is told when the rows of known ids are not visible any more."""
    if not ids:
        return []
    text = f"{len(ids)} known row(s) are not visible any more, the first is event {ids[0]}."
    return [Notice("feed.vanished", text, {"event_ids": list(ids[:10])})]


def set_aside(ones: Sequence[SetAside]) -> list[Notice]:
    """Return what is told when rows cannot be taken, each once."""
    return [
        Notice(
            "feed.set_aside",
            f"Event {one.event} is set aside: {one.reason}. All other events go on.",
            {"event": one.event, "reason": one.reason},
        )
        for one in ones
    ]


def parked(spans: Sequence[Span]) -> Notice:
    """Return what is told when ranges of rows that came late are parked."""
    rows, first, last = sum(span.size for span in spans), spans[0].first, spans[-1].last
    text = (
        f"{rows} rows that are older than an hour show for the first time, events {first} to"
        f" {last}: has the script been granted more rights? They are parked, and plugins get none"
        " of them, until somebody runs sgevents feed parked handle, or drop."
    )
    return Notice(
        "feed.parked",
        text,
        {"rows": rows, "event_id": first, "last_event_id": last},
        logging.ERROR,
    )
