"""People's requests to a state in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from sgevents_core.state.memory.step_writing import write_asked, write_request
from sgevents_core.state.memory.tables import KeptRequest, Tables
from sgevents_core.state.requests import (
    ReplayEvent,
    Request,
    RequestAnswer,
    RequestDraft,
    RequestStep,
    ShownRequest,
    request_subject,
)

_decode: Final = msgspec.json.Decoder().decode


class MemoryRequests:
    """The requests; see `protocols.Requests`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def ask(
        self,
        kind: str,
        plugin: str,
        detail: Mapping[str, Any],
        asked_by: str,
        events: Iterable[ReplayEvent] = (),
    ) -> int:
        """Record a request and return its number."""
        return self.ask_all([(kind, plugin, detail, events)], asked_by)[0]

    def ask_all(self, asked: Iterable[RequestDraft], asked_by: str) -> list[int]:
        """Record several requests, `(kind, plugin, detail, events)` each."""
        with self._tables.lock:
            return [write_asked(self._tables, asked_by, asking) for asking in asked]

    def waiting(self, above: int = 0, plugin: str | None = None) -> list[Request]:
        """Return the unanswered requests, in the order they were made."""
        with self._tables.lock:
            return [
                _request(number, kept_request)
                for number, kept_request in self._tables.requests.items()
                if kept_request.answer is None
                and number > above
                and plugin in {None, kept_request.plugin}
            ]

    def get(self, number: int) -> Request | None:
        """Return a request as it is now; None if it is unknown or answered."""
        with self._tables.lock:
            kept_request = self._tables.requests.get(number)
            return (
                None
                if kept_request is None or kept_request.answer
                else _request(number, kept_request)
            )

    def unanswered(self, numbers: Iterable[int]) -> list[int]:
        """Return those of the given requests that are unanswered, in their order."""
        waiting = {request.number for request in self.waiting()}
        return [number for number in numbers if number in waiting]

    def answer_of(self, number: int) -> RequestAnswer | None:
        """Return the answer to a request; None while it is unanswered."""
        with self._tables.lock:
            kept_request = self._tables.requests.get(number)
            return None if kept_request is None else kept_request.answer

    def list_latest(self, count: int) -> list[ShownRequest]:
        """Return the last requests, answered or not, the newest last."""
        with self._tables.lock:
            newest = list(self._tables.requests.items())[-count:] if count else []
            return [_asked(number, kept_request) for number, kept_request in newest]

    def begin(self, number: int) -> None:
        """Record that a plugin is about to be called: the process may not survive it."""
        with self._tables.lock:
            if number in self._tables.requests:
                self._tables.requests[number].begun += 1

    def answer(self, number: int, answer: RequestAnswer) -> None:
        """Answer a request that needs no other record."""
        with self._tables.lock:
            write_request(self._tables, RequestStep(number, answer=answer))

    def replay_event(self, number: int, index: int) -> ReplayEvent | None:
        """Return the event at a position of a replay; None after the last."""
        with self._tables.lock:
            kept_request = self._tables.requests.get(number)
            return (
                kept_request.replays[index]
                if kept_request and 0 <= index < len(kept_request.replays)
                else None
            )

    def forget(self, before: float) -> None:
        """Remove requests that were answered before a time, in seconds since 1970."""
        tables = self._tables
        with tables.lock:
            for number, kept_request in list(tables.requests.items()):
                if kept_request.answer is not None and kept_request.answered_at < before:
                    del tables.requests[number]
            for call in [call for call in tables.deaths if call[1] < tables.lowest()]:
                if tables.journal:
                    del tables.deaths[call]


def _request(number: int, kept_request: KeptRequest) -> Request:
    return Request(
        number,
        kept_request.kind,
        kept_request.plugin,
        _decode(kept_request.detail),
        kept_request.asked_by,
        kept_request.begun,
        _decode(kept_request.progress),
    )


def _asked(number: int, kept_request: KeptRequest) -> ShownRequest:
    detail = _decode(kept_request.detail)
    return ShownRequest(
        number=number,
        kind=kept_request.kind,
        plugin=kept_request.plugin,
        about=request_subject(detail),
        asked_by=kept_request.asked_by,
        asked_at=kept_request.asked_at,
        reason=str(detail.get("reason") or ""),
        outcome=kept_request.answer.outcome if kept_request.answer else None,
        answer=kept_request.answer.text if kept_request.answer else "",
        answered_at=kept_request.answered_at if kept_request.answer else None,
    )
