"""`sgevents tail`: the events of the journal as they come, with the plugins called."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from sgevents_core.cli.explain import OUTCOME_COLOURS
from sgevents_core.cli.new_requests import load_state_settings
from sgevents_core.cli.printing import echo_json, echo_line, iso, read_for_inspection
from sgevents_core.cli.root import config_option
from sgevents_core.errors import UnreadableEntry
from sgevents_core.state.opening import open_state

if TYPE_CHECKING:
    from sgevents_core.dispatch.plan import Plan
    from sgevents_core.events import Event
    from sgevents_core.reading.outcomes import Outcome, Outcomes
    from sgevents_core.state.entries import Entry

_PAGE_SIZE: Final = 500
_POLL_INTERVAL: Final = 0.1
_SETTLE_TIME: Final = 1.0
"""Seconds for which a new event is held back until its calls are over."""
_QUIET_OUTCOMES: Final = {"handled": "", "handled later": ""}


class _ShownEvent(NamedTuple):
    """One event with the plugins that want it, each with its outcome."""

    entry: Entry
    event: Event
    outcomes: dict[str, Outcome]

    @property
    def is_settled(self) -> bool:
        return all(
            outcome.what not in {"not yet", "failed", "in a batch"}
            for outcome in self.outcomes.values()
        )


@click.command()
@click.option("-n", "count", type=click.IntRange(min=0), metavar="N", default=10, show_default=True,
              help="How many of the last events to begin with.")  # fmt: skip
@click.option("--follow", "-f", is_flag=True, help="Continue with new ones, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for scripts.")
@config_option
def tail(count: int, follow: bool, as_json: bool, config: Path) -> None:
    """Show the last events, and their outcome in plugins.

    Shows for each event the plugins that were called for it. After a plugin follows the outcome,
    such as `not yet` or `dead letter`; nothing if the event was handled. `sgevents explain` shows
    more. Only reads the state.
    """
    from sgevents_core.reading.explanation import plan_of

    settings = load_state_settings(config, read_for_inspection)
    plan = plan_of(settings)
    with suppress(KeyboardInterrupt):
        for shown_event in _journal_events(settings.state.path, plan, count, follow=follow):
            if as_json:
                echo_json(_as_json(shown_event), indent=None)
            else:
                echo_line(_event_line(shown_event), line_colour=_event_colour(shown_event))


def _journal_events(folder: Path, plan: Plan, count: int, *, follow: bool) -> Iterator[_ShownEvent]:

    with closing(open_state(folder).reader()) as state:
        last_seq = max(state.end() - count, state.lowest() - 1)
        while True:
            entries = state.read(last_seq, _PAGE_SIZE)
            if entries:
                yield from _settled_events(folder, plan, entries, follow=follow)
                last_seq = entries[-1].seq
            elif not follow:
                return
            else:
                time.sleep(_POLL_INTERVAL)


def _settled_events(
    folder: Path, plan: Plan, entries: list[Entry], *, follow: bool
) -> Iterator[_ShownEvent]:
    """Yield each event once all of its calls are settled, or after a while."""
    deadline = time.monotonic() + (_SETTLE_TIME if follow else 0.0)
    unsettled = entries
    while unsettled:
        shown_events = list(_with_outcomes(folder, plan, unsettled))
        is_late = time.monotonic() > deadline
        for event_number, shown_event in enumerate(shown_events):
            if not (is_late or shown_event.is_settled):
                unsettled = unsettled[event_number:]
                time.sleep(_POLL_INTERVAL)
                break
            yield shown_event
        else:
            return


def _with_outcomes(folder: Path, plan: Plan, entries: list[Entry]) -> Iterator[_ShownEvent]:
    from sgevents_core.calling.journal_events import event_in, read_scripts
    from sgevents_core.reading.outcomes import Outcomes

    event_outcomes = Outcomes(folder)
    known_scripts = read_scripts(folder)
    with closing(open_state(folder).past()) as past:
        for entry in entries:
            try:
                event = event_in(entry, known_scripts)
            except UnreadableEntry as error:
                echo_line(str(error).splitlines()[0], err=True)
                continue
            failures = past.failures(entry.event_id)
            yield _ShownEvent(
                entry, event, dict(_plugin_outcomes(plan, event_outcomes, entry, event, failures))
            )


def _plugin_outcomes(
    plan: Plan, event_outcomes: Outcomes, entry: Entry, event: Event, failures: Any
) -> Iterator[tuple[str, Outcome]]:
    """Yield each plugin that wants the event, once, with its worst outcome."""
    outcomes: dict[str, Outcome] = {}
    for _, callback in plan.for_type(entry.event_type):
        with suppress(Exception):  # a filter may be a plugin's code
            if callback.matches(event):
                outcome = event_outcomes.outcome_of(
                    callback.plugin, callback.name, entry.seq, failures
                )
                worst_outcome = outcomes.get(callback.plugin)
                if worst_outcome is None or worst_outcome.what in _QUIET_OUTCOMES:
                    outcomes[callback.plugin] = outcome
    yield from (
        (plugin, outcome) for plugin, outcome in outcomes.items() if outcome.what != "not for it"
    )


def _event_colour(shown_event: _ShownEvent) -> str:
    """Return the colour for the worst outcome of the event."""
    colours = {OUTCOME_COLOURS.get(outcome.what, "") for outcome in shown_event.outcomes.values()}
    return next((colour for colour in ("red", "yellow") if colour in colours), "")


def _event_line(shown_event: _ShownEvent) -> str:
    created_at = shown_event.event.created_at
    created_text = f"{created_at:%Y-%m-%d %H:%M:%S}" if created_at else "?"
    called_plugins = ", ".join(
        _marked_plugin(plugin, outcome) for plugin, outcome in shown_event.outcomes.items()
    )
    event_text = str(shown_event.event).removeprefix("Event ")
    late_text = " late" if shown_event.entry.late else ""
    return f"{created_text}  {event_text}{late_text}  -> {called_plugins or 'nobody'}"


def _marked_plugin(plugin: str, outcome: Outcome) -> str:
    outcome_mark = _QUIET_OUTCOMES.get(outcome.what, outcome.what)
    return f"{plugin} ({outcome_mark})" if outcome_mark else plugin


def _as_json(shown_event: _ShownEvent) -> dict[str, Any]:
    return {
        "version": 1,
        "seq": shown_event.entry.seq,
        "event_id": shown_event.entry.event_id,
        "event_type": shown_event.entry.event_type,
        "created_at": iso(shown_event.entry.created),
        "late": shown_event.entry.late,
        "plugins": {plugin: outcome.what for plugin, outcome in shown_event.outcomes.items()},
    }
