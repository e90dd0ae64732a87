"""Recognising the log: pages start at a known row; a log that went backwards is noticed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sgevents_core.site import ages
from sgevents_core.site.ages import RECENT_IDS
from sgevents_core.site.follower_values import Taken
from sgevents_core.site.known import Known
from sgevents_core.site.notices import LogResumed, LogRewound, rows_vanished
from sgevents_core.site.questions import Call, Newest, Page, PageRange, Recent, spans_of
from sgevents_core.state.entries import Row
from sgevents_core.state.feed_values import FeedState

FEWEST_RECENT: Final = 10
"""Known ids by which the log is recognised if the site does not answer for more."""


class Anchoring:
    """A check that answers come from the log being followed.

    Args:
        known: What is known of each id.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self._search_for = ""
        self._most_recent_ids = RECENT_IDS

    @property
    def is_lost(self) -> bool:
        """Whether the anchor has to be found again."""
        return bool(self._search_for)

    def next_search(self, state: FeedState) -> Call | None:
        """Return what to ask to find the anchor again, None if it is not lost."""
        if not self._search_for:
            return None
        if self._search_for == "recent" and state.recent:
            ids = [id_ for id_, _ in state.recent[-self._most_recent_ids :]]
            return Recent(spans_of(ids), len(ids) + 1)
        self._search_for = "highest"
        return Newest(1)

    def take_failure(self, call: Recent) -> None:
        """Note that the site does not answer for that many ids, while it answers others."""
        self._most_recent_ids = max(sum(span.size for span in call.spans) // 2, FEWEST_RECENT)

    def is_anchored(
        self, state: FeedState, call: Page | PageRange, rows: Sequence[Row], result: Taken
    ) -> bool:
        """Return whether a page starts at its anchor and no known row in it has been replaced."""
        if call.anchor is None:
            return self._are_same(state, rows, result)
        if not rows or rows[0].id != call.anchor:
            self._search_for = "recent"
            return False
        anchor_at = call.anchor_at if isinstance(call, PageRange) else state.anchor_at
        if not ages.is_same(rows[0], anchor_at):
            _note_rewound(state, _other_time_text(call.anchor), result)
            return False
        return self._are_same(state, rows[1:], result)

    def take_recent(
        self, state: FeedState, call: Recent, rows: Sequence[Row], result: Taken
    ) -> None:
        """Anchor on the highest known row that is still visible; those above it are gone.

        A log that went backwards is not back merely because a few ids are given out again.
        """
        if not rows:
            self._search_for = "highest"
            return
        self._search_for = ""
        asked = sum(span.size for span in call.spans)
        if state.rewound and len(rows) < asked / 2:
            return
        if self._are_same(state, rows, result):
            visible = {row.id for row in rows}
            for id_ in visible:
                self._known.note_back(id_)
            self._note_gone(state, visible, result, call.spans[0].first)
            anchor(state, rows[-1])

    def take_highest(self, state: FeedState, rows: Sequence[Row], result: Taken) -> None:
        """Handle an answer that shows none of the last known rows.

        Either all are hidden, or the log went backwards. A log that went backwards may grow beyond
        the frontier; that does not mean that it is back.
        """
        self._search_for = ""
        highest = rows[0].id if rows else 0
        if highest > state.frontier and not state.rewound:
            state.anchor_id = None
            self._note_gone(state, set(), result)
        elif highest < state.frontier:
            evidence = (
                f"the site's highest event is {highest}" if rows else "the site's log is empty"
            )
            _note_rewound(state, f"{evidence}, the last one taken was {state.frontier}", result)
        # otherwise it may be back: the next page shows it

    def _are_same(self, state: FeedState, rows: Sequence[Row], result: Taken) -> bool:
        """Return whether known ids still have their creation times; if not, it is another log."""
        known = dict(state.recent) if rows else {}
        seen = [row for row in rows if row.id in known]
        replaced_ids = [row.id for row in seen if not ages.is_same(row, known[row.id])]
        if replaced_ids:
            _note_rewound(state, _other_time_text(replaced_ids[0]), result)
            return False
        _note_resumed(state, result)
        return True

    def _note_gone(
        self, state: FeedState, visible: set[int], result: Taken, lowest: int = 0
    ) -> None:
        ids = (id_ for id_, _ in state.recent if id_ >= lowest and id_ not in visible)
        result.notices += rows_vanished(self._known.note_vanished(ids))


def anchor(state: FeedState, row: Row) -> None:
    """Let the next page start at a row."""
    state.anchor_id, state.anchor_at = row.id, ages.known_at(row)


def _other_time_text(id_: int) -> str:
    return f"event {id_} has another creation time"


def _note_rewound(state: FeedState, evidence: str, result: Taken) -> None:
    if not state.rewound:
        result.notices.append(LogRewound(evidence))
    state.rewound = evidence


def _note_resumed(state: FeedState, result: Taken) -> None:
    if state.rewound:
        state.rewound = ""
        result.notices.append(LogResumed())
