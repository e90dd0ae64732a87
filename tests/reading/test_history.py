"""Events of the past: from the journal as far as it goes, from the site below that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from journal_rows import AT, event_row, grow

from sgevents_core.errors import NotTakenYet, SiteError
from sgevents_core.reading.id_standing import explain_missing_id
from sgevents_core.sandbox import Sandbox
from sgevents_core.settings import Ago, Secret, Settings, SiteSettings, StateSettings
from sgevents_core.site import history as history_module
from sgevents_core.site.history import History
from sgevents_core.state.entries import TakenRow
from sgevents_core.state.feed_values import FeedChange, FeedState, MissingRange, ParkedRange
from sgevents_core.state.opening import open_state

LAST = 20


class Past:
    """A site with twenty events, of which the journal has those from the tenth on."""

    def __init__(self, folder: Path, site: Sandbox) -> None:
        self.folder = folder
        self.site = site
        self.settings = Settings(
            path=folder / "sgevents.toml",
            site=SiteSettings(
                url=site.url, script_name=site.script_name, api_key=Secret(site.api_key)
            ),
            state=StateSettings(path=folder),
        )
        self.state = open_state(folder).writer()
        for _ in range(LAST):
            site.event("Studio_A")

    def kept(self, ids: range | list[int], late: tuple[int, ...] = ()) -> None:
        """Put events into the journal."""
        grow(self.state, [event_row(n) for n in ids], late)

    def between(self, first: int, last: int) -> list[tuple[int, bool]]:
        """Ids in order, and whether each is from the journal."""
        with closing(History(self.settings)) as history:
            return [
                (replayed.event_id, bool(replayed.seq)) for replayed in history.between(first, last)
            ]


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    """A site with a past."""
    with Sandbox(project=False) as site:
        made = Past(tmp_path, site)
        with closing(made.state):
            yield made


def test_range_is_taken_from_both(past: Past) -> None:
    """Older ones from the site, page by page, the others from the journal, each once."""
    past.kept(range(10, LAST + 1))
    assert past.between(8, 12) == [(8, False), (9, False), (10, True), (11, True), (12, True)]
    assert past.between(3, 4) == [(3, False), (4, False)]
    assert past.between(15, 99) == [(n, True) for n in range(15, LAST + 1)]


def test_late_event_that_is_kept_is_not_read_again(past: Past) -> None:
    """A row that came late is in the journal, though those around it are pruned."""
    past.kept([10, 11, 4, 12], late=(4,))
    assert past.between(3, 11) == [
        *((3, False), *((n, False) for n in range(5, 10))),
        *((10, True), (11, True), (4, True)),
    ]


def test_late_event_that_is_the_oldest_kept_proves_nothing(past: Past) -> None:
    """What came around it in its turn may be pruned: the site is asked."""
    past.kept([4, 10, 11], late=(4,))
    assert [id_ for id_, _ in past.between(3, 10)] == [3, 5, 6, 7, 8, 9, 4, 10]


def test_what_was_not_taken_is_not_replayed(past: Past) -> None:
    """It will be handed out when it comes."""
    past.kept(range(10, 16))
    with pytest.raises(NotTakenYet):
        past.between(16, 16)
    assert past.between(9, LAST) == [(9, False), *((n, True) for n in range(10, 16))]


def test_what_was_set_aside_is_read_from_the_site(past: Past) -> None:
    """Parked, dropped and given up ids can be replayed; nothing else above the oldest is asked."""
    state, rows = FeedState(frontier=LAST), [event_row(n) for n in (3, 4, 6, 9, 13, 15)]
    change = FeedChange(state, dropped=[(7, 8), (14, 14)], closed=[(10, 11)], put_parked=[
        ParkedRange(12, 12, 1, AT)
    ])  # fmt: skip
    past.state.append(0, [TakenRow(row, late=False) for row in rows], change)
    past.site.hide([11])
    aside = [(n, False) for n in (8, 10, 12, 14)]
    assert past.between(8, 15) == [*aside, (9, True), (13, True), (15, True)]
    assert past.between(7, 7) == [(7, False)]
    past.site.go_down()
    assert past.between(3, 6) == [(3, True), (4, True), (6, True)]


def test_many_ranges_set_aside_are_all_read(past: Past) -> None:
    """More than one call can ask for, and pages that are shorter than asked for."""
    rows = [event_row(n) for n in range(1, LAST + 1, 2)]
    even = [(n, n) for n in range(2, LAST + 1, 2)]
    change = FeedChange(FeedState(frontier=LAST), dropped=even)
    past.state.append(0, [TakenRow(row, late=False) for row in rows], change)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_module, "MOST_FETCHED_SPANS", 4)
        patch.setattr(history_module, "_PAGE_SIZE", 3)
        events_between = past.between(1, LAST)
    assert [event_id for event_id, is_kept in events_between if not is_kept] == [n for n, _ in even]


def test_since_a_moment(past: Past) -> None:
    """By the site's clock; the site is asked only where the journal does not go back so far."""
    past.kept(range(10, LAST + 1))
    past.site.go_down()
    with closing(History(past.settings)) as history:
        assert [replayed.event_id for replayed in history.since(Ago(0), AT)] == list(
            range(10, LAST + 1)
        )
        later = datetime.fromtimestamp(AT, timezone.utc) + timedelta(seconds=1)
        assert history.since(later, AT) == []
        with pytest.raises(SiteError):
            history.since(Ago(1), AT)


def test_since_reads_older_ones_from_the_site(past: Past) -> None:
    """An empty journal has none of them."""
    past.state.append(0, [], FeedChange(FeedState(frontier=LAST)))
    with closing(History(past.settings)) as history:
        replayed_events = history.since(Ago(3600), datetime.now(timezone.utc).timestamp())
    assert [(replayed.event_id, replayed.seq) for replayed in replayed_events] == [
        (n, 0) for n in range(1, LAST + 1)
    ]


def test_one_event(past: Past) -> None:
    """From the journal, else from the site, else none."""
    past.kept([10])
    with closing(History(past.settings)) as history:
        replayed_events = [history.event(n) for n in (10, 3, 4711)]
    assert [replayed and bool(replayed.seq) for replayed in replayed_events] == [True, False, None]


def test_newest_era_is_meant(past: Past) -> None:
    """An id that came again in a later era is the later event; ranges are of the era of now."""
    past.kept([5, 6])
    grow(past.state, [event_row(5, "Studio_New_Era")], era=2)
    with closing(History(past.settings)) as history:
        replayed = history.event(5)
        assert replayed is not None
        assert (replayed.era, replayed.seq) == (2, 3)
        assert [(o.era, o.event_id) for o in history.between(5, 5)] == [(2, 5)]


@pytest.mark.parametrize(
    ("event_id", "expected_text"),
    [
        (101, "not taken yet: the newest event taken is 100"),
        (91, "it is waited for"),
        (81, "audits still look for it"),
        (71, "is no longer on the site"),
        (61, "given up"),
        (5, "begins at event 10"),
        (50, "it came before the feed began"),
    ],
)
def test_every_id_has_a_place(tmp_path: Path, event_id: int, expected_text: str) -> None:
    """Why an id is not in the journal is told, whatever it is."""
    with closing(open_state(tmp_path).writer()) as state:
        change = FeedChange(
            FeedState(floor=10, frontier=100),
            put=[MissingRange(90, 92, 0, 0.0, True), MissingRange(80, 82, 0, 0.0, False)],
            put_gone=[(70, 72)],
            closed=[(60, 62)],
        )
        state.append(0, [], change)
    assert expected_text in explain_missing_id(tmp_path, event_id)


def test_an_id_that_left_the_journal(tmp_path: Path) -> None:
    """Once events were pruned, an id below those kept was one of them, as far as anyone knows."""
    with closing(open_state(tmp_path).writer()) as state:
        grow(state, [event_row(1), event_row(2)])
        assert state.prune(AT + LAST, 2) == 1
    assert "older than the retention" in explain_missing_id(tmp_path, 1)


def test_state_without_a_feed(tmp_path: Path) -> None:
    """Nothing was read yet."""
    open_state(tmp_path).writer().close()
    assert explain_missing_id(tmp_path, 1) == "nothing was read from the site yet"
