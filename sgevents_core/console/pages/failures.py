"""Dead letters and other failures, grouped by plugin, callback and kind of error."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta

from sgevents_core.console.page import Page, Query, View, Visit, utc_time
from sgevents_core.state.letters import FailureGroup, Letter, LetterChoice, LetterGroup
from sgevents_core.state.opening import open_state
from sgevents_core.state.requests import RequestProgress

_MOST_GROUPS: Final = 200
_LETTERS_ON_PAGE: Final = 100
_PROGRESS_SHOWN_FOR: Final = 600.0
"""Seconds for which answered requests are shown as progress."""
_KINDS: Final = frozenset({"retry", "dismiss"})
LARGEST_NUMBER: Final = 2**62
LongText = Annotated[str, Meta(max_length=20_000)]


class FailuresQuery(Query, frozen=True, kw_only=True):
    """A choice of failures; empty parameters choose all."""

    plugin: LongText = ""
    callback: LongText = ""
    error: LongText = ""
    """Text that the error contains; `#` in it stands for any number, `…` for any text."""
    after: Annotated[int, Meta(ge=0, le=LARGEST_NUMBER)] = 0
    """List the dead letters behind this one."""


class LetterGroupLine(View, frozen=True, kw_only=True):
    """Dead letters with the same cause."""

    plugin: str
    callback: str
    error: str
    letters: int
    first_at: datetime | None
    last_at: datetime | None


class LetterLine(View, frozen=True, kw_only=True):
    """One dead letter."""

    number: int
    plugin: str
    callback: str
    event_id: int
    """Its event, or the first of its batch."""
    last_event_id: int
    """The last event of its batch; its event, if it is of one."""
    events: int
    """How many events it is about."""
    attempts: int
    error: str
    at: datetime | None


class FailureGroupLine(View, frozen=True, kw_only=True):
    """Failures that are no dead letters, with the same cause and outcome."""

    plugin: str
    callback: str
    error: str
    outcome: str
    failures: int
    events: int
    event_id: int
    """The event of the last one."""
    first_at: datetime | None
    last_at: datetime | None


class ProgressLine(View, frozen=True, kw_only=True):
    """How far the requests of one kind about one plugin have come."""

    kind: str
    plugin: str
    waiting: int
    done: int
    failed: int


class FailuresView(View, frozen=True, kw_only=True):
    """Failures in groups, and the dead letters of the chosen ones."""

    query: dict[str, str]
    """The parameters that are given, for the links of the page."""
    letters_total: int
    groups: list[LetterGroupLine]
    groups_total: int
    letters: list[LetterLine]
    """The dead letters, oldest first; empty unless some are chosen."""
    letters_left: int
    """How many follow behind those."""
    traceback: str
    """Where the last of those was raised."""
    others: list[FailureGroupLine]
    others_total: int
    progress: list[ProgressLine]


def read_failures(visit: Visit, query: FailuresQuery) -> FailuresView:
    """Read the failures of a site in groups."""
    state = open_state(visit.site.state_folder)
    conditions = given_conditions(query.plugin, query.callback, query.error)
    if not state.is_made():
        return _failures_view(conditions, [], [], [], [])
    choice = letter_choice(query.plugin, query.callback, query.error)
    with closing(state.letters()) as letters, visit.site.open_requests() as requests:
        listed = [*letters.listed(choice, query.after, _LETTERS_ON_PAGE)] if conditions else []
        newest = letters.get(listed[-1].number) if listed else None
        return _failures_view(
            conditions,
            letters.groups(choice),
            listed,
            _chosen_groups(letters.failure_groups(choice.plugin), query),
            requests.progress_of_kinds(_KINDS, visit.now - _PROGRESS_SHOWN_FOR),
            traceback=newest.failure.traceback if newest else "",
            letters_left=letters.count(choice, listed[-1].number) if listed else 0,
        )


def given_conditions(plugin: str, callback: str, error: str) -> dict[str, str]:
    """Return the conditions that are not empty, by the name of their parameter."""
    conditions = {"plugin": plugin, "callback": callback, "error": error}
    return {name: value for name, value in conditions.items() if value}


def letter_choice(plugin: str, callback: str, error: str) -> LetterChoice:
    """Return the choice of dead letters that conditions describe; an empty one matches all."""
    return LetterChoice(_comparable(plugin), _comparable(callback), _comparable(error))


def _comparable(error_text: str) -> str | None:
    """Return a text that the state can compare; None for an empty one."""
    return error_text.encode("utf-8", "replace").decode() or None


def _failures_view(
    conditions: dict[str, str],
    groups: Sequence[LetterGroup],
    listed: Sequence[Letter],
    others: Sequence[FailureGroup],
    progress: Sequence[RequestProgress],
    *,
    traceback: str = "",
    letters_left: int = 0,
) -> FailuresView:
    return FailuresView(
        query=conditions,
        letters_total=sum(group.letters for group in groups),
        groups=[_group_line(group) for group in groups[:_MOST_GROUPS]],
        groups_total=len(groups),
        letters=[_letter_line(letter) for letter in listed],
        letters_left=letters_left,
        traceback=traceback,
        others=[_other_line(group) for group in others[:_MOST_GROUPS]],
        others_total=len(others),
        progress=[ProgressLine(**request._asdict()) for request in progress],
    )


def _chosen_groups(groups: Sequence[FailureGroup], query: FailuresQuery) -> list[FailureGroup]:
    return [
        group
        for group in groups
        if query.callback in {"", group.callback} and query.error in group.error
    ]


def _group_line(group: LetterGroup) -> LetterGroupLine:
    return LetterGroupLine(
        plugin=group.plugin,
        callback=group.callback,
        error=group.error,
        letters=group.letters,
        first_at=utc_time(group.since),
        last_at=utc_time(group.until),
    )


def _letter_line(letter: Letter) -> LetterLine:
    failure = letter.failure
    return LetterLine(
        number=letter.number,
        plugin=failure.plugin,
        callback=failure.callback,
        event_id=failure.event_id,
        last_event_id=letter.batch[-1] if letter.batch else failure.event_id,
        events=max(len(letter.batch), 1),
        attempts=failure.attempt,
        error=failure.error,
        at=utc_time(failure.at),
    )


def _other_line(group: FailureGroup) -> FailureGroupLine:
    return FailureGroupLine(
        plugin=group.plugin,
        callback=group.callback,
        error=group.error,
        outcome=group.outcome or "failed",
        failures=group.failures,
        events=group.events,
        event_id=group.event_id,
        first_at=utc_time(group.since),
        last_at=utc_time(group.until),
    )


PAGES: Final = (
    Page(
        path="failures",
        title="Failures",
        summary="List dead letters and other failures, grouped by plugin, callback and error.",
        template="failures.html",
        view_type=FailuresView,
        query_type=FailuresQuery,
        read=read_failures,
        shared_for=5.0,
    ),
)
