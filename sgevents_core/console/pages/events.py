"""The events of the journal: searched by what is known of them, and followed as they come."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import Meta, structs

from sgevents_core.console.page import Page, Query, View, Visit, utc_time
from sgevents_core.console.shown_values import shortened
from sgevents_core.errors import MomentError, RangeError
from sgevents_core.printable import one_line
from sgevents_core.reading.event_rows import ListedEvent, list_events
from sgevents_core.reading.event_search import EventPage, EventSearch, read_choice
from sgevents_core.state.opening import open_state

LONGEST_CONDITION: Final = 500
LONGEST_LISTED: Final = 1_000
"""The most characters of a name or type in a list; the page of the event has all of it."""
_Text = Annotated[str, Meta(max_length=LONGEST_CONDITION)]
_LARGEST_SEQ: Final = 2**62
_NO_EVENTS: Final = EventPage((), 0, 0, True, 0)


class EventsQuery(Query, frozen=True, kw_only=True):
    """The conditions of a search; all of them together choose the events."""

    ids: _Text = ""
    """An id or a range of ids: 4711, 4711-4799."""
    type: _Text = ""
    """The event type; `*` stands for any characters."""
    entity: _Text = ""
    """The record: its type, type and id, id, or name."""
    project: _Text = ""
    user: _Text = ""
    script: _Text = ""
    since: _Text = ""
    """A date, a date and time, or how long ago."""
    until: _Text = ""
    late: bool = False
    failed: bool = False
    plugin: _Text = ""
    """Only events on which a callback of this plugin failed."""
    below: Annotated[int, Meta(ge=1, le=_LARGEST_SEQ)] | None = None
    """Continue below this place in the journal."""
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class LinkedRecord(View, frozen=True, kw_only=True):
    """A record of the site that an event names."""

    type: str | None
    id: int | None
    name: str | None


class PluginFailure(View, frozen=True, kw_only=True):
    """A plugin that failed on an event, and what came of the last failure."""

    plugin: str
    outcome: str


class EventLine(View, frozen=True, kw_only=True):
    """One event of the journal."""

    seq: int
    event_id: int
    event_type: str
    created_at: datetime | None
    late: bool
    attribute: str | None
    entity: LinkedRecord | None
    project: LinkedRecord | None
    user: LinkedRecord | None
    script: str | None
    failures: list[PluginFailure]
    unreadable: str | None


class EventsView(View, frozen=True, kw_only=True):
    """One page of a search, newest first."""

    query: dict[str, str]
    """The conditions that are given, for the links of the page."""
    events: list[EventLine]
    searched_to: int
    """The place in the journal down to which this page has searched."""
    searched_at: datetime | None
    """When the event there was created."""
    is_complete: bool
    """Whether there is nothing older."""
    is_first: bool
    newest_seq: int
    problem: str
    """Why the conditions cannot be read; empty if they can."""
    time_zone: str
    """The time zone of `since` and `until` where they name none."""


def read_events(visit: Visit, query: EventsQuery) -> EventsView:
    """Read one page of a search."""
    state = open_state(visit.site.state_folder)
    try:
        choice = read_choice(_conditions(query), visit.now, visit.zone)
    except (MomentError, RangeError, OverflowError) as error:
        return _events_view(visit, query, _NO_EVENTS, [], problem=one_line(str(error)))
    if not state.is_made():
        return _events_view(visit, query, _NO_EVENTS, [])
    with closing(EventSearch(visit.site.state_folder)) as search:
        page = search.page(choice, query.below, query.limit)
    shown = list_events(visit.site.state_folder, page.entries)
    return _events_view(visit, query, page, shown)


def linked_record(
    row_values: dict[str, Any], role: str, longest: int | None = None
) -> LinkedRecord | None:
    """Return a record that the values of an event name; None if they name none.

    Args:
        row_values: The values; see `event_values`.
        role: `entity`, `project` or `user`.
        longest: The most characters of its type and name; None for all.
    """
    record_type, record_id = row_values.get(f"{role}_type"), row_values[f"{role}_id"]
    record_name = row_values[f"{role}_name"]
    if record_type is None and record_id is None and record_name is None:
        return None
    return LinkedRecord(
        type=_shortened(record_type, longest),
        id=record_id if type(record_id) is int else None,
        name=_shortened(record_name, longest),
    )


def _shortened(value: object, longest: int | None = LONGEST_LISTED) -> str | None:
    """Return a text with at most so many characters; None for anything else."""
    if not isinstance(value, str):
        return None
    return value if longest is None else shortened(value, longest)


def _conditions(query: EventsQuery) -> dict[str, Any]:
    return {
        name: value
        for name, value in structs.asdict(query).items()
        if value and name not in {"below", "limit"}
    }


def _events_view(
    visit: Visit,
    query: EventsQuery,
    page: EventPage,
    shown: list[ListedEvent],
    *,
    problem: str = "",
) -> EventsView:
    return EventsView(
        query={
            name: "1" if value is True else str(value) for name, value in _conditions(query).items()
        },
        events=[_event_line(listed) for listed in shown],
        searched_to=page.searched_to,
        searched_at=utc_time(page.searched_created),
        is_complete=page.is_complete,
        is_first=query.below is None,
        newest_seq=page.newest_seq,
        problem=problem,
        time_zone=str(visit.zone or datetime.now().astimezone().tzname()),
    )


def _event_line(listed: ListedEvent) -> EventLine:
    row_values = listed.values()
    return EventLine(
        seq=row_values["seq"],
        event_id=row_values["event_id"],
        event_type=shortened(row_values["event_type"], LONGEST_LISTED),
        created_at=utc_time(row_values["created"]),
        late=row_values["late"],
        attribute=_shortened(row_values["attribute"]),
        entity=linked_record(row_values, "entity", LONGEST_LISTED),
        project=linked_record(row_values, "project", LONGEST_LISTED),
        user=linked_record(row_values, "user", LONGEST_LISTED),
        script=_shortened(row_values["script"]),
        failures=[
            PluginFailure(plugin=plugin, outcome=outcome)
            for plugin, outcome in row_values["failures"].items()
        ],
        unreadable=row_values["unreadable"],
    )


PAGES: Final = (
    Page(
        path="events",
        title="Events",
        summary="Search the journal, newest event first; each page is read in bounded time.",
        template="events.html",
        view_type=EventsView,
        query_type=EventsQuery,
        read=read_events,
        shared_for=1.0,
    ),
)
