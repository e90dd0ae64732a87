"""Where each plugin continues, from the content of an `.id` file. Pure.

The feed begins at the lowest position. What plugins with a higher one had before is kept with
their positions, so that each event goes to those that need it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from sgevents_core.migrating.id_file import StoredPosition, StoredState
from sgevents_core.state.feed_values import FeedChange, FeedState, MissingRange
from sgevents_core.state.imported import ImportedPosition

BACKLOG_SECONDS: Final = 300
"""How long the classic daemon waits for a missing id."""


class FolderOfPlugins(NamedTuple):
    """A folder of classic plugins.

    Args:
        path: The folder as the classic daemon's configuration writes it.
        group: The group of its plugins.
        stems: The names of its files, without `.py`; None if it cannot be read at the moment.
    """

    path: str
    group: str
    stems: Sequence[str] | None

    def plugin_name(self, stem: str) -> str:
        """Return the name of the plugin in a file."""
        return f"classic:{self.group}/{stem}"


@dataclass(frozen=True, slots=True)
class Positions:
    """Where plugins continue.

    Args:
        stored: The positions in the file, by the plugin's name.
        moved: Plugins whose folder the file does not know, and the folder whose position they
            have.
        without: Plugins that the file has no position for.
        unused: The folder and name of positions whose plugin is not there.
    """

    stored: Mapping[str, StoredPosition]
    moved: Mapping[str, str] = field(default_factory=dict)
    without: Sequence[str] = ()
    unused: Sequence[tuple[str, str]] = ()

    @property
    def lowest(self) -> int:
        """The lowest last event of a plugin."""
        return min(self._last_ids())

    @property
    def highest(self) -> int:
        """The highest last event of a plugin: those without a position begin behind it."""
        return max(self._last_ids())

    @property
    def is_empty(self) -> bool:
        """Whether no plugin has a position."""
        return not any(True for _ in self._last_ids())

    def _last_ids(self) -> Iterator[int]:
        return (
            position.last_id for position in self.stored.values() if position.last_id is not None
        )

    def imported(self) -> dict[str, ImportedPosition]:
        """Return the position of every plugin, as a state keeps it."""
        imported = {}
        for name, (last_id, backlog) in self.stored.items():
            if last_id is not None:
                imported[name] = ImportedPosition.of(last_id, backlog)
        for name in self.without:
            imported[name] = ImportedPosition(self.highest)
        return imported

    def feed_change(self, now: float) -> FeedChange:
        """Return the state of a feed that begins behind the lowest position.

        The backlogs below it are missing ranges; ids above it are read like all others.

        Args:
            now: The time, in seconds since 1970.
        """
        imported = self.imported()
        floor = min(position.first_needed for position in imported.values())
        times = self._backlog_below(self.lowest, now)
        state = FeedState(floor=max(floor, 0), frontier=self.lowest)
        return FeedChange(state, put=list(_missing_ranges(times)))

    def _backlog_below(self, last_id: int, now: float) -> dict[int, int]:
        """Return each id of a backlog up to an event, and the latest time it was handed out."""
        times: dict[int, int] = {}
        for position in self.stored.values():
            for id_, until in position.backlog.items():
                if id_ <= last_id:
                    noticed = int(min(_seconds(until, now) - BACKLOG_SECONDS, now))
                    times[id_] = max(times.get(id_, 0), noticed)
        return times


def positions_in(state: StoredState, folders: Iterable[FolderOfPlugins]) -> Positions:
    """Return where the plugins of some folders continue.

    A folder that the file does not know may have been moved: then a plugin has the highest position
    of a plugin of its name in another folder, as in the classic daemon.

    Args:
        state: The content of the file.
        folders: The folders.
    """
    stored: dict[str, StoredPosition] = {}
    moved, without = {}, []
    used = set()
    for folder in folders:
        key = _folder_key(state, folder.path)
        for stem in _stored_stems(state, key) if folder.stems is None else folder.stems:
            name = folder.plugin_name(stem)
            stored_place = _place_of(state, key, stem)
            if stored_place is None or stored_place[1].last_id is None:
                without.append(name)
                continue
            stored[name] = stored_place[1]
            used.add((stored_place[0], stem))
            if key is None and stored_place[0]:
                moved[name] = stored_place[0]
    unused = [stored_place for stored_place in _all_places(state) if stored_place not in used]
    return Positions(stored, moved, without, unused)


def _folder_key(state: StoredState, path: str) -> str | None:
    """Return the name by which the file lists a folder; None if it lists none of its plugins."""
    same = [
        key
        for same_path in (str, os.path.normpath, os.path.realpath)
        for key in state.folders
        if same_path(key) == same_path(path)
    ]
    return same[0] if same and state.folders[same[0]] != {} else None


def _stored_stems(state: StoredState, key: str | None) -> list[str]:
    """Return the plugins that the file lists for a folder, which may be missing only for now."""
    folder = state.folders[key] if key is not None else {}
    return [] if isinstance(folder, int) else list(folder)


def _place_of(state: StoredState, key: str | None, stem: str) -> tuple[str, StoredPosition] | None:
    """Return the folder and position of a plugin; None if it has none."""
    if state.everywhere is not None:
        return "", StoredPosition(state.everywhere, {})
    if key is not None:
        folder = state.folders[key]
        if isinstance(folder, int):
            return key, StoredPosition(folder, {})
        return (key, folder[stem]) if stem in folder else None
    elsewhere = [
        (key, folder[stem])
        for key, folder in state.folders.items()
        if not isinstance(folder, int) and stem in folder
    ]
    return max(elsewhere, key=lambda stored_place: stored_place[1].last_id or 0, default=None)


def _all_places(state: StoredState) -> Iterator[tuple[str, str]]:
    for key, folder in state.folders.items():
        if not isinstance(folder, int):
            yield from ((key, stem) for stem in folder)


def _seconds(at: datetime, now: float) -> float:
    """Return a local time in seconds since 1970; `now` for one that no clock shows."""
    try:
        return at.timestamp()
    except (OverflowError, ValueError, OSError):
        return now


def _missing_ranges(times: Mapping[int, int]) -> Iterator[MissingRange]:
    """Yield ids as missing ranges; those of a range are as young as its youngest."""
    first = last = latest = 0
    for id_, at in sorted(times.items()):
        if first and id_ == last + 1:
            last, latest = id_, max(latest, at)
            continue
        if first:
            yield MissingRange(first, last, latest, 0.0, hot=True)
        first, last, latest = id_, id_, at
    if first:
        yield MissingRange(first, last, latest, 0.0, hot=True)
