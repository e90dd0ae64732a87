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

    def plugin_name(self, file_stem: str) -> str:
        """Return the name of the plugin in a file."""
        return f"classic:{self.group}/{file_stem}"


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
            stored_position.last_id
            for stored_position in self.stored.values()
            if stored_position.last_id is not None
        )

    def imported(self) -> dict[str, ImportedPosition]:
        """Return the position of every plugin, as a state keeps it."""
        imported_position = {}
        for plugin_name, (last_id, waiting_ids) in self.stored.items():
            if last_id is not None:
                imported_position[plugin_name] = ImportedPosition.of(last_id, waiting_ids)
        for plugin_name in self.without:
            imported_position[plugin_name] = ImportedPosition(self.highest)
        return imported_position

    def feed_change(self, current_time: float) -> FeedChange:
        """Return the state of a feed that begins behind the lowest position.

        The backlogs below it are missing ranges; ids above it are read like all others.

        Args:
            current_time: The time, in seconds since 1970.
        """
        imported_position = self.imported()
        floor_id = min(
            stored_position.first_needed for stored_position in imported_position.values()
        )
        expiry_times = self._backlog_below(self.lowest, current_time)
        stored_state = FeedState(floor=max(floor_id, 0), frontier=self.lowest)
        return FeedChange(stored_state, put=list(_missing_ranges(expiry_times)))

    def _backlog_below(self, last_id: int, current_time: float) -> dict[int, int]:
        """Return each id of a backlog up to an event, and the latest time it was handed out."""
        expiry_times: dict[int, int] = {}
        for stored_position in self.stored.values():
            for event_id, waits_until in stored_position.backlog.items():
                if event_id <= last_id:
                    noticed_at = int(
                        min(_seconds(waits_until, current_time) - BACKLOG_SECONDS, current_time)
                    )
                    expiry_times[event_id] = max(expiry_times.get(event_id, 0), noticed_at)
        return expiry_times


def positions_in(stored_state: StoredState, plugin_folders: Iterable[FolderOfPlugins]) -> Positions:
    """Return where the plugins of some folders continue.

    A folder that the file does not know may have been moved: then a plugin has the highest position
    of a plugin of its name in another folder, as in the classic daemon.

    Args:
        stored_state: The content of the file.
        plugin_folders: The folders.
    """
    stored_stems: dict[str, StoredPosition] = {}
    moved_plugins, plugins_without = {}, []
    used_keys = set()
    for plugin_folder in plugin_folders:
        folder_key = _folder_key(stored_state, plugin_folder.path)
        for file_stem in (
            _stored_stems(stored_state, folder_key)
            if plugin_folder.stems is None
            else plugin_folder.stems
        ):
            plugin_name = plugin_folder.plugin_name(file_stem)
            stored_place = _place_of(stored_state, folder_key, file_stem)
            if stored_place is None or stored_place[1].last_id is None:
                plugins_without.append(plugin_name)
                continue
            stored_stems[plugin_name] = stored_place[1]
            used_keys.add((stored_place[0], file_stem))
            if folder_key is None and stored_place[0]:
                moved_plugins[plugin_name] = stored_place[0]
    unused_stems = [
        stored_place for stored_place in _all_places(stored_state) if stored_place not in used_keys
    ]
    return Positions(stored_stems, moved_plugins, plugins_without, unused_stems)


def _folder_key(stored_state: StoredState, folder_path: str) -> str | None:
    """Return the name by which the file lists a folder; None if it lists none of its plugins."""
    is_same = [
        folder_key
        for same_path in (str, os.path.normpath, os.path.realpath)
        for folder_key in stored_state.folders
        if same_path(folder_key) == same_path(folder_path)
    ]
    return is_same[0] if is_same and stored_state.folders[is_same[0]] != {} else None


def _stored_stems(stored_state: StoredState, folder_key: str | None) -> list[str]:
    """Return the plugins that the file lists for a folder, which may be missing only for now."""
    plugin_folder = stored_state.folders[folder_key] if folder_key is not None else {}
    return [] if isinstance(plugin_folder, int) else list(plugin_folder)


def _place_of(
    stored_state: StoredState, folder_key: str | None, file_stem: str
) -> tuple[str, StoredPosition] | None:
    """Return the folder and position of a plugin; None if it has none."""
    if stored_state.everywhere is not None:
        return "", StoredPosition(stored_state.everywhere, {})
    if folder_key is not None:
        plugin_folder = stored_state.folders[folder_key]
        if isinstance(plugin_folder, int):
            return folder_key, StoredPosition(plugin_folder, {})
        return (folder_key, plugin_folder[file_stem]) if file_stem in plugin_folder else None
    other_positions = [
        (folder_key, plugin_folder[file_stem])
        for folder_key, plugin_folder in stored_state.folders.items()
        if not isinstance(plugin_folder, int) and file_stem in plugin_folder
    ]
    return max(other_positions, key=lambda stored_place: stored_place[1].last_id or 0, default=None)


def _all_places(stored_state: StoredState) -> Iterator[tuple[str, str]]:
    for folder_key, plugin_folder in stored_state.folders.items():
        if not isinstance(plugin_folder, int):
            yield from ((folder_key, file_stem) for file_stem in plugin_folder)


def _seconds(expiry_time: datetime, current_time: float) -> float:
    """Return a local time in seconds since 1970; `current_time` for one that no clock shows."""
    try:
        return expiry_time.timestamp()
    except (OverflowError, ValueError, OSError):
        return current_time


def _missing_ranges(expiry_times: Mapping[int, int]) -> Iterator[MissingRange]:
    """Yield ids as missing ranges; those of a range are as young as its youngest."""
    first_id = last_id = latest_expiry = 0
    for event_id, expiry_time in sorted(expiry_times.items()):
        if first_id and event_id == last_id + 1:
            last_id, latest_expiry = event_id, max(latest_expiry, expiry_time)
            continue
        if first_id:
            yield MissingRange(first_id, last_id, latest_expiry, 0.0, hot=True)
        first_id, last_id, latest_expiry = event_id, event_id, expiry_time
    if first_id:
        yield MissingRange(first_id, last_id, latest_expiry, 0.0, hot=True)
