"""Asking the site which script is behind which id, beside the feed and without delaying it.

The scripts that sign in here are asked for by name once per run. Those whose events turn up are
asked for by id, once per run, and again when the site shows another name. A site that refuses or
does not answer is asked again later; until then names are known from the state, or guessed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from sgevents_core.errors import SiteError, StateError
from sgevents_core.scripts import API_USER, NAME, Scripts, ids_of

logger = logging.getLogger("sgevents.feed")

AT_ONCE: Final = 50
"""The most ids or names in one question: a site refuses longer lists."""
AGAIN_AFTER: Final = 60.0
MOST_AFTER: Final = 600.0

Found = Sequence[Mapping[str, Any]]
Ask = Callable[[list[Any]], Found]
"""Returns the ApiUsers that filters find, with `id` and `NAME`; raises SiteError."""
Keep = Callable[[Mapping[int, str], Mapping[str, Collection[int]]], None]
"""Saves names by id, and the ids of names that were asked for; raises StateError."""


class ScriptLookup:
    """The look-up of the names of scripts, for the feed's thread.

    Args:
        scripts: Gets what is learned.
        own: The names of the scripts that sign in.
        keep: Saves it.
        clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        scripts: Scripts,
        own: Iterable[str],
        keep: Keep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scripts = scripts
        self._keep = keep
        self._clock = clock
        self._own = sorted(set(own))
        self._wanted: dict[int, str] = {}
        self._shown: dict[int, set[str]] = {}
        self._fresh: set[int] = set()  # found by name, not seen on a row yet
        self._not_before = float("-inf")
        self._failures = 0

    def look(self, scripts: Iterable[tuple[int, str]], ask: Ask) -> None:
        """Learn the names of scripts, each given as its id and what a row shows; raise nothing."""
        for script_id, shown in scripts:
            if _is_id(script_id):
                self._see(script_id, shown)
        if (self._own or self._wanted) and self._clock() >= self._not_before:
            self._ask(ask)

    def _see(self, one: int, shown: str) -> None:
        if shown in self._shown.get(one, ()):
            return
        self._wanted[one] = shown
        if one in self._fresh:
            self._fresh.discard(one)
            self._known(one)

    def _known(self, one: int) -> None:
        """Note that an id was asked for since its rows show this name."""
        self._shown.setdefault(one, set()).add(self._wanted.pop(one))

    def _ask(self, ask: Ask) -> None:
        try:
            while self._own:
                self._ask_names(self._own[:AT_ONCE], ask)
                del self._own[:AT_ONCE]
            while self._wanted:
                self._ask_ids(list(self._wanted)[:AT_ONCE], ask)
        except SiteError as error:
            self._put_off(error)
        else:
            self._failures = 0

    def _ask_names(self, names: list[str], ask: Ask) -> None:
        found = _named(ask([[NAME, "in", names]]))
        own = {name: ids_of(name, found) for name in names}
        settled = {name: ids for name, ids in own.items() if ids}
        for name, ids in settled.items():
            self._scripts.settle(name, ids)
            self._fresh.update(ids)
        for one in self._fresh & self._wanted.keys():
            self._fresh.discard(one)
            self._known(one)
        for name in own.keys() - settled.keys():
            text = (
                "The site shows no script called %s: it is recognised by the names that rows show"
            )
            logger.warning(text, name, extra={"action": "scripts.not_found", "script": name})
        self._write({}, settled)

    def _ask_ids(self, ids: list[int], ask: Ask) -> None:
        names = {one: name for one, name in _named(ask([["id", "in", ids]])) if one in ids}
        self._scripts.learn(names)
        self._write(names, {})
        for one in ids:
            self._known(one)

    def _write(self, names: Mapping[int, str], own: Mapping[str, Collection[int]]) -> None:
        try:
            self._keep(names, own)
        except StateError as error:  # they are known for this run, and asked for again in the next
            text = "%s Names of scripts are not kept for the next start."
            logger.warning(text, error, extra={"action": "scripts.not_kept"})

    def _put_off(self, error: SiteError) -> None:
        wait = min(AGAIN_AFTER * 2**self._failures, MOST_AFTER)
        self._failures += 1
        self._not_before = self._clock() + wait
        text = (
            "The scripts of the site cannot be read: %s They are asked for again in %d s; until"
            " then they are recognised by the names that rows show"
        )
        if self._failures == 1:  # the message says that it will be asked again
            logger.warning(text, error, wait, extra={"action": "scripts.not_read"})


def _named(found: Found) -> list[tuple[int, str]]:
    """Return id and name of ApiUsers as read."""
    return [
        (one["id"], one[NAME])
        for one in found
        if one.get("type", API_USER) == API_USER
        and _is_id(one.get("id"))
        and isinstance(one.get(NAME), str)
    ]


def _is_id(value: object) -> bool:
    """Return whether a value is a valid record id that can be stored."""
    return type(value) is int and 0 < value < 2**63
