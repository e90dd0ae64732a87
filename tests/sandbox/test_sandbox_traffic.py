"""The project of a site, and its traffic."""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from typing import Any

import pytest
from waiting import PATIENCE

from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.traffic import STEP_WEIGHTS

NAMED = {
    "CRS_PlaylistShare_Create",
    "CRS_PlaylistShare_Revoke",
    "Shotgun_Attachment_View",
    "Shotgun_Big_Query",
    "Shotgun_DisplayColumn_Delete",
    "Shotgun_NotesApp_Summary_Email",
    "Shotgun_User_FailedLogin",
    "Shotgun_User_Login",
    "Shotgun_User_Logout",
    "Toolkit_Desktop_AppLaunch",
    "Toolkit_Desktop_ProjectLaunch",
    "ClientLogin_Failed",
    "SG_RV_Session_Validate_Success",
    "Shotgun_Version_View",
    "Shotgun_Preferences_Change",
    "Shotgun_PageSetting_Change",
    "Shotgun_Reading_Change",
}


def fixed() -> datetime:
    """A clock that stands still."""
    return datetime(2026, 5, 1, 12, tzinfo=timezone.utc)


def story(seed: int, steps: int = 60) -> list[dict[str, Any]]:
    """All rows of a site after some steps."""
    with Sandbox(seed=seed, clock=fixed) as site:
        for _ in range(steps):
            site.step()
        return site.event_rows()


def test_same_seed_same_story() -> None:
    """Project and traffic are the same for the same seed, row by row, and differ for another."""
    assert story(1) == story(1)
    assert story(1) != story(2)


def test_project_is_whole(site: Sandbox) -> None:
    """The project has people, sequences, shots, assets, tasks, versions, notes, playlists."""
    counts = {
        entity_type: len(site.find(entity_type))
        for entity_type in (
            *("HumanUser", "Project", "Sequence", "Shot", "Asset", "Step", "Task"),
            *("Version", "Note", "Reply", "Playlist"),
        )
    }
    assert all(counts.values())
    tasks = site.find("Task", [], ["entity", "step", "task_assignees", "project"])
    assert all(all(task.values()) for task in tasks)
    statuses = {task["sg_status_list"] for task in site.find("Task", [], ["sg_status_list"])}
    assert len(statuses) > 2
    shot = site.find("Shot", [["code", "is", "sq010_sh010"]], ["tasks", "sg_sequence"])[0]
    assert len(shot["tasks"]) == 5
    assert shot["sg_sequence"]["name"] == "sq010"


def test_project_lies_in_the_past(site: Sandbox) -> None:
    """The project's events are weeks old, in the order of their ids."""
    rows = site.find("EventLogEntry", [], ["created_at"])
    stamps = [row["created_at"] for row in rows]
    assert stamps == sorted(stamps)
    assert site.find("EventLogEntry", [["created_at", "in_last", 10, "DAY"]]) == []


def test_traffic_knows_all_kinds_of_events() -> None:
    """All event types that sites are known to write occur, with their peculiarities."""
    rows = [row for row in story(1, 900) if row["id"]]
    types = {row["event_type"] for row in rows}
    assert types >= NAMED
    endings = {event_type.rsplit("_", 1)[1] for event_type in types}
    assert {"New", "Change", "Retirement", "Revival"} <= endings
    assert any(row["meta"] is None for row in rows)
    assert any(isinstance(row["meta"], str) for row in rows)
    assert any(row["project"] is None for row in rows)
    assert any(row["user"] is None for row in rows)
    assert {"HumanUser", "ApiUser"} <= {row["user"]["type"] for row in rows if row["user"]}
    changes = [row["meta"] for row in rows if isinstance(row["meta"], dict)]
    assert {meta.get("is_transient") for meta in changes} >= {True, False}
    assert any("actual_attribute_changed" in meta for meta in changes)
    assert any(row["entity"] is None and row["meta"] for row in rows)
    assert any(row["session_uuid"] for row in rows)


@pytest.mark.parametrize("kind", STEP_WEIGHTS)
def test_each_step_writes_events(kind: str, shared: Sandbox) -> None:
    """Every kind of step writes at least one visible row."""
    ids = shared.step(kind)
    assert ids
    assert set(ids) <= set(shared.log.visible_ids())


@pytest.fixture(scope="module")
def shared() -> Any:
    """One site for all kinds of steps."""
    with Sandbox() as site:
        yield site


def test_steps_need_no_project(empty: Sandbox) -> None:
    """On a site without records, the traffic consists of logins."""
    for kind in STEP_WEIGHTS:
        assert empty.step(kind)


def test_traffic_at_a_rate(site: Sandbox) -> None:
    """Traffic causes events while it runs, and none afterwards."""
    before = site.log.highest_id
    enough = threading.Event()
    commit = site.log.commit

    def watched(rows: Any) -> None:
        commit(rows)
        if site.log.highest_id > before + 50:
            enough.set()

    site.log.commit = watched  # type: ignore[method-assign]  # to wait for it without sleeping
    with site.traffic(2_000) as flow:
        assert enough.wait(PATIENCE)
    assert flow.events >= 50
    after = site.log.next_id
    assert flow.stop() == flow.events
    assert site.log.next_id == after


def test_traffic_meets_faults(site: Sandbox) -> None:
    """Transactions of the traffic can be late or lost like any other."""
    site.faults.add("commit-never", probability=0.5)
    steps = [site.step("status") for _ in range(40)]
    shown = set(site.log.visible_ids())
    lost = [ids for ids in steps if not set(ids) & shown]
    assert 5 < len(lost) < 35
    assert all(not set(ids) & shown or set(ids) <= shown for ids in steps)
