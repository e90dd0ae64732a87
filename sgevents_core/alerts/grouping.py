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
        tells_problems: Whether it tells of something that is wrong, not only that it is over.
    """

    title: str
    body: str
    announced: dict[str, Announced]
    tells_problems: bool = True


class Lasting:
    """Since when conditions last, so that those that end by themselves are not told at once.

    Args:
        after: The seconds for which they must last.
    """

    def __init__(self, after: float) -> None:
        self._after = after
        self._since: dict[str, float] = {}

    def filtered(self, conditions: Collection[Condition], current_time: float) -> list[Condition]:
        """Return the conditions that are to be told.

        Args:
            conditions: All conditions at a moment.
            current_time: That moment, in seconds since 1970.
        """
        self._since = {
            condition.key: min(self._since.get(condition.key, current_time), current_time)
            for condition in conditions
        }
        return [
            condition
            for condition in conditions
            if not condition.may_pass or current_time - self._since[condition.key] >= self._after
        ]


def next_message(
    site_name: str,
    conditions: Sequence[Condition],
    announced: dict[str, Announced],
    *,
    current_time: float,
    repeat_interval: float,
    is_whole: bool = True,
) -> Message | None:
    """Return the message that a recipient is to get now; None if it knows all.

    One message has all that has changed. A condition that lasts is told again after
    `repeat_interval`; one that ends and begins again is told at most once in that time.

    Args:
        site_name: The site's name.
        conditions: What is wrong now.
        announced: What the recipient knows of, by key.
        current_time: The time, in seconds since 1970.
        repeat_interval: The least seconds between two messages about a condition.
        is_whole: Whether that is all that is wrong: else what is not among it may last.
    """
    current_conditions = {condition.key: condition for condition in conditions}
    begun_conditions = [
        condition
        for condition in conditions
        if condition.key not in announced
        or _is_due(condition, announced[condition.key], current_time, repeat_interval)
    ]
    ended_announcements = {
        key: announcement
        for key, announcement in announced.items()
        if is_whole
        and key not in current_conditions
        and announcement.ends
        and not announcement.ended_at
    }
    if not begun_conditions and not ended_announcements:
        return None
    announced_after = {
        key: announcement
        for key, announcement in announced.items()
        if key in current_conditions
        or not is_whole
        or current_time - announcement.at < repeat_interval
    }
    announced_after |= {
        key: msgspec.structs.replace(announcement, ended_at=current_time)
        for key, announcement in ended_announcements.items()
    }
    for condition in begun_conditions:
        announced_after[condition.key] = Announced(
            condition.text, current_time, condition.times, ends=condition.ends
        )
    return Message(
        _message_title(site_name, begun_conditions, ended_announcements),
        _message_body(begun_conditions, announced, ended_announcements),
        announced_after,
        tells_problems=bool(begun_conditions),
    )


def _is_due(
    condition: Condition, announcement: Announced, current_time: float, repeat_interval: float
) -> bool:
    """Return whether a condition that was told before is to be told again."""
    return current_time - announcement.at >= repeat_interval and (
        condition.ends or condition.times > announcement.times
    )


def _message_title(
    site_name: str, begun_conditions: Sequence[Condition], ended_announcements: Collection[str]
) -> str:
    if not begun_conditions:
        problems_text = counted(len(ended_announcements), "problem is", "problems are")
        return f"sgevents {site_name}: {problems_text} over"
    kind_names = ", ".join(
        dict.fromkeys(condition.kind.replace("_", " ") for condition in begun_conditions)
    )
    return f"sgevents {site_name}: {kind_names}"


def _message_body(
    begun_conditions: Sequence[Condition],
    announced: dict[str, Announced],
    ended_announcements: dict[str, Announced],
) -> str:
    body_lines = []
    for condition in begun_conditions[:MOST_LISTED]:
        announcement = announced.get(condition.key)
        repeat_prefix = (
            "Still: "
            if announcement is not None and announcement.ends and not announcement.ended_at
            else ""
        )
        body_lines.append(f"{repeat_prefix}{condition.text}\nTo do: {condition.fix}")
    if len(begun_conditions) > MOST_LISTED:
        body_lines.append(f"And {len(begun_conditions) - MOST_LISTED} more: see sgevents status")
    body_lines += [
        f"Over: {announcement.text}"
        for announcement in list(ended_announcements.values())[:MOST_LISTED]
    ]
    if len(ended_announcements) > MOST_LISTED:
        body_lines.append(f"And {len(ended_announcements) - MOST_LISTED} more are over")
    return "\n\n".join(body_lines)
