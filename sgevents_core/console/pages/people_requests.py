"""People's requests: who asked for what, when, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta

from sgevents_core.console.page import Page, Query, View, Visit, utc_time
from sgevents_core.state.opening import open_state
from sgevents_core.state.requests import ShownRequest


class RequestsQuery(Query, frozen=True, kw_only=True):
    """How many requests to list."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class RequestLine(View, frozen=True, kw_only=True):
    """One request."""

    number: int
    kind: str
    plugin: str | None
    about: str
    asked_by: str
    asked_at: datetime | None
    reason: str
    outcome: Literal["done", "refused", "failed", "waiting"]
    answer: str
    answered_at: datetime | None


class RequestsView(View, frozen=True, kw_only=True):
    """The last requests, newest first."""

    requests: list[RequestLine]
    limit: int
    """The most that were listed."""


def read_requests(visit: Visit, query: RequestsQuery) -> RequestsView:
    """Read the last requests of a site."""
    if not open_state(visit.site.state_folder).is_made():
        return RequestsView(requests=[], limit=query.limit)
    with visit.site.open_requests() as requests:
        latest = requests.list_latest(query.limit)
    lines = [_line_of(request) for request in reversed(latest)]
    return RequestsView(requests=lines, limit=query.limit)


def _line_of(request: ShownRequest) -> RequestLine:
    return RequestLine(
        number=request.number,
        kind=request.kind,
        plugin=request.plugin or None,
        about=request.about,
        asked_by=request.asked_by,
        asked_at=utc_time(request.asked_at),
        reason=request.reason,
        outcome=request.outcome or "waiting",  # type: ignore[arg-type]  # one of the outcomes
        answer=request.answer,
        answered_at=utc_time(request.answered_at),
    )


PAGES: Final = (
    Page(
        path="requests",
        title="Requests",
        summary="List who asked for what, when, and what came of it.",
        template="requests.html",
        view_type=RequestsView,
        query_type=RequestsQuery,
        read=read_requests,
        shared_for=1.0,
    ),
)
