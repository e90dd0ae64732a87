"""Rows that cannot be handled, each recorded once, and people's decisions about them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from sgevents_core.printable import counted
from sgevents_core.site.follower_values import StepResult
from sgevents_core.site.notices import EventSetAside
from sgevents_core.site.questions import Odd
from sgevents_core.site.ranges import Span
from sgevents_core.state.entries import TakenRow
from sgevents_core.state.feed_values import FeedChange, SetAside
from sgevents_core.state.protocols import FeedWriter
from sgevents_core.state.requests import Request, RequestAnswer, RequestStep

logger = logging.getLogger("sgevents.feed")

MOST_ON_RECORD: Final = 1000
"""The most names kept, so that a site that sends only odd rows does not fill the disk."""


class SetAsideRows:
    """The names of the rows that are set aside. Pure.

    Args:
        recorded_names: The names already on record.
    """

    def __init__(self, recorded_names: Iterable[str]) -> None:
        self._known_names = set(recorded_names)
        self._newly_set_aside: list[SetAside] = []
        self._unreported: list[SetAside] = []
        self._taken_names: list[str] = []

    def report_odd(self, odd_rows: Iterable[Odd], step_result: StepResult) -> None:
        """Set aside rows that were not set aside yet, and report them."""
        new_rows = [*self._unreported, *self._add_new(odd_rows)]
        step_result.notices += [
            EventSetAside(set_aside_event.event, set_aside_event.reason)
            for set_aside_event in new_rows
        ]
        self._unreported = []

    def note_odd(self, odd_rows: Iterable[Odd]) -> None:
        """Set aside rows that were not set aside yet; they are reported with the next answer."""
        self._unreported += self._add_new(odd_rows)

    def _add_new(self, odd_rows: Iterable[Odd]) -> list[SetAside]:
        new_rows = []
        for odd_name, odd_reason in odd_rows:
            if odd_name not in self._known_names and len(self._known_names) < MOST_ON_RECORD:
                self._known_names.add(odd_name)
                new_rows.append(SetAside(odd_name, odd_reason, "site", 0.0))
        self._newly_set_aside += new_rows
        return new_rows

    def clear_rows(self, taken_rows: Iterable[TakenRow]) -> None:
        """Remove from the record the rows that have been read correctly since."""
        if self._known_names:
            readable_names = [
                odd_name
                for taken_row in taken_rows
                if (odd_name := str(taken_row.row.id)) in self._known_names
            ]
            self._known_names.difference_update(readable_names)
            self._taken_names += readable_names

    def clear_ids(self, id_spans: Iterable[Span]) -> None:
        """Remove from the record the ids on which the site failed and no longer fails."""
        failing_ids = {
            int(odd_name): odd_name for odd_name in self._known_names if odd_name.isdecimal()
        }
        readable_names = [
            failing_ids[id_]
            for s in (id_spans if failing_ids else ())
            for id_ in failing_ids
            if s.first <= id_ <= s.last
        ]
        self._known_names.difference_update(readable_names)
        self._taken_names += readable_names

    def with_changes(self, feed_change: FeedChange) -> FeedChange:
        """Return the change with the new records added; each is returned only once."""
        feed_era = feed_change.state.era
        feed_change = feed_change._replace(
            set_aside=[one._replace(era=feed_era) for one in self._newly_set_aside],
            no_more_aside=self._taken_names,
        )
        self._newly_set_aside, self._taken_names = [], []
        return feed_change


def forget_aside(feed_writer: FeedWriter, person_request: Request) -> RequestAnswer:
    """Carry out a request to forget rows that are set aside, and return the result.

    The request covers the rows that the person saw; rows set aside since then stay on record.

    Args:
        feed_writer: The journal.
        person_request: The request; its detail holds `set_aside`, each with the fields of
            `SetAside`.

    Raises:
        StateError: The journal cannot be written; the request waits.
    """
    forgotten = [SetAside(*one) for one in person_request.detail["set_aside"]]
    request_answer = RequestAnswer(
        "done",
        f"{counted(len(forgotten), 'event is', 'events are')} no longer on record as set aside",
    )
    feed_writer.forget_aside(forgotten, RequestStep(person_request.number, answer=request_answer))
    log_extra = {"action": "feed.aside_forgotten", "events": len(forgotten)}
    logger.warning("%s decided: %s", person_request.asked_by, request_answer.text, extra=log_extra)
    return request_answer
