"""Entries that this process has appended last: read from memory, the same as from the disk."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from journal_rows import AT, event_row, grow

from sgevents_core.state.entries import LateRow
from sgevents_core.state.feed_values import FeedChange, FeedState
from sgevents_core.state.opening import open_state
from sgevents_core.state.sqlite.recent_entries import RecentEntries

PAGES = st.lists(st.integers(0, 7), min_size=1, max_size=12)


def page_of(first: int, count: int) -> list[LateRow]:
    """Return a page of rows, every third of which is late."""
    return [LateRow(event_row(id_), id_ % 3 == 0) for id_ in range(first, first + count)]


@given(pages=PAGES, most_bytes=st.integers(1, 3000), limit=st.integers(1, 9))
def test_newest_rows_follow_one_another_and_the_oldest_are_dropped(
    pages: list[int], most_bytes: int, limit: int
) -> None:
    """What is kept is the end of the journal, within the limit, and is read from any place."""
    recent, end = RecentEntries(most_bytes), 0
    for count in pages:
        recent.append(end + 1, 1, page_of(end + 1, count))
        end += count
        kept = [after + 1 for after in range(-1, end + 2) if recent.read(after, 1)]
        assert kept == list(range(end + 1 - len(kept), end + 1))
        assert sum(len(event_row(seq).body) for seq in kept) <= most_bytes
        for seq in kept:
            seqs = [entry.seq for entry in recent.read(seq - 1, limit)]
            assert seqs == list(range(seq, min(seq + limit, end + 1)))


def test_rows_after_a_gap_or_of_another_era_replace_those_kept() -> None:
    """What is kept never skips an entry that somebody else appended."""
    recent = RecentEntries()
    recent.append(1, 1, page_of(1, 2))
    recent.append(4, 1, page_of(4, 1))
    assert (recent.read(0, 9), [entry.seq for entry in recent.read(3, 9)]) == ([], [4])
    recent.append(5, 2, page_of(1, 1))
    assert [(entry.seq, entry.event_id, entry.era) for entry in recent.read(4, 9)] == [(5, 1, 2)]
    assert recent.read(3, 9) == []


def test_lane_reads_from_memory_what_a_reader_finds_on_the_disk(tmp_path: Path) -> None:
    """Both see the same entries, also those that another process has appended in between."""
    home, other_process = open_state(tmp_path), open_state(tmp_path)
    with (
        closing(home.feed_writer()) as feed,
        closing(home.lane_writer()) as lane,
        closing(other_process.writer()) as other,
        closing(other_process.reader()) as reader,
    ):
        end = 0
        for first, writer in ((1, feed), (4, feed), (7, other), (10, feed), (13, other)):
            change = FeedChange(FeedState(frontier=first, anchor_at=AT))
            end = writer.append(end, page_of(first, 3), change)
            for after in range(end + 1):
                for limit in (1, 4, 500):
                    assert lane.read(after, limit) == reader.read(after, limit)


def test_entry_that_was_just_appended_is_not_read_from_the_disk(tmp_path: Path) -> None:
    """A lane that is close behind handles what came from the site, even if the disk alters it."""
    home = open_state(tmp_path)
    with closing(home.writer()) as state, closing(home.lane_writer()) as lane:
        grow(state, [event_row(1), event_row(2)])
        with closing(sqlite3.connect(tmp_path / "sgevents.db")) as connection, connection:
            connection.execute("UPDATE journal SET body = x'00' WHERE seq = 1")
        assert [entry.whole for entry in lane.read(0, 2)] == [True, True]
        with closing(home.reader()) as reader:
            assert [entry.whole for entry in reader.read(0, 2)] == [False, True]


def test_pruned_entry_is_not_read_from_memory(tmp_path: Path) -> None:
    """What is removed from the journal is removed for everybody."""
    with closing(open_state(tmp_path).writer()) as state:
        grow(state, [event_row(id_) for id_ in range(1, 6)])
        assert state.prune(AT * 2, 4) == 3
        assert [entry.seq for entry in state.read(0, 9)] == [4, 5]
