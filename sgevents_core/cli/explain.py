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

from sgevents_core.cli.asking import load
from sgevents_core.cli.printing import echo, echo_json, echo_line, iso, read_to_look, without_empty
from sgevents_core.cli.root import config_option
from sgevents_core.errors import SecretMissingError, SiteError
from sgevents_core.state.opening import open_state

if TYPE_CHECKING:
    from sgevents_core.dispatch.plan import Plan
    from sgevents_core.events import Event
    from sgevents_core.reading.outcomes import Outcome, What
    from sgevents_core.settings import Settings
    from sgevents_core.state.requests import Replayed


COLOURS: Final[dict[What, str]] = {
    "dead letter": "red",
    "failed": "yellow",
    "skipped": "yellow",
    "not yet": "cyan",
}
"""Outcome of a call -> its style on a terminal."""


class _Line(NamedTuple):
    """One callback and its part in the event."""

    plugin: str
    callback: str
    where: str
    why_not: str
    fate: Outcome | None


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
    settings = load(config, read_to_look)
    found, trouble = _find(settings, event)
    told = _head(settings, event, found, trouble)
    lines = _lines(settings, found) if found else []
    if as_json:
        callbacks = [_as_json(one) for one in lines]
        echo_json({"version": 1, **without_empty(told), "callbacks": without_empty(callbacks)})
        return
    _print_head(told)
    for number, one in enumerate([one for one in lines if not one.why_not], 1):
        text = one.fate.text if one.fate else "wants it, and was not called"
        colour = COLOURS.get(one.fate.what, "") if one.fate else ""
        echo_line(f"{number:3}. {one.plugin} {one.callback}: {text}", colour=colour)
        for line in _calls(one.fate) if one.fate else ():
            echo_line(f"     {line}")
    for one in lines:
        if one.why_not:
            echo_line(f"  -  {one.plugin} {one.callback}: not called: {one.why_not}")


def _find(settings: Settings, event_id: int) -> tuple[Replayed | None, str]:
    """Return the event, and why the site could not be asked for it, if so."""
    from sgevents_core.site.history import History

    with closing(History(settings)) as history:
        try:
            return history.event(event_id), ""
        except (SiteError, SecretMissingError) as error:
            return None, str(error)


def _head(
    settings: Settings, event_id: int, found: Replayed | None, trouble: str
) -> dict[str, Any]:
    """Return what to print about the event itself."""
    from sgevents_core.reading.id_standing import whereabouts
    from sgevents_core.site.bodies import decoded_row

    told: dict[str, Any] = {"event_id": event_id, "found": None, "missing": "", "event": None}
    if found is None or not found.seq:
        told["missing"] = whereabouts(settings.state.path, event_id)
    if found is None:
        site = f"the site could not be asked: {trouble}" if trouble else "the site does not have it"
        return {**told, "missing": f"{told['missing']}; {site}"}
    place = {"found": "journal" if found.seq else "site", "seq": found.seq, "era": found.era}
    return {**told, **place, "event": decoded_row(found.body)}


def _lines(settings: Settings, found: Replayed) -> list[_Line]:
    from sgevents_core.calling.journal_events import event_of, read_scripts
    from sgevents_core.reading.outcomes import Outcomes

    standing = Outcomes(settings.state.path)
    with closing(open_state(settings.state.path).past()) as past:
        failures = past.failures(found.event_id)
    lines = []
    event = event_of(found.body, read_scripts(settings.state.path))
    for one in _explained(plan_of(settings), event):
        fate = None
        if not one.why_not and found.seq:
            fate = standing.fate(one.plugin, one.callback, found.seq, failures)
            calls = standing.calls(one.plugin, one.callback, found.seq)
            fate = replace(fate, calls=calls)
        lines.append(one._replace(fate=fate))
    return lines


def plan_of(settings: Settings) -> Plan:
    """Return the plan of the enabled plugins; what they print when imported is dropped."""
    from sgevents_core.dispatch.plan import Plan
    from sgevents_core.plugins.discovery import discover
    from sgevents_core.plugins.loading import load as load_plugins

    with contextlib.redirect_stdout(io.StringIO()):
        return Plan(load_plugins(settings, discover()).callbacks)


def _explained(plan: Plan, event: Event) -> list[_Line]:
    lines = []
    for callback in plan.callbacks:
        try:
            why_not = callback.why_not(event) or ""
        except BaseException as error:  # a filter may be a plugin's code
            why_not = f"its filter raised {type(error).__name__}: {error}"
        lines.append(_Line(callback.plugin, callback.name, callback.where, why_not, None))
    return lines


def _print_head(told: dict[str, Any]) -> None:
    from sgevents_core.events import Event

    if told["event"] is None:
        echo_line(f"event {told['event_id']}: {told['missing']}")
        return
    event = Event(told["event"])
    echo_line(f"{event}, created {event.created_at}")
    if told["missing"]:
        echo_line(f"not in the journal: {told['missing']}; the site has it")
    else:
        echo(f"in the journal at {told['seq']}, era {told['era']}")


def _calls(fate: Outcome) -> list[str]:
    """Return a line for each known call, oldest first: when, how long, how it failed."""
    failed = {}
    for failure in fate.failures:
        before = [call for call in fate.calls if call.began <= failure.at and call not in failed]
        if before:
            failed[before[-1]] = failure
    lines = []
    for call in fate.calls:
        began = datetime.fromtimestamp(call.began).astimezone()
        text = f"called {began:%Y-%m-%d %H:%M:%S}, took {_spent(call.seconds)}"
        failure_of = failed.get(call)
        lines.append(f"{text}: {failure_of.error}" if failure_of else text)
    return lines


def _spent(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def _as_json(line: _Line) -> dict[str, Any]:
    told: dict[str, Any] = {
        "plugin": line.plugin,
        "callback": line.callback,
        "where": line.where,
        "called": not line.why_not,
        "why_not": line.why_not,
        "fate": None,
    }
    return {**told, "fate": _fate_json(line.fate)} if line.fate else told


def _fate_json(fate: Outcome) -> dict[str, Any]:
    return {
        "what": fate.what,
        "text": fate.text,
        "failures": [{**asdict(one), "at": iso(one.at)} for one in fate.failures],
        "calls": [{"began": iso(one.began), "seconds": one.seconds} for one in fate.calls],
    }
