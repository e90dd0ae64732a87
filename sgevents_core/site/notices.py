"""Notices of the feed about the event log: each kind is a class.

Each class alone decides the text, the level and the action of its log record.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from sgevents_core.printable import counted
from sgevents_core.site.ranges import Span
from sgevents_core.state.attention import WAYS_OUT

logger = logging.getLogger("sgevents.feed")

MOST_NAMED: Final = 5
"""Ranges of one look that are reported singly when given up; more are reported in one notice."""


def _count_ids(id_ranges: Iterable[Span]) -> int:
    return sum(id_span.size for id_span in id_ranges)


class Notice:
    """Something about the event log that people should know."""

    __slots__ = ()
    action: ClassVar[str]
    level: ClassVar[int] = logging.WARNING

    @property
    def text(self) -> str:
        """The sentence for people."""
        raise NotImplementedError

    @property
    def fields(self) -> dict[str, Any]:
        """The fields that the log record has besides action and sentence."""
        return {}


def log(notice: Notice) -> None:
    """Log a notice under its action."""
    logger.log(notice.level, notice.text, extra={"action": notice.action, **notice.fields})


@dataclass(frozen=True, slots=True)
class BacklogTimedOut(Notice):
    """Missing ids are no longer waited for.

    Args:
        ranges: Ascending ranges of them.
        age: How long the oldest was waited for, in seconds.
    """

    action = "feed.timeout_elapsed"
    ranges: tuple[Span, ...]
    age: float

    @property
    def first(self) -> int:
        """The lowest of the ids."""
        return self.ranges[0].first

    @property
    def last(self) -> int:
        """The highest of the ids."""
        return self.ranges[-1].last

    @property
    def ids(self) -> int:
        """The number of ids."""
        return _count_ids(self.ranges)

    @property
    def text(self) -> str:
        """The sentence for people."""
        if len(self.ranges) == 1:
            return f"Timeout elapsed on backlog event id{_id_text(self.ranges[0])}"
        named_ids = ",".join(
            _id_text(id_span).removeprefix("s") for id_span in self.ranges[:MOST_NAMED]
        )
        more_ranges = counted(len(self.ranges) - MOST_NAMED, "more range")
        ids_text = f"{self.ids} ids between {self.first} and {self.last}"
        return f"Timeout elapsed on backlog event {ids_text}:{named_ids} and {more_ranges}"

    @property
    def fields(self) -> dict[str, Any]:
        """The lowest id, the highest, the number of ids, and the age in seconds."""
        return {
            "event_id": self.first,
            "last_event_id": self.last,
            "ids": self.ids,
            "age_s": round(self.age, 3),
        }


def backlog_timed_out(elapsed_ranges: Sequence[tuple[Span, float]]) -> list[Notice]:
    """Return a notice for each range that is no longer waited for, or one notice for many ranges.

    Args:
        elapsed_ranges: Ascending ranges, each with its age in seconds.
    """
    if len(elapsed_ranges) <= MOST_NAMED:
        return [BacklogTimedOut((id_span,), age_seconds) for id_span, age_seconds in elapsed_ranges]
    return [
        BacklogTimedOut(
            tuple(s for s, _ in elapsed_ranges),
            max(age_seconds for _, age_seconds in elapsed_ranges),
        )
    ]


@dataclass(frozen=True, slots=True)
class LateRowsFound(Notice):
    """An audit found rows whose ids were no longer waited for.

    Args:
        rows: The number of rows.
    """

    action = "feed.audit_late"
    rows: int

    @property
    def text(self) -> str:
        """The sentence for people."""
        return f"An audit found {counted(self.rows, 'row')} that came after the deadline."

    @property
    def fields(self) -> dict[str, Any]:
        """The number of rows."""
        return {"rows": self.rows}


@dataclass(frozen=True, slots=True)
class RowsVanished(Notice):
    """Rows of known ids are no longer visible.

    Args:
        ids: Their ids, ascending; at least one.
    """

    action = "feed.vanished"
    ids: tuple[int, ...]

    @property
    def text(self) -> str:
        """The sentence for people."""
        first_id, row_count = self.ids[0], len(self.ids)
        rows_text = counted(row_count, "known row is", "known rows are")
        return f"{rows_text} no longer visible, the first is event {first_id}."

    @property
    def fields(self) -> dict[str, Any]:
        """The first ten ids."""
        return {"event_ids": list(self.ids[:10])}


def rows_vanished(event_ids: Sequence[int]) -> list[Notice]:
    """Return the notice that rows vanished, None without `event_ids`."""
    return [RowsVanished(tuple(event_ids))] if event_ids else []


@dataclass(frozen=True, slots=True)
class RowsParked(Notice):
    """Many old rows became visible for the first time, and wait for a person to decide.

    Args:
        ranges: Ascending ranges of their ids.
    """

    action = "feed.parked"
    level = logging.ERROR
    ranges: tuple[Span, ...]

    @property
    def text(self) -> str:
        """The sentence for people."""
        rows_text, (first_id, _), (_, last_id) = self._rows, self.ranges[0], self.ranges[-1]
        return (
            f"{rows_text} rows that are older than an hour show for the first time, events "
            f"{first_id} to {last_id}: has the script been granted more rights? They are parked, "
            "and plugins get none of them, until somebody runs sgevents feed parked handle, or "
            "drop."
        )

    @property
    def fields(self) -> dict[str, Any]:
        """The number of rows, the lowest id and the highest."""
        return {
            "rows": self._rows,
            "event_id": self.ranges[0].first,
            "last_event_id": self.ranges[-1].last,
        }

    @property
    def _rows(self) -> int:
        return _count_ids(self.ranges)


@dataclass(frozen=True, slots=True)
class EventSetAside(Notice):
    """A row cannot be handled.

    Args:
        event: Its id, or another name for it if the id is not valid.
        reason: Why, for people.
    """

    action = "feed.set_aside"
    event: str
    reason: str

    @property
    def text(self) -> str:
        """The sentence for people."""
        return f"Event {self.event} is set aside: {self.reason}. All other events continue."

    @property
    def fields(self) -> dict[str, Any]:
        """The event and the reason."""
        return {"event": self.event, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class LogRewound(Notice):
    """The event log went backwards; nothing is appended until it is back.

    Args:
        why: The evidence.
        again: Whether it has been reported before.
    """

    action = "feed.rewound"
    level = logging.ERROR
    why: str
    again: bool = False

    @property
    def text(self) -> str:
        """The sentence for people."""
        if self.again:
            still_text = "Nothing is appended still, as the event log went backwards"
            return f"{still_text}: {self.why}. {WAYS_OUT}"
        return (
            f"The site's event log went backwards: {self.why}. Nothing is appended until the log"
            f" is back. If it stays so: {WAYS_OUT}."
        )


@dataclass(frozen=True, slots=True)
class LogResumed(Notice):
    """The event log is back where it was."""

    action = "feed.resumed"

    @property
    def text(self) -> str:
        """The sentence for people."""
        return "The site's event log is back where it was; the feed continues."


def _id_text(id_span: Span) -> str:
    return f" {id_span.first}" if id_span.size == 1 else f"s {id_span.first} to {id_span.last}"
