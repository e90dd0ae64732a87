"""Events of the journal as rows of a list, with the plugins that failed on them. Only reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from sgevents_core.calling.journal_events import event_in, read_scripts
from sgevents_core.errors import UnreadableEntry
from sgevents_core.events import Event
from sgevents_core.scripts import Scripts
from sgevents_core.state.entries import Entry
from sgevents_core.state.failures import RecordedFailure
from sgevents_core.state.opening import open_state

_OUTCOME_WORDS: Final[Mapping[str, str]] = {
    "": "failed",
    "retry": "failed",
    "dead-letter": "dead letter",
    "pause": "paused",
    "skip": "skipped",
    "skipped": "skipped",
    "retried": "handled later",
    "dismissed": "dismissed",
}
"""The outcome of a plugin's last failure -> the word for it."""
_UNREADABLE: Final = Event({})


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """One event as a row of a list.

    Args:
        entry: Its entry in the journal.
        event: The event; None if the entry cannot be read.
        unreadable: Why not; empty if it can.
        failures: The plugins that failed on it at least once -> the outcome of the last failure.
    """

    entry: Entry
    event: Event | None
    unreadable: str
    failures: Mapping[str, str]

    def values(self) -> dict[str, Any]:
        """Return the row's values as JSON types; an absent one is None."""
        return {
            "seq": self.entry.seq,
            "era": self.entry.era,
            "event_id": self.entry.event_id,
            "event_type": self.entry.event_type,
            "created": self.entry.created,
            "late": self.entry.late,
            **event_values(_UNREADABLE if self.event is None else self.event),
            "failures": dict(self.failures),
            "unreadable": self.unreadable or None,
        }


def event_values(event: Event) -> dict[str, Any]:
    """Return what an event names (its field, record, project and person) as JSON types."""
    user: Mapping[str, Any] = event.user or {}
    return {
        "attribute": event.attribute,
        "entity_type": event.entity_type,
        "entity_id": event.entity_id,
        "entity_name": link_name(event.entity),
        "project_id": event.project_id,
        "project_name": link_name(event.project),
        "user_type": user.get("type"),
        "user_id": user.get("id"),
        "user_name": link_name(user),
        "script": event.script,
    }


def list_events(state_folder: Path, entries: Iterable[Entry]) -> list[ListedEvent]:
    """Return entries of the journal as rows of a list.

    Raises:
        StateError: The state cannot be read.
    """
    scripts = read_scripts(state_folder)
    with closing(open_state(state_folder).past()) as past:
        return [_listed_event(entry, scripts, past.failures(entry.event_id)) for entry in entries]


def link_name(link: Mapping[str, Any] | None) -> str | None:
    """Return the name in a link of a row; None if it has none that is text."""
    name = link.get("name") if link else None
    return name if isinstance(name, str) else None


def _listed_event(
    entry: Entry, scripts: Scripts, failures: Iterable[RecordedFailure]
) -> ListedEvent:
    outcome_words = {
        failure.plugin: "dead letter" if is_dead else _OUTCOME_WORDS[failure.outcome]
        for failure, is_dead, _ in failures
        if failure.seq == entry.seq
    }
    try:
        return ListedEvent(entry, event_in(entry, scripts), "", outcome_words)
    except (UnreadableEntry, ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
        return ListedEvent(entry, None, str(error).splitlines()[0], outcome_words)
