"""Check that pages start at a known row, and notice a log that went backwards. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sgevents_core.site import ages
from sgevents_core.site.ages import RECENT_IDS
from sgevents_core.site.follower_values import StepResult
from sgevents_core.site.known import Known
from sgevents_core.site.notices import LogResumed, LogRewound, rows_vanished
from sgevents_core.site.questions import Call, Newest, Page, PageRange, Recent, spans_of
from sgevents_core.state.entries import Row
from sgevents_core.state.feed_values import FeedState

FEWEST_RECENT: Final = 10
"""The fewest known ids that identify the log, if the site answers no query for more."""


class Anchoring:
    """The check that answers come from the log that the feed follows.

    Args:
        known_ids: The feed's memory of each id: known, missing or gone.
    """

    def __init__(self, known_ids: Known) -> None:
        self._known = known_ids
        self._search_for = ""
        self._most_recent_ids = RECENT_IDS

    @property
    def is_lost(self) -> bool:
        """Whether a new anchor has to be found."""
        return bool(self._search_for)

    def next_search(self, feed_state: FeedState) -> Call | None:
        """Return the query that finds a new anchor, None if the anchor is not lost."""
        if not self._search_for:
            return None
        if self._search_for == "recent" and feed_state.recent:
            known_count = [id_ for id_, _ in feed_state.recent[-self._most_recent_ids :]]
            return Recent(spans_of(known_count), len(known_count) + 1)
        self._search_for = "highest"
        return Newest(1)

    def take_failure(self, site_call: Recent) -> None:
        """Ask for fewer ids from now on: the site answers queries, but not one for this many."""
        self._most_recent_ids = max(
            sum(id_span.size for id_span in site_call.spans) // 2, FEWEST_RECENT
        )

    def is_anchored(
        self,
        feed_state: FeedState,
        site_call: Page | PageRange,
        event_rows: Sequence[Row],
        step_result: StepResult,
    ) -> bool:
        """Return whether a page starts at its anchor and no known row in it has been replaced."""
        if site_call.anchor is None:
            return self._are_same(feed_state, event_rows, step_result)
        if not event_rows or event_rows[0].id != site_call.anchor:
            self._search_for = "recent"
            return False
        anchor_at = (
            site_call.anchor_at if isinstance(site_call, PageRange) else feed_state.anchor_at
        )
        if not ages.is_same(event_rows[0], anchor_at):
            _note_rewound(feed_state, _other_time_text(site_call.anchor), step_result)
            return False
        return self._are_same(feed_state, event_rows[1:], step_result)

    def take_recent(
        self,
        feed_state: FeedState,
        site_call: Recent,
        event_rows: Sequence[Row],
        step_result: StepResult,
    ) -> None:
        """Anchor on the highest known row still visible; record the known rows above it as gone.

        A log that went backwards has not recovered merely because it reuses a few ids.
        """
        if not event_rows:
            self._search_for = "highest"
            return
        self._search_for = ""
        asked_ids = sum(id_span.size for id_span in site_call.spans)
        if feed_state.rewound and len(event_rows) < asked_ids / 2:
            return
        if self._are_same(feed_state, event_rows, step_result):
            visible_ids = {event_row.id for event_row in event_rows}
            for id_ in visible_ids:
                self._known.note_back(id_)
            self._note_gone(feed_state, visible_ids, step_result, site_call.spans[0].first)
            anchor(feed_state, event_rows[-1])

    def take_highest(
        self, feed_state: FeedState, event_rows: Sequence[Row], step_result: StepResult
    ) -> None:
        """Handle an answer that shows none of the last known rows.

        Either all of them are hidden, or the log went backwards. A log that went backwards may grow
        beyond the frontier without having recovered.
        """
        self._search_for = ""
        highest_row = event_rows[0].id if event_rows else 0
        if highest_row > feed_state.frontier and not feed_state.rewound:
            feed_state.anchor_id = None
            self._note_gone(feed_state, set(), step_result)
        elif highest_row < feed_state.frontier:
            evidence = (
                f"the site's highest event is {highest_row}"
                if event_rows
                else "the site's log is empty"
            )
            _note_rewound(
                feed_state, f"{evidence}, the last one taken was {feed_state.frontier}", step_result
            )
        # otherwise the log may have recovered: the next page will show

    def _are_same(
        self, feed_state: FeedState, event_rows: Sequence[Row], step_result: StepResult
    ) -> bool:
        """Return whether known ids still have their creation times; if not, this is another log."""
        known_ids = dict(feed_state.recent) if event_rows else {}
        seen = [event_row for event_row in event_rows if event_row.id in known_ids]
        replaced_ids = [
            event_row.id
            for event_row in seen
            if not ages.is_same(event_row, known_ids[event_row.id])
        ]
        if replaced_ids:
            _note_rewound(feed_state, _other_time_text(replaced_ids[0]), step_result)
            return False
        _note_resumed(feed_state, step_result)
        return True

    def _note_gone(
        self,
        feed_state: FeedState,
        visible_ids: set[int],
        step_result: StepResult,
        lowest_id: int = 0,
    ) -> None:
        known_count = (
            id_ for id_, _ in feed_state.recent if id_ >= lowest_id and id_ not in visible_ids
        )
        step_result.notices += rows_vanished(self._known.note_vanished(known_count))


def anchor(feed_state: FeedState, event_row: Row) -> None:
    """Make the next page start at a row."""
    feed_state.anchor_id, feed_state.anchor_at = event_row.id, ages.known_at(event_row)


def _other_time_text(id_: int) -> str:
    return f"event {id_} has another creation time"


def _note_rewound(feed_state: FeedState, evidence: str, step_result: StepResult) -> None:
    if not feed_state.rewound:
        step_result.notices.append(LogRewound(evidence))
    feed_state.rewound = evidence


def _note_resumed(feed_state: FeedState, step_result: StepResult) -> None:
    if feed_state.rewound:
        feed_state.rewound = ""
        step_result.notices.append(LogResumed())
