"""Searches of the journal page by page, each page with a bound on its work."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from journal_rows import AT, event_row, grow
from msgspec.structs import replace

from sgevents_core.errors import MomentError, RangeError
from sgevents_core.reading.event_rows import list_events
from sgevents_core.reading.event_search import LONGEST_TRANSACTION, EventSearch, read_choice
from sgevents_core.state.event_choice import EventChoice
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Writer

DAY = 86_400
ENTRIES_AT_ONCE = 100


@pytest.fixture(autouse=True)
def few_entries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the clock so often that a small journal is searched in several portions."""
    monkeypatch.setattr("sgevents_core.reading.event_search.ENTRIES_AT_ONCE", ENTRIES_AT_ONCE)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Writer]:
    """An empty state on a disk."""
    with closing(open_state(tmp_path).writer()) as opened:
        yield opened


@pytest.fixture
def search(tmp_path: Path, state: Writer) -> Iterator[EventSearch]:
    """A search in it."""
    with closing(EventSearch(tmp_path)) as opened:
        yield opened


def ids(search: EventSearch, choice: EventChoice, page_size: int = 50) -> list[list[int]]:
    """The ids of each page, to the last one."""
    pages, below = [], None
    while True:
        page = search.page(choice, below, page_size, budget=60)
        pages.append([entry.event_id for entry in page.entries])
        if page.is_complete:
            return pages
        assert below is None or page.searched_to < below
        below = page.searched_to


def test_pages_join(state: Writer, search: EventSearch) -> None:
    """Each event is on one page, whatever comes in the meantime; the last page says that it is."""
    grow(state, [event_row(n, "Odd" if n % 2 else "Even") for n in range(1, 12)])
    assert ids(search, EventChoice(event_type="Odd"), 3) == [[11, 9, 7], [5, 3, 1]]
    page = search.page(EventChoice(), page_size=5)
    grow(state, [event_row(12)])
    older = search.page(EventChoice(), page.searched_to, 50)
    assert [entry.event_id for entry in (*page.entries, *older.entries)] == list(range(11, 0, -1))
    assert (page.is_complete, older.is_complete) == (False, True)
    assert page.newest_seq == 11


def test_empty_journal(search: EventSearch) -> None:
    """There is nothing, and that is all."""
    page = search.page(EventChoice())
    assert (page.entries, page.is_complete, page.searched_created) == ((), True, 0)


def test_what_matches_nothing_costs_no_more_than_the_budget(
    state: Writer, search: EventSearch
) -> None:
    """The page ends, says how far it has come, and the next one continues there."""
    rows = [event_row(n, at=AT + n) for n in range(1, 2 * ENTRIES_AT_ONCE + 11)]
    grow(state, rows)
    clock = itertools.count(0, 10).__next__
    page = search.page(EventChoice(event_type="None"), budget=5, clock=clock)
    assert (page.entries, page.is_complete) == ((), False)
    assert page.searched_to == ENTRIES_AT_ONCE + 11
    assert page.searched_created == AT + ENTRIES_AT_ONCE + 11
    assert ids(search, EventChoice(event_type="None")) == [[]]
    older = search.page(EventChoice(ids=(3, 3)), page.searched_to, budget=5, clock=clock)
    assert [entry.event_id for entry in older.entries] == [3]


def test_time_ends_a_search(state: Writer, search: EventSearch) -> None:
    """Below an event that is a day older than the time sought there is nothing to be found."""
    grow(state, [event_row(n, at=AT + n) for n in range(1, ENTRIES_AT_ONCE + 10)])
    new_rows = [event_row(n, at=AT + 9 * DAY + n) for n in range(10_000, 10_003)]
    grow(state, new_rows)
    since = EventChoice(created_since=AT + 9 * DAY)
    page = search.page(since, budget=0)
    assert ([entry.event_id for entry in page.entries], page.is_complete) == (
        [10_002, 10_001, 10_000],
        True,
    )
    assert page.searched_to > 1


def test_time_does_not_end_a_search_at_a_late_event_or_in_another_era(
    state: Writer, search: EventSearch
) -> None:
    """A late event is old among newer ones, and a log that went backwards has newer ones below."""
    grow(state, [event_row(1, at=AT), event_row(2, at=AT + 9 * DAY)])
    grow(state, [event_row(n, at=AT) for n in range(3, 3 + ENTRIES_AT_ONCE)], era=2)
    since = EventChoice(created_since=AT + LONGEST_TRANSACTION + 1)
    assert ids(search, since) == [[2]]


def test_rows_of_a_list(tmp_path: Path, state: Writer, search: EventSearch) -> None:
    """Each has the values that lists show; one that cannot be read has those beside it."""
    user = {"type": "HumanUser", "id": 3, "name": "Anna"}
    link = {"type": "Shot", "id": 12, "name": "SH010"}
    grow(state, [event_row(1, entity=link, user=user, attribute_name="code")])
    grow(state, [replace(event_row(2, "Studio_Bad"), body=b"{")])
    bad, good = list_events(tmp_path, search.page(EventChoice()).entries)
    assert {key: value for key, value in good.values().items() if value is not None} == {
        "seq": 1,
        "era": 1,
        "event_id": 1,
        "event_type": "Shotgun_Task_Change",
        "created": AT,
        "late": False,
        "attribute": "code",
        "entity_type": "Shot",
        "entity_id": 12,
        "entity_name": "SH010",
        "user_type": "HumanUser",
        "user_id": 3,
        "user_name": "Anna",
        "failures": {},
    }
    assert bad.unreadable
    assert bad.values()["event_type"] == "Studio_Bad"


def test_choice_as_written() -> None:
    """Text as in options and addresses; empty conditions choose everything."""
    written = {"type": " Shotgun_* ", "entity": "", "ids": "7-9", "late": True, "since": "2h"}
    assert read_choice(written, AT + 0.5) == EventChoice(
        event_type="Shotgun_*", ids=(7, 9), late=True, created_since=AT - 7_200
    )
    assert read_choice({"ids": "7", "until": "1970-01-02T00:00Z"}, AT) == EventChoice(
        ids=(7, 7), created_until=86_400
    )
    assert read_choice({"user": "a\udc80b"}, AT) == EventChoice(user="a?b")
    with pytest.raises(RangeError):
        read_choice({"ids": "9-7"}, AT)
    with pytest.raises(MomentError):
        read_choice({"since": "soon"}, AT)
