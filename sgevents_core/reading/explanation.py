"""What happened to one event: how it arrived, and its outcome for each callback. Only reads."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from sgevents_core.calling.journal_events import event_of, read_scripts
from sgevents_core.classic.finding import find_plugins
from sgevents_core.dispatch.plan import Plan
from sgevents_core.errors import SecretMissingError, SiteError
from sgevents_core.events import Event
from sgevents_core.plugins.loading import Loaded
from sgevents_core.plugins.loading import load as load_plugins
from sgevents_core.printable import counted
from sgevents_core.reading.id_standing import explain_missing_id
from sgevents_core.reading.outcomes import Outcome, Outcomes
from sgevents_core.settings import Settings
from sgevents_core.site.bodies import decoded_row
from sgevents_core.site.history import History
from sgevents_core.state.cursors import entry_at
from sgevents_core.state.entries import Entry
from sgevents_core.state.opening import open_state
from sgevents_core.state.requests import ReplayEvent

ArrivalKind: TypeAlias = Literal["in turn", "late", "late, found by an audit"]
_ENTRIES_BEFORE = 500
"""The entries before a late event that show by how much it was late."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """How an event came into the journal.

    Args:
        how: `late` if it was found while it was waited for.
        late_by: The least seconds by which it was late: the age of the event when the newest one
            before it in the journal was created; None if it was not late.
        text: The same in a sentence.
    """

    how: ArrivalKind
    late_by: float | None
    text: str


@dataclass(frozen=True, slots=True)
class ExplainedCallback:
    """One callback and its outcome for the event.

    Args:
        plugin: Its plugin.
        callback: Its name.
        where: File and line.
        why_not: Why it does not want the event; empty if it does.
        outcome: The outcome; None if the event is not in the journal or not wanted.
    """

    plugin: str
    callback: str
    where: str
    why_not: str
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class LeftOutPlugin:
    """A plugin that the daemon has called before and that is not loaded now, with the reason."""

    plugin: str
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What happened to one event.

    Args:
        event_id: The event's id.
        found: Where it was found; None if nowhere.
        missing: Why it is not in the journal; empty if it is.
        row: Its row; None if it was not found.
        seq: Its place in the journal; 0 if it is not there.
        era: Its era; 0 if it was not found.
        arrival: How it came into the journal; None if it is not there.
        callbacks: All callbacks, in call order.
        left_out: The plugins that are not loaded.
    """

    event_id: int
    found: Literal["journal", "site"] | None
    missing: str
    row: dict[str, Any] | None = None
    seq: int = 0
    era: int = 0
    arrival: Arrival | None = None
    callbacks: tuple[ExplainedCallback, ...] = ()
    left_out: tuple[LeftOutPlugin, ...] = ()


def explain_event(settings: Settings, event_id: int) -> Explanation:
    """Return what happened to an event; ask the site if it is not in the journal.

    Imports the enabled plugins, but calls none of them, except filters that are functions.

    Args:
        settings: The configuration; see `read_for_inspection` of the commands.
        event_id: The event's id.

    Raises:
        StateError: The state cannot be read.
    """
    replayed, site_trouble = _find_event(settings, event_id)
    missing = ""
    if replayed is None or not replayed.seq:
        missing = explain_missing_id(settings.state.path, event_id)
    if replayed is None:
        site_text = (
            f"the site could not be asked: {site_trouble}"
            if site_trouble
            else "the site does not have it"
        )
        return Explanation(event_id, None, f"{missing}; {site_text}")
    loaded = load_quietly(settings)
    event_outcomes = Outcomes(settings.state.path)
    return Explanation(
        event_id,
        "journal" if replayed.seq else "site",
        missing,
        decoded_row(replayed.body),
        replayed.seq,
        replayed.era,
        _read_arrival(settings, replayed.seq) if replayed.seq else None,
        tuple(_explained_callbacks(settings, loaded, event_outcomes, replayed)),
        tuple(_left_out_plugins(loaded, event_outcomes)),
    )


def plan_of(settings: Settings) -> Plan:
    """Return the plan of the enabled plugins; discard whatever they print when imported."""
    return Plan(load_quietly(settings).callbacks)


def load_quietly(settings: Settings) -> Loaded:
    """Load the enabled plugins; discard whatever they print when imported."""
    with contextlib.redirect_stdout(io.StringIO()):
        return load_plugins(settings, find_plugins(settings))


def _find_event(settings: Settings, event_id: int) -> tuple[ReplayEvent | None, str]:
    """Return the event, and the reason if the site could not be asked for it."""
    with closing(History(settings)) as history:
        try:
            return history.event(event_id), ""
        except (SiteError, SecretMissingError) as error:
            return None, str(error)


def _read_arrival(settings: Settings, seq: int) -> Arrival | None:
    with closing(open_state(settings.state.path).reader()) as state:
        entry = entry_at(state, seq)
        if entry is None:
            return None
        if not entry.late:
            return Arrival("in turn", None, "it came in turn")
        first_seq = max(seq - _ENTRIES_BEFORE - 1, state.lowest() - 1)
        return _late_arrival(entry, state.read(first_seq, seq - first_seq - 1))


def _late_arrival(entry: Entry, entries_before: Sequence[Entry]) -> Arrival:
    """Return how late an event came, judged by the newest event before it in the journal."""
    newest = max(entries_before, key=lambda before: before.created, default=entry)
    late_by = max(newest.created - entry.created, 0)
    how: ArrivalKind = "late, found by an audit" if entry.by_audit else "late"
    finder_text = "an audit found it" if entry.by_audit else "it was found while it was waited for"
    text = (
        f"it came late: {finder_text}, at least {counted(late_by, 'second')} after it was created"
        f" (event {newest.event_id} came before it)"
    )
    return Arrival(how, float(late_by), text)


def _explained_callbacks(
    settings: Settings, loaded: Loaded, event_outcomes: Outcomes, replayed: ReplayEvent
) -> Iterable[ExplainedCallback]:
    with closing(open_state(settings.state.path).past()) as past:
        failures = past.failures(replayed.event_id)
    event = event_of(replayed.body, read_scripts(settings.state.path))
    for explained in _wanting_callbacks(Plan(loaded.callbacks), event):
        if explained.why_not or not replayed.seq:
            yield explained
            continue
        call = (explained.plugin, explained.callback, replayed.seq)
        outcome = event_outcomes.outcome_of(*call, failures)
        yield replace(explained, outcome=replace(outcome, calls=event_outcomes.calls_of(*call)))


def _wanting_callbacks(plan: Plan, event: Event) -> Iterable[ExplainedCallback]:
    """Yield all callbacks, each with the reason if it does not want the event."""
    for callback in plan.callbacks:
        try:
            why_not = callback.why_not(event) or ""
        except BaseException as error:  # a filter may be a plugin's code
            why_not = f"its filter raised {type(error).__name__}: {error}"
        yield ExplainedCallback(callback.plugin, callback.name, callback.where, why_not, None)


def _left_out_plugins(loaded: Loaded, event_outcomes: Outcomes) -> Iterable[LeftOutPlugin]:
    """Yield the plugins that have been called before, or are enabled, and are not loaded."""
    loaded_names = {plugin.name for plugin in loaded.plugins}
    statuses = {status.name: status for status in loaded.statuses}
    known_names = event_outcomes.plugin_records.keys() | {
        name for name, status in statuses.items() if status.status != "disabled"
    }
    for name in sorted(known_names - loaded_names):
        status = statuses.get(name)
        if status is None:
            yield LeftOutPlugin(name, "it is no longer installed")
        elif status.status == "disabled":
            yield LeftOutPlugin(name, "it is not enabled")
        else:
            yield LeftOutPlugin(name, f"{status.status}: {status.reason}")
