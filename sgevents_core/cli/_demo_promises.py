"""The promises of the demo, judged by comparing the site's events with the calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sgevents_core.cli._demo_daemon import DemoCall
from sgevents_core.cli._demo_studio import NOT_ENABLED_PLUGIN
from sgevents_core.sandbox.event_log import EventRow


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise, the demo's evidence for it, and whether it held."""

    name: str
    shown_text: str
    is_held: bool


@dataclass(slots=True)
class Evidence:
    """The evidence of a day.

    Args:
        rows: The site's events of the day, in id order.
        calls: The calls, in the order in which they ended.
        late_ids: Ids of events that became visible after newer ones.
        missing_count: The number of ids whose event never came.
        kill_count: How often the daemon was killed.
        was_imported: Whether the plugin that is not enabled was imported.
        status: The output of `sgevents status --json` at the end.
    """

    rows: Sequence[EventRow] = ()
    calls: Sequence[DemoCall] = ()
    late_ids: set[int] = field(default_factory=set)
    missing_count: int = 0
    kill_count: int = 0
    was_imported: bool = False
    status: Mapping[str, Any] = field(default_factory=dict)


def expected_plugins(row: EventRow) -> tuple[str, ...]:
    """Return the plugins that must get an event, in call order."""
    event_type = row.event_type or ""
    is_status = row.attribute_name == "sg_status_list"
    is_activity = event_type.endswith(("_Change", "_New")) or event_type == "Shotgun_User_Logout"
    is_expected = {
        "shot-status": event_type == "Shotgun_Task_Change" and is_status,
        "user-activity": is_activity,
        "note-notify": event_type == "Shotgun_Note_New",
        "version-burst": event_type == "Shotgun_Version_New",
        "event-log": True,
    }
    return tuple(plugin for plugin, is_wanted in is_expected.items() if is_wanted)


def judge_promises(evidence: Evidence) -> Iterator[Promise]:
    """Yield the promises, each judged by the evidence."""
    yield _judge_loss(evidence)
    yield _judge_repetition(evidence)
    yield _judge_order(evidence)
    yield _judge_isolation(evidence)
    yield _judge_enabling(evidence)
    yield _judge_visibility(evidence)


def _judge_loss(evidence: Evidence) -> Promise:
    call_counts = Counter((call.event_id, call.plugin) for call in evidence.calls)
    expected = [(row.id, plugin) for row in evidence.rows for plugin in expected_plugins(row)]
    missing = [call_key for call_key in expected if not call_counts[call_key]]
    shown = (
        f"{_counted(len(evidence.rows), 'event')}, {len(evidence.late_ids)} of them late,"
        f" {evidence.missing_count:,} ids that never came, {_counted(evidence.kill_count, 'kill')}:"
        f" {len(expected) - len(missing)} of {len(expected)} calls made"
    )
    return Promise("Nothing is lost", shown, bool(expected) and not missing)


def _judge_repetition(evidence: Evidence) -> Promise:
    call_counts = Counter((call.event_id, call.plugin) for call in evidence.calls)
    repeated_count = sum(count - 1 for count in call_counts.values())
    repeated_calls = _counted(repeated_count, "call")
    shown = f"{repeated_calls} made twice; the running call may be, if the daemon is killed"
    return Promise("Nothing is repeated", shown, repeated_count <= evidence.kill_count)


def _judge_order(evidence: Evidence) -> Promise:
    plugins_by_event: dict[int, list[str]] = {}
    for call in evidence.calls:
        called_plugins = plugins_by_event.setdefault(call.event_id, [])
        if call.plugin not in called_plugins:
            called_plugins.append(call.plugin)
    misordered = [
        row for row in evidence.rows if plugins_by_event.get(row.id, []) != [*expected_plugins(row)]
    ]
    punctual_ids = [event_id for event_id in plugins_by_event if event_id not in evidence.late_ids]
    ordered_count = len(evidence.rows) - len(misordered)
    shown = (
        f"in {ordered_count} of {len(evidence.rows)} events by group, then name;"
        " the events by id, late ones when they came"
    )
    is_held = not misordered and punctual_ids == sorted(punctual_ids)
    return Promise("The order is known", shown, is_held)


def _judge_isolation(evidence: Evidence) -> Promise:
    failed = [call for call in evidence.calls if call.raised]
    failed_ids = {call.event_id for call in failed}
    others = [call for call in evidence.calls if call.event_id in failed_ids and not call.raised]
    letter_count = sum(plugin["dead_letters"] for plugin in _plugin_statuses(evidence.status))
    shown = (
        f"{_counted(len(failed), 'call')} raised; the other {len(others)} for that event were made,"
        f" {_counted(letter_count, 'dead letter')} stored for a retry"
    )
    is_held = bool(failed and others and letter_count)
    return Promise("Plugins cannot hurt each other", shown, is_held)


def _judge_enabling(evidence: Evidence) -> Promise:
    was_imported = "was imported" if evidence.was_imported else "was never imported"
    shown = f"{NOT_ENABLED_PLUGIN} is installed and {was_imported}"
    return Promise("Nothing runs that nobody enabled", shown, not evidence.was_imported)


def _judge_visibility(evidence: Evidence) -> Promise:
    plugins = _plugin_statuses(evidence.status)
    event_count = evidence.status.get("events", 0)
    behind_count = sum(plugin["behind"] for plugin in plugins)
    failed = {plugin["name"] for plugin in plugins if plugin["dead_letters"]}
    shown = (
        f"`sgevents status` shows: {_counted(event_count, 'event')}, {behind_count or 'none'} to be"
        f" finished, dead letters of {', '.join(sorted(failed)) or 'no plugin'}"
    )
    is_complete = (event_count, behind_count) == (len(evidence.rows), 0)
    is_held = is_complete and failed == {call.plugin for call in evidence.calls if call.raised}
    return Promise("You can see it", shown, is_held)


def _plugin_statuses(status: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return list(status.get("plugins", ()))


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"
