"""The plugin event-log, loaded as the daemon loads it, on the events of a sandbox site."""

from __future__ import annotations

from collections.abc import Callable

from desk import Desk, version

Told = Callable[[], list[str]]


def test_every_event_gets_a_line(desk: Desk, told: Told) -> None:
    """Each event is logged once, with its record and author."""
    desk.enable("event-log")
    version(desk)
    called = desk.catch_up()
    assert len(told()) == len(called) > 1
    assert "Shotgun_Version_New Version 1, by Ben" in told()[0]


def test_event_of_no_record_and_nobody(desk: Desk, told: Told) -> None:
    """An event without record and user is logged all the same."""
    desk.enable("event-log")
    with desk.site.transaction() as work:
        work.event("Studio_Backup_Done", user=None)
    desk.catch_up()
    assert told()[0].endswith("Studio_Backup_Done, by the site")
