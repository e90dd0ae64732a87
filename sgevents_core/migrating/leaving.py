"""Return each plugin's position in the classic daemon's form, for going back to that daemon."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sgevents_core.migrating.id_file import StoredPosition
from sgevents_core.migrating.positions import BACKLOG_SECONDS
from sgevents_core.state.entries import Entry
from sgevents_core.state.feed_values import FeedRecord
from sgevents_core.state.imported import IMPORTED_ERA, ImportedPosition
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import BEGINNING, Progress
from sgevents_core.state.protocols import Reader
from sgevents_core.state.strand_places import StrandPlaces
from sgevents_core.state.strands import strand_of

WAITED_FOR: Final = timedelta(seconds=BACKLOG_SECONDS)
"""How long the classic daemon waits for ids that neither daemon has seen."""
_HANDLED_WITHIN: Final = timedelta(days=7)
"""How long the classic daemon may wait for an event that is on the site but not handled here."""
_PAGE: Final = 500
_NOTHING_HAD: Final = ImportedPosition(-1)


class LeftPosition(NamedTuple):
    """The position of one plugin.

    Args:
        position: The position as the classic daemon stores it.
        unhandled: How many events of its backlog are on the site, not handled by the plugin.
        half_done: Its callbacks that handled the event that follows; they are called again.
    """

    position: StoredPosition
    unhandled: int
    half_done: int


def positions_left(
    state_reader: Reader, plugin_names: Iterable[str], current_time: datetime
) -> dict[str, LeftPosition]:
    """Return the plugins' positions by name, without plugins that the state does not know.

    The state's registers must have been brought into it.

    Args:
        state_reader: The state.
        plugin_names: The plugins.
        current_time: The local time, without a time zone.
    """
    plugin_records, imported_positions = state_reader.plugins(), state_reader.imported_positions()
    plugin_standings: dict[_Standing, list[str]] = {}
    for plugin_name in plugin_names:
        if plugin_name in plugin_records:
            plugin_standing = _Standing.of(
                plugin_records[plugin_name],
                state_reader,
                imported_positions.get(plugin_name, _NOTHING_HAD),
            )
            plugin_standings.setdefault(plugin_standing, []).append(plugin_name)
    feed_state = state_reader.load_feed()
    if feed_state is None:
        return {}
    position_sums = {
        plugin_standing: _Sum(plugin_standing, feed_state.state.era)
        for plugin_standing in plugin_standings
    }
    for journal_entry in _entries(state_reader):
        for standing_sum in position_sums.values():
            standing_sum.add(journal_entry)
    left_positions = {}
    for plugin_standing, standing_names in plugin_standings.items():
        plugin_position = position_sums[plugin_standing].position(feed_state, current_time)
        for plugin_name in standing_names:
            half_done = _count_half_done(plugin_records[plugin_name], state_reader)
            left_positions[plugin_name] = LeftPosition(
                plugin_position, len(position_sums[plugin_standing].backlog), half_done
            )
    return left_positions


def _count_half_done(plugin_record: PluginRecord, state_reader: Reader) -> int:
    """Return how many callbacks are done for events that the plugin has not finished."""
    if plugin_record.apart:
        return len(plugin_record.progress.done)
    strand_places = state_reader.lane_places(plugin_record.lane)
    if strand_places is None:
        lane_progress = state_reader.lane_progress(plugin_record.lane) or BEGINNING
        return len(lane_progress.of(plugin_record.name).done)
    own_progress = {
        strand_number: strand_record.progress
        for strand_number, strand_record in plugin_record.strands.items()
    }
    of_strands = (
        own_progress.get(strand_number, strand_place)
        for strand_number, strand_place in enumerate(strand_places.places)
    )
    return sum(len(strand_place.of(plugin_record.name).done) for strand_place in of_strands)


def _entries(state_reader: Reader) -> Iterator[Entry]:
    after_seq = state_reader.lowest() - 1
    while journal_page := state_reader.read(after_seq, _PAGE):
        yield from journal_page
        after_seq = journal_page[-1].seq


@dataclass(frozen=True, slots=True)
class _Standing:
    """The progress of a plugin; plugins with equal progress are examined once.

    Args:
        progress: Its progress, or its lane's.
        places: The places of its strands; None if its lane has none, or it is apart from it.
        above: The events that it finished above its progress.
        imported: The positions imported earlier.
    """

    progress: Progress
    places: StrandPlaces | None
    above: StrandPlaces | None
    imported: ImportedPosition

    @classmethod
    def of(
        cls, plugin_record: PluginRecord, state_reader: Reader, imported_position: ImportedPosition
    ) -> _Standing:
        """Return the progress of the plugin with this record."""
        if plugin_record.apart:
            return cls(Progress(plugin_record.cursor), None, plugin_record.above, imported_position)
        strand_places = state_reader.lane_places(plugin_record.lane)
        if strand_places is not None:
            for strand_number, strand_record in plugin_record.strands.items():
                strand_places = strand_places.with_place(strand_number, strand_record.progress)
            return cls(BEGINNING, _without_calls(strand_places), None, imported_position)
        lane_progress = state_reader.lane_progress(plugin_record.lane) or BEGINNING
        return cls(Progress(lane_progress.finished), None, None, imported_position)

    def has_finished(self, journal_entry: Entry) -> bool:
        """Return whether the plugin no longer needs an event."""
        if journal_entry.era == IMPORTED_ERA and self.imported.has_had(journal_entry.event_id):
            return True
        if self.places is not None:
            return self.places.is_finished(
                journal_entry.seq, strand_of(journal_entry, self.places.order_by)
            )
        if journal_entry.seq <= self.progress.finished:
            return True
        places_above = self.above
        return places_above is not None and places_above.is_finished(
            journal_entry.seq, strand_of(journal_entry, places_above.order_by)
        )


def _without_calls(strand_places: StrandPlaces) -> StrandPlaces:
    return StrandPlaces(
        strand_places.order_by,
        tuple(Progress(strand_place.finished) for strand_place in strand_places.places),
    )


@dataclass(slots=True)
class _Sum:
    """Collects from the journal the position for one standing.

    Args:
        standing: The plugins' progress.
        era: The feed's era; ids of others mean nothing now.
    """

    standing: _Standing
    era: int
    highest: int = -1
    unfinished: list[int] = field(default_factory=list)
    backlog: list[int] = field(default_factory=list)

    def add(self, journal_entry: Entry) -> None:
        """Take in an event of the journal."""
        if journal_entry.era != self.era:
            return
        if self.standing.has_finished(journal_entry):
            self.highest = max(self.highest, journal_entry.event_id)
        else:
            self.unfinished.append(journal_entry.event_id)

    def position(self, feed_state: FeedRecord, current_time: datetime) -> StoredPosition:
        """Return the position."""
        imported_position = self.standing.imported if self.era == IMPORTED_ERA else _NOTHING_HAD
        last_id = max(self.highest, imported_position.last_id)
        if last_id < 0:
            last_id = min(self.unfinished) - 1 if self.unfinished else feed_state.state.frontier
        self.backlog = [event_id for event_id in self.unfinished if event_id <= last_id]
        waits_until = dict.fromkeys(self.backlog, current_time + _HANDLED_WITHIN)
        unseen_ids = [
            *_hot_ids(feed_state, last_id),
            *_unread_ids(imported_position, feed_state.state.frontier),
        ]
        unseen_ids = [
            event_id for event_id in unseen_ids if not imported_position.has_had(event_id)
        ]
        return StoredPosition(
            last_id, {**dict.fromkeys(unseen_ids, current_time + WAITED_FOR), **waits_until}
        )


def _hot_ids(feed_state: FeedRecord, last_id: int) -> Iterator[int]:
    """Yield the ids up to an event that the feed waits for."""
    for missing_range in feed_state.missing:
        if missing_range.hot:
            yield from range(missing_range.first, min(missing_range.last, last_id) + 1)


def _unread_ids(imported_position: ImportedPosition, feed_frontier: int) -> Iterator[int]:
    """Yield the ids of an imported backlog that the feed has not reached."""
    for first_id, last_id in imported_position.missing:
        yield from range(max(first_id, feed_frontier + 1), last_id + 1)


def by_folder(
    plugin_positions: Mapping[str, StoredPosition], plugin_folders: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, StoredPosition]]:
    """Return positions by folder and file, as an `.id` file has them.

    Args:
        plugin_positions: The positions, by plugin.
        plugin_folders: Folder -> stem of a file -> plugin.
    """
    return {
        folder_path: {
            file_stem: plugin_positions[plugin_name]
            for file_stem, plugin_name in plugin_names.items()
            if plugin_name in plugin_positions
        }
        for folder_path, plugin_names in plugin_folders.items()
    }
