"""What a write brings with it: tasks of a template, connections, dependencies, sums."""

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
    made = site.create("TaskTemplate", {"code": "small", "entity_type": "Shot"})
    step = {"type": "Step", "id": 1}
    first = {"content": "anim", "step": step, "est_in_mins": 600, "task_template": made}
    one = site.create("Task", {**first, "task_assignees": [{"type": "HumanUser", "id": 2}]})
    two = site.create("Task", {"content": "comp", "task_template": made})
    ends = {"task": two, "dependent_task": one, "offset_days": 2}
    site.create("TaskDependency", {**ends, "dependency_type": "start-to-start"})
    return made


def tasks_of(site: Sandbox, shot: Any, *fields: str) -> list[dict[str, Any]]:
    """The tasks of a shot, in the order made."""
    return site.find("Task", [["entity", "is", shot]], ["content", *fields])


def test_a_template_makes_tasks_at_creation(
    site: Sandbox, sg: Any, template: dict[str, Any]
) -> None:
    """A shot made with a template has its tasks at once, alone and in a batch, links and all."""
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
    told = Counter((row["event_type"], row["attribute_name"]) for row in rows)
    assert told["Shotgun_Task_New", None] == told["Shotgun_Task_Change", "template_task"] == 2
    assert told["Shotgun_Shot_Change", "task_template"] == 1
    assert told["Shotgun_Shot_Change", "tasks"] == 2
    assert told["Shotgun_TaskDependency_New", None] == 1
    for name in ("task", "dependent_task"):
        assert told["Shotgun_TaskDependency_Change", name] == 1
    assert told["Shotgun_Task_Change", "upstream_tasks"] == 1
    assert told["Shotgun_Task_Change", "downstream_tasks"] == 1
    assert {row["user"]["name"] for row in rows} == {"Ada Park"}
    tasks = [row for row in rows if row["attribute_name"] == "tasks"]
    assert all(row["meta"]["in_create"] and row["entity"]["id"] == shot["id"] for row in tasks)


def test_a_changed_template_adds_what_is_missing(site: Sandbox, template: dict[str, Any]) -> None:
    """Nothing is taken away or made twice; the same template again makes nothing."""
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
    """Each version of a playlist stands in a row that holds its order, while it is linked."""
    one, two = (site.create("Version", {"code": code, "project": PROJECT}) for code in "ab")
    playlist = sg.create("Playlist", {"project": PROJECT, "versions": [one, two]})
    fields = ["version", "sg_sort_order"]
    where = [["playlist", "is", playlist]]
    first, second = sg.find("PlaylistVersionConnection", where, fields)
    assert (first["version"]["name"], first["sg_sort_order"]) == ("a", None)
    sg.update("PlaylistVersionConnection", second["id"], {"sg_sort_order": 1})
    sg.update("Playlist", playlist["id"], {"versions": [two, one]})
    assert [row["id"] for row in sg.find("PlaylistVersionConnection", where)] == [
        first["id"],
        second["id"],
    ]
    sg.update("Version", two["id"], {"playlists": []})
    sg.update("Version", two["id"], {"playlists": [playlist]})
    again = sg.find("PlaylistVersionConnection", [*where, ["version", "is", two]], fields)
    assert [(row["id"] > second["id"], row["sg_sort_order"]) for row in again] == [(True, None)]
    values = {"playlist": playlist, "version": one}
    with pytest.raises(Fault, match="There is already a connection between the entities"):
        sg.create("PlaylistVersionConnection", values)
    assert not any("Connection_New" in row["event_type"] for row in site.event_rows())


def test_a_connection_makes_the_link(site: Sandbox, sg: Any) -> None:
    """A row that is made, retired or brought back makes, ends and renews the link."""
    version = site.create("Version", {"code": "a", "project": PROJECT})
    playlist = site.create("Playlist", {"code": "p", "project": PROJECT})
    values = {"playlist": playlist, "version": version, "sg_sort_order": 3}
    row = sg.create("PlaylistVersionConnection", values)
    assert row["sg_sort_order"] == 3

    def linked() -> list[int]:
        found = sg.find_one("Playlist", [["id", "is", playlist["id"]]], ["versions"])
        return [one["id"] for one in found["versions"]]

    assert linked() == [version["id"]]
    assert sg.delete("PlaylistVersionConnection", row["id"]) is True
    assert linked() == []
    assert sg.revive("PlaylistVersionConnection", row["id"]) is True
    assert linked() == [version["id"]]
    with pytest.raises(Fault, match="missing 'playlist' or 'version' attribute"):
        sg.create("PlaylistVersionConnection", {"playlist": playlist})


def test_a_failed_batch_leaves_no_connection(site: Sandbox, sg: Any) -> None:
    """What a rolled-back write had connected is not connected."""
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
    """They retire with it, the neighbours are not bridged, and all of it comes back with it."""
    a, b, c = (site.create("Task", {"content": name, "project": PROJECT}) for name in "abc")
    site.update("Task", b["id"], {"upstream_tasks": [a], "downstream_tasks": [c]})
    ids = [row["id"] for row in site.find("TaskDependency")]
    assert len(ids) == 2

    def upstream() -> list[str]:
        return [one["name"] for one in tasks("upstream_tasks", c)]

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
    """Versions that hang off it retire with it, told in the log; tasks only lose their link."""
    shot = site.create("Shot", {"code": "x", "project": PROJECT})
    version = site.create("Version", {"code": "v", "entity": shot, "project": PROJECT})
    task = site.create("Task", {"content": "t", "entity": shot, "project": PROJECT})
    site.delete("Shot", shot["id"])
    assert site.find("Version", [["id", "is", version["id"]]]) == []
    assert site.find("Task", [["id", "is", task["id"]]], ["entity"])[0]["entity"] is None
    assert site.find("EventLogEntry", [["event_type", "is", "Shotgun_Version_Retirement"]])


def test_sums_are_computed(site: Sandbox) -> None:
    """A task's time logs are summed up against its estimate; open notes are counted."""
    task = site.create("Task", {"content": "t", "est_in_mins": 600, "project": PROJECT})
    for minutes in (180, 60):
        site.create("TimeLog", {"entity": task, "duration": minutes, "project": PROJECT})
    fields = ["time_logs_sum", "time_vs_est", "time_percent_of_est"]
    found = site.find("Task", [["id", "is", task["id"]]], fields)[0]
    assert [found[name] for name in fields] == [240, 360, 40]
    shot = site.create("Shot", {"code": "x", "project": PROJECT})
    for status in ("opn", "clsd"):
        note = {"note_links": [shot], "sg_status_list": status, "project": PROJECT}
        site.create("Note", note)
    read = site.find("Shot", [["id", "is", shot["id"]]], ["open_notes", "open_notes_count"])[0]
    assert (len(read["open_notes"]), read["open_notes_count"]) == (1, 1)
