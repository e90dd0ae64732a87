"""The feed's record: its position in the site's event log, and ranges of ids."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

LeftOut: TypeAlias = Literal["parked", "dropped", "closed"]
"""Ids that no plugin gets: late rows awaiting a decision, late rows that a person dropped, and ids
that were given up.
"""


ASIDE_IN_JOURNAL: Final = "journal"
"""The `where` of an entry that cannot be read."""


LONGEST_ASIDE_TEXT: Final = 200
"""The most characters kept of the name or reason of an event that is set aside."""


class MissingRange(NamedTuple):
    """A range of ids not seen yet, both ends included.

    Args:
        first: Lowest id.
        last: Highest id.
        below_at: `created_at` of the visible row above it: an upper bound of when the ids were
            assigned, in seconds since 1970 on the site's clock.
        noticed: When it was first noticed, in seconds of observed time.
        hot: Whether the feed still waits for it; if not, only audits look for it.
    """

    first: int
    last: int
    below_at: int
    noticed: float
    hot: bool


class ParkedRange(NamedTuple):
    """A range of ids whose rows arrived late by the thousand and await a person's decision.

    Args:
        first: Lowest id.
        last: Highest id.
        number: The number of its parking; ranges found by the same audit share it.
        at: When they were parked, in seconds since 1970 on the site's clock.
    """

    first: int
    last: int
    number: int
    at: int


class SetAside(NamedTuple):
    """One event that is set aside.

    Args:
        event: Its id, or another name for it if it has no valid id.
        reason: Why, for people.
        where: `site` if its row cannot be stored, `journal` if its entry cannot be read.
        at: When, in seconds since 1970 on the host's clock.
        era: The era of the feed.
    """

    event: str
    reason: str
    where: str
    at: float
    era: int = 1


@dataclass(slots=True)
class FeedState:
    """The feed's position in the site's event log; everything except the ranges.

    Args:
        era: Counts the resets of the feed; ids are unique within one era.
        floor: The lowest id that the feed is responsible for.
        frontier: The highest id taken.
        anchor_id: Highest known id that was visible at the last look; None before the first row.
        anchor_at: Its `created_at`, in seconds since 1970 on the site's clock.
        observed: Seconds during which the feed ran and the site answered.
        marks: `(created_at, id)` pairs, ascending, from which the age of an id is estimated.
        recent: `(id, created_at)` of the last rows in id order, to recognise the log.
        audits: Name of an audit -> observed second at which it last succeeded.
        proved_id: The id up to which an audit has shown the journal to be complete.
        proved_at: The site's clock at that moment, in seconds since 1970.
        answered: When the site last answered, in seconds since 1970 on the host's clock; only shown
            to people.
        site: The site's host name; a state belongs to one site.
        rewound: Why the feed appends nothing, if the log went backwards; otherwise empty.
        parkings: The number of times that rows were parked.
    """

    era: int = 1
    floor: int = 0
    frontier: int = 0
    anchor_id: int | None = None
    anchor_at: int = 0
    observed: float = 0.0
    marks: list[tuple[int, int]] = field(default_factory=list)
    recent: list[tuple[int, int]] = field(default_factory=list)
    audits: dict[str, float] = field(default_factory=dict)
    proved_id: int = 0
    proved_at: int = 0
    answered: float = 0.0
    site: str = ""
    rewound: str = ""
    parkings: int = 0


class FeedChange(NamedTuple):
    """The changes of one step of the feed, besides its rows.

    Args:
        state: The state after the step.
        put: Missing ranges that are new or changed, keyed by `first`.
        cut: `first` of the missing ranges to remove.
        put_gone: Ranges of known ids no longer visible, as `(first, last)`.
        cut_gone: `first` of the gone ranges to remove.
        closed: Missing ranges that are no longer looked for, kept for the record.
        put_parked: Parked ranges that are new or changed, keyed by `first`.
        cut_parked: `first` of the parked ranges to remove.
        dropped: Parked ranges that a person dropped, kept for the record.
        set_aside: Rows that cannot be stored.
        no_more_aside: Names of rows that were set aside and can be stored now.
    """

    state: FeedState
    put: Sequence[MissingRange] = ()
    cut: Sequence[int] = ()
    put_gone: Sequence[tuple[int, int]] = ()
    cut_gone: Sequence[int] = ()
    closed: Sequence[tuple[int, int]] = ()
    put_parked: Sequence[ParkedRange] = ()
    cut_parked: Sequence[int] = ()
    dropped: Sequence[tuple[int, int]] = ()
    set_aside: Sequence[SetAside] = ()
    no_more_aside: Sequence[str] = ()


class FeedRecord(NamedTuple):
    """The feed's state as loaded: its missing, gone and parked ranges, and the names set aside."""

    state: FeedState
    missing: Sequence[MissingRange]
    gone: Sequence[tuple[int, int]]
    parked: Sequence[ParkedRange] = ()
    set_aside: Collection[str] = ()


def named_scripts(
    known_names: Mapping[int, str],
    new_names: Mapping[int, str],
    ids_by_name: Mapping[str, Collection[int]],
) -> dict[int, str]:
    """Return the names of scripts by id, with new ones; see `FeedWriter.keep_scripts`."""
    current_names = {
        script_id: script_name
        for script_name, script_ids in ids_by_name.items()
        for script_id in script_ids
    }
    unaffected_names = {
        script_id: script_name
        for script_id, script_name in known_names.items()
        if script_name not in ids_by_name
    }
    return {**unaffected_names, **new_names, **current_names}
