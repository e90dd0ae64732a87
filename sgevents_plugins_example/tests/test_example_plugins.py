"""The five plugins, loaded as the daemon loads them, on the events of a sandbox site."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from desk import Desk
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.testing import Harness
from sgevents_plugins_example.version_burst import BurstWatch

Told = Callable[[], list[str]]
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def task(desk: Desk, status: str = "wtg") -> dict[str, Any]:
    """Make a task of the desk's shot."""
    return desk.create("Task", content="anim", entity=desk.shot, sg_status_list=status)


def set_status(desk: Desk, record: dict[str, Any], status: str) -> None:
    """Let Anna set the status of a record."""
    with desk.site.transaction("anna") as work:
        work.update(record["type"], record["id"], {"sg_status_list": status})


def version(desk: Desk, code: str = "v1") -> dict[str, Any]:
    """Make a version of the desk's shot, by Ben."""
    return desk.create("Version", "ben", code=code, entity=desk.shot, user=desk.people["Ben"])


def note(desk: Desk, login: str, links: list[dict[str, Any]]) -> None:
    """Let somebody write a note."""
    desk.create("Note", login, subject="Ears", note_links=links)


class TestEventLog:
    """The plugin event-log."""

    def test_every_event_gets_a_line(self, desk: Desk, told: Told) -> None:
        """Each event is logged once, with its record and author."""
        desk.enable("event-log")
        version(desk)
        called = desk.catch_up()
        assert len(told()) == len(called) > 1
        assert "Shotgun_Version_New Version 1, by Ben" in told()[0]

    def test_event_of_no_record_and_nobody(self, desk: Desk, told: Told) -> None:
        """An event without record and user is logged all the same."""
        desk.enable("event-log")
        with desk.site.transaction() as work:
            work.event("Studio_Backup_Done", user=None)
        desk.catch_up()
        assert told()[0].endswith("Studio_Backup_Done, by the site")


class TestShotStatus:
    """The plugin shot-status."""

    def test_shot_follows_its_tasks(self, desk: Desk, told: Told) -> None:
        """A task that begins sets its shot in progress, and the last to end makes it final."""
        desk.enable("shot-status")
        tasks = [task(desk), task(desk)]
        set_status(desk, tasks[0], "ip")
        desk.catch_up()
        assert desk.read(desk.shot, "sg_status_list") == "ip"
        for one in tasks:
            set_status(desk, one, "fin")
        desk.catch_up()
        assert desk.read(desk.shot, "sg_status_list") == "fin"
        assert told() == ["BUN_010 is now ip", "BUN_010 is now fin"]

    def test_the_same_again_writes_nothing(self, desk: Desk) -> None:
        """Where the shot is right already nothing is written, so no event comes of it."""
        desk.enable("shot-status")
        set_status(desk, task(desk), "ip")
        desk.catch_up()
        set_status(desk, task(desk, "fin"), "ip")
        desk.catch_up()
        assert desk.catch_up() == []
        last = desk.site.log.row(desk.site.log.highest_id)
        assert last.event_type == "Shotgun_Task_Change"

    def test_status_without_a_place_is_refused(self, desk: Desk) -> None:
        """A task with a status that the settings do not name raises, and leaves the shot alone."""
        desk.enable("shot-status", order=["wtg", "ip", "fin"])
        one = task(desk)
        desk.catch_up()
        set_status(desk, one, "rdy")
        with pytest.raises(ValueError, match="'rdy'"):
            desk.catch_up()
        assert desk.read(desk.shot, "sg_status_list") == "wtg"

    def test_task_of_something_else_is_left_alone(self, desk: Desk) -> None:
        """A task of an asset, and one that is retired by now, change nothing."""
        desk.enable("shot-status")
        asset = desk.create("Asset", code="Bunny")
        one = desk.create("Task", content="model", entity=asset, sg_status_list="ip")
        gone = task(desk, "ip")
        with desk.site.transaction("anna") as work:
            work.delete("Task", gone["id"])
        assert desk.catch_up() == ["on_change", "on_change"]
        assert desk.read(asset, "sg_status_list") == "wtg"
        assert desk.read(one, "sg_status_list") == "ip"
        assert desk.read(desk.shot, "sg_status_list") == "wtg"

    def test_dry_run_writes_nothing(self, desk: Desk) -> None:
        """In a dry run the shot stays as it is."""
        with Harness("shot-status", site=desk.site, dry_run=True) as harness:
            task(desk, "ip")
            result = harness.catch_up().raise_errors()
        assert (result.called, result.writes) == (["on_change"], [])
        assert desk.read(desk.shot, "sg_status_list") == "wtg"


class TestNoteNotify:
    """The plugin note-notify."""

    def test_artist_is_told_in_the_log(self, desk: Desk, told: Told) -> None:
        """A note on a version tells the version's artist; other links tell nobody."""
        desk.enable("note-notify")
        note(desk, "anna", [desk.shot, version(desk)])
        desk.catch_up()
        assert told() == ["to Ben: Anna on v1: Ears"]

    def test_nobody_is_told_of_their_own_note(self, desk: Desk, told: Told) -> None:
        """Who writes a note on their own version is not told."""
        desk.enable("note-notify")
        note(desk, "ben", [version(desk)])
        desk.catch_up()
        assert told() == []

    def test_message_in_a_file_has_the_key_of_the_call(self, desk: Desk) -> None:
        """With the setting `file` messages go there, each with the key that a repeat would have."""
        file = desk.folder / "told.jsonl"
        desk.enable("note-notify", file=str(file))
        note(desk, "anna", [version(desk)])
        desk.catch_up()
        (line,) = file.read_text().splitlines()
        message = json.loads(line)
        assert message["to"] == "Ben"
        assert message["text"] == "Anna on v1: Ears"
        assert message["key"].endswith(":sgevents_plugins_example.note_notify:on_new")


class TestUserActivity:
    """The plugin user-activity."""

    def test_three_callbacks_share_one_count(self, desk: Desk, told: Told) -> None:
        """What two callbacks count the third tells, by user, and begins anew."""
        desk.enable("user-activity")
        one = task(desk)
        set_status(desk, one, "ip")
        set_status(desk, one, "fin")
        version(desk)
        with desk.site.transaction("anna") as work:
            work.event("Shotgun_User_Logout")
            work.event("Shotgun_User_Logout")
        assert set(desk.catch_up()) == {"count_change", "count_new", "report"}
        assert told() == ["Anna logged out: 2 changed, 1 created", "Anna logged out: nothing done"]


class TestVersionBurst:
    """The plugin version-burst."""

    def test_burst_is_warned_of(self, desk: Desk, told: Told) -> None:
        """So many versions of one shot as the settings say make one warning."""
        desk.enable("version-burst", limit=3, minutes=5)
        for number in range(4):
            version(desk, f"v{number}")
        desk.catch_up()
        assert told() == ["3 versions of BUN_010 within 0:05:00"]

    @given(st.lists(st.integers(0, 3600), max_size=30))
    def test_no_burst_where_versions_are_far_apart(self, gaps: list[int]) -> None:
        """A burst is told exactly when the last so many versions came within the time."""
        limit, within = 3, timedelta(minutes=10)
        watch, made = BurstWatch(limit, within), NOON
        since: list[datetime] = []
        for gap in gaps:
            made += timedelta(seconds=gap)
            since = [*since, made][-limit:]
            burst = len(since) == limit and made - since[0] <= within
            assert watch.is_burst(1, made) == burst
            since = [] if burst else since
