"""One event: its row taken apart, how it arrived, and its outcome for every callback."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from sgevents_core.console.dry_runs import MOST_AT_ONCE, DryRun
from sgevents_core.console.page import (
    Action,
    Form,
    NewRequest,
    Page,
    Query,
    View,
    Visit,
    utc_time,
)
from sgevents_core.console.pages.events import LinkedRecord, linked_record
from sgevents_core.console.problems import PageMissing, TooManyRuns
from sgevents_core.events import Event
from sgevents_core.printable import one_line
from sgevents_core.reading.event_rows import event_values
from sgevents_core.site.bodies import decoded_row
from sgevents_core.state.failures import RecordedFailure
from sgevents_core.state.opening import open_state
from sgevents_core.state.requests import ReplayEvent
from sgevents_core.testing.anonymising import without_signatures
from sgevents_core.testing.recorded import recorded_text

LARGEST_ID: Final = 2**62
_SETTLED_FOR: Final = 60.0
_OPEN_FOR: Final = 5.0
"""Seconds for which an explanation is shown before it is read anew, if a call is still to come."""
_PATIENCE: Final = 6.0
_OPEN_OUTCOMES: Final = frozenset({"not yet", "failed", "deferred", "in a batch"})
EventId = Annotated[int, Meta(ge=1, le=LARGEST_ID)]


class EventQuery(Query, frozen=True, kw_only=True):
    """The event."""

    id: EventId


class TakenApart(View, frozen=True, kw_only=True):
    """The row of an event, taken apart."""

    event_type: str
    created_at: datetime | None
    attribute: str | None
    entity: LinkedRecord | None
    project: LinkedRecord | None
    user: LinkedRecord | None
    script: str | None
    is_change: bool
    old_value: str
    """The old value as JSON."""
    new_value: str
    added: str
    """The records that were added, as JSON; empty if none were."""
    removed: str
    in_create: bool
    meta: str
    """The details, as JSON in several lines."""
    row: str
    """The whole row, as JSON in several lines."""


class CallLine(View, frozen=True, kw_only=True):
    """One call of a callback for the event."""

    began_at: datetime | None
    duration_s: float


class FailureLine(View, frozen=True, kw_only=True):
    """One failed attempt."""

    plugin: str
    callback: str
    attempt: int
    at: datetime | None
    error: str
    traceback: str
    outcome: str


class CallbackLine(View, frozen=True, kw_only=True):
    """One callback, and what became of the event there."""

    plugin: str
    callback: str
    where: str
    why_not: str
    """Why it does not want the event; empty if it does."""
    outcome: str
    text: str
    letter: int | None
    """The number of its dead letter, which may have been settled."""
    due_at: datetime | None
    """When it is called at the latest, if it waits for a time."""
    calls: list[CallLine]
    failures: list[FailureLine]


class LeftOutLine(View, frozen=True, kw_only=True):
    """A plugin that is not loaded, and why."""

    plugin: str
    why: str


class DryRunLine(View, frozen=True, kw_only=True):
    """A dry run of a plugin for the event: what it would have done."""

    plugin: str
    asked_by: str
    started_at: datetime | None
    state: Literal["running", "done", "failed"]
    output: str


class EventView(View, frozen=True, kw_only=True):
    """All that is known of one event."""

    event_id: int
    seq: int | None
    era: int | None
    missing: str
    """Why it is not in the journal."""
    arrival: str
    """How it came into the journal, in a sentence."""
    late_by_s: float | None
    event: TakenApart | None
    fixture: str
    """The event as a line of a file of recorded events, for tests."""
    callbacks: list[CallbackLine]
    left_out: list[LeftOutLine]
    failures: list[FailureLine]
    """All failures that are recorded for it, oldest first."""
    plugins: list[str]
    """The plugins that can be called for it again."""
    dry_runs: list[DryRunLine]
    """The last dry runs for it, the newest first."""
    is_explaining: bool
    """Whether the callbacks are being read."""
    problem: str
    """Why they could not be read."""


def read_event(visit: Visit, query: EventQuery) -> EventView:
    """Read all that is known of one event."""
    state = open_state(visit.site.state_folder)
    if not state.is_made():
        raise PageMissing("Nothing has run on this state yet.")
    with closing(state.past()) as past:
        journaled, failures = past.event(query.id), past.failures(query.id)
    explained, is_explaining, problem = _read_explanation(visit, query.id, failures)
    row = _row_of(journaled, explained)
    fates = [_callback_line(callback) for callback in explained.get("callbacks") or ()]
    arrival = explained.get("arrival") or {}
    return EventView(
        event_id=query.id,
        seq=journaled.seq if journaled else None,
        era=journaled.era if journaled else explained.get("era"),
        missing="" if journaled else explained.get("missing") or "",
        arrival=arrival.get("text") or "",
        late_by_s=arrival.get("late_by_s"),
        event=None if row is None else _taken_apart(row),
        fixture="" if row is None else recorded_text([without_signatures(row)]),
        callbacks=fates,
        left_out=[LeftOutLine(**left_out) for left_out in explained.get("left_out") or ()],
        failures=[_failure_line(msgspec.to_builtins(recorded.failure)) for recorded in failures],
        plugins=sorted({fate.plugin for fate in fates}),
        dry_runs=[_dry_run_line(dry_run) for dry_run in visit.site.dry_runs.of_event(query.id)],
        is_explaining=is_explaining,
        problem=problem,
    )


def _read_explanation(
    visit: Visit, event_id: int, failures: Sequence[RecordedFailure]
) -> tuple[dict[str, Any], bool, str]:
    """Return what `sgevents explain` says of the event, whether it is being read, and why not."""
    mark = tuple(
        (
            recorded.number,
            recorded.dead,
            recorded.failure.outcome,
            recorded.failure.attempt,
            recorded.failure.at,
        )
        for recorded in failures
    )
    read = partial(visit.site.inspections.read, "explain", subject=str(event_id), mark=mark)
    inspection = read(patience=_PATIENCE, fresh_for=_SETTLED_FOR)
    fates = [
        callback.get("fate") or {} for callback in (inspection.result or {}).get("callbacks", ())
    ]
    if not inspection.is_running and _OPEN_OUTCOMES.intersection(
        fate.get("what") for fate in fates
    ):
        inspection = read(patience=0.0, fresh_for=_OPEN_FOR)
    return inspection.result or {}, inspection.is_running, inspection.problem


def _row_of(journaled: ReplayEvent | None, explained: dict[str, Any]) -> dict[str, Any] | None:
    if journaled is None:
        return explained.get("event")
    try:
        return decoded_row(journaled.body)
    except (ValueError, msgspec.MsgspecError):
        return None


def _taken_apart(row: dict[str, Any]) -> TakenApart:
    event = Event(row)
    row_values = event_values(event)
    created_at = event.created_at
    return TakenApart(
        event_type=event.event_type,
        created_at=utc_time(created_at.timestamp() if created_at else None),
        attribute=event.attribute,
        entity=linked_record(row_values, "entity"),
        project=linked_record(row_values, "project"),
        user=linked_record(row_values, "user"),
        script=event.script,
        is_change=event.action == "Change",
        old_value=_json_text(event.old_value),
        new_value=_json_text(event.new_value),
        added=_json_text(event.added) if event.added else "",
        removed=_json_text(event.removed) if event.removed else "",
        in_create=event.in_create,
        meta=_json_text(event.meta, indent=2),
        row=_json_text(row, indent=2),
    )


def _json_text(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, default=str)


def _callback_line(callback: dict[str, Any]) -> CallbackLine:
    fate = callback.get("fate") or {}
    return CallbackLine(
        plugin=callback["plugin"],
        callback=callback["callback"],
        where=callback["where"] or "",
        why_not=callback["why_not"] or "",
        outcome=fate.get("what") or ("" if callback["why_not"] else "wanted"),
        text=fate.get("text") or "",
        letter=fate.get("letter"),
        due_at=_moment(fate.get("due")),
        calls=[
            CallLine(began_at=_moment(call["began"]), duration_s=call["seconds"])
            for call in fate.get("calls") or ()
        ],
        failures=[_failure_line(failure) for failure in fate.get("failures") or ()],
    )


def _failure_line(failure: dict[str, Any]) -> FailureLine:
    at = failure["at"]
    return FailureLine(
        plugin=failure["plugin"],
        callback=failure["callback"] or "",
        attempt=failure["attempt"],
        at=_moment(at) if isinstance(at, str) else utc_time(at),
        error=failure["error"] or "",
        traceback=failure["traceback"] or "",
        outcome=failure["outcome"] or "",
    )


def _dry_run_line(dry_run: DryRun) -> DryRunLine:
    return DryRunLine(
        plugin=dry_run.plugin,
        asked_by=dry_run.asked_by,
        started_at=utc_time(dry_run.started_at),
        state="running" if dry_run.exit_code is None else "failed" if dry_run.exit_code else "done",
        output=dry_run.output,
    )


def _moment(iso_text: str | None) -> datetime | None:
    return datetime.fromisoformat(iso_text) if iso_text else None


class ReplayForm(Form, frozen=True, kw_only=True):
    """The event to replay, and the plugin to call for it."""

    id: EventId
    plugin: str


def plan_replay(visit: Visit, form: ReplayForm) -> list[NewRequest]:
    """Ask for a replay of an event of the journal."""
    state = open_state(visit.site.state_folder)
    event = None
    if state.is_made():
        with closing(state.past()) as past:
            event = past.event(form.id)
    if event is None:
        raise PageMissing(f"Event {form.id} is not in the journal; sgevents replay reads the site.")
    return [
        NewRequest(
            kind="replay", plugin=form.plugin, detail={"events": str(form.id)}, events=[event]
        )
    ]


def start_dry_run(visit: Visit, form: ReplayForm) -> list[NewRequest]:
    """Start a dry run, which is no request, since it changes nothing."""
    if form.plugin not in visit.site.settings.plugins:
        raise PageMissing(f"There is no plugin {one_line(form.plugin[:100])}.")
    if not visit.site.dry_runs.start(form.id, form.plugin, visit.person.name):
        raise TooManyRuns(f"{MOST_AT_ONCE} dry runs are running: wait until one has ended.")
    return []


PAGES: Final = (
    Page(
        path="event",
        title="Event",
        summary="Show one event: its row, how it arrived, and its outcome for every callback.",
        template="event.html",
        view_type=EventView,
        query_type=EventQuery,
        read=read_event,
        in_navigation=False,
        tab="events",
        shared_for=1.0,
    ),
)
ACTIONS: Final = (
    Action(
        path="events/replay",
        summary="Call a plugin for an event of the journal again.",
        form_type=ReplayForm,
        plan=plan_replay,
    ),
    Action(
        path="events/dry-run",
        summary="Show what a plugin would do for an event, without changing anything.",
        form_type=ReplayForm,
        plan=start_dry_run,
        without_requests="The dry run has begun: its result appears on the page of the event.",
    ),
)
