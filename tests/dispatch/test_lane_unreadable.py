"""An event that cannot be read from the journal any more: set aside by name, the rest goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from journal_rows import event_row, grow
from lane_house import House
from msgspec.structs import replace

from sgevents_core.filters import Match
from sgevents_core.state.opening import open_state
from sgevents_core.state.sqlite import journal_pages
from sgevents_core.state.sqlite.database import DATABASE

pytestmark = pytest.mark.disk

FLIPS: dict[str, Callable[[bytes], bytes]] = {
    "no JSON any more": lambda body: b"\xff" + body[1:],
    "another value": lambda body: body.replace(b"Shotgun_Task_Change", b"Shotgun_Task_Chanfe"),
    "cut short": lambda body: body[:-5],
    "empty": lambda body: b"",
}


def change(folder: Path, sql: str, *values: object) -> None:
    """Change the database behind everybody's back."""
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as db:
        db.execute(sql, values)


def flip(folder: Path, event_id: int, how: Callable[[bytes], bytes], *, old: bool = False) -> None:
    """Change the body of an event; one of an `old` version has no checksum."""
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        (body,) = db.execute("SELECT body FROM journal WHERE event_id = ?", (event_id,)).fetchone()
    change(folder, "UPDATE journal SET body = ? WHERE event_id = ?", how(body), event_id)
    if old:
        change(folder, "UPDATE journal SET sum = NULL")


@pytest.mark.parametrize("flipped", FLIPS)
def test_flipped_body_is_set_aside(house: House, flipped: str) -> None:
    """However it has changed; the events around it are handled."""
    house.plugin("a", "note")
    house.run()
    house.events(1, 2, 3)
    flip(house.folder, 2, FLIPS[flipped])
    house.run()
    assert house.calls == ["1 a.note", "3 a.note"]
    (aside,) = house.state.set_aside_events()
    assert (aside.event, aside.where) == ("2", "journal")


@pytest.mark.parametrize("flipped", ["no JSON any more", "cut short", "empty"])
def test_entry_of_an_older_version_is_set_aside_too(house: House, flipped: str) -> None:
    """It has no checksum, and what is no row of this event is not handed to anybody."""
    house.plugin("a", "note")
    house.run()
    house.events(1, 2, 3)
    flip(house.folder, 2, FLIPS[flipped], old=True)
    house.run()
    assert house.calls == ["1 a.note", "3 a.note"]
    assert [one.event for one in house.state.set_aside_events()] == ["2"]


@pytest.mark.parametrize(
    "change_to",
    ["event_type = 'Shotgun_Task_Chan' || char(255)", "event_type = x'ff'", "created_at = 5",
     "era = 3", "body = 7", "body = CAST(x'ffff' AS TEXT)", "event_type = 12"],
)  # fmt: skip
def test_other_columns_are_held_to_what_was_written(house: House, change_to: str) -> None:
    """A type that has changed would be handed to the wrong callbacks, or to none."""
    house.plugin("a", "note")
    house.run()
    house.events(1, 2, 3)
    change(house.folder, f"UPDATE journal SET {change_to} WHERE event_id = 2")
    house.run()
    assert house.calls == ["1 a.note", "3 a.note"]
    assert [one.event for one in house.state.set_aside_events()] == ["2"]


def test_event_of_a_page_that_no_filter_wants_is_not_decoded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its route, which is stored beside it, says so: nobody would notice that it is no JSON."""
    monkeypatch.setattr(journal_pages, "FEWEST_EVENTS", 2)
    house.plugin("a", "note", match=Match(attribute=("sg_status_list",)))
    house.run()
    kind, field = "Shotgun_Task_Change", "sg_status_list"
    rows = [
        replace(event_row(1, kind), body=b"{", route=(kind, "code", "Task", None)),
        replace(event_row(2, kind, attribute_name=field), route=(kind, field, "Task", None)),
        event_row(3, kind, attribute_name=field),
    ]
    grow(house.state, rows)
    assert [entry.route for entry in house.state.read(0, 9)] == [row.route for row in rows]
    house.run()
    assert house.calls == ["2 a.note", "3 a.note"]


def test_plugin_that_catches_up_passes_it_over_as_well(house: House) -> None:
    """It is owed the event like the plugins that went with the lane, and no one else is."""
    house.plugin("a", "note")
    house.plugin("b", "note")
    house.run()
    house.plugins["b"].broken = True
    house.events(1, 2, 3)
    house.run()
    house.plugins["b"].broken = False
    house.calls.clear()
    flip(house.folder, 2, FLIPS["cut short"])
    house.run()
    assert house.calls == ["1 b.note", "3 b.note"]
    assert house.records()["b"].apart is False
    house.state.mend(1, [event_row(2, "Shotgun_Task_Change")])
    assert asked(house) == [("b", [2])]


def asked(house: House) -> list[tuple[str, list[int]]]:
    """The replays that were asked for: plugin and events."""
    with closing(open_state(house.folder).requests()) as requests:
        found = []
        for one in requests.waiting():
            event = requests.replay_event(one.number, 0)
            assert event is not None
            found.append((one.plugin, [event.event_id]))
        return found


def test_row_read_anew_takes_its_place_and_is_owed(house: House) -> None:
    """The entry can be read again, it is no longer set aside, and each plugin is handed it once."""
    house.plugin("a", "note")
    house.plugin("b", "note")
    house.run()
    house.events(1, 2, 3)
    flip(house.folder, 2, FLIPS["cut short"])
    house.run()
    assert house.state.passed_over_ids(1) == [2]
    row = event_row(2, "Shotgun_Task_Change")
    house.state.mend(1, [row])
    assert house.state.set_aside_events() == []
    assert house.state.passed_over_ids(1) == []
    assert [(one.body, one.whole) for one in house.state.read(1, 1)] == [(row.body, True)]
    assert asked(house) == [("a", [2]), ("b", [2])]
    house.state.mend(1, [row])
    assert len(asked(house)) == 2


def test_damaged_store_keeps_its_plugin_alone_from_starting(house: House) -> None:
    """The others run; the plugin loses nothing, and says what is wrong."""

    def counting(event: object, ctx: object) -> None:
        ctx.store["n"] = 1  # type: ignore[attr-defined]  # a mapping

    house.plugin("a", counting)
    house.plugin("b", "note")
    house.run()
    house.events(1)
    house.run()
    change(house.folder, "UPDATE stores SET value = '2'")
    house.calls.clear()
    house.events(2)
    house.run()
    assert house.calls == ["2 b.note"]
    assert "'n' in the store of plugin a" in house.records()["a"].reason
