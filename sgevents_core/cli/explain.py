"""`sgevents explain`: what happened to one event, callback by callback, and why."""

from __future__ import annotations

import contextlib
import io
from contextlib import closing
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from sgevents_core.cli.new_requests import load_state_settings
from sgevents_core.cli.printing import (
    echo,
    echo_json,
    echo_line,
    iso,
    read_for_inspection,
    without_empty,
)
from sgevents_core.cli.root import config_option
from sgevents_core.errors import SecretMissingError, SiteError
from sgevents_core.state.opening import open_state

if TYPE_CHECKING:
    from sgevents_core.dispatch.plan import Plan
    from sgevents_core.events import Event
    from sgevents_core.reading.outcomes import Outcome, OutcomeKind
    from sgevents_core.settings import Settings
    from sgevents_core.state.requests import ReplayEvent


OUTCOME_COLOURS: Final[dict[OutcomeKind, str]] = {
    "dead letter": "red",
    "failed": "yellow",
    "skipped": "yellow",
    "not yet": "cyan",
    "deferred": "cyan",
}
"""Outcome of a call -> its style on a terminal."""


class _CallbackLine(NamedTuple):
    """One callback and its outcome for the event."""

    plugin: str
    callback: str
    where: str
    why_not: str
    outcome: Outcome | None


@click.command()
@click.argument("event", type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
@config_option
def explain(event: int, as_json: bool, config: Path) -> None:
    """Explain what happened to an event, callback by callback.

    Shows which callbacks want EVENT, in call order, with the outcome of each call, and which do
    not, with the reason. Reads the state, and asks the site if the event is not in the journal.
    Imports the enabled plugins, but calls none of them, except filters that are functions.
    """
    settings = load_state_settings(config, read_for_inspection)
    replayed, site_trouble = _find_event(settings, event)
    fields = _head_fields(settings, event, replayed, site_trouble)
    callback_lines = _callback_lines(settings, replayed) if replayed else []
    if as_json:
        callbacks = [_as_json(line) for line in callback_lines]
        echo_json({"version": 1, **without_empty(fields), "callbacks": without_empty(callbacks)})
        return
    _print_event(fields)
    for number, line in enumerate([line for line in callback_lines if not line.why_not], 1):
        outcome_text = line.outcome.text if line.outcome else "wants it, and was not called"
        colour = OUTCOME_COLOURS.get(line.outcome.what, "") if line.outcome else ""
        echo_line(f"{number:3}. {line.plugin} {line.callback}: {outcome_text}", line_colour=colour)
        for call_line in _call_lines(line.outcome) if line.outcome else ():
            echo_line(f"     {call_line}")
    for line in callback_lines:
        if line.why_not:
            echo_line(f"  -  {line.plugin} {line.callback}: not called: {line.why_not}")


def _find_event(settings: Settings, event_id: int) -> tuple[ReplayEvent | None, str]:
    """Return the event, and the reason if the site could not be asked for it."""
    from sgevents_core.site.history import History

    with closing(History(settings)) as history:
        try:
            return history.event(event_id), ""
        except (SiteError, SecretMissingError) as error:
            return None, str(error)


def _head_fields(
    settings: Settings, event_id: int, replayed: ReplayEvent | None, trouble: str
) -> dict[str, Any]:
    """Return the fields to print about the event itself."""
    from sgevents_core.reading.id_standing import explain_missing_id
    from sgevents_core.site.bodies import decoded_row

    head_fields: dict[str, Any] = {
        "event_id": event_id,
        "found": None,
        "missing": "",
        "event": None,
    }
    if replayed is None or not replayed.seq:
        head_fields["missing"] = explain_missing_id(settings.state.path, event_id)
    if replayed is None:
        site_text = (
            f"the site could not be asked: {trouble}" if trouble else "the site does not have it"
        )
        return {**head_fields, "missing": f"{head_fields['missing']}; {site_text}"}
    journal_fields = {
        "found": "journal" if replayed.seq else "site",
        "seq": replayed.seq,
        "era": replayed.era,
    }
    return {**head_fields, **journal_fields, "event": decoded_row(replayed.body)}


def _callback_lines(settings: Settings, replayed: ReplayEvent) -> list[_CallbackLine]:
    from sgevents_core.calling.journal_events import event_of, read_scripts
    from sgevents_core.reading.outcomes import Outcomes

    event_outcomes = Outcomes(settings.state.path)
    with closing(open_state(settings.state.path).past()) as past:
        failures = past.failures(replayed.event_id)
    callback_lines = []
    event = event_of(replayed.body, read_scripts(settings.state.path))
    for line in _explain_callbacks(plan_of(settings), event):
        outcome = None
        if not line.why_not and replayed.seq:
            outcome = event_outcomes.outcome_of(line.plugin, line.callback, replayed.seq, failures)
            timed_calls = event_outcomes.calls_of(line.plugin, line.callback, replayed.seq)
            outcome = replace(outcome, calls=timed_calls)
        callback_lines.append(line._replace(outcome=outcome))
    return callback_lines


def plan_of(settings: Settings) -> Plan:
    """Return the plan of the enabled plugins; discard whatever they print when imported."""
    from sgevents_core.classic.finding import find_plugins
    from sgevents_core.dispatch.plan import Plan
    from sgevents_core.plugins.loading import load as load_plugins

    with contextlib.redirect_stdout(io.StringIO()):
        return Plan(load_plugins(settings, find_plugins(settings)).callbacks)


def _explain_callbacks(plan: Plan, event: Event) -> list[_CallbackLine]:
    lines = []
    for callback in plan.callbacks:
        try:
            why_not = callback.why_not(event) or ""
        except BaseException as error:  # a filter may be a plugin's code
            why_not = f"its filter raised {type(error).__name__}: {error}"
        lines.append(_CallbackLine(callback.plugin, callback.name, callback.where, why_not, None))
    return lines


def _print_event(head_fields: dict[str, Any]) -> None:
    from sgevents_core.events import Event

    if head_fields["event"] is None:
        echo_line(f"event {head_fields['event_id']}: {head_fields['missing']}")
        return
    event = Event(head_fields["event"])
    echo_line(f"{event}, created {event.created_at}")
    if head_fields["missing"]:
        echo_line(f"not in the journal: {head_fields['missing']}; the site has it")
    else:
        echo(f"in the journal at {head_fields['seq']}, era {head_fields['era']}")


def _call_lines(outcome: Outcome) -> list[str]:
    """Return a line for each known call, oldest first: when, how long, how it failed."""
    by_call = {}
    for failure in outcome.failures:
        earlier_calls = [
            call for call in outcome.calls if call.called_at <= failure.at and call not in by_call
        ]
        if earlier_calls:
            by_call[earlier_calls[-1]] = failure
    call_lines = []
    for call in outcome.calls:
        began_at = datetime.fromtimestamp(call.called_at).astimezone()
        call_text = f"called {began_at:%Y-%m-%d %H:%M:%S}, took {_duration_text(call.duration)}"
        call_failure = by_call.get(call)
        call_lines.append(f"{call_text}: {call_failure.error}" if call_failure else call_text)
    return call_lines


def _duration_text(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def _as_json(line: _CallbackLine) -> dict[str, Any]:
    json_fields: dict[str, Any] = {
        "plugin": line.plugin,
        "callback": line.callback,
        "where": line.where,
        "called": not line.why_not,
        "why_not": line.why_not,
        "fate": None,
    }
    return {**json_fields, "fate": _outcome_json(line.outcome)} if line.outcome else json_fields


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "what": outcome.what,
        "text": outcome.text,
        "failures": [{**asdict(item), "at": iso(item.at)} for item in outcome.failures],
        "calls": [
            {"began": iso(item.called_at), "seconds": item.duration} for item in outcome.calls
        ],
    }
