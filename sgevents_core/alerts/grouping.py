"""When a condition is told, told again, and told to be over; pure: conditions in, messages out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import msgspec

from sgevents_core.alerts.conditions import Condition
from sgevents_core.printable import counted

MOST_LISTED: Final = 20
"""The most conditions that one message lists."""


class Announced(msgspec.Struct, frozen=True):
    """A condition that a recipient knows of.

    Args:
        text: What it was told.
        at: When it was last told, in seconds since 1970.
        times: How often it had happened then.
        ended_at: When it was told that it is over, in seconds since 1970; 0 while it lasts.
        ends: Whether its end is told.
    """

    text: str
    at: float
    times: int = 1
    ended_at: float = 0.0
    ends: bool = True


class Message(NamedTuple):
    """A message to one recipient.

    Args:
        title: Its title.
        body: Its lines.
        announced: What the recipient knows of once it is delivered.
    """

    title: str
    body: str
    announced: dict[str, Announced]


class Lasting:
    """Since when conditions last, so that those that end by themselves are not told at once.

    Args:
        after: The seconds for which they must last.
    """

    def __init__(self, after: float) -> None:
        self._after = after
        self._since: dict[str, float] = {}

    def filtered(self, conditions: Collection[Condition], now: float) -> list[Condition]:
        """Return the conditions that are to be told.

        Args:
            conditions: All conditions at a moment.
            now: That moment, in seconds since 1970.
        """
        self._since = {
            condition.key: min(self._since.get(condition.key, now), now) for condition in conditions
        }
        return [
            condition
            for condition in conditions
            if not condition.may_pass or now - self._since[condition.key] >= self._after
        ]


def next_message(
    site: str,
    conditions: Sequence[Condition],
    announced: dict[str, Announced],
    *,
    now: float,
    every: float,
) -> Message | None:
    """Return the message that a recipient is to get now; None if it knows all.

    One message has all that has changed. A condition that lasts is told again after `every`; one
    that ends and begins again is told at most once in that time.

    Args:
        site: The site's name.
        conditions: What is wrong now.
        announced: What the recipient knows of, by key.
        now: The time, in seconds since 1970.
        every: The least seconds between two messages about a condition.
    """
    current = {condition.key: condition for condition in conditions}
    begun = [
        condition
        for condition in conditions
        if condition.key not in announced
        or _is_due(condition, announced[condition.key], now, every)
    ]
    over = {
        key: known
        for key, known in announced.items()
        if key not in current and known.ends and not known.ended_at
    }
    if not begun and not over:
        return None
    after = {
        key: known for key, known in announced.items() if key in current or now - known.at < every
    }
    after |= {key: msgspec.structs.replace(known, ended_at=now) for key, known in over.items()}
    for condition in begun:
        after[condition.key] = Announced(condition.text, now, condition.times, ends=condition.ends)
    return Message(_title(site, begun, over), _body(begun, announced, over), after)


def _is_due(condition: Condition, known: Announced, now: float, every: float) -> bool:
    """Return whether a condition that was told before is to be told again."""
    return now - known.at >= every and (condition.ends or condition.times > known.times)


def _title(site: str, begun: Sequence[Condition], over: Collection[str]) -> str:
    if not begun:
        return f"sgevents {site}: {counted(len(over), 'problem is', 'problems are')} over"
    kinds = ", ".join(dict.fromkeys(condition.kind.replace("_", " ") for condition in begun))
    return f"sgevents {site}: {kinds}"


def _body(
    begun: Sequence[Condition], announced: dict[str, Announced], over: dict[str, Announced]
) -> str:
    lines = []
    for condition in begun[:MOST_LISTED]:
        known = announced.get(condition.key)
        again = "Still: " if known is not None and known.ends and not known.ended_at else ""
        lines.append(f"{again}{condition.text}\nTo do: {condition.fix}")
    if len(begun) > MOST_LISTED:
        lines.append(f"And {len(begun) - MOST_LISTED} more: see sgevents status")
    lines += [f"Over: {known.text}" for known in list(over.values())[:MOST_LISTED]]
    if len(over) > MOST_LISTED:
        lines.append(f"And {len(over) - MOST_LISTED} more are over")
    return "\n\n".join(lines)
