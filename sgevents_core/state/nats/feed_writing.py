"""Writing the journal and the feed's record, as messages."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from sgevents_core.errors import StaleWriter, StateError
from sgevents_core.state.entries import MOST_ENTRIES_PRUNED, Row, TakenRow
from sgevents_core.state.failures import KEPT_FAILURES
from sgevents_core.state.feed_values import ASIDE_IN_JOURNAL, FeedChange, SetAside, named_scripts
from sgevents_core.state.nats import messages
from sgevents_core.state.nats.feed_words import FeedWords
from sgevents_core.state.nats.messages import PageRow
from sgevents_core.state.nats.reading import CopyConnection
from sgevents_core.state.nats.session import HeldFeed, HeldLane
from sgevents_core.state.nats.stream_keys import JOURNAL
from sgevents_core.state.requests import RequestStep
from sgevents_core.state.sqlite.feed_writing import (
    find_passed_over,
    find_prune_end,
    mended_replays,
)
from sgevents_core.state.sqlite.forgetting import has_forgettable
from sgevents_core.state.sqlite.log_copy import is_aside


class NatsFeedWriter(CopyConnection):
    """The feed's connection. Its first write takes over the feed, unless this process holds it.

    One that was superseded stays so; a new one may take over again.
    """

    _held: HeldFeed | None = None

    def take_feed(self) -> None:
        """Take over the feed anew: whoever had it is refused, and all that it wrote can be read."""
        self._held = self._session.take_feed(anew=True)

    def append(
        self, expected_seq: int, appended_rows: Sequence[TakenRow], change: FeedChange
    ) -> int:
        """Append rows and the feed's state atomically, and return the journal's new end."""
        feed = self._hold_feed()
        with feed.writer.lock:
            if self._settle(feed) is change:
                return feed.end
            if feed.end != expected_seq:
                raise StaleWriter(what="the journal")
            self._refuse_known(feed, change.state.era, appended_rows)
            page = messages.Page(
                base=expected_seq,
                era=change.state.era,
                rows=[_page_row(taken_row) for taken_row in appended_rows],
                feed=FeedWords.of(change, feed.last_state if feed.is_stated else None),
            )
            self._session.send(feed.writer, page, origin=change)
            feed.note_page(page)
            return feed.end

    def begin_era(self, expected_seq: int, change: FeedChange, step: RequestStep) -> None:
        """Begin a new era of the feed, as a person requested; see `protocols.FeedWriter`."""
        self._send_decision(expected_seq, messages.NewEra(change, step, time.time()), step)

    def decide(self, expected_seq: int, change: FeedChange, step: RequestStep) -> None:
        """Write a person's decision about ids of the feed and the request's answer, atomically."""
        self._send_decision(expected_seq, messages.Decision(change, step, time.time()), step)

    def answer(self, step: RequestStep) -> None:
        """Answer a request that changes no other record."""
        if step.answer is not None and step == RequestStep(step.number, answer=step.answer):
            self._session.share(messages.Answered(step.number, step.answer, time.time()), step)
            return
        feed = self._hold_feed()
        with feed.writer.lock:
            if self._settle(feed) is not step:
                number = self._letter_number(step)
                message = messages.FeedAnswer(step, time.time(), number)
                self._session.send(feed.writer, message, step)

    def set_aside(
        self,
        event_name: int | str,
        reason_text: str,
        record_place: str,
        set_aside_at: float,
        feed_era: int = 1,
    ) -> bool:
        """Set an event aside by name; return whether it is newly set aside. See `SetAside`."""
        event_aside = SetAside(str(event_name), reason_text, record_place, set_aside_at, feed_era)
        if is_aside(self._database, event_aside):
            return False
        if record_place == ASIDE_IN_JOURNAL:
            self._session.share(messages.EntryAside(event_aside))
            return True
        feed = self._hold_feed()
        with feed.writer.lock:
            self._settle(feed)
            self._session.send(feed.writer, messages.RowAside(event_aside))
        return True

    def forget_aside(self, events_aside: Sequence[SetAside], step: RequestStep) -> None:
        """Clear events that are set aside, as a person asked, and write the answer."""
        entries = [aside for aside in events_aside if aside.where == ASIDE_IN_JOURNAL]
        rows = [aside for aside in events_aside if aside.where != ASIDE_IN_JOURNAL]
        if entries:
            self._session.share(messages.EntriesCleared(entries))
        feed = self._hold_feed()
        with feed.writer.lock:
            if self._settle(feed) is not step:
                number = self._letter_number(step)
                message = messages.RowsCleared(rows, step, time.time(), number)
                self._session.send(feed.writer, message, step)

    def mend(self, feed_era: int, mended_rows: Iterable[Row]) -> None:
        """Replace entries that were passed over by rows read again from the site.

        Each plugin that still needs such an event gets it by a replay. The entries come first:
        should the process end between the two, the events stay passed over and are mended again.
        """
        for mended_row in mended_rows:
            passed_over = find_passed_over(self._database, feed_era, mended_row.id)
            seqs = sorted({seq for seq, _ in passed_over})
            if seqs:
                self._send_mended(feed_era, mended_row, seqs)
            aside = SetAside(str(mended_row.id), "", ASIDE_IN_JOURNAL, 0.0, feed_era)
            if passed_over or is_aside(self._database, aside):
                drafts = [
                    messages.draft_of(*request_draft)
                    for request_draft in mended_replays(passed_over, feed_era, mended_row)
                ]
                self._session.share(
                    messages.ReplaysAsked(feed_era, mended_row.id, time.time(), passed_over, drafts)
                )

    def keep_scripts(
        self, new_names: Mapping[int, str], ids_by_name: Mapping[str, Collection[int]]
    ) -> None:
        """Record the names of scripts; see `protocols.FeedWriter`."""
        names_before = self.scripts()
        names_after = named_scripts(names_before, new_names, ids_by_name)
        if names_after != names_before:
            forgotten_ids = sorted(names_before.keys() - names_after.keys())
            changed_names = dict(names_after.items() - names_before.items())
            self._session.share(messages.ScriptNames(forgotten_ids, changed_names))

    def prune(
        self, created_before: int, first_kept_seq: int, entry_limit: int = MOST_ENTRIES_PRUNED
    ) -> int:
        """Remove the oldest entries that are old enough and no longer needed; return how many.

        Only the host that holds the feed removes entries. What calls left behind for them goes
        with each lane, on the host that holds it: every host does this for its own lanes.
        """
        removed_count = 0
        feed = self._session.held_feed()
        first_kept_seq = find_prune_end(self, created_before, first_kept_seq, entry_limit)
        lowest_seq = self.lowest()
        if feed is not None and first_kept_seq > lowest_seq:
            removed_count = first_kept_seq - lowest_seq
            with feed.writer.lock:
                self._settle(feed)
                self._session.send(feed.writer, messages.Pruned(first_kept_seq))
        if feed is None:
            first_kept_seq = lowest_seq
        for lane_name, held_lane in self._session.held_lanes().items():
            self._forget_calls(lane_name, held_lane, first_kept_seq, entry_limit)
        return removed_count

    def _forget_calls(
        self, lane_name: str, held_lane: HeldLane, first_kept_seq: int, failure_limit: int
    ) -> None:
        newest_failure = self._database.fetch_number("SELECT coalesce(max(id), 0) FROM failures")
        failures_up_to = newest_failure - KEPT_FAILURES
        if has_forgettable(self._database, lane_name, first_kept_seq, failures_up_to):
            self._session.send(
                held_lane.writer,
                messages.CallsForgotten(first_kept_seq, failures_up_to, failure_limit),
            )

    def _hold_feed(self) -> HeldFeed:
        if self._held is None:
            self._held = self._session.take_feed()
        if self._held.writer.is_stale:
            raise StaleWriter(what="the journal")
        return self._held

    def _settle(self, feed: HeldFeed) -> object:
        """Find out what became of the last message; return what it was made from if it was open."""
        with self._session.translated(feed.writer):
            settled = feed.writer.settle()
        if settled is None:
            return None
        origin, message = settled
        if isinstance(message, messages.Page):
            feed.note_page(message)
        elif isinstance(message, messages.NewEra | messages.Decision):
            feed.note_state(message.change.state)
        self._session.note_written(JOURNAL, feed.writer.position)
        return origin

    def _send_decision(
        self,
        expected_seq: int,
        message: messages.NewEra | messages.Decision,
        step: RequestStep,
    ) -> None:
        feed = self._hold_feed()
        with feed.writer.lock:
            if self._settle(feed) is step:
                return
            if feed.end != expected_seq:
                raise StaleWriter(what="the journal")
            message.letter_number = self._letter_number(step)
            self._session.send(feed.writer, message, origin=step)
            feed.note_state(message.change.state)

    def _send_mended(self, feed_era: int, mended_row: Row, seqs: list[int]) -> None:
        feed = self._hold_feed()
        with feed.writer.lock:
            self._settle(feed)
            page_row = _page_row(TakenRow(mended_row, 0))
            self._session.send(feed.writer, messages.Mended(feed_era, page_row, seqs))

    def _letter_number(self, step: RequestStep) -> int | None:
        is_new = step.letter is not None and step.letter.number is None
        return self._next_number() if is_new else None

    def _refuse_known(
        self, feed: HeldFeed, feed_era: int, appended_rows: Sequence[TakenRow]
    ) -> None:
        """Refuse rows that the journal holds already.

        Raises:
            StateError: It holds one, or one comes twice.
        """
        event_ids = {taken_row.row.id for taken_row in appended_rows}
        applied_place = self._session.copy.positions.get(JOURNAL, 0)
        known_ids = feed.find_known(feed_era, event_ids, applied_place) if event_ids else set()
        if known_ids or len(event_ids) < len(appended_rows):
            reason_text = f"the journal has event {min(known_ids or event_ids)} already"
            raise StateError(path=str(self._database.file_path), reason=reason_text)


def _page_row(taken_row: TakenRow) -> PageRow:
    site_row = taken_row.row
    return PageRow(
        site_row.id,
        site_row.at,
        site_row.event_type,
        int(taken_row.late),
        site_row.strands,
        site_row.body,
    )
