"""The ids of the last day as a picture: taken, late, missing and the like. Only reads."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from sgevents_core.scripts import Scripts
from sgevents_core.state.event_choice import EventChoice
from sgevents_core.state.feed_values import FeedRecord, SetAside
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Past, Reader

IdStanding: TypeAlias = Literal["waited for", "looked for", "given up", "parked", "dropped", "gone"]
"""What is known of an id that is not in the journal: `waited for` by the feed, `looked for` by
audits alone, `given up`, `parked` until a person decides, `dropped` by a person, or `gone` from the
site.
"""
MOST_CELLS: Final = 720
_MOST_LATE: Final = 5_000
"""The most late events of one picture."""
_LONGEST_STRETCH: Final = 100_000
"""The most entries among which late events are looked for."""


class IdRange(NamedTuple):
    """A range of ids that are not in the journal, both ends included.

    Args:
        first: The lowest id.
        last: The highest id.
        standing: What is known of them.
        until: When the feed stops waiting for them, in seconds from now, while it runs and the site
            answers; None unless they are waited for.
        since: When they were parked, in seconds since 1970; None unless they are.
        number: The number of their parking; 0 unless they are parked.
    """

    first: int
    last: int
    standing: IdStanding
    until: float | None = None
    since: float | None = None
    number: int = 0

    @property
    def ids(self) -> int:
        """The number of ids."""
        return self.last - self.first + 1


@dataclass(slots=True)
class PictureCell:
    """Some neighbouring ids of the picture.

    Args:
        first: The lowest id.
        last: The highest id.
        late: How many of them arrived late.
        counts: How many of them are not in the journal, by what is known of them.
    """

    first: int
    last: int
    late: int = 0
    counts: dict[IdStanding, int] = field(default_factory=dict)

    @property
    def taken(self) -> int:
        """How many of them were taken, in turn or late."""
        return self.last - self.first + 1 - sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class LogPicture:
    """The ids of the last day, or of as much of it as is known.

    Args:
        first: The lowest id of the picture.
        last: The highest id taken.
        era: The feed's era.
        cells: The picture, in the order of the ids; all cells have the same number of ids, except
            the last.
        ranges: The ranges of ids that are not in the journal, of the picture and older ones that
            the feed still looks for, in the order of the ids.
        late: The number of late events in the picture; at least, if there are very many.
        set_aside: Events that cannot be taken or read.
        rewound: Why the feed has stopped; empty if it has not.
    """

    first: int
    last: int
    era: int
    cells: tuple[PictureCell, ...]
    ranges: tuple[IdRange, ...]
    late: int
    set_aside: tuple[SetAside, ...]
    rewound: str


def read_log_picture(
    state_folder: Path, created_since: float, backlog_timeout: float
) -> LogPicture | None:
    """Return the picture of the ids since a time; None if the feed has read nothing yet.

    Args:
        state_folder: The state's folder.
        created_since: The time, in seconds since 1970.
        backlog_timeout: Seconds for which the feed waits for a missing id.

    Raises:
        StateError: The state cannot be read.
    """
    state = open_state(state_folder)
    with closing(state.reader()) as state_reader, closing(state.past()) as past_events:
        feed_record = state_reader.load_feed()
        if feed_record is None:
            return None
        first_seq = _first_seq_since(state_reader, created_since)
        first_id = _first_id(state_reader, feed_record, first_seq)
        last_id = max(feed_record.state.frontier, first_id - 1)
        id_ranges = sorted(_ranges_of(feed_record, past_events, first_id, backlog_timeout))
        late_ids = _late_ids(state_reader, past_events, first_seq, feed_record.state.era)
        shown_late_ids = [late_id for late_id in late_ids if first_id <= late_id <= last_id]
        return LogPicture(
            first_id,
            last_id,
            feed_record.state.era,
            tuple(_picture_cells(first_id, last_id, id_ranges, shown_late_ids)),
            tuple(
                id_range
                for id_range in id_ranges
                if id_range.last >= first_id or id_range.standing in _OPEN_STANDINGS
            ),
            len(shown_late_ids),
            tuple(state_reader.set_aside_events()),
            feed_record.state.rewound,
        )


_OPEN_STANDINGS: Final = frozenset({"waited for", "looked for", "parked"})


def _first_seq_since(state_reader: Reader, created_since: float) -> int:
    """Return the place of the first event created since a time, found by halving.

    A late event is older than its neighbours: the place may be some events too early or too late.
    """
    journal_places = range(state_reader.lowest(), state_reader.end() + 1)
    return journal_places.start + bisect_left(
        journal_places, created_since, key=lambda seq: state_reader.created_after(seq - 1) or 0
    )


def _first_id(state_reader: Reader, feed_record: FeedRecord, first_seq: int) -> int:
    """Return the lowest id of the picture: of the events since its beginning, in this era."""
    entries = state_reader.read(first_seq - 1, 200)
    ids_in_turn = [entry.event_id for entry in entries if not entry.late]
    ids_of_era = [
        entry.event_id for entry in entries if entry.era == feed_record.state.era and not entry.late
    ]
    if ids_of_era:
        return min(ids_of_era)
    lowest_possible = max(feed_record.state.floor, 1)
    return lowest_possible if ids_in_turn else max(feed_record.state.frontier, lowest_possible)


def _late_ids(state_reader: Reader, past_events: Past, first_seq: int, era: int) -> list[int]:
    newest_seq = state_reader.end()
    above = max(first_seq - 1, newest_seq - _LONGEST_STRETCH)
    choice = EventChoice(late=True)
    late_entries = past_events.chosen(
        choice, Scripts(), above=above, below=newest_seq + 1, limit=_MOST_LATE
    )
    return sorted(entry.event_id for entry in late_entries if entry.era == era)


def _ranges_of(
    feed_record: FeedRecord, past_events: Past, first_id: int, backlog_timeout: float
) -> Iterator[IdRange]:
    """Yield the ranges of ids that are not in the journal; those settled only from an id on."""
    for missing_range in feed_record.missing:
        wait_seconds = max(
            missing_range.noticed + backlog_timeout - feed_record.state.observed, 0.0
        )
        standing: IdStanding = "waited for" if missing_range.hot else "looked for"
        yield IdRange(
            missing_range.first,
            missing_range.last,
            standing,
            wait_seconds if missing_range.hot else None,
        )
    for parked_range in feed_record.parked:
        yield IdRange(
            parked_range.first,
            parked_range.last,
            "parked",
            since=float(parked_range.at),
            number=parked_range.number,
        )
    yield from (IdRange(first, last, "gone") for first, last in feed_record.gone)
    era = feed_record.state.era
    given_up_ranges = past_events.left_out("closed", era, first_id)
    yield from (IdRange(first, last, "given up") for first, last in given_up_ranges)
    dropped_ranges = past_events.left_out("dropped", era, first_id)
    yield from (IdRange(first, last, "dropped") for first, last in dropped_ranges)


def _picture_cells(
    first_id: int, last_id: int, id_ranges: Sequence[IdRange], late_ids: Iterable[int]
) -> list[PictureCell]:
    """Return the cells of a picture; a range counts in every cell that it reaches into."""
    ids_per_cell = max(-(-(last_id - first_id + 1) // MOST_CELLS), 1)
    picture_cells = [
        PictureCell(first_of_cell, min(first_of_cell + ids_per_cell - 1, last_id))
        for first_of_cell in range(first_id, last_id + 1, ids_per_cell)
    ]
    for id_range in id_ranges:
        lowest_id, highest_id = max(id_range.first, first_id), min(id_range.last, last_id)
        for cell in picture_cells[
            (lowest_id - first_id) // ids_per_cell : (highest_id - first_id) // ids_per_cell + 1
        ]:
            id_count = min(highest_id, cell.last) - max(lowest_id, cell.first) + 1
            if id_count > 0:
                cell.counts[id_range.standing] = cell.counts.get(id_range.standing, 0) + id_count
    for late_id in late_ids:
        picture_cells[(late_id - first_id) // ids_per_cell].late += 1
    return picture_cells
