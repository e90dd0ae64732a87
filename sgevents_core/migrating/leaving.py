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


def positions_left(state: Reader, plugins: Iterable[str], now: datetime) -> dict[str, LeftPosition]:
    """Return the plugins' positions by name, without plugins that the state does not know.

    The state's registers must have been brought into it.

    Args:
        state: The state.
        plugins: The plugins.
        now: The local time, without a time zone.
    """
    records, imported = state.plugins(), state.imported_positions()
    standings: dict[_Standing, list[str]] = {}
    for name in plugins:
        if name in records:
            standing = _Standing.of(records[name], state, imported.get(name, _NOTHING_HAD))
            standings.setdefault(standing, []).append(name)
    feed = state.load_feed()
    if feed is None:
        return {}
    sums = {standing: _Sum(standing, feed.state.era) for standing in standings}
    for entry in _entries(state):
        for standing_sum in sums.values():
            standing_sum.add(entry)
    left = {}
    for standing, names in standings.items():
        position = sums[standing].position(feed, now)
        for name in names:
            half_done = _count_half_done(records[name], state)
            left[name] = LeftPosition(position, len(sums[standing].backlog), half_done)
    return left


def _count_half_done(record: PluginRecord, state: Reader) -> int:
    """Return how many callbacks are done for events that the plugin has not finished."""
    if record.apart:
        return len(record.progress.done)
    places = state.lane_places(record.lane)
    if places is None:
        lane = state.lane_progress(record.lane) or BEGINNING
        return len(lane.of(record.name).done)
    own_progress = {
        strand: strand_record.progress for strand, strand_record in record.strands.items()
    }
    of_strands = (own_progress.get(number, place) for number, place in enumerate(places.places))
    return sum(len(place.of(record.name).done) for place in of_strands)


def _entries(state: Reader) -> Iterator[Entry]:
    after = state.lowest() - 1
    while page := state.read(after, _PAGE):
        yield from page
        after = page[-1].seq


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
    def of(cls, record: PluginRecord, state: Reader, imported: ImportedPosition) -> _Standing:
        """Return the progress of the plugin with this record."""
        if record.apart:
            return cls(Progress(record.cursor), None, record.above, imported)
        places = state.lane_places(record.lane)
        if places is not None:
            for strand, strand_record in record.strands.items():
                places = places.with_place(strand, strand_record.progress)
            return cls(BEGINNING, _without_calls(places), None, imported)
        lane = state.lane_progress(record.lane) or BEGINNING
        return cls(Progress(lane.finished), None, None, imported)

    def has_finished(self, entry: Entry) -> bool:
        """Return whether the plugin no longer needs an event."""
        if entry.era == IMPORTED_ERA and self.imported.has_had(entry.event_id):
            return True
        if self.places is not None:
            return self.places.is_finished(entry.seq, strand_of(entry, self.places.order_by))
        if entry.seq <= self.progress.finished:
            return True
        above = self.above
        return above is not None and above.is_finished(entry.seq, strand_of(entry, above.order_by))


def _without_calls(places: StrandPlaces) -> StrandPlaces:
    return StrandPlaces(places.order_by, tuple(Progress(place.finished) for place in places.places))


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

    def add(self, entry: Entry) -> None:
        """Take in an event of the journal."""
        if entry.era != self.era:
            return
        if self.standing.has_finished(entry):
            self.highest = max(self.highest, entry.event_id)
        else:
            self.unfinished.append(entry.event_id)

    def position(self, feed: FeedRecord, now: datetime) -> StoredPosition:
        """Return the position."""
        imported = self.standing.imported if self.era == IMPORTED_ERA else _NOTHING_HAD
        last_id = max(self.highest, imported.last_id)
        if last_id < 0:
            last_id = min(self.unfinished) - 1 if self.unfinished else feed.state.frontier
        self.backlog = [id_ for id_ in self.unfinished if id_ <= last_id]
        until = dict.fromkeys(self.backlog, now + _HANDLED_WITHIN)
        unseen = [*_hot_ids(feed, last_id), *_unread_ids(imported, feed.state.frontier)]
        unseen = [id_ for id_ in unseen if not imported.has_had(id_)]
        return StoredPosition(last_id, {**dict.fromkeys(unseen, now + WAITED_FOR), **until})


def _hot_ids(feed: FeedRecord, last_id: int) -> Iterator[int]:
    """Yield the ids up to an event that the feed waits for."""
    for missing in feed.missing:
        if missing.hot:
            yield from range(missing.first, min(missing.last, last_id) + 1)


def _unread_ids(imported: ImportedPosition, frontier: int) -> Iterator[int]:
    """Yield the ids of an imported backlog that the feed has not reached."""
    for first, last in imported.missing:
        yield from range(max(first, frontier + 1), last + 1)


def by_folder(
    positions: Mapping[str, StoredPosition], folders: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, StoredPosition]]:
    """Return positions by folder and file, as an `.id` file has them.

    Args:
        positions: The positions, by plugin.
        folders: Folder -> stem of a file -> plugin.
    """
    return {
        folder: {stem: positions[name] for stem, name in plugins.items() if name in positions}
        for folder, plugins in folders.items()
    }
