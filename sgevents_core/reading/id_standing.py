"""The feed's view of one id: stored, missing, given up or not seen yet. Only reads."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sgevents_core.state.feed_values import FeedRecord, LeftOut
from sgevents_core.state.opening import open_state


def explain_missing_id(folder: Path, event_id: int) -> str:
    """Return a sentence that explains why an id is not in the journal.

    Raises:
        StateError: The state cannot be read.
    """
    with closing(open_state(folder).reader()) as state:
        feed_record = state.load_feed()
    if feed_record is None:
        return "nothing was read from the site yet"
    feed_state = feed_record.state
    if event_id > feed_state.frontier:
        rewound_text = (
            f", and the feed has stopped: {feed_state.rewound}" if feed_state.rewound else ""
        )
        return f"not taken yet: the newest event taken is {feed_state.frontier}{rewound_text}"
    return _known_id_text(folder, feed_record, event_id)


def _known_id_text(folder: Path, record: FeedRecord, event_id: int) -> str:
    for missing_range in record.missing:
        if missing_range.first <= event_id <= missing_range.last:
            return _missing_text(missing_range.hot, is_set_aside=str(event_id) in record.set_aside)
    set_aside_text = _parked_or_dropped(folder, record, event_id)
    if set_aside_text:
        return set_aside_text
    if any(first_id <= event_id <= last_id for first_id, last_id in record.gone):
        return "it was taken, was pruned from the journal, and is no longer on the site"
    if _is_left_out("closed", folder, event_id, record.state.era):
        return "given up: no row of this id was ever visible, and it is no longer looked for"
    if event_id < record.state.floor:
        return f"older than the feed, which begins at event {record.state.floor}"
    return _not_in_journal(folder)


def _parked_or_dropped(folder: Path, record: FeedRecord, event_id: int) -> str:
    if any(parked_range.first <= event_id <= parked_range.last for parked_range in record.parked):
        return "parked: it arrived late, with many others; decide with sgevents feed parked"
    if _is_left_out("dropped", folder, event_id, record.state.era):
        return "dropped: it arrived late, with many others, and a person decided to drop them"
    return ""


def _missing_text(is_waited_for: bool, *, is_set_aside: bool) -> str:
    if is_set_aside:
        return "set aside: the site fails when its row is requested; it is requested again later"
    if is_waited_for:
        return "missing: no row of this id has been visible so far; it is waited for"
    return "missing: no row of this id arrived in time; audits still look for it"


def _not_in_journal(folder: Path) -> str:
    with closing(open_state(folder).reader()) as state:
        nothing_pruned = state.lowest() == 1
    if nothing_pruned:
        return "never in the journal: it came before the feed began"
    return "no longer in the journal: it is older than the retention"


def _is_left_out(left_out_kind: LeftOut, folder: Path, event_id: int, feed_era: int) -> bool:
    with closing(open_state(folder).past()) as past:
        return past.is_left_out(left_out_kind, feed_era, event_id)
