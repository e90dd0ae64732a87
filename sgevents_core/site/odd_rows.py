"""Rows that cannot be handled, each recorded once, and what people decide about them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from sgevents_core.printable import counted
from sgevents_core.site.follower_values import Taken
from sgevents_core.site.notices import EventSetAside
from sgevents_core.site.questions import Odd
from sgevents_core.site.ranges import Span
from sgevents_core.state.entries import LateRow
from sgevents_core.state.feed_values import FeedChange, SetAside
from sgevents_core.state.protocols import FeedWriter
from sgevents_core.state.requests import Request, RequestAnswer, RequestStep

logger = logging.getLogger("sgevents.feed")

MOST_ON_RECORD: Final = 1000
"""The most names kept, so that a site that sends only nonsense does not fill the disk."""


class SetAsideRows:
    """The names of the rows that are set aside. Pure.

    Args:
        names: The names already on record.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._known_names = set(names)
        self._newly_set_aside: list[SetAside] = []
        self._unreported: list[SetAside] = []
        self._taken_names: list[str] = []

    def report_odd(self, odd: Iterable[Odd], taken: Taken) -> None:
        """Set aside rows that were not set aside yet, and report them."""
        new = [*self._unreported, *self._add_new(odd)]
        taken.notices += [EventSetAside(event.event, event.reason) for event in new]
        self._unreported = []

    def note_odd(self, odd: Iterable[Odd]) -> None:
        """Set aside rows that were not set aside yet; they are reported with the next answer."""
        self._unreported += self._add_new(odd)

    def _add_new(self, odd: Iterable[Odd]) -> list[SetAside]:
        new = []
        for name, reason in odd:
            if name not in self._known_names and len(self._known_names) < MOST_ON_RECORD:
                self._known_names.add(name)
                new.append(SetAside(name, reason, "site", 0.0))
        self._newly_set_aside += new
        return new

    def clear_rows(self, rows: Iterable[LateRow]) -> None:
        """Remove from the record what was read correctly since."""
        if self._known_names:
            right = [name for row, _ in rows if (name := str(row.id)) in self._known_names]
            self._known_names.difference_update(right)
            self._taken_names += right

    def clear_ids(self, spans: Iterable[Span]) -> None:
        """Remove from the record the ids on which the site failed and no longer fails."""
        ids = {int(name): name for name in self._known_names if name.isdecimal()}
        right = [
            ids[id_] for s in (spans if ids else ()) for id_ in ids if s.first <= id_ <= s.last
        ]
        self._known_names.difference_update(right)
        self._taken_names += right

    def with_changes(self, change: FeedChange) -> FeedChange:
        """Return a change with what is new here; it is reported only once."""
        era = change.state.era
        change = change._replace(
            set_aside=[one._replace(era=era) for one in self._newly_set_aside],
            no_more_aside=self._taken_names,
        )
        self._newly_set_aside, self._taken_names = [], []
        return change


def forget_aside(state: FeedWriter, request: Request) -> RequestAnswer:
    """Carry out a request to forget what is set aside, and return the result.

    It covers what the person was shown; rows set aside since then stay on record.

    Args:
        state: The journal.
        request: Its detail holds `set_aside`, each with the fields of `SetAside`.

    Raises:
        StateError: It cannot be written; the request waits.
    """
    ones = [SetAside(*one) for one in request.detail["set_aside"]]
    answer = RequestAnswer(
        "done", f"{counted(len(ones), 'event is', 'events are')} no longer on record as set aside"
    )
    state.forget_aside(ones, RequestStep(request.number, answer=answer))
    extra = {"action": "feed.aside_forgotten", "events": len(ones)}
    logger.warning("%s decided: %s", request.asked_by, answer.text, extra=extra)
    return answer
