"""The consequences of a write: tasks of a template, connections, dependencies, sums."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from shotgun_api3.shotgun import Fault

from sgevents_core.sandbox import Sandbox

PROJECT = {"type": "Project", "id": 1}


@pytest.fixture
def template(site: Sandbox) -> dict[str, Any]:
    """A template of two tasks, the second of which waits for the first."""
    created = site.create("TaskTemplate", {"code": "small", "entity_type": "Shot"})
    step = {"type": "Step", "id": 1}
    values = {"content": "anim", "step": step, "est_in_mins": 600, "task_template": created}
    first = site.create("Task", {**values, "task_assignees": [{"type": "HumanUser", "id": 2}]})
    second = site.create("Task", {"content": "comp", "task_template": created})
    ends = {"task": second, "dependent_task": first, "offset_days": 2}
    site.create("TaskDependency", {**ends, "dependency_type": "start-to-start"})
    return created


def tasks_of(site: Sandbox, shot: Any, *fields: str) -> list[dict[str, Any]]:
    """The tasks of a shot, in the order of creation."""
    return site.find("Task", [["entity", "is", shot]], ["content", *fields])


def test_a_template_makes_tasks_at_creation(
    site: Sandbox, sg: Any, template: dict[str, Any]
) -> None:
    """A shot created with a template has its tasks and their links at once, also in a batch."""
    values = {"code": "x", "project": PROJECT, "task_template": template}
    shot = sg.create("Shot", values)
    (other,) = sg.batch([{"request_type": "create", "entity_type": "Shot", "data": values}])
    fields = ("project", "step", "est_in_mins", "task_assignees", "upstream_tasks", "task_template")
    anim, comp = tasks_of(site, shot, *fields, "template_task")
    assert (anim["content"], comp["content"]) == ("anim", "comp")
    assert (anim["project"]["id"], anim["step"]["id"], anim["est_in_mins"]) == (1, 1, 600)
    assert [person["id"] for person in anim["task_assignees"]] == [2]
    assert (anim["task_template"], anim["template_task"]["name"]) == (None, "anim")
    assert [task["id"] for task in comp["upstream_tasks"]] == [anim["id"]]
    dependency = sg.find_one(
        "TaskDependency",
        [["task", "is", {"type": "Task", "id": comp["id"]}]],
        ["dependency_type", "offset_days", "cached_display_name"],
    )
    assert (dependency["dependency_type"], dependency["offset_days"]) == ("start-to-start", 2)
    name = f"Task {comp['id']} dependent on Task {anim['id']}"
    assert dependency["cached_display_name"] == name
    assert len(tasks_of(site, other)) == 2


def test_a_template_logs_like_work_by_hand(site: Sandbox, template: dict[str, Any]) -> None:
    """Each task has its `_New` and a `template_task` row; they are credited to the caller."""
    before = site.log.highest_id
    shot = site.create("Shot", {"project": PROJECT, "task_template": template}, user="ada")
    rows = [row for row in site.event_rows() if row["id"] > before]
    row_counts = Counter((row["event_type"], row["attribute_name"]) for row in rows)
    assert (
        row_counts["Shotgun_Task_New", None]
        == row_counts["Shotgun_Task_Change", "template_task"]
        == 2
    )
    assert row_counts["Shotgun_Shot_Change", "task_template"] == 1
    assert row_counts["Shotgun_Shot_Change", "tasks"] == 2
    assert row_counts["Shotgun_TaskDependency_New", None] == 1
    for name in ("task", "dependent_task"):
        assert row_counts["Shotgun_TaskDependency_Change", name] == 1
    assert row_counts["Shotgun_Task_Change", "upstream_tasks"] == 1
    assert row_counts["Shotgun_Task_Change", "downstream_tasks"] == 1
    assert {row["user"]["name"] for row in rows} == {"Ada Park"}
    tasks = [row for row in rows if row["attribute_name"] == "tasks"]
    assert all(row["meta"]["in_create"] and row["entity"]["id"] == shot["id"] for row in tasks)


def test_a_changed_template_adds_missing_tasks(site: Sandbox, template: dict[str, Any]) -> None:
    """Nothing is removed or created twice; the same template again creates nothing."""
    shot = site.create("Shot", {"project": PROJECT, "task_template": template})
    other = site.create("TaskTemplate", {"code": "other"})
    site.create("Task", {"content": "anim", "task_template": other})

    def after(value: Any) -> list[str]:
        site.update("Shot", shot["id"], {"task_template": value})
        return [task["content"] for task in tasks_of(site, shot)]

    assert after(other) == ["anim", "comp", "anim"]
    assert after(template) == after(None) == after(other) == ["anim", "comp", "anim"]
    site.delete("Task", tasks_of(site, shot)[1]["id"])
    assert after(other) == ["anim", "anim"]
    assert after(template) == ["anim", "anim", "comp"]


def test_tasks_of_a_template(site: Sandbox, sg: Any, template: dict[str, Any]) -> None:
    """They have no project, are counted, and retire with their template."""
    with pytest.raises(Fault, match="a task template may not have a project"):
        sg.create("Task", {"task_template": template, "project": PROJECT})
    assert (
        sg.find_one("TaskTemplate", [["id", "is", template["id"]]], ["task_count"])["task_count"]
        == 2
    )
    sg.delete("TaskTemplate", template["id"])
    assert sg.find("Task", [["content", "is", "anim"], ["project", "is", None]]) == []


def test_a_playlist_has_connections(site: Sandbox, sg: Any) -> None:
    """Each version of a playlist has a row with its order for as long as it is linked."""
    version_a, version_b = (
        site.create("Version", {"code": code, "project": PROJECT}) for code in "ab"
    )
    playlist = sg.create("Playlist", {"project": PROJECT, "versions": [version_a, version_b]})
    fields = ["version", "sg_sort_order"]
    where = [["playlist", "is", playlist]]
    first, second = sg.find("PlaylistVersionConnection", where, fields)
    assert (first["version"]["name"], first["sg_sort_order"]) == ("a", None)
    sg.update("PlaylistVersionConnection", second["id"], {"sg_sort_order": 1})
    sg.update("Playlist", playlist["id"], {"versions": [version_b, version_a]})
    assert [row["id"] for row in sg.find("PlaylistVersionConnection", where)] == [
        first["id"],
        second["id"],
    ]
    sg.update("Version", version_b["id"], {"playlists": []})
    sg.update("Version", version_b["id"], {"playlists": [playlist]})
    again = sg.find("PlaylistVersionConnection", [*where, ["version", "is", version_b]], fields)
    assert [(row["id"] > second["id"], row["sg_sort_order"]) for row in again] == [(True, None)]
    values = {"playlist": playlist, "version": version_a}
    with pytest.raises(Fault, match="There is already a connection between the entities"):
        sg.create("PlaylistVersionConnection", values)
    assert not any("Connection_New" in row["event_type"] for row in site.event_rows())


def test_a_connection_makes_the_link(site: Sandbox, sg: Any) -> None:
    """Creating, retiring or reviving a row creates, ends or restores its link."""
    version = site.create("Version", {"code": "a", "project": PROJECT})
    playlist = site.create("Playlist", {"code": "p", "project": PROJECT})
    values = {"playlist": playlist, "version": version, "sg_sort_order": 3}
    row = sg.create("PlaylistVersionConnection", values)
    assert row["sg_sort_order"] == 3

    def linked() -> list[int]:
        shown = sg.find_one("Playlist", [["id", "is", playlist["id"]]], ["versions"])
        return [version["id"] for version in shown["versions"]]

    assert linked() == [version["id"]]
    assert sg.delete("PlaylistVersionConnection", row["id"]) is True
    assert linked() == []
    assert sg.revive("PlaylistVersionConnection", row["id"]) is True
    assert linked() == [version["id"]]
    with pytest.raises(Fault, match="missing 'playlist' or 'version' attribute"):
        sg.create("PlaylistVersionConnection", {"playlist": playlist})


def test_a_failed_batch_leaves_no_connection(site: Sandbox, sg: Any) -> None:
    """Rolling back a write also removes its connections."""
    version = site.create("Version", {"code": "a", "project": PROJECT})
    data = {"code": "p", "project": PROJECT, "versions": [version]}
    before = len(site.find("PlaylistVersionConnection"))
    with pytest.raises(Fault, match="request with index 1 failed"):
        sg.batch(
            [
                {"request_type": "create", "entity_type": "Playlist", "data": data},
                {"request_type": "delete", "entity_type": "Shot", "entity_id": 99_999},
            ]
        )
    assert len(site.find("PlaylistVersionConnection")) == before


def test_a_retired_task_takes_its_dependencies(site: Sandbox, sg: Any) -> None:
    """They retire with the task, its neighbours are not linked, and all of them return with it."""
    a, b, c = (site.create("Task", {"content": name, "project": PROJECT}) for name in "abc")
    site.update("Task", b["id"], {"upstream_tasks": [a], "downstream_tasks": [c]})
    ids = [row["id"] for row in site.find("TaskDependency")]
    assert len(ids) == 2

    def upstream() -> list[str]:
        return [task["name"] for task in tasks("upstream_tasks", c)]

    def tasks(field: str, task: Any) -> Any:
        return sg.find_one("Task", [["id", "is", task["id"]]], [field])[field]

    assert upstream() == ["b"]
    site.delete("Task", b["id"])
    assert (upstream(), tasks("downstream_tasks", a)) == ([], [])
    assert site.find("TaskDependency") == []
    assert [row["id"] for row in site.find("TaskDependency", retired=True)] == ids
    site.revive("Task", b["id"])
    assert upstream() == ["b"]
    assert [row["id"] for row in site.find("TaskDependency")] == ids


def test_a_retired_shot_takes_its_versions(site: Sandbox) -> None:
    """Its versions retire with it, with rows in the log; its tasks only lose their link."""
    shot = site.create("Shot", {"code": "x", "project": PROJECT})
    version = site.create("Version", {"code": "v", "entity": shot, "project": PROJECT})
    task = site.create("Task", {"content": "t", "entity": shot, "project": PROJECT})
    site.delete("Shot", shot["id"])
    assert site.find("Version", [["id", "is", version["id"]]]) == []
    assert site.find("Task", [["id", "is", task["id"]]], ["entity"])[0]["entity"] is None
    assert site.find("EventLogEntry", [["event_type", "is", "Shotgun_Version_Retirement"]])


def test_sums_are_computed(site: Sandbox) -> None:
    """A task's time logs are summed and compared with its estimate; open notes are counted."""
    task = site.create("Task", {"content": "t", "est_in_mins": 600, "project": PROJECT})
    for minutes in (180, 60):
        site.create("TimeLog", {"entity": task, "duration": minutes, "project": PROJECT})
    fields = ["time_logs_sum", "time_vs_est", "time_percent_of_est"]
    shown = site.find("Task", [["id", "is", task["id"]]], fields)[0]
    assert [shown[name] for name in fields] == [240, 360, 40]
    shot = site.create("Shot", {"code": "x", "project": PROJECT})
    for status in ("opn", "clsd"):
        note = {"note_links": [shot], "sg_status_list": status, "project": PROJECT}
        site.create("Note", note)
    read = site.find("Shot", [["id", "is", shot["id"]]], ["open_notes", "open_notes_count"])[0]
    assert (len(read["open_notes"]), read["open_notes_count"]) == (1, 1)
