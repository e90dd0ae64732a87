"""The feed's view of one id: stored, missing, given up or not seen yet. Only reads."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sgevents_core.state.feed_values import FeedRecord, LeftOut
from sgevents_core.state.opening import open_state


def whereabouts(folder: Path, event_id: int) -> str:
    """Return a sentence that explains why an id is not in the journal.

    Raises:
        StateError: The state cannot be read.
    """
    with closing(open_state(folder).reader()) as state:
        record = state.load_feed()
    if record is None:
        return "nothing was read from the site yet"
    feed = record.state
    if event_id > feed.frontier:
        behind = f", and the feed stands still: {feed.rewound}" if feed.rewound else ""
        return f"not taken yet: the newest event taken is {feed.frontier}{behind}"
    return _met(folder, record, event_id)


def _met(folder: Path, record: FeedRecord, event_id: int) -> str:
    for missing in record.missing:
        if missing.first <= event_id <= missing.last:
            return _missing(missing.hot, fails=str(event_id) in record.set_aside)
    aside = _set_aside(folder, record, event_id)
    if aside:
        return aside
    if any(first <= event_id <= last for first, last in record.gone):
        return "it was taken once, left the journal, and the site shows it no more"
    if _recorded("closed", folder, event_id, record.state.era):
        return "given up: no row of this id was ever visible, and nothing looks for it any more"
    if event_id < record.state.floor:
        return f"older than what the feed answers for, which begins at event {record.state.floor}"
    return _not_kept(folder)


def _set_aside(folder: Path, record: FeedRecord, event_id: int) -> str:
    if any(p.first <= event_id <= p.last for p in record.parked):
        return "parked: it came late, with many others, and sgevents feed parked decides about them"
    if _recorded("dropped", folder, event_id, record.state.era):
        return "dropped: it came late, with many others, and a person decided to leave them out"
    return ""


def _missing(hot: bool, *, fails: bool) -> str:
    if fails:
        return "set aside: the site fails when it is asked for its row; it is asked again"
    if hot:
        return "missing: no row of this id was visible so far, and it is waited for"
    return "missing: no row of this id came in time; audits still look for it"


def _not_kept(folder: Path) -> str:
    with closing(open_state(folder).reader()) as state:
        nothing_pruned = state.lowest() == 1
    if nothing_pruned:
        return "never in the journal: it came before the feed began"
    return "no longer in the journal: it is older than the retention"


def _recorded(kind: LeftOut, folder: Path, event_id: int, era: int) -> bool:
    with closing(open_state(folder).past()) as past:
        return past.is_left_out(kind, era, event_id)
