"""EventBuilder: every event type and its peculiarities, as a site writes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from sgevents_core import Event
from sgevents_core.hookspecs import APPLICATION_HOOKS
from sgevents_core.sandbox import Sandbox
from sgevents_core.testing import EventBuilder

NOON = datetime(2026, 2, 1, 12, tzinfo=timezone.utc)


@pytest.fixture
def events() -> EventBuilder:
    """A builder."""
    return EventBuilder()


def like_the_sandbox() -> dict[str, tuple[str, Callable[[EventBuilder], Event]]]:
    """Action on a sandbox -> which of its events, and how a builder makes the same."""
    return {
        "status": ("*_Change", lambda e: e.change("Task", "sg_status_list", "wtg", "ip")),
        "assignment": (
            "Shotgun_Task_Change",
            lambda e: e.multi_change("Task", "task_assignees", added=[e.person()]),
        ),
        "version": ("Shotgun_Version_New", lambda e: e.new("Version")),
        "reply": ("Shotgun_Reply_New", lambda e: e.new("Reply")),
        "retire": ("*_Retirement", lambda e: e.retirement("Version")),
        "revive": ("*_Revival", lambda e: e.revival("Version")),
        "reading": ("Shotgun_Reading_Change", lambda e: e.reading()),
        "login": ("Shotgun_User_Login", lambda e: e.login()),
        "logout": ("Shotgun_User_Logout", lambda e: e.logout()),
        "failed-login": ("Shotgun_User_FailedLogin", lambda e: e.failed_login()),
        "share": ("CRS_PlaylistShare_Create", lambda e: e.playlist_share()),
        "revoke": ("CRS_PlaylistShare_Revoke", lambda e: e.playlist_share(revoked=True)),
        "view": ("Shotgun_Attachment_View", lambda e: e.attachment_view()),
        "version-view": ("Shotgun_Version_View", lambda e: e.version_view()),
        "preference": (
            "Shotgun_Preferences_Change",
            lambda e: e.preference("hours_per_day", 8, 9),
        ),
        "page-setting": ("Shotgun_PageSetting_Change", lambda e: e.page_setting()),
        "big-query": ("Shotgun_Big_Query", lambda e: e.big_query()),
        "column": ("Shotgun_DisplayColumn_Delete", lambda e: e.display_column_delete()),
        "summary": ("Shotgun_NotesApp_Summary_Email", lambda e: e.notes_app_summary_email()),
        "desktop": ("Toolkit_Desktop_AppLaunch", lambda e: e.app_launch()),
        "client-login": ("ClientLogin_Failed", lambda e: e.other("ClientLogin_Failed")),
        "rv": (
            "SG_RV_Session_Validate_Success",
            lambda e: e.other("SG_RV_Session_Validate_Success", meta={"type": "session"}),
        ),
    }


def shape(row: Any) -> Any:
    """Return what is not random in a row: its keys, and which of them are None."""
    meta = row["meta"]
    known = ("attribute_name", "entity", "project", "user", "meta")
    return {
        "none": {key for key in known if row[key] is None} - {"session_uuid"},
        "meta": set(meta) - {"retirement_date"} if isinstance(meta, dict) else type(meta),
    }


@pytest.mark.parametrize("kind", sorted(like_the_sandbox()))
def test_events_are_shaped_like_those_of_the_sandbox(kind: str, events: EventBuilder) -> None:
    """`meta` has the same keys, and None in the same places."""
    pattern, make = like_the_sandbox()[kind]
    with Sandbox() as site:
        if kind == "revive":
            site.step("retire")
        rows = site.event_rows(*site.step(kind))
        (row, *_) = [row for row in rows if row["event_type"].endswith(pattern.lstrip("*"))]
    events_made = make(events)
    assert events_made.event_type.endswith(pattern.lstrip("*"))
    assert shape(events_made.row) == shape(row)


def test_every_hook_of_application_behaviour_has_its_event(events: EventBuilder) -> None:
    """A builder has a method for each type that has a hook."""
    events_made = [
        events.playlist_share(),
        events.playlist_share(revoked=True),
        events.attachment_view(),
        events.big_query(),
        events.display_column_delete(),
        events.notes_app_summary_email(),
        events.failed_login(),
        events.login(),
        events.logout(),
        events.app_launch(),
        events.project_launch(),
    ]
    assert {event.event_type for event in events_made} == set(APPLICATION_HOOKS)


class TestRecords:
    """Changes of records."""

    def test_ids_and_times_ascend(self, events: EventBuilder) -> None:
        """Each event has the next id and happens a second later, by default."""
        first, second = events.new("Shot"), events.new("Shot", id=9, at=NOON)
        third = events.new("Shot")
        assert [first.id, second.id, third.id] == [1, 9, 10]
        assert second.created_at == NOON
        assert third.created_at == NOON + timedelta(seconds=1)

    def test_a_record_is_a_type_or_a_link(self, events: EventBuilder) -> None:
        """A type means a new record each time, a mapping the record it names."""
        shot = {"type": "Shot", "id": 7, "code": "sh010", "sg_status_list": "ip"}
        assert events.new(shot).entity == {"type": "Shot", "id": 7, "name": "sh010"}
        assert events.new("Shot").entity_id != events.new("Shot").entity_id
        assert events.record("Shot", 7, "sh010") == events.new(shot).entity

    def test_change_has_values_and_data_type(self, events: EventBuilder) -> None:
        """The data type is guessed from name and value, and entities are links."""
        ada = events.person("Ada Park", 3)
        changes = {
            "status_list": events.change("Task", "sg_status_list", "wtg", "ip"),
            "number": events.change("Shot", "sg_cut_in", 1001, None),
            "checkbox": events.change("Shot", "sg_vfx", old=False, new=True),
            "float": events.change("Shot", "sg_lens", None, 35.0),
            "entity": events.change("Version", "user", None, ada),
            "text": events.change("Shot", "code", "a", "b"),
            "date": events.change("Task", "due_date", None, "2026-01-31", data_type="date"),
        }
        assert {kind: kind for kind in changes} == {
            kind: event.meta["field_data_type"] for kind, event in changes.items()
        }
        assert changes["entity"].new_value == {**ada, "valid": "valid"}
        assert (changes["number"].old_value, changes["number"].new_value) == (1001, None)

    def test_multi_entity_change_has_added_and_removed(self, events: EventBuilder) -> None:
        """It has `added` and `removed`, and neither old nor new value."""
        ada, bo = events.person("Ada", 3), events.person("Bo", 4)
        event = events.multi_change("Task", "task_assignees", added=[ada], removed=[bo])
        assert [link["id"] for link in event.added] == [3]
        assert [link["id"] for link in event.removed] == [4]
        assert {"old_value", "new_value"}.isdisjoint(event.meta)

    def test_multi_entity_change_takes_types_too(self, events: EventBuilder) -> None:
        """Where it does not matter which record was added, its type will do."""
        event = events.multi_change("Sequence", "assets", added=["Asset", "Asset"])
        (first, second) = event.added
        assert first["type"] == second["type"] == "Asset"
        assert first["id"] != second["id"]

    def test_creation_is_a_new_and_its_values(self, events: EventBuilder) -> None:
        """Each value set in a creation is a change of the same record with `in_create`."""
        new, *changes = events.creation("Shot", {"code": "sh010", "sg_cut_in": 1001}, id=50)
        assert [new.id, *(change.id for change in changes)] == [50, 51, 52]
        assert (new.action, {change.attribute for change in changes}) == (
            "New",
            {"code", "sg_cut_in"},
        )
        assert all(change.in_create and change.entity_id == new.entity_id for change in changes)
        assert not new.in_create

    def test_retired_record_has_no_link_any_more(self, events: EventBuilder) -> None:
        """Older events have no link either, as in a log that is read now; type and id are known."""
        shot = events.record("Shot", 7)
        old = events.change(shot, "code", "a", "b", retired=True)
        gone, back = events.retirement(shot), events.revival(shot)
        assert old.entity is gone.entity is None
        assert {(event.entity_type, event.entity_id) for event in (old, gone, back)} == {
            ("Shot", 7)
        }
        assert back.entity == shot

    def test_back_reference_names_the_other_record(self, events: EventBuilder) -> None:
        """Its `meta` names the record of the original; the event is about the linked record."""
        task, shot = events.record("Task", 5), events.record("Shot", 7)
        original = events.change(task, "entity", None, shot, in_create=True)
        event = events.back_reference(original, shot, "tasks")
        assert event.is_back_reference
        assert event.in_create
        assert event.original_event_id == original.id
        assert (event.entity_type, event.entity_id) == ("Shot", 7)
        assert (event.meta["entity_type"], event.meta["entity_id"]) == ("Task", 5)
        assert [link["id"] for link in event.added] == [5]
        gone = events.back_reference(original, shot, "tasks", retired=True)
        assert (gone.entity_type, gone.entity_id) == ("Shot", None)

    def test_thumbnail_comes_twice(self, events: EventBuilder) -> None:
        """The first event is transient, the second is not; both are about the same record."""
        first, second = events.thumbnail("Version", meta={"more": 1}, id=4)
        assert (first.is_transient, second.is_transient) == (True, False)
        assert first.entity == second.entity
        assert (first.id, second.id, first["meta"]["more"]) == (4, 5, 1)

    def test_reading_links_the_read_record(self, events: EventBuilder) -> None:
        """Its type and `meta` name no real record, but its link does."""
        event = events.reading({"type": "Note", "id": 4})
        assert (event.entity_type, event.entity_id) == ("Note", 4)
        assert events.reading("Note", retired=True).entity_id is None


class TestWhoAndWhere:
    """Users, scripts, projects and other contents of a row."""

    def test_scripts_and_sudo(self, events: EventBuilder) -> None:
        """A script is an ApiUser; `meta` names who acts as another user."""
        farm = events.script("farm")
        by_script = events.new("Shot", user=farm)
        behind = events.new("Shot", user=events.person("Ada Park"), sudo=farm)
        assert (by_script.script, behind.script) == ("farm", "farm")
        assert behind.sudo_user == farm
        assert events.new("Shot", user=None).user is None

    def test_projects(self, events: EventBuilder) -> None:
        """Replies, logins and some others have no project; a project is its own."""
        show = {"type": "Project", "id": 70, "name": "Show"}
        assert events.new("Shot").project == events.project
        assert events.new("Reply").project is events.login().project is None
        assert events.change(show, "name", "a", "Show").project == show
        assert events.new("Shot", project=None).project is None
        assert EventBuilder(project=show, user=show).new("Shot").project_id == 70

    def test_meta_as_text(self, events: EventBuilder) -> None:
        """A site sometimes sends `meta` as text, which an event reads the same way."""
        event = events.change("Task", "sg_status_list", "wtg", "ip", text_meta=True)
        assert isinstance(event.row["meta"], str)
        assert json.loads(event.row["meta"])["new_value"] == event.new_value == "ip"

    def test_more_fields_and_more_meta(self, events: EventBuilder) -> None:
        """A row can have any additional fields."""
        event = events.new(
            "Shot", fields={"user.HumanUser.login": "ada"}, meta={"x": 1}, session_uuid=None
        )
        assert event["user.HumanUser.login"] == "ada"
        assert (event["meta"]["x"], event.session_uuid) == (1, None)

    def test_studios_own_types(self, events: EventBuilder) -> None:
        """Any type, with or without a record, meta or underscores."""
        bare = events.other("StudioBackup")
        assert (bare.row["meta"], bare.entity, bare.action) == (None, None, None)
        event = events.other("Studio_Farm_Job_Done", "Shot", meta={"job": 4})
        assert (event.meta, event.entity_type) == ({"job": 4}, "Shot")
