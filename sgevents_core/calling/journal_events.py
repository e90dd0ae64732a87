"""Events made from rows in the journal."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec

from sgevents_core.errors import UnreadableEntry
from sgevents_core.events import Event
from sgevents_core.scripts import Scripts
from sgevents_core.site.bodies import decoded_row
from sgevents_core.state.entries import Entry
from sgevents_core.state.opening import open_state


def event_of(body: bytes, scripts: Scripts | None = None) -> Event:
    """Return the event of a row in the journal.

    Args:
        body: The row as JSON.
        scripts: The names of the site's scripts.
    """
    return Event(decoded_row(body), scripts)


def event_in(journal_entry: Entry, scripts: Scripts | None = None) -> Event:
    """Return the event of a journal entry.

    Args:
        journal_entry: The entry.
        scripts: The names of the site's scripts.

    Raises:
        UnreadableEntry: The entry is damaged.
    """
    is_whole = journal_entry.whole
    if is_whole:
        return Event(decoded_row(journal_entry.body), scripts)
    if is_whole is False:
        raise UnreadableEntry(event_id=journal_entry.event_id, reason="it is not what was written")
    try:
        event = event_of(journal_entry.body, scripts)
        is_same_event = event.id == journal_entry.event_id
    except (ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
        raise UnreadableEntry(event_id=journal_entry.event_id, reason=str(error)) from None
    if not is_same_event:
        raise UnreadableEntry(event_id=journal_entry.event_id, reason="it holds another event")
    return event


def read_scripts(state_folder: Path) -> Scripts:
    """Return the names of the site's scripts that the state in `state_folder` knows.

    Raises:
        StateError: The state cannot be read.
    """
    with closing(open_state(state_folder).reader()) as state:
        return Scripts(state.scripts())
