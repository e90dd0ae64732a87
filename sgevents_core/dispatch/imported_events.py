"""The events that plugins received from an earlier daemon, and do not receive again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sgevents_core.state.entries import Entry
from sgevents_core.state.imported import IMPORTED_ERA, ImportedPosition
from sgevents_core.state.keys import CallKey


class ImportedEvents:
    """The imported positions of a lane's plugins.

    Args:
        positions: Where plugins stood, by name.
        keys: The lane's callbacks.

    `highest` is the highest id that any of them had; later events need no check.
    """

    def __init__(
        self, positions: Mapping[str, ImportedPosition] | None = None, keys: Sequence[CallKey] = ()
    ) -> None:
        plugins = {key.plugin for key in keys}
        self._positions: Final = {
            name: position for name, position in (positions or {}).items() if name in plugins
        }
        self._keys: Final = {
            name: frozenset(key for key in keys if key.plugin == name) for name in self._positions
        }
        self.highest: Final = max(
            (position.last_id for position in self._positions.values()), default=-1
        )

    def has_had(self, plugin: str, entry: Entry) -> bool:
        """Return whether a plugin has already had an event."""
        if entry.event_id > self.highest or entry.era != IMPORTED_ERA:
            return False
        position = self._positions.get(plugin)
        return position is not None and position.has_had(entry.event_id)

    def callbacks_done(self, entry: Entry) -> frozenset[CallKey]:
        """Return the callbacks of the plugins that have already had an event."""
        plugins = [plugin for plugin in self._positions if self.has_had(plugin, entry)]
        return frozenset().union(*(self._keys[plugin] for plugin in plugins))
