"""Scripts: which script is behind a link to an ApiUser. The id identifies it.

A site shows a script as "name version"; that is for people, and the name alone is a field of the
ApiUser. `site.script_lookup` asks for it, the state keeps it, and here it is looked up.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

API_USER: Final = "ApiUser"
NAME: Final = "firstname"
"""The field of an ApiUser with its name; its version is another field."""
LOGS: Final = "generate_event_log_entries"
"""Whether a script's writes appear in the event log; by default they do not."""
_WITH_VERSION: Final = re.compile(r"(?P<name>.*\S) +[vV]?[0-9]\S*(?: +[^\s0-9]\S*)*\s*", re.DOTALL)
"""A name followed by what looks like a version: a last word that begins with a digit."""


class Scripts:
    """The scripts of one site; one thread may add to them while others look names up.

    Args:
        names: Id -> name, as far as it is known.
    """

    def __init__(self, names: Mapping[int, str] | None = None) -> None:
        self.version = 0
        """A number that differs after each change."""
        self._names: dict[int, str] = dict(names or {})
        self._ids: dict[str, frozenset[int]] = {}

    @property
    def names(self) -> dict[int, str]:
        """The known names, by id."""
        return dict(self._names)

    @property
    def ids(self) -> dict[str, list[int]]:
        """The ids that sign in with a name, by name, where that is settled."""
        return {name: sorted(ids) for name, ids in dict(self._ids).items()}

    def replace(self, names: Mapping[int, str], ids: Mapping[str, Collection[int]]) -> None:
        """Take over the names that another process knows."""
        self._names = dict(names)
        self._ids = {name: frozenset(its) for name, its in ids.items()}
        self.version += 1

    def learn(self, names: Mapping[int, str]) -> None:
        """Add names of scripts."""
        self._names.update(names)
        for name in names.values():
            if name in self._ids:
                self._ids[name] |= {one for one, its in names.items() if its == name}
        self.version += 1

    def settle(self, name: str, ids: Collection[int]) -> None:
        """Record which scripts sign in as `name`: for good, whatever their names become later."""
        self._ids[name] = frozenset(ids)
        gone = [one for one, its in self._names.items() if its == name and one not in ids]
        for one in gone:
            del self._names[one]
        self._names.update(dict.fromkeys(ids, name))
        self.version += 1

    def merge(self, names: Mapping[int, str]) -> None:
        """Add names of another source; an id with two names belongs to no script."""
        for one, name in names.items():
            if self._names.setdefault(one, name) != name:
                self._names[one] = ""
        self.version += 1

    def name_of(self, link: Mapping[str, Any]) -> str:
        """Return the name of the script that `link` leads to.

        A name that the site has not sent yet is guessed from the name in the link.
        """
        known = self._names.get(link["id"]) if type(link.get("id")) is int else None
        return known or _guessed(link) or f"{API_USER} {link.get('id')}"

    def is_named(self, link: Mapping[str, Any], name: str) -> bool:
        """Return whether `link` leads to the script that signs in as `name`."""
        one = link.get("id")
        if type(one) is int and name in self._ids:
            return one in self._ids[name]
        return self.name_of(link) == name


def scripts_on(user: object, meta: object) -> list[dict[str, Any]]:
    """Return the scripts that caused a row: its user, or the script that acts as that user (sudo).

    Args:
        user: The row's user.
        meta: Its details. The one behind a user is a script; a site may leave out its type.
    """
    found = []
    if isinstance(user, dict) and user.get("type") == API_USER:
        found.append(user)
    behind = meta.get("sudo_actual_user") if isinstance(meta, dict) else None
    if isinstance(behind, dict) and behind.get("type", API_USER) == API_USER:
        found.append(behind)
    return found


def ids_of(name: str, found: Iterable[tuple[int, str]]) -> list[int]:
    """Return the ids of scripts called `name`, or, without any, of those that differ only in case.

    A site compares text without regard to case, and accepts such names at sign-in.
    """
    everyone = list(found)
    exact = [one for one, its in everyone if its == name]
    return exact or [one for one, its in everyone if its.casefold() == name.casefold()]


def _guessed(link: Mapping[str, Any]) -> str:
    shown = link.get("name")
    if not isinstance(shown, str):
        return ""
    found = _WITH_VERSION.fullmatch(shown)
    return found["name"] if found else shown.rstrip() or shown
