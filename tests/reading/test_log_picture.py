"""The last day's ids as a picture: what is known of each, and where it begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from journal_rows import AT, event_row

from sgevents_core.reading.log_picture import MOST_CELLS, read_log_picture
from sgevents_core.state.entries import TakenRow
from sgevents_core.state.feed_values import (
    FeedChange,
    FeedState,
    MissingRange,
    ParkedRange,
    SetAside,
)
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Writer

DAY = 86_400


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Writer]:
    """An empty state."""
    with closing(open_state(tmp_path).writer()) as opened:
        yield opened


def test_state_without_answer(tmp_path: Path, state: Writer) -> None:
    """There is nothing to show before the site's first answer."""
    assert read_log_picture(tmp_path, AT, 300) is None


def fill(state: Writer) -> None:
    """Take ids 1 to 40, the first ten two days old, with every kind of hole among the others."""
    holes = {*range(12, 15), 17, 20, 22, 23, 25, 30}
    ids = [n for n in range(1, 41) if n not in holes]
    rows = [TakenRow(event_row(n, at=AT - 2 * DAY * (n <= 10) + n), n == 33) for n in ids]
    change = FeedChange(
        FeedState(frontier=40, floor=1, observed=1_000.0, rewound="it went back"),
        put=[MissingRange(12, 14, AT, 900.0, True), MissingRange(17, 17, AT, 10.0, False)],
        put_gone=[(20, 20)],
        closed=[(3, 3), (22, 23)],
        put_parked=[ParkedRange(25, 25, 2, AT)],
        dropped=[(30, 30)],
        set_aside=[SetAside("31", "odd", "site", 5.0)],
    )
    state.append(0, rows, change)


def test_what_is_known_of_each_id(tmp_path: Path, state: Writer) -> None:
    """Waited for and until when, looked for, gone, given up, parked, dropped; all others taken."""
    fill(state)
    picture = read_log_picture(tmp_path, AT - DAY, 300)
    assert picture is not None
    assert (picture.first, picture.last, picture.late) == (11, 40, 1)
    assert [(one.first, one.last, one.standing) for one in picture.ranges] == [
        (12, 14, "waited for"),
        (17, 17, "looked for"),
        (20, 20, "gone"),
        (22, 23, "given up"),
        (25, 25, "parked"),
        (30, 30, "dropped"),
    ]
    assert [one.until for one in picture.ranges] == [200.0, None, None, None, None, None]
    cells = {cell.first: cell for cell in picture.cells}
    assert len(cells) == 30
    assert (cells[11].taken, cells[12].taken, cells[12].counts) == (1, 0, {"waited for": 1})
    assert (cells[33].taken, cells[33].late) == (1, 1)
    assert [one.event for one in picture.set_aside] == ["31"]
    assert picture.rewound == "it went back"


def test_many_ids_share_a_cell(tmp_path: Path, state: Writer) -> None:
    """The picture has a bounded number of cells, and a huge hole reaches over many of them."""
    rows = [TakenRow(event_row(1), False), TakenRow(event_row(200_000, at=AT + 9), False)]
    change = FeedChange(FeedState(frontier=200_000), put=[MissingRange(2, 199_999, AT, 0.0, True)])
    state.append(0, rows, change)
    picture = read_log_picture(tmp_path, AT - DAY, 300)
    assert picture is not None
    assert len(picture.cells) <= MOST_CELLS
    assert sum(cell.counts.get("waited for", 0) for cell in picture.cells) == 199_998
    assert sum(cell.taken for cell in picture.cells) == 2


def test_picture_of_a_quiet_day_and_of_a_new_era(tmp_path: Path, state: Writer) -> None:
    """Without events in the last day it ends at the newest id; an older era is not shown."""
    fill(state)
    quiet = read_log_picture(tmp_path, AT + DAY, 300)
    assert quiet is not None
    assert (quiet.first, quiet.last) == (40, 40)
    assert [one.standing for one in quiet.ranges] == ["waited for", "looked for", "parked"]
    reset = FeedChange(FeedState(era=2, frontier=6, floor=5))
    state.append(state.end(), [TakenRow(event_row(6, at=AT + 50), False)], reset)
    picture = read_log_picture(tmp_path, AT + 45, 300)
    assert picture is not None
    assert (picture.first, picture.last, picture.era) == (6, 6, 2)


def test_ranges_left_out_from_an_id_on(tmp_path: Path, state: Writer) -> None:
    """Those that reach it too; a state keeps them for ever, so pages must not read all."""
    change = FeedChange(FeedState(), closed=[(1, 3), (5, 9), (12, 12)])
    state.append(0, [], change)
    with closing(open_state(tmp_path).past()) as past:
        assert past.left_out("closed", 1) == [(1, 3), (5, 9), (12, 12)]
        assert past.left_out("closed", 1, 7) == [(5, 9), (12, 12)]
        assert past.left_out("closed", 1, 10) == [(12, 12)]
        assert past.left_out("closed", 1, 13) == []
        assert past.left_out("parked", 1, 13) == []
