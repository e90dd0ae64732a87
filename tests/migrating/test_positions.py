"""Where plugins go on: from the content of an `.id` file to a state, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from classic_positions import UNTIL, backlogs, ids, stems
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_rows import event_row, grow
from lane_house import House, opened_house

from sgevents_core.migrating.id_file import StoredPosition, StoredState
from sgevents_core.migrating.leaving import WAITED_FOR, by_folder, positions_left
from sgevents_core.migrating.positions import FolderOfPlugins, Positions, positions_in
from sgevents_core.settings import LaneSettings
from sgevents_core.state.entries import TakenRow
from sgevents_core.state.feed_values import FeedChange, MissingRange
from sgevents_core.state.imported import ImportedPosition
from sgevents_core.state.opening import kept_in_memory, open_state
from sgevents_core.state.progress import BEGINNING
from sgevents_core.state.steps import Step

NOW = datetime(2026, 11, 27, 9, 29)
FOLDER = FolderOfPlugins("/studio/plugins", "studio", ["notify", "rollup"])
NOTIFY, ROLLUP = "classic:studio/notify", "classic:studio/rollup"


def stored(**plugins: StoredPosition) -> StoredState:
    """The content of a file with one folder."""
    return StoredState({"/studio/plugins": plugins})


def at(last_id: int | None, *backlog: int) -> StoredPosition:
    """A position with a backlog."""
    return StoredPosition(last_id, dict.fromkeys(backlog, UNTIL))


def test_each_plugin_has_its_own_position() -> None:
    """What plugins need differs, and what they need starts at the lowest id."""
    found = positions_in(stored(notify=at(100, 90, 91, 97), rollup=at(120, 119)), [FOLDER])
    assert found.imported() == {
        NOTIFY: ImportedPosition(100, ((90, 91), (97, 97))),
        ROLLUP: ImportedPosition(120, ((119, 119),)),
    }
    change = found.feed_change(UNTIL.timestamp())
    noticed = int(UNTIL.timestamp()) - 300
    assert (change.state.floor, change.state.frontier) == (90, 100)
    assert change.put == [
        MissingRange(90, 91, noticed, 0.0, hot=True),
        MissingRange(97, 97, noticed, 0.0, hot=True),
    ]


def test_a_backlog_cannot_be_of_the_future() -> None:
    """Clocks may be wrong; what was noticed was noticed at the latest now."""
    position = StoredPosition(100, {97: datetime.max, 98: datetime.min})
    change = positions_in(stored(notify=position), [FOLDER]).feed_change(5000.0)
    assert all(missing.below_at <= 5000 for missing in change.put)
    assert [(missing.first, missing.last) for missing in change.put] == [(97, 98)]


def test_plugins_without_a_position_begin_behind_the_others() -> None:
    """A file that is new to the classic daemon, or never had an event, has nothing to catch up."""
    found = positions_in(stored(notify=at(100), rollup=at(None)), [FOLDER])
    assert found.without == [ROLLUP]
    assert found.imported()[ROLLUP] == ImportedPosition(100)


def test_a_folder_that_was_moved_keeps_its_positions() -> None:
    """As in the classic daemon, a plugin's name finds them; of two the one that is further."""
    state = StoredState(
        {"/old": {"notify": at(100, 95)}, "/older": {"notify": at(80), "other": at(5)}, "/n": 7}
    )
    found = positions_in(state, [FOLDER])
    assert (found.stored, found.moved) == ({NOTIFY: at(100, 95)}, {NOTIFY: "/old"})
    assert found.without == [ROLLUP]
    assert found.unused == [("/older", "notify"), ("/older", "other")]


@pytest.mark.parametrize("written", ["/studio/plugins/", "/studio//plugins", "/studio/./plugins"])
def test_a_folder_may_be_written_in_another_way(written: str) -> None:
    """The same folder is the same folder."""
    found = positions_in(StoredState({written: {"notify": at(100)}}), [FOLDER])
    assert (found.stored, found.moved) == ({NOTIFY: at(100)}, {})


def test_links_lead_to_the_same_folder(tmp_path: Path) -> None:
    """The configuration may name a folder by a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    state = StoredState({str(tmp_path / "real"): {"notify": at(100)}})
    folder = FolderOfPlugins(str(tmp_path / "link"), "studio", ["notify"])
    assert positions_in(state, [folder]).stored == {NOTIFY: at(100)}


@pytest.mark.parametrize(
    "state", [StoredState({}, everywhere=4711), StoredState({"/studio/plugins": 4711})]
)
def test_one_number_holds_for_all(state: StoredState) -> None:
    """In a file, or for a folder in it."""
    found = positions_in(state, [FOLDER])
    assert found.stored == {NOTIFY: at(4711), ROLLUP: at(4711)}


def test_a_file_about_other_plugins_has_no_positions() -> None:
    """Then there is nothing to import."""
    assert positions_in(StoredState({"/other": {"other": at(1)}}), [FOLDER]).is_empty
    assert positions_in(StoredState({"/studio/plugins": {}}), [FOLDER]).is_empty


def imported(house: House, *positions: StoredPosition) -> Positions:
    """Import positions of `notify` and `rollup` into a state, with plugins of these names."""
    for stem in ("notify", "rollup"):
        house.plugin(f"classic:studio/{stem}", "one")
    names = dict(zip(("notify", "rollup"), positions, strict=True))
    found = positions_in(stored(**names), [FOLDER])
    change = found.feed_change(NOW.timestamp())
    assert house.state.import_positions(change, found.imported(), "default")
    return found


def left(house: House) -> dict[str, StoredPosition]:
    """Where plugins stand in the state, as it would be exported."""
    found = positions_left(house.state, [NOTIFY, ROLLUP], NOW)
    return {name: each.position for name, each in found.items()}


wants = st.tuples(ids, st.sets(st.integers(1, 60), max_size=4)).map(
    lambda drawn: at(drawn[0], *(drawn[0] - below for below in drawn[1] if below < drawn[0]))
)


@settings(max_examples=60)
@given(st.tuples(wants, wants))
def test_what_is_imported_is_exported(drawn: tuple[StoredPosition, StoredPosition]) -> None:
    """Before any event is read, each plugin's position and backlog come out as they went in."""
    folder = Path("/nowhere/round-trip")
    with kept_in_memory(folder) as state, closing(state.writer()) as writer:
        found = positions_in(stored(notify=drawn[0], rollup=drawn[1]), [FOLDER])
        writer.import_positions(found.feed_change(NOW.timestamp()), found.imported(), "default")
        exported = positions_left(writer, found.stored, NOW)
    for name, (last_id, backlog) in found.stored.items():
        assert exported[name].position == StoredPosition(
            last_id, dict.fromkeys(backlog, NOW + WAITED_FOR)
        )


@pytest.fixture(name="house")
def house_fixture(tmp_path: Path) -> Iterator[House]:
    """A state in memory, and lanes that can run on it."""
    with kept_in_memory(tmp_path), opened_house(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("divided", [False, True])
def test_a_state_that_ran_is_exported(house: House, divided: bool) -> None:
    """Positions have moved; what is still missing, or not handled, is in the backlog."""
    if divided:
        house.lane_settings["default"] = LaneSettings(workers=2, order_by="none")
    imported(house, at(100, 95, 97), at(103, 97, 102))
    house.run()
    feed = house.state.load_feed()
    assert feed is not None
    rows = [event_row(101), event_row(103), event_row(104), event_row(97)]
    grow(house.state, rows, late=[97])
    feed.state.frontier = 104
    missing = [MissingRange(95, 95, 0, 0.0, True), MissingRange(102, 102, 0, 0.0, True)]
    house.state.append(house.state.end(), [], FeedChange(feed.state, put=missing, cut=[97]))
    house.run()
    assert house.calls.count(f"104 {NOTIFY}.one") == 1
    soon = NOW + WAITED_FOR
    assert left(house) == {
        NOTIFY: StoredPosition(104, {95: soon, 102: soon}),
        ROLLUP: StoredPosition(104, {102: soon}),
    }


def test_a_plugin_that_stopped_is_exported_where_it_stopped(house: House) -> None:
    """Later events stay behind its position; late ones below it are in its backlog."""
    imported(house, at(100, 99), at(100, 99))
    house.run()
    house.events(101, 102)
    house.run()
    fence, record = house.state.take_lane("default"), house.records()[ROLLUP]
    record.leave_lane(house.state.lane_progress("default") or BEGINNING)
    record.pause("to see")
    house.state.record("default", fence, Step(plugins=[record]))
    house.events(103, 104)
    feed = house.state.load_feed()
    assert feed is not None
    house.state.append(
        house.state.end(), [TakenRow(event_row(99), late=True)], FeedChange(feed.state, cut=[99])
    )
    house.run()
    assert left(house) == {
        NOTIFY: StoredPosition(104, {}),
        ROLLUP: StoredPosition(102, {99: NOW + timedelta(days=7)}),
    }


def test_events_of_another_era_are_not_exported(house: House) -> None:
    """After a reset of the feed old ids mean nothing; the position is of the new log."""
    imported(house, at(5000), at(5000))
    house.run()
    grow(house.state, [event_row(10), event_row(11)], era=2)
    house.run()
    assert left(house) == {NOTIFY: StoredPosition(11, {}), ROLLUP: StoredPosition(11, {})}


def test_a_state_that_never_ran_a_plugin_has_no_position_of_it(tmp_path: Path) -> None:
    """It is left out, and the classic daemon begins with it as with a new one."""
    with closing(open_state(tmp_path).writer()) as state:
        assert positions_left(state, [NOTIFY], NOW) == {}
        grow(state, [event_row(5)])
        assert positions_left(state, [NOTIFY], NOW) == {}


@given(st.dictionaries(stems, ids, max_size=4), backlogs)
def test_positions_are_exported_by_folder_and_file(
    last_ids: dict[str, int], backlog: dict[int, datetime]
) -> None:
    """As the classic daemon's configuration names them."""
    names = {stem: f"classic:studio/{stem}" for stem in last_ids}
    found = {names[stem]: StoredPosition(last, backlog) for stem, last in last_ids.items()}
    assert by_folder(found, {"/p": {**names, "new": "classic:studio/new"}}) == {
        "/p": {stem: StoredPosition(last, backlog) for stem, last in last_ids.items()}
    }
