"""The promises of the demo, judged by comparing the site's events with the calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sgevents_core.cli._demo_daemon import DemoCall
from sgevents_core.cli._demo_studio import NOT_ENABLED
from sgevents_core.sandbox.event_log import EventRow


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise, what the demo showed of it, and whether it held."""

    name: str
    seen: str
    held: bool


@dataclass(slots=True)
class Evidence:
    """The evidence of a day.

    Args:
        rows: The site's events of the day, in id order.
        calls: The calls, in the order in which they ended.
        late: Ids of events that became visible after newer ones.
        missing: The number of ids whose event never came.
        kills: How often the daemon was killed.
        imported: Whether the plugin that is not enabled was imported.
        status: The output of `sgevents status --json` at the end.
    """

    rows: Sequence[EventRow] = ()
    calls: Sequence[DemoCall] = ()
    late: set[int] = field(default_factory=set)
    missing: int = 0
    kills: int = 0
    imported: bool = False
    status: Mapping[str, Any] = field(default_factory=dict)


def wanted_by(row: EventRow) -> tuple[str, ...]:
    """Return the plugins that want an event, in call order."""
    kind = row.event_type or ""
    wants = {
        "shot-status": kind == "Shotgun_Task_Change" and row.attribute_name == "sg_status_list",
        "user-activity": kind.endswith(("_Change", "_New")) or kind == "Shotgun_User_Logout",
        "note-notify": kind == "Shotgun_Note_New",
        "version-burst": kind == "Shotgun_Version_New",
        "event-log": True,
    }
    return tuple(plugin for plugin, wanted in wants.items() if wanted)


def judged(evidence: Evidence) -> Iterator[Promise]:
    """Yield the promises, each judged by the evidence."""
    yield _nothing_lost(evidence)
    yield _nothing_repeated(evidence)
    yield _order_known(evidence)
    yield _plugins_apart(evidence)
    yield _nothing_uninvited(evidence)
    yield _visible(evidence)


def _nothing_lost(evidence: Evidence) -> Promise:
    made = Counter((call.event_id, call.plugin) for call in evidence.calls)
    due = [(row.id, plugin) for row in evidence.rows for plugin in wanted_by(row)]
    lost = [pair for pair in due if not made[pair]]
    seen = (
        f"{_times(len(evidence.rows), 'event')}, {len(evidence.late)} of them late,"
        f" {evidence.missing:,} ids that never came, {_times(evidence.kills, 'kill')}:"
        f" {len(due) - len(lost)} of {len(due)} calls made"
    )
    return Promise("Nothing is lost", seen, bool(due) and not lost)


def _nothing_repeated(evidence: Evidence) -> Promise:
    made = Counter((call.event_id, call.plugin) for call in evidence.calls)
    again = sum(count - 1 for count in made.values())
    seen = f"{_times(again, 'call')} made twice; the running one may be, if the daemon is killed"
    return Promise("Nothing is repeated", seen, again <= evidence.kills)


def _order_known(evidence: Evidence) -> Promise:
    called: dict[int, list[str]] = {}
    for call in evidence.calls:
        plugins = called.setdefault(call.event_id, [])
        if call.plugin not in plugins:
            plugins.append(call.plugin)
    astray = [row for row in evidence.rows if called.get(row.id, []) != list(wanted_by(row))]
    in_time = [event_id for event_id in called if event_id not in evidence.late]
    seen = (
        f"in {len(evidence.rows) - len(astray)} of {len(evidence.rows)} events by group, then"
        " name; the events by id, late ones when they came"
    )
    return Promise("The order is known", seen, not astray and in_time == sorted(in_time))


def _plugins_apart(evidence: Evidence) -> Promise:
    raised = [call for call in evidence.calls if call.raised]
    struck = {call.event_id for call in raised}
    others = [call for call in evidence.calls if call.event_id in struck and not call.raised]
    kept = sum(plugin["dead_letters"] for plugin in _plugins(evidence.status))
    seen = (
        f"{_times(len(raised), 'call')} raised; the other {len(others)} for that event were made,"
        f" {_times(kept, 'dead letter')} kept for a retry"
    )
    return Promise("Plugins cannot hurt each other", seen, bool(raised and others and kept))


def _nothing_uninvited(evidence: Evidence) -> Promise:
    seen = f"{NOT_ENABLED} is installed and " + (
        "was imported" if evidence.imported else "was never imported"
    )
    return Promise("Nothing runs that nobody enabled", seen, not evidence.imported)


def _visible(evidence: Evidence) -> Promise:
    plugins = _plugins(evidence.status)
    events, behind = evidence.status.get("events", 0), sum(some["behind"] for some in plugins)
    failed = {some["name"] for some in plugins if some["dead_letters"]}
    seen = (
        f"`sgevents status` says: {_times(events, 'event')}, {behind or 'none'} to be finished,"
        f" dead letters of {', '.join(sorted(failed)) or 'no plugin'}"
    )
    right = (events, behind) == (len(evidence.rows), 0) and failed == {
        call.plugin for call in evidence.calls if call.raised
    }
    return Promise("You can see it", seen, right)


def _plugins(status: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return list(status.get("plugins", ()))


def _times(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"
