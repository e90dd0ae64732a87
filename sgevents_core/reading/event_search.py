"""Searching the journal page by page, newest first, each page with bounded work. Only reads."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final

from sgevents_core.errors import RangeError
from sgevents_core.scripts import Scripts
from sgevents_core.settings import Ago
from sgevents_core.settings.starts import parse_moment
from sgevents_core.state.entries import Entry
from sgevents_core.state.event_choice import EventChoice
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Past, Reader

ENTRIES_AT_ONCE: Final = 5_000
"""The entries searched between two looks at the clock: a twentieth of a second if every row must be
decoded, a thousandth if none must.
"""
_IDS_PATTERN: Final = re.compile(r"([0-9]{1,18})(?:(?:-|\.\.)([0-9]{1,18}))?")
LONGEST_TRANSACTION: Final = 86_400
"""Seconds by which events that are not late may be older than one before them."""
PAGE_BUDGET: Final = 0.15
"""Seconds after which a page ends even if it is not full."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """One page of a search, the newest event first.

    Args:
        entries: The chosen entries.
        searched_to: The lowest place in the journal that was searched; the next page lies below it.
        searched_created: When the event there was created, in seconds since 1970; 0 for an empty
            journal.
        is_complete: Whether the search reached the oldest event.
        newest_seq: The journal's end when the search began; newer events lie above it.
    """

    entries: tuple[Entry, ...]
    searched_to: int
    searched_created: int
    is_complete: bool
    newest_seq: int


class EventSearch:
    """Searches in one state; for one thread at a time.

    Args:
        state_folder: The state's folder.

    Raises:
        StateError: The state cannot be read; every method raises it.
    """

    def __init__(self, state_folder: Path) -> None:
        self._state_reader: Reader = open_state(state_folder).reader()
        self._past_events: Past = open_state(state_folder).past()
        self._script_names = Scripts(self._state_reader.scripts())

    def close(self) -> None:
        """Close the connections."""
        self._past_events.close()
        self._state_reader.close()

    def page(
        self,
        choice: EventChoice,
        below: int | None = None,
        page_size: int = 50,
        *,
        budget: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> EventPage:
        """Return a page of the chosen events.

        Args:
            choice: The events to return.
            below: Search below this place in the journal; None to begin with the newest event.
            page_size: The most events to return.
            budget: Seconds after which a page that is not full ends; by default, `PAGE_BUDGET`.
            clock: The clock that measures them.
        """
        deadline = clock() + (PAGE_BUDGET if budget is None else budget)
        newest_seq, lowest_seq = self._state_reader.end(), self._state_reader.lowest()
        searched_to = min(newest_seq + 1, newest_seq + 1 if below is None else below)
        entries: list[Entry] = []
        while searched_to > lowest_seq and len(entries) < page_size:
            entries_at_once = newest_seq if choice.names_few_ids else ENTRIES_AT_ONCE
            above = max(searched_to - entries_at_once - 1, lowest_seq - 1)
            entries_lacking = page_size - len(entries)
            chosen_entries = self._read_chosen(choice, above, searched_to, entries_lacking)
            entries += chosen_entries
            is_full = len(chosen_entries) == entries_lacking
            searched_to = chosen_entries[-1].seq if is_full else above + 1
            if clock() >= deadline or self._is_past(choice, searched_to, lowest_seq):
                break
        is_complete = searched_to <= lowest_seq or self._is_past(choice, searched_to, lowest_seq)
        searched_created = self._state_reader.created_after(searched_to - 1) or 0
        return EventPage(tuple(entries), searched_to, searched_created, is_complete, newest_seq)

    def place_of(self, event_id: int) -> int | None:
        """Return the place in the journal of the newest event with an id; None if it has none."""
        event = self._past_events.event(event_id)
        return None if event is None else event.seq

    def _is_past(self, choice: EventChoice, seq: int, lowest_seq: int) -> bool:
        """Return whether all events below a place are older than those chosen.

        Without a reset of the feed, events that are not late were created in the order of the
        journal, save for transactions that took long.
        """
        if choice.created_since is None:
            return False
        lowest_entries, entries = (
            self._state_reader.read(lowest_seq - 1, 1),
            self._state_reader.read(seq - 1, 1),
        )
        if not entries or entries[0].late or entries[0].era != lowest_entries[0].era:
            return False
        return entries[0].created < choice.created_since - LONGEST_TRANSACTION

    def _read_chosen(self, choice: EventChoice, above: int, below: int, limit: int) -> list[Entry]:
        return self._past_events.chosen(
            choice, self._script_names, above=above, below=below, limit=limit
        )


def read_choice(
    search_values: Mapping[str, Any], current_time: float, zone: tzinfo | None = None
) -> EventChoice:
    """Return the choice of events that a person wrote, as options of a command or in an address.

    Args:
        search_values: `ids`, `type`, `entity`, `project`, `user`, `script`, `since`, `until`,
            `late`, `failed` and `plugin`; an absent or empty one chooses all.
        current_time: Now, in seconds since 1970.
        zone: The time zone of moments that name none; None for the host's own.

    Raises:
        RangeError: `ids` is neither an id nor a range of ids.
        MomentError: `since` or `until` is no moment.
    """
    texts_by_key = {
        value_name: _readable_text(value) for value_name, value in search_values.items()
    }
    return EventChoice(
        event_type=texts_by_key.get("type"),
        entity=texts_by_key.get("entity"),
        project=texts_by_key.get("project"),
        user=texts_by_key.get("user"),
        script=texts_by_key.get("script"),
        created_since=_read_moment(texts_by_key.get("since"), current_time, zone),
        created_until=_read_moment(texts_by_key.get("until"), current_time, zone),
        ids=_read_ids(texts_by_key.get("ids")),
        late=bool(search_values.get("late")),
        failed=bool(search_values.get("failed")),
        failed_plugin=texts_by_key.get("plugin"),
    )


def _readable_text(value: object) -> str | None:
    """Return a text that SQLite can compare; None for an empty one."""
    stripped_text = value.strip() if isinstance(value, str) else ""
    return stripped_text.encode("utf-8", "replace").decode() or None


def _read_moment(moment_text: str | None, current_time: float, zone: tzinfo | None) -> int | None:
    if moment_text is None:
        return None
    moment = parse_moment(moment_text, zone)
    return int(current_time - moment.seconds if isinstance(moment, Ago) else moment.timestamp())


def _read_ids(ids_text: str | None) -> tuple[int, int] | None:
    if ids_text is None:
        return None
    ids_match = _IDS_PATTERN.fullmatch(ids_text)
    if ids_match is None or (ids_match[2] and int(ids_match[2]) < int(ids_match[1])):
        raise RangeError(text=ids_text)
    return int(ids_match[1]), int(ids_match[2] or ids_match[1])
