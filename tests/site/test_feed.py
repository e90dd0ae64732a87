"""The feed's thread with a real site and a real journal: what is there and what comes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec
from running_feed import Running, Start, events

from sgevents_core import Event
from sgevents_core.sandbox import Sandbox


def test_rows_arrive(site: Sandbox, start: Start) -> None:
    """What is there and what comes is journalled in the order of ids, whole."""
    events(site, 3)
    running = start()
    running.until_complete(site)
    more = events(site, 3)
    running.until_complete(site)
    entries = running.entries()
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert running.ids()[3:] == more
    rows = site.event_rows(*running.ids())
    for entry, row in zip(entries, rows, strict=True):
        body = msgspec.json.decode(entry.body)
        assert (body["id"], body["event_type"]) == (entry.event_id, entry.event_type)
        assert body["created_at"] == row["created_at"]
        assert not entry.late


def test_a_late_row_arrives_late(site: Sandbox, start: Start) -> None:
    """A row that commits after newer ones is appended behind them and marked."""
    events(site, 2)
    late = site.late(2)
    events(site, 2)
    running = start()
    running.until(lambda: len(running.ids()) == 4)
    late.commit()
    running.until_complete(site)
    assert running.ids() == [1, 2, 5, 6, 3, 4]
    assert [entry.late for entry in running.entries()] == [False] * 4 + [True] * 2


def test_a_start_at_now_is_kept_at_once(site: Sandbox, start: Start) -> None:
    """Where a feed begins is committed before anything comes: a kill does not move it."""
    events(site, 5)
    running = start(start="now")
    running.until(running.reader.load_feed)
    running.close()
    more = events(site, 2)
    again = start(start="now")
    again.until(lambda: again.ids() == more)


def test_a_restart_goes_on(site: Sandbox, start: Start) -> None:
    """A second process goes on where the first one ended; nothing comes twice."""
    events(site, 700)
    first = start(page_size=50)
    first.until(lambda: len(first.ids()) > 100)
    first.close()
    site.burn(10)
    events(site, 30)
    second = start(page_size=50)
    second.until_complete(site)
    assert second.ids() == site.log.visible_ids()


def test_pages_are_no_longer_than_the_sites(tmp_path: Path) -> None:
    """Where a site gives less than is asked for, its full pages are known as full."""
    with Sandbox(project=False, page_size=10) as small:
        events(small, 95)
        with closing(Running(small, tmp_path, page_size=500, idle_interval=60.0)) as running:
            running.until_complete(small)
            reads = small.counts.calls("read")
    assert reads <= 95 / 8 + 4


def test_rest(site: Sandbox, start: Start) -> None:
    """When the last page is read the feed says that it is idle."""
    events(site, 3)
    running = start(idle_interval=60.0, poll_interval=30.0)
    running.until(running.feed.idle.is_set)
    assert len(running.ids()) == 3
    assert running.feed.state is not None
    assert running.feed.state.frontier == 3


def test_odd_text_arrives(site: Sandbox, start: Start) -> None:
    """A half of a character, typed by who knows what, costs that half and no event."""
    odd = "half \ud83d of one"
    meta = {"type": "attribute_change", "old_value": odd, "new_value": "whole \U0001f600"}
    ids = [
        site.event("Studio_Odd", meta=meta),
        site.event(f"Studio_{odd}"),
        site.event("Studio_Plain", attribute_name=odd),
    ]
    running = start()
    running.until_complete(site)
    assert running.ids() == ids
    events = [Event(msgspec.json.decode(entry.body)) for entry in running.entries()]
    assert (events[0].old_value, events[0].new_value) == ("half ? of one", "whole \U0001f600")
    assert events[1].event_type == "Studio_half ? of one"
    assert events[2].attribute == "half ? of one"
