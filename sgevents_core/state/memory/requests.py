"""People's requests to a state in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from sgevents_core.state.batches import BatchedEvent
from sgevents_core.state.memory.step_writing import write_new_request, write_request_step
from sgevents_core.state.memory.tables import KeptRequest, Tables
from sgevents_core.state.requests import (
    LAST_REQUESTS,
    ReplayEvent,
    Request,
    RequestAnswer,
    RequestDraft,
    RequestProgress,
    RequestStep,
    ShownRequest,
    request_subject,
)

_decode_json: Final = msgspec.json.Decoder().decode


class MemoryRequests:
    """The requests; see `protocols.Requests`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def close(self) -> None:
        """Do nothing: a state in memory holds nothing open."""

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
        """Record several requests, `(kind, plugin, detail, events)` each."""
        with self._tables.lock:
            return [
                write_new_request(self._tables, asked_by, request_draft)
                for request_draft in request_drafts
            ]

    def waiting(self, above_number: int = 0, plugin_name: str | None = None) -> list[Request]:
        """Return the unanswered requests, in the order they were made."""
        with self._tables.lock:
            return [
                _build_request(request_number, kept_request)
                for request_number, kept_request in self._tables.requests.items()
                if kept_request.answer is None
                and request_number > above_number
                and plugin_name in {None, kept_request.plugin}
            ]

    def get(self, request_number: int) -> Request | None:
        """Return a request as it is now; None if it is unknown or answered."""
        with self._tables.lock:
            kept_request = self._tables.requests.get(request_number)
            return (
                None
                if kept_request is None or kept_request.answer
                else _build_request(request_number, kept_request)
            )

    def unanswered(self, request_numbers: Iterable[int]) -> list[int]:
        """Return those of the given requests that are unanswered, in their order."""
        waiting_numbers = {request.number for request in self.waiting()}
        return [
            request_number
            for request_number in request_numbers
            if request_number in waiting_numbers
        ]

    def answer_of(self, request_number: int) -> RequestAnswer | None:
        """Return the answer to a request; None while it is unanswered."""
        with self._tables.lock:
            kept_request = self._tables.requests.get(request_number)
            return None if kept_request is None else kept_request.answer

    def list_latest(self, request_limit: int) -> list[ShownRequest]:
        """Return the last requests, answered or not, the newest last."""
        with self._tables.lock:
            newest_requests = (
                list(self._tables.requests.items())[-request_limit:] if request_limit else []
            )
            return [
                _shown_request(request_number, kept_request)
                for request_number, kept_request in newest_requests
            ]

    def progress_of_kinds(self, kinds: Collection[str], since: float) -> list[RequestProgress]:
        """Return how many requests of some kinds wait, and how many were answered since a time."""
        progress: dict[tuple[str, str], RequestProgress] = {}
        with self._tables.lock:
            requests = list(self._tables.requests.values())[-LAST_REQUESTS:]
        for one in requests:
            is_recent = one.answer is None or one.answered_at >= since
            if one.kind in kinds and is_recent:
                key = (one.kind, one.plugin)
                known = progress.get(key, RequestProgress(*key, 0, 0, 0))
                is_done = one.answer is not None and one.answer.outcome == "done"
                progress[key] = known._replace(
                    waiting=known.waiting + (one.answer is None),
                    done=known.done + is_done,
                    failed=known.failed + (one.answer is not None and not is_done),
                )
        return [progress[key] for key in sorted(progress)]

    def begin(self, request_number: int) -> None:
        """Record that a plugin is about to be called: the process may not survive it."""
        with self._tables.lock:
            if request_number in self._tables.requests:
                self._tables.requests[request_number].begun += 1

    def answer(self, request_number: int, request_answer: RequestAnswer) -> None:
        """Answer a request that changes no other record."""
        with self._tables.lock:
            write_request_step(self._tables, RequestStep(request_number, answer=request_answer))

    def replay_event(self, request_number: int, event_index: int) -> ReplayEvent | None:
        """Return the event at a position of a replay; None after the last."""
        with self._tables.lock:
            kept_request = self._tables.requests.get(request_number)
            return (
                kept_request.replays[event_index]
                if kept_request and 0 <= event_index < len(kept_request.replays)
                else None
            )

    def count_batch(
        self, request_number: int, callback_name: str, key: str
    ) -> tuple[int, int] | None:
        """Return the number of a replay's batch of a key, and that of its events; None if none."""
        batch = [
            event
            for event in self._replayed(request_number)
            if event.callback == callback_name and event.key == key
        ]
        return (batch[0].number, len(batch)) if batch else None

    def replay_batch(
        self,
        request_number: int,
        callback_name: str | None = None,
        batch_number: int | None = None,
    ) -> list[BatchedEvent]:
        """Return the events of a batch that a replay has collected, in order."""
        chosen_events = [
            event
            for event in self._replayed(request_number)
            if callback_name in {None, event.callback} and batch_number in {None, event.number}
        ]
        first_batch = min(((event.number, event.callback) for event in chosen_events), default=None)
        batch = [event for event in chosen_events if (event.number, event.callback) == first_batch]
        return sorted(batch, key=lambda event: event.seq)

    def _replayed(self, request_number: int) -> list[BatchedEvent]:
        with self._tables.lock:
            return [
                event
                for event in self._tables.batched
                if event.request and event.request == request_number
            ]

    def forget(self, answered_before: float) -> None:
        """Remove requests that were answered before a time, in seconds since 1970."""
        tables = self._tables
        with tables.lock:
            for request_number, kept_request in list(tables.requests.items()):
                if kept_request.answer is not None and kept_request.answered_at < answered_before:
                    del tables.requests[request_number]


def _build_request(request_number: int, kept_request: KeptRequest) -> Request:
    return Request(
        request_number,
        kept_request.kind,
        kept_request.plugin,
        _decode_json(kept_request.detail),
        kept_request.asked_by,
        kept_request.begun,
        _decode_json(kept_request.progress),
    )


def _shown_request(request_number: int, kept_request: KeptRequest) -> ShownRequest:
    request_detail = _decode_json(kept_request.detail)
    return ShownRequest(
        number=request_number,
        kind=kept_request.kind,
        plugin=kept_request.plugin,
        about=request_subject(request_detail),
        asked_by=kept_request.asked_by,
        asked_at=kept_request.asked_at,
        reason=str(request_detail.get("reason") or ""),
        outcome=kept_request.answer.outcome if kept_request.answer else None,
        answer=kept_request.answer.text if kept_request.answer else "",
        answered_at=kept_request.answered_at if kept_request.answer else None,
    )
