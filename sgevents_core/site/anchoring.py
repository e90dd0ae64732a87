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
        self._lost = ""
        self._most = RECENT_IDS

    @property
    def is_lost(self) -> bool:
        """Whether the anchor has to be found again."""
        return bool(self._lost)

    def search(self, state: FeedState) -> Call | None:
        """Return what to ask to find the anchor again, None if it is not lost."""
        if not self._lost:
            return None
        if self._lost == "recent" and state.recent:
            ids = [id_ for id_, _ in state.recent[-self._most :]]
            return Recent(spans_of(ids), len(ids) + 1)
        self._lost = "highest"
        return Newest(1)

    def failed(self, call: Recent) -> None:
        """Note that the site does not answer for that many ids, while it answers others."""
        self._most = max(sum(span.size for span in call.spans) // 2, FEWEST_RECENT)

    def holds(
        self, state: FeedState, call: Page | PageRange, rows: Sequence[Row], taken: Taken
    ) -> bool:
        """Return whether a page starts at its anchor and no known row in it has been replaced."""
        if call.anchor is None:
            return self._same(state, rows, taken)
        if not rows or rows[0].id != call.anchor:
            self._lost = "recent"
            return False
        anchor_at = call.anchor_at if isinstance(call, PageRange) else state.anchor_at
        if not ages.is_same(rows[0], anchor_at):
            _rewind(state, _other_time(call.anchor), taken)
            return False
        return self._same(state, rows[1:], taken)

    def take_recent(
        self, state: FeedState, call: Recent, rows: Sequence[Row], taken: Taken
    ) -> None:
        """Anchor on the highest known row that is still visible; those above it are gone.

        A log that went backwards is not back merely because a few ids are given out again.
        """
        if not rows:
            self._lost = "highest"
            return
        self._lost = ""
        asked = sum(span.size for span in call.spans)
        if state.rewound and len(rows) < asked / 2:
            return
        if self._same(state, rows, taken):
            visible = {row.id for row in rows}
            for id_ in visible:
                self._known.back(id_)
            self._gone(state, visible, taken, call.spans[0].first)
            anchor(state, rows[-1])

    def take_highest(self, state: FeedState, rows: Sequence[Row], taken: Taken) -> None:
        """Handle an answer that shows none of the last known rows.

        Either all are hidden, or the log went backwards. A log that went backwards may grow beyond
        the frontier; that does not mean that it is back.
        """
        self._lost = ""
        highest = rows[0].id if rows else 0
        if highest > state.frontier and not state.rewound:
            state.anchor_id = None
            self._gone(state, set(), taken)
        elif highest < state.frontier:
            what = f"the site's highest event is {highest}" if rows else "the site's log is empty"
            _rewind(state, f"{what}, the last one taken was {state.frontier}", taken)
        # otherwise it may be back: the next page shows it

    def _same(self, state: FeedState, rows: Sequence[Row], taken: Taken) -> bool:
        """Return whether known ids still have their creation times; if not, it is another log."""
        known = dict(state.recent) if rows else {}
        seen = [row for row in rows if row.id in known]
        strange = [row.id for row in seen if not ages.is_same(row, known[row.id])]
        if strange:
            _rewind(state, _other_time(strange[0]), taken)
            return False
        _resume(state, taken)
        return True

    def _gone(self, state: FeedState, visible: set[int], taken: Taken, lowest: int = 0) -> None:
        ids = (id_ for id_, _ in state.recent if id_ >= lowest and id_ not in visible)
        taken.notices += rows_vanished(self._known.vanish(ids))


def anchor(state: FeedState, row: Row) -> None:
    """Let the next page start at a row."""
    state.anchor_id, state.anchor_at = row.id, ages.known_at(row)


def _other_time(id_: int) -> str:
    return f"event {id_} has another creation time"


def _rewind(state: FeedState, why: str, taken: Taken) -> None:
    if not state.rewound:
        taken.notices.append(LogRewound(why))
    state.rewound = why


def _resume(state: FeedState, taken: Taken) -> None:
    if state.rewound:
        state.rewound = ""
        taken.notices.append(LogResumed())
