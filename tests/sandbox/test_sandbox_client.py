"""The unmodified client works against the sandbox: reads, writes, sign-in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from shotgun_api3.shotgun import AuthenticationFault, Fault

from sgevents_core.sandbox import Sandbox

Connect = Callable[..., Any]
PROJECT = {"type": "Project", "id": 1}


def test_info_has_version_and_page_size(sg: Any) -> None:
    """`info` returns what the client needs: the version and the largest page."""
    assert sg.info()["api_max_entities_per_page"] == 500
    assert sg.server_caps.version >= (8, 0, 0)


def test_created_record_is_found_again(sg: Any) -> None:
    """`create` returns the values set, with the names of links; `find` returns the same."""
    project = sg.find_one("Project", [["name", "is", "Fox and Heron"]])
    created = sg.create("Shot", {"code": "new_010", "project": project}, ["sg_status_list"])
    named = {"type": "Project", "id": project["id"], "name": "Fox and Heron"}
    assert created == {
        "type": "Shot",
        "id": created["id"],
        "code": "new_010",
        "project": named,
        "sg_status_list": "wtg",
    }
    shown = sg.find_one(
        "Shot", [["id", "is", created["id"]]], ["code", "project", "sg_status_list"]
    )
    assert shown == created


def test_datetimes_come_in_local_time_with_a_zone(sg: Any) -> None:
    """A datetime is read back as it was written, timezone-aware."""
    at = datetime(2026, 1, 31, 12, 0, 0, tzinfo=timezone.utc)
    created = sg.create("Playlist", {"project": PROJECT, "code": "dailies", "sg_date_and_time": at})
    assert created["sg_date_and_time"] == at
    assert created["sg_date_and_time"].tzinfo is not None
    assert sg.find_one("Playlist", [["sg_date_and_time", "is", at]])["id"] == created["id"]


def test_update_answers_the_fields_set(sg: Any) -> None:
    """`update` returns type, id and the values set."""
    shot = sg.find_one("Shot", [])
    answer = sg.update("Shot", shot["id"], {"sg_status_list": "fin"})
    assert answer == {"type": "Shot", "id": shot["id"], "sg_status_list": "fin"}


def test_multi_entity_update_modes(sg: Any) -> None:
    """`add` and `remove` change a list of links, `set` replaces it."""
    ids = [asset["id"] for asset in sg.find("Asset", [], limit=3)]
    first, two, three = ({"type": "Asset", "id": asset_id} for asset_id in ids)
    shot = sg.create("Shot", {"project": PROJECT, "code": "x", "assets": [first]})

    def update(assets: list[dict[str, Any]], mode: str) -> list[int]:
        modes = {"assets": mode}
        answer = sg.update("Shot", shot["id"], {"assets": assets}, multi_entity_update_modes=modes)
        return [asset["id"] for asset in answer["assets"]]

    assert update([two, first], "add") == ids[:2]
    assert update([first, three], "remove") == ids[1:2]
    assert update([three], "set") == ids[2:]


def test_links_are_kept_at_both_ends(sg: Any) -> None:
    """A link also appears on the linked record, and moves when either end is changed."""
    first = sg.create("Sequence", {"project": PROJECT, "code": "one"})
    two = sg.create("Sequence", {"project": PROJECT, "code": "two"})
    shot = sg.create("Shot", {"project": PROJECT, "code": "x", "sg_sequence": first})

    def shots(sequence: dict[str, Any]) -> list[str]:
        sequence_shown = sg.find_one("Sequence", [["id", "is", sequence["id"]]], ["shots"])
        return [link["name"] for link in sequence_shown["shots"]]

    assert shots(first) == ["x"]
    sg.update("Sequence", two["id"], {"shots": [shot]})
    assert (shots(first), shots(two)) == ([], ["x"])
    sg.update("Shot", shot["id"], {"sg_sequence": None})
    assert (shots(first), shots(two)) == ([], [])


def test_delete_and_revive(sg: Any) -> None:
    """A retired record is found only with `retired_only`; links to it return with its revival."""
    shot = sg.create("Shot", {"project": PROJECT, "code": "x"})
    task = sg.create("Task", {"project": PROJECT, "content": "comp", "entity": shot})
    byid = [["id", "is", shot["id"]]]
    assert sg.delete("Shot", shot["id"]) is True
    assert sg.delete("Shot", shot["id"]) is False
    assert sg.find_one("Shot", byid) is None
    assert sg.find_one("Shot", byid, ["code"], retired_only=True)["code"] == "x"
    byid_task = [["id", "is", task["id"]]]
    assert sg.find_one("Task", byid_task, ["entity"])["entity"] is None
    assert sg.find_one("Task", [*byid_task, ["entity", "is", None]])
    assert sg.find_one("Task", [*byid_task, ["entity", "is", shot]]) is None
    assert sg.revive("Shot", shot["id"]) is True
    assert sg.revive("Shot", shot["id"]) is False
    assert sg.find_one("Task", byid_task, ["entity"])["entity"]["name"] == "x"
    assert sg.find_one("Task", [*byid_task, ["entity", "is", shot]])


def test_batch_does_all_kinds_at_once(sg: Any, site: Sandbox) -> None:
    """A batch creates, updates and deletes in order; its event ids are consecutive."""
    shot = sg.find_one("Shot", [])
    before = site.log.highest_id
    results = sg.batch(
        [
            {
                "request_type": "create",
                "entity_type": "Shot",
                "data": {"code": "b1", "project": PROJECT},
            },
            {
                "request_type": "update",
                "entity_type": "Shot",
                "entity_id": shot["id"],
                "data": {"code": "b2"},
            },
            {"request_type": "delete", "entity_type": "Shot", "entity_id": shot["id"]},
        ]
    )
    assert [results[0]["code"], results[1]["code"], results[2]] == ["b1", "b2", True]
    ids = [event_id for event_id in site.log.visible_ids() if event_id > before]
    assert ids == list(range(before + 1, before + 1 + len(ids)))


def test_failing_batch_leaves_nothing_but_used_ids(sg: Any, site: Sandbox) -> None:
    """If one request of a batch fails, none takes effect, and its event ids never appear."""
    shot = sg.find_one("Shot", [["code", "is", "sq010_sh010"]], ["sg_status_list", "assets"])
    asset = sg.find_one("Asset", [], ["shots"])
    before, following = site.log.visible_ids(), site.log.next_id
    requests = [
        {
            "request_type": "create",
            "entity_type": "Task",
            "data": {"content": "b", "entity": shot, "project": PROJECT},
        },
        {
            "request_type": "update",
            "entity_type": "Shot",
            "entity_id": shot["id"],
            "data": {"sg_status_list": "fin", "assets": []},
        },
        {"request_type": "delete", "entity_type": "Asset", "entity_id": asset["id"]},
        {"request_type": "delete", "entity_type": "Shot", "entity_id": 99_999},
    ]
    with pytest.raises(Fault, match=r"index 3 failed\.  All requests rolled back"):
        sg.batch(requests)
    assert site.log.visible_ids() == before
    assert site.log.next_id > following
    again = sg.find_one("Shot", [["id", "is", shot["id"]]], ["sg_status_list", "assets"])
    assert again == shot
    assert sg.find_one("Asset", [["id", "is", asset["id"]]], ["shots"]) == asset
    assert sg.find("Task", [["content", "is", "b"]]) == []


def test_wrong_key_is_an_authentication_fault(site: Sandbox, connect: Connect) -> None:
    """A wrong key and an unknown script are refused."""
    for name, key in ((site.script_name, "other-key"), ("nobody", site.api_key)):
        sg = connect(site, script_name=name, api_key=key)
        with pytest.raises(AuthenticationFault, match=f"script '{name}'"):
            sg.find("Shot", [])


def test_scripts_come_and_go(site: Sandbox, connect: Connect) -> None:
    """A second script may call until its key is revoked; a key can be changed."""
    site.add_script("render", "render-key")
    sg = connect(site, script_name="render", api_key="render-key")
    created = sg.create("Shot", {"project": PROJECT, "code": "x"}, ["created_by"])
    assert (created["created_by"]["type"], created["created_by"]["name"]) == (
        "ApiUser",
        "render 1.0",
    )
    site.revoke_script("render")
    with pytest.raises(AuthenticationFault):
        sg.find("Shot", [])
    site.add_script("render", "newer-key")
    renewed = connect(site, script_name="render", api_key="newer-key")
    assert renewed.find_one("ApiUser", [["firstname", "is", "render"]])["id"] == 2


def test_people_log_in_with_a_password(site: Sandbox, connect: Connect) -> None:
    """A person with a password may call and is the user of the events; a wrong one is refused."""
    site.add_password("ada", "demo-password")
    sg = connect(site, login="ada", password="demo-password")
    shot = sg.create("Shot", {"project": PROJECT, "code": "x"})
    rows = site.find("EventLogEntry", [["entity", "is", shot]], ["user"])
    assert {row["user"]["name"] for row in rows} == {"Ada Park"}
    wrong = connect(site, login="ada", password="other")
    with pytest.raises(AuthenticationFault):
        wrong.find("Shot", [])


def test_session_uuid_stands_on_the_events_it_causes(sg: Any, site: Sandbox) -> None:
    """The client's `session_uuid` is on each row that its calls cause, and on no other."""
    sg.set_session_uuid("5a1f2a1e-0000-4000-8000-000000000001")
    marked = sg.create("Shot", {"project": PROJECT, "code": "x"})
    plain = site.create("Shot", {"code": "y"})

    def sessions(shot: dict[str, Any]) -> set[str | None]:
        rows = site.find("EventLogEntry", [["entity", "is", shot]], ["session_uuid"])
        return {row["session_uuid"] for row in rows}

    assert sessions(marked) == {"5a1f2a1e-0000-4000-8000-000000000001"}
    assert sessions(plain) == {None}


def test_sudo_names_both(site: Sandbox, connect: Connect) -> None:
    """With `sudo_as_login`, the person is the user of the events, and `meta` names the script."""
    options = {"script_name": site.script_name, "api_key": site.api_key}
    sg = connect(site, sudo_as_login="bruno", **options)
    shot = sg.create("Shot", {"project": PROJECT, "code": "x"})
    rows = site.find("EventLogEntry", [["entity", "is", shot]], ["user", "meta"])
    assert {row["user"]["name"] for row in rows} == {"Bruno Silva"}
    assert {row["meta"]["sudo_actual_user"]["name"] for row in rows} == {f"{site.script_name} 1.0"}
    nobody = connect(site, sudo_as_login="nobody", **options)
    with pytest.raises(AuthenticationFault):
        nobody.find("Shot", [])


def test_update_of_a_retired_record_is_refused(sg: Any) -> None:
    """A retired record cannot be changed."""
    shot = sg.create("Shot", {"project": PROJECT, "code": "x"})
    sg.delete("Shot", shot["id"])
    with pytest.raises(Fault, match="is retired"):
        sg.update("Shot", shot["id"], {"code": "y"})


def test_unknown_fields_to_return_are_left_out(sg: Any) -> None:
    """Fields that do not exist are left out, and paths through many or a wrong type."""
    shot = sg.find_one("Shot", [], ["nope", "assets.Asset.code", "sg_sequence.Asset.code"])
    assert shot == {"type": "Shot", "id": 1}
    task = sg.find_one("Task", [["entity", "type_is", "Shot"]], ["entity.Asset.code"])
    assert task["entity.Asset.code"] is None


def test_paths_lead_through_links(sg: Any) -> None:
    """Dotted paths reach linked records, several links away, in fields and in filters."""
    path = "entity.Shot.sg_sequence.Sequence.code"
    filters = [[path, "is", "sq020"], ["content", "is", "Comp"]]
    tasks = sg.find("Task", filters, [path, "entity.Shot.code", "entity.Shot.project"])
    assert [task["entity.Shot.code"] for task in tasks] == [
        f"sq020_sh{number:03d}" for number in (10, 20, 30, 40)
    ]
    assert {task[path] for task in tasks} == {"sq020"}
    assert tasks[0]["entity.Shot.project"]["name"] == "Fox and Heron"
    through_many = sg.find("Sequence", [["shots.Shot.code", "ends_with", "10_sh020"]], ["code"])
    assert [sequence["code"] for sequence in through_many] == ["sq010"]


def test_retired_record_is_found_from_its_event(sg: Any, site: Sandbox) -> None:
    """`$FROM$EventLogEntry.entity.id` finds the record of an event, even if it is retired."""
    task = sg.create("Task", {"project": PROJECT, "content": "roto"})
    event = sg.find_one("EventLogEntry", [["entity", "is", task]])
    path = [["$FROM$EventLogEntry.entity.id", "is", event["id"]]]
    assert sg.find_one("Task", path, ["content"])["content"] == "roto"
    sg.delete("Task", task["id"])
    assert sg.find_one("Task", path) is None
    assert sg.find_one("Task", path, retired_only=True)["id"] == task["id"]
    site.hide([event["id"]], site.script_name)
    assert sg.find_one("Task", path, retired_only=True) is None
    others = [["$FROM$Task.entity.content", "is", "Rig"]]
    assert {asset["type"] for asset in sg.find("Asset", others)} == {"Asset"}
    assert sg.find("Shot", others) == []


def test_archived_projects_can_be_left_out(sg: Any) -> None:
    """`include_archived_projects=False` omits archived projects and everything in them."""
    old = sg.find_one("Project", [["archived", "is", True]])
    shot = sg.create("Shot", {"code": "old_010", "project": old})
    byid = [["id", "is", shot["id"]]]
    assert sg.find_one("Shot", byid) is not None
    assert sg.find_one("Shot", byid, include_archived_projects=False) is None
    names = sg.find("Project", [], ["name"], include_archived_projects=False)
    assert [project["name"] for project in names] == ["Fox and Heron"]
    count = [{"field": "id", "type": "count"}]
    without = sg.summarize("Shot", byid, count, include_archived_projects=False)
    assert without["summaries"] == {"id": 0}
    assert sg.find("Status", [], include_archived_projects=False) == sg.find("Status", [])


def test_http_connections_are_reused(sg: Any, site: Sandbox) -> None:
    """A client makes all its calls over one connection."""
    sg.find("Shot", [])
    connection = next(iter(sg._connection.connections.values()))
    socket = connection.sock
    sg.find("Shot", [])
    assert connection.sock is socket


def test_site_takes_its_time_from_the_clock(connect: Connect) -> None:
    """All timestamps come from the clock that the site is given."""
    noon = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
    now = [noon]
    with Sandbox(project=False, clock=lambda: now[0]) as site:
        sg = connect(site)
        project = sg.create("Project", {"name": "p"})
        shot = sg.create("Shot", {"project": project, "code": "x"}, ["created_at"])
        now[0] = noon + timedelta(hours=1)
        sg.update("Shot", shot["id"], {"code": "y"})
        rows = sg.find("EventLogEntry", [], ["created_at"])
    assert shot["created_at"] == noon
    assert (rows[0]["created_at"], rows[-1]["created_at"]) == (noon, noon + timedelta(hours=1))
