"""`sgevents tail`: the events of the journal as they come, with the plugins called."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from sgevents_core.cli.asking import load
from sgevents_core.cli.explain import COLOURS, plan_of
from sgevents_core.cli.printing import echo_json, echo_line, iso, read_to_look
from sgevents_core.cli.root import config_option
from sgevents_core.errors import UnreadableEntry
from sgevents_core.state.opening import open_state

if TYPE_CHECKING:
    from sgevents_core.dispatch.plan import Plan
    from sgevents_core.events import Event
    from sgevents_core.reading.outcomes import Outcome, Outcomes
    from sgevents_core.state.entries import Entry

_PAGE: Final = 500
_LOOK_EVERY: Final = 0.1
_PATIENCE: Final = 1.0
"""Seconds for which a new event is held back until its calls are over."""
_MARKS: Final = {"handled": "", "handled later": ""}


class _Shown(NamedTuple):
    """One event with the plugins that want it, each with its outcome."""

    entry: Entry
    event: Event
    fates: dict[str, Outcome]

    @property
    def is_settled(self) -> bool:
        return all(fate.what not in {"not yet", "failed"} for fate in self.fates.values())


@click.command()
@click.option("-n", "count", type=click.IntRange(min=0), metavar="N", default=10, show_default=True,
              help="How many of the last events to begin with.")  # fmt: skip
@click.option("--follow", "-f", is_flag=True, help="Go on with those that come, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for scripts.")
@config_option
def tail(count: int, follow: bool, as_json: bool, config: Path) -> None:
    """Show the last events, and their outcome in plugins.

    Shows for each event the plugins that were called for it. After a plugin follows the outcome,
    such as `not yet` or `dead letter`; nothing if the event was handled. `sgevents explain` shows
    more. Only reads the state.
    """
    settings = load(config, read_to_look)
    plan = plan_of(settings)
    with suppress(KeyboardInterrupt):
        for shown in _events(settings.state.path, plan, count, follow=follow):
            if as_json:
                echo_json(_as_json(shown), indent=None)
            else:
                echo_line(_line(shown), colour=_colour(shown))


def _events(folder: Path, plan: Plan, count: int, *, follow: bool) -> Iterator[_Shown]:

    with closing(open_state(folder).reader()) as state:
        after = max(state.end() - count, state.lowest() - 1)
        while True:
            entries = state.read(after, _PAGE)
            if entries:
                yield from _when_settled(folder, plan, entries, follow=follow)
                after = entries[-1].seq
            elif not follow:
                return
            else:
                time.sleep(_LOOK_EVERY)


def _when_settled(
    folder: Path, plan: Plan, entries: list[Entry], *, follow: bool
) -> Iterator[_Shown]:
    """Yield each event once all of its calls are settled, or after a while."""
    until = time.monotonic() + (_PATIENCE if follow else 0.0)
    waiting = entries
    while waiting:
        shown = list(_with_fates(folder, plan, waiting))
        late = time.monotonic() > until
        for number, one in enumerate(shown):
            if not (late or one.is_settled):
                waiting = waiting[number:]
                time.sleep(_LOOK_EVERY)
                break
            yield one
        else:
            return


def _with_fates(folder: Path, plan: Plan, entries: list[Entry]) -> Iterator[_Shown]:
    from sgevents_core.calling.journal_events import event_in, read_scripts
    from sgevents_core.reading.outcomes import Outcomes

    standing = Outcomes(folder)
    scripts = read_scripts(folder)
    with closing(open_state(folder).past()) as past:
        for entry in entries:
            try:
                event = event_in(entry, scripts)
            except UnreadableEntry as error:
                echo_line(str(error).splitlines()[0], err=True)
                continue
            failures = past.failures(entry.event_id)
            yield _Shown(entry, event, dict(_fates(plan, standing, entry, event, failures)))


def _fates(
    plan: Plan, standing: Outcomes, entry: Entry, event: Event, failures: Any
) -> Iterator[tuple[str, Outcome]]:
    """Yield each plugin that wants the event, once, with its worst outcome."""
    worst: dict[str, Outcome] = {}
    for _, callback in plan.for_type(entry.event_type):
        with suppress(Exception):  # a filter may be a plugin's code
            if callback.matches(event):
                fate = standing.fate(callback.plugin, callback.name, entry.seq, failures)
                kept = worst.get(callback.plugin)
                if kept is None or kept.what in _MARKS:
                    worst[callback.plugin] = fate
    yield from ((plugin, fate) for plugin, fate in worst.items() if fate.what != "not for it")


def _colour(shown: _Shown) -> str:
    """Return the colour for the worst outcome of the event."""
    found = {COLOURS.get(fate.what, "") for fate in shown.fates.values()}
    return next((colour for colour in ("red", "yellow") if colour in found), "")


def _line(shown: _Shown) -> str:
    created = shown.event.created_at
    when = f"{created:%Y-%m-%d %H:%M:%S}" if created else "?"
    called = ", ".join(_marked(plugin, fate) for plugin, fate in shown.fates.items())
    what = str(shown.event).removeprefix("Event ")
    late = " late" if shown.entry.late else ""
    return f"{when}  {what}{late}  -> {called or 'nobody'}"


def _marked(plugin: str, fate: Outcome) -> str:
    mark = _MARKS.get(fate.what, fate.what)
    return f"{plugin} ({mark})" if mark else plugin


def _as_json(shown: _Shown) -> dict[str, Any]:
    return {
        "version": 1,
        "seq": shown.entry.seq,
        "event_id": shown.entry.event_id,
        "event_type": shown.entry.event_type,
        "created_at": iso(shown.entry.created),
        "late": shown.entry.late,
        "plugins": {plugin: fate.what for plugin, fate in shown.fates.items()},
    }
