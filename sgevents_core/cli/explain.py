"""`sgevents explain`: what happened to one event, callback by callback, and why."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sgevents_core.cli.new_requests import load_state_settings
from sgevents_core.cli.printing import echo_json, echo_line, iso, read_for_inspection, without_empty
from sgevents_core.cli.root import config_option

if TYPE_CHECKING:
    from sgevents_core.reading.explanation import ExplainedCallback, Explanation
    from sgevents_core.reading.outcomes import Outcome, OutcomeKind


OUTCOME_COLOURS: Final[dict[OutcomeKind, str]] = {
    "dead letter": "red",
    "failed": "yellow",
    "skipped": "yellow",
    "in a batch": "cyan",
    "not yet": "cyan",
    "deferred": "cyan",
}
"""Outcome of a call -> its style on a terminal."""


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
    from sgevents_core.reading.explanation import explain_event

    explanation = explain_event(load_state_settings(config, read_for_inspection), event)
    if as_json:
        echo_json({"version": 1, **without_empty(_explanation_json(explanation))})
        return
    _print_event(explanation)
    wanting = [explained for explained in explanation.callbacks if not explained.why_not]
    for number, explained in enumerate(wanting, 1):
        outcome = explained.outcome
        outcome_text = outcome.text if outcome else "wants it, and was not called"
        colour = OUTCOME_COLOURS.get(outcome.what, "") if outcome else ""
        line = f"{number:3}. {explained.plugin} {explained.callback}: {outcome_text}"
        echo_line(line, line_colour=colour)
        for call_line in _call_lines(outcome) if outcome else ():
            echo_line(f"     {call_line}")
    for explained in explanation.callbacks:
        if explained.why_not:
            line = f"  -  {explained.plugin} {explained.callback}: not called: {explained.why_not}"
            echo_line(line)
    for left_out in explanation.left_out:
        echo_line(f"  -  {left_out.plugin}: not called: {left_out.why}")


def _print_event(explanation: Explanation) -> None:
    from sgevents_core.events import Event

    if explanation.row is None:
        echo_line(f"event {explanation.event_id}: {explanation.missing}")
        return
    event = Event(explanation.row)
    echo_line(f"{event}, created {event.created_at}")
    if explanation.missing:
        echo_line(f"not in the journal: {explanation.missing}; the site has it")
        return
    arrival_text = f"; {explanation.arrival.text}" if explanation.arrival else ""
    echo_line(f"in the journal at {explanation.seq}, era {explanation.era}{arrival_text}")


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


def _explanation_json(explanation: Explanation) -> dict[str, Any]:
    arrival = explanation.arrival
    head_fields: dict[str, Any] = {
        "event_id": explanation.event_id,
        "found": explanation.found,
        "missing": explanation.missing,
    }
    if explanation.found is not None:
        head_fields |= {"seq": explanation.seq, "era": explanation.era}
    return {
        **head_fields,
        "arrival": None
        if arrival is None
        else {"how": arrival.how, "late_by_s": arrival.late_by, "text": arrival.text},
        "event": explanation.row,
        "callbacks": [_callback_json(explained) for explained in explanation.callbacks],
        "left_out": [asdict(left_out) for left_out in explanation.left_out],
    }


def _callback_json(explained: ExplainedCallback) -> dict[str, Any]:
    return {
        "plugin": explained.plugin,
        "callback": explained.callback,
        "where": explained.where,
        "called": not explained.why_not,
        "why_not": explained.why_not,
        "fate": _outcome_json(explained.outcome) if explained.outcome else None,
    }


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "what": outcome.what,
        "text": outcome.text,
        "letter": outcome.letter_number,
        "due": iso(outcome.due_at) if outcome.due_at else None,
        "failures": [{**asdict(item), "at": iso(item.at)} for item in outcome.failures],
        "calls": [
            {"began": iso(item.called_at), "seconds": item.duration} for item in outcome.calls
        ],
    }
