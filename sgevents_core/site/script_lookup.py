"""Ask the site for the names of scripts by id, beside the feed and without delaying it.

The scripts that sign in here are looked up by name once per run. Scripts whose events appear are
looked up by id once per run, and again when a row shows another name. A site that refuses or does
not answer is asked again later; until then names come from the state, or are guessed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from sgevents_core.errors import SiteError, StateError
from sgevents_core.scripts import API_USER, NAME, Scripts, ids_of

logger = logging.getLogger("sgevents.feed")

MOST_AT_ONCE: Final = 50
"""The most ids or names in one query: a site refuses longer lists."""
FIRST_WAIT_SECONDS: Final = 60.0
LONGEST_WAIT_SECONDS: Final = 600.0

Found = Sequence[Mapping[str, Any]]
Ask = Callable[[list[Any]], Found]
"""Returns the ApiUsers that match filters, with `id` and `NAME`; raises SiteError."""
Keep = Callable[[Mapping[int, str], Mapping[str, Collection[int]]], None]
"""Saves names by id, and the ids of names that were looked up; raises StateError."""


class Lookup(Protocol):
    """What learns the names of the scripts in rows."""

    def look(self, row_scripts: Iterable[tuple[int, str]], ask_scripts: Ask) -> None:
        """Learn the names of scripts, each given as its id and the name on a row; raise nothing."""


class ScriptLookup:
    """The look-up of the names of scripts, for the feed's thread.

    Args:
        known_scripts: Receives the names.
        own_names: The names of the scripts that sign in.
        save_scripts: Saves the names.
        read_clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        known_scripts: Scripts,
        own_names: Iterable[str],
        save_scripts: Keep,
        read_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scripts = known_scripts
        self._keep = save_scripts
        self._clock = read_clock
        self._own_names = sorted(set(own_names))
        self._wanted_ids: dict[int, str] = {}
        self._shown_names: dict[int, set[str]] = {}
        self._found_by_name: set[int] = set()  # found by name, not seen on a row yet
        self._not_before = float("-inf")
        self._failures = 0

    def look(self, row_scripts: Iterable[tuple[int, str]], ask_scripts: Ask) -> None:
        """Learn the names of scripts, each given as its id and the name on a row; raise nothing."""
        for script_id, shown_names in row_scripts:
            if _is_record_id(script_id):
                self._note_shown(script_id, shown_names)
        if (self._own_names or self._wanted_ids) and self._clock() >= self._not_before:
            self._ask_site(ask_scripts)

    def _note_shown(self, script_id: int, shown_name: str) -> None:
        if shown_name in self._shown_names.get(script_id, ()):
            return
        self._wanted_ids[script_id] = shown_name
        if script_id in self._found_by_name:
            self._found_by_name.discard(script_id)
            self._note_asked(script_id)

    def _note_asked(self, script_id: int) -> None:
        """Note that an id was looked up because its rows show this name."""
        self._shown_names.setdefault(script_id, set()).add(self._wanted_ids.pop(script_id))

    def _ask_site(self, ask_scripts: Ask) -> None:
        try:
            while self._own_names:
                self._ask_names(self._own_names[:MOST_AT_ONCE], ask_scripts)
                del self._own_names[:MOST_AT_ONCE]
            while self._wanted_ids:
                self._ask_ids(list(self._wanted_ids)[:MOST_AT_ONCE], ask_scripts)
        except SiteError as error:
            self._put_off(error)
        else:
            self._failures = 0

    def _ask_names(self, names: list[str], ask_scripts: Ask) -> None:
        named_scripts = _named_scripts(ask_scripts([[NAME, "in", names]]))
        ids_by_name = {name: ids_of(name, named_scripts) for name in names}
        settled_names = {name: ids for name, ids in ids_by_name.items() if ids}
        for name, ids in settled_names.items():
            self._scripts.settle(name, ids)
            self._found_by_name.update(ids)
        for one in self._found_by_name & self._wanted_ids.keys():
            self._found_by_name.discard(one)
            self._note_asked(one)
        for name in ids_by_name.keys() - settled_names.keys():
            log_message = (
                "The site shows no script called %s: it is recognised by the names that rows show"
            )
            logger.warning(log_message, name, extra={"action": "scripts.not_found", "script": name})
        self._save_names({}, settled_names)

    def _ask_ids(self, script_ids: list[int], ask_scripts: Ask) -> None:
        names = {
            script_id: name
            for script_id, name in _named_scripts(ask_scripts([["id", "in", script_ids]]))
            if script_id in script_ids
        }
        self._scripts.learn(names)
        self._save_names(names, {})
        for script_id in script_ids:
            self._note_asked(script_id)

    def _save_names(
        self, names: Mapping[int, str], ids_by_name: Mapping[str, Collection[int]]
    ) -> None:
        try:
            self._keep(names, ids_by_name)
        except StateError as error:  # they are known for this run, and looked up again in the next
            log_message = "%s Names of scripts are not kept for the next start."
            logger.warning(log_message, error, extra={"action": "scripts.not_kept"})

    def _put_off(self, error: SiteError) -> None:
        wait_seconds = min(FIRST_WAIT_SECONDS * 2**self._failures, LONGEST_WAIT_SECONDS)
        self._failures += 1
        self._not_before = self._clock() + wait_seconds
        log_message = (
            "The scripts of the site cannot be read: %s They are asked for again in %d s; until"
            " then they are recognised by the names that rows show"
        )
        if self._failures == 1:  # the message says that it will be asked again
            logger.warning(log_message, error, wait_seconds, extra={"action": "scripts.not_read"})


def _named_scripts(found_records: Found) -> list[tuple[int, str]]:
    """Return id and name of ApiUsers as read."""
    return [
        (script_record["id"], script_record[NAME])
        for script_record in found_records
        if script_record.get("type", API_USER) == API_USER
        and _is_record_id(script_record.get("id"))
        and isinstance(script_record.get(NAME), str)
    ]


def _is_record_id(value: object) -> bool:
    """Return whether a value is a valid record id that can be stored."""
    return type(value) is int and 0 < value < 2**63
