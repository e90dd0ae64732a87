"""People's requests, as messages to the stream to which anybody may write."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from sgevents_core.state.nats import messages
from sgevents_core.state.nats.session import HeldLane, Session
from sgevents_core.state.requests import ReplayEvent, RequestAnswer, RequestDraft
from sgevents_core.state.sqlite.log_copy import read_first_number
from sgevents_core.state.sqlite.requests import SqliteRequests


class NatsRequests(SqliteRequests):
    """The requests, read from the copy.

    Args:
        session: What the process shares.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session.copy.folder)
        self._session = session
        self._database.before_read = session.wait_for_own

    def ask(
        self,
        request_kind: str,
        plugin_name: str,
        request_detail: Mapping[str, Any],
        asked_by: str,
        events: Iterable[ReplayEvent] = (),
    ) -> int:
        """Record a request and return its number."""
        return self.ask_all([(request_kind, plugin_name, request_detail, events)], asked_by)[0]

    def ask_all(self, request_drafts: Iterable[RequestDraft], asked_by: str) -> list[int]:
        """Record several requests atomically, `(kind, plugin, detail, events)` each; see `ask`."""
        drafts = [messages.draft_of(*request_draft) for request_draft in request_drafts]
        if not drafts:
            return []
        place = self._session.share(messages.Asked(asked_by, time.time(), drafts))
        self._session.wait_for_own()
        first_number = read_first_number(self._database, place)
        assert first_number is not None  # noqa: S101 - the copy has just applied it
        return list(range(first_number, first_number + len(drafts)))

    def begin(self, request_number: int) -> None:
        """Record that a plugin is about to be called: the process may not survive it.

        The lane that calls it writes this in its own stream, so that whoever takes the lane over
        knows it.
        """
        message = messages.RequestBegun(request_number)
        held_lane = self._find_lane(request_number)
        if held_lane is None:
            self._session.share(message)
        else:
            self._session.send(held_lane.writer, message)

    def answer(self, request_number: int, request_answer: RequestAnswer) -> None:
        """Answer a request that changes no other record."""
        message = messages.Answered(request_number, request_answer, time.time())
        self._session.share(message, request_answer)

    def forget(self, answered_before: float) -> None:
        """Remove requests that were answered before a time, in seconds since 1970."""
        number_rows = self._database.fetch_all(
            "SELECT id FROM requests WHERE answered_at < ?", answered_before
        )
        if number_rows:
            numbers = [int(number) for (number,) in number_rows]
            self._session.share(messages.RequestsForgotten(numbers))

    def _find_lane(self, request_number: int) -> HeldLane | None:
        """Return the lane of a request's plugin, if this process holds it."""
        lane_row = self._database.fetch_one(
            "SELECT plugins.lane FROM requests JOIN plugins ON plugins.name = requests.plugin"
            " WHERE requests.id = ?",
            request_number,
        )
        return None if lane_row is None else self._session.find_held_lane(str(lane_row[0]))
