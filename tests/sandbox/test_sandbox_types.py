"""Entity types and fields: the standard ones, a studio's file, the requirements of a create."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli
from click.testing import CliRunner
from shotgun_api3.shotgun import Fault

from sgevents_core.cli.root import sgevents
from sgevents_core.errors import TypesFileError
from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.refused_calls import RefusedCallError
from sgevents_core.sandbox.types_file import FieldTable, TypeTable

Connect = Callable[..., Any]
PAGE = (Path(__file__).parents[2] / "docs/reference/sandbox.md").read_text("utf-8")
STANDARD = (
    *("TaskTemplate", "TaskDependency", "PublishedFileType", "PublishedFileDependency", "Page"),
    *("LocalStorage", "Delivery", "Cut", "CutItem", "TimeLog", "Ticket", "Phase", "Booking"),
    *("Episode", "Scene", "Level", "Element", "Software", "PipelineConfiguration", "Milestone"),
    *("FilesystemLocation", "PlaylistVersionConnection", "AssetShotConnection", "Revision"),
    *("CustomEntity30", "CustomNonProjectEntity15"),
    *("Camera", "Slate", "ShootDay", "Launch", "Icon", "PermissionRuleSet", "ActionMenuItem"),
)


def site_with(tmp_path: Path, text: str) -> Sandbox:
    """A site with the types of a file."""
    path = tmp_path / "types.toml"
    path.write_text(text, "utf-8")
    return Sandbox(project=False, types=[path])


def test_the_standard_types_are_there(sg: Any) -> None:
    """All standard names that a pipeline uses exist."""
    assert set(STANDARD) <= set(sg.schema_entity_read())


def test_every_link_of_the_schema_leads_somewhere(empty: Sandbox) -> None:
    """Types that a field links to exist, and so does the field at the other end of a link."""
    schema = empty.database.schema
    for kind in schema:
        for field in kind.fields.values():
            assert all(name in schema for name in field.valid_types), (kind.name, field)
            if field.back_field and len(field.valid_types) == 1:
                other = schema.required_type("read", field.valid_types[0]).fields[field.back_field]
                assert other.back_field == field.name, (kind.name, field.name)


def test_a_file_adds_types_and_fields(tmp_path: Path, connect: Connect) -> None:
    """The example of the reference works: fields of a known type, a type with a name of its own."""
    text = re.search(r"```toml\n(\[Shot\.fields\].*?)```", PAGE, re.DOTALL)
    assert text
    with site_with(tmp_path, text[1]) as site:
        sg = connect(site)
        project = sg.create("Project", {"name": "p"})
        shot = sg.create("Shot", {"code": "x", "project": project}, ["sg_priority"])
        assert shot["sg_priority"] == "Low"
        with pytest.raises(Fault, match="'Mid' is not a valid list value"):
            sg.update("Shot", shot["id"], {"sg_priority": "Mid"})
        setup = {"code": "A", "project": project, "sg_shots": [shot]}
        created = sg.create("CustomEntity01", setup)
        assert created["sg_shots"][0]["name"] == "x"
        assert sg.schema_entity_read()["CustomEntity01"]["name"]["value"] == "Camera Setup"


def test_names_of_a_file_are_used(tmp_path: Path) -> None:
    """A type states which field names its records, how they are shown, and their default name."""
    text = """
        [CustomNonProjectEntity01]
        named_by = "sg_serial"
        shown_as = "{sg_serial} ({id})"
        new_name = "Unit {id}"
        [CustomNonProjectEntity01.fields]
        sg_serial = "text"
    """
    with site_with(tmp_path, text) as site:
        site.create("CustomNonProjectEntity01", {})
        site.create("CustomNonProjectEntity01", {"sg_serial": "A7"})
        records_found = site.find("CustomNonProjectEntity01", [], ["cached_display_name"])
        assert [row["cached_display_name"] for row in records_found] == ["Unit 1 (1)", "A7 (2)"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[Shot", "this is not TOML"),
        ("Shot = 1", r"\[Shot\]: a table is expected here"),
        ("[Shot]\nfields = 1", r"\[Shot\]: a table is expected here"),
        ("[Shot]\nname = 'x'", r"\[Shot\]: Object contains unknown field `name`"),
        ("[Shot.fields]\nsg_x = 'txt'", "Shot.sg_x: no type 'txt'; did you mean 'text'"),
        ("[Shot.fields]\nsg_x = 'zzz'", "Shot.sg_x: no type 'zzz'; known are .*multi_entity"),
        ("[Shot.fields]\nsg_x = {}", "Shot.sg_x: Object missing required field `type`"),
        ("[Shot.fields]\nsg_x = {type = 'text', links = 'Shot'}", "Shot.sg_x: Expected `array`"),
    ],
)
def test_mistakes_in_a_file_are_reported(tmp_path: Path, text: str, message: str) -> None:
    """A mistake is reported with the file and its location."""
    with pytest.raises(TypesFileError, match=message) as error:
        site_with(tmp_path, text)
    assert str(tmp_path / "types.toml") in str(error.value)


def test_the_command_takes_files(tmp_path: Path) -> None:
    """A file that cannot be read is reported in a sentence, with exit code 2."""
    done = CliRunner().invoke(sgevents, ["sandbox", "--types", str(tmp_path / "none.toml")])
    assert done.exit_code == 2
    assert "none.toml" in done.output
    assert "No such file" in done.output


def test_the_reference_names_each_key() -> None:
    """All keys of a type and of a field are documented."""
    for table in (TypeTable, FieldTable):
        assert all(f"`{name}`" in PAGE for name in table.__struct_fields__)
    assert tomli.loads("[Shot.fields]")  # the form is TOML, read by the daemon's own reader


NEEDS_PROJECT = (
    *("Shot", "Asset", "Sequence", "Version", "Task", "Playlist", "PublishedFile", "Note"),
    *("TimeLog", "Delivery", "Cut", "CustomEntity01"),
)


@pytest.mark.parametrize("entity_type", NEEDS_PROJECT)
def test_a_project_is_needed(sg: Any, entity_type: str) -> None:
    """Records of these types cannot be created without a project, alone or in a batch."""
    with pytest.raises(Fault, match=r"API create\(\) missing 'project' attribute: \{\}"):
        sg.create(entity_type, {})
    request = {"request_type": "create", "entity_type": entity_type, "data": {}}
    with pytest.raises(Fault, match="missing 'project' attribute"):
        sg.batch([request])


@pytest.mark.parametrize("entity_type", ["Page", "Reply", "Tag", "TaskTemplate", "LocalStorage"])
def test_types_of_the_whole_site_need_none(sg: Any, entity_type: str) -> None:
    """Records that need no project are created without one."""
    assert sg.create(entity_type, {})["id"]


@pytest.mark.parametrize(
    ("entity_type", "field", "name"),
    [
        ("Shot", "code", "New Shot {}"),
        ("Task", "content", "New Task {}"),
        ("PublishedFile", "code", "New Published File {}"),
        ("Delivery", "title", "New Delivery {}"),
        ("TaskTemplate", "code", "New TaskTemplate {}"),
        ("TimeLog", "description", "New Time Log"),
        ("Note", "subject", None),
    ],
)
def test_records_get_default_names(
    site: Sandbox, sg: Any, entity_type: str, field: str, name: str | None
) -> None:
    """A record without a name gets the name that a site gives it, with a row in the log."""
    project = {} if entity_type == "TaskTemplate" else {"project": {"type": "Project", "id": 1}}
    created = sg.create(entity_type, project, [field])
    assert created[field] == (name and name.format(created["id"]))
    filters = [["attribute_name", "is", field], ["entity", "is", created]]
    assert bool(sg.find_one("EventLogEntry", filters)) is (name is not None)


@pytest.mark.parametrize("value", ["", None])
def test_a_code_is_never_empty(sg: Any, value: str | None) -> None:
    """An empty code is refused in a create and in an update; a task's content may be empty."""
    project = {"type": "Project", "id": 1}
    with pytest.raises(Fault, match=r"Cannot set identifier field to empty. \(Shot\)"):
        sg.create("Shot", {"project": project, "code": value})
    with pytest.raises(Fault, match="Cannot set identifier field to empty"):
        sg.update("Shot", 1, {"code": value})
    assert sg.create("Task", {"project": project, "content": value})["content"] is None


def test_names_of_links_are_those_shown(site: Sandbox, sg: Any) -> None:
    """A delivery is named with its number, in links and as `cached_display_name`."""
    project = {"type": "Project", "id": 1}
    created = sg.create(
        "Delivery", {"title": "Reel 1", "project": project}, ["cached_display_name"]
    )
    assert created["cached_display_name"] == f"#{created['id']}: Reel 1"
    sg.create("Reply", {"content": "x", "entity": created})
    reply = sg.find_one("Reply", [["entity", "is", created]], ["entity"])
    assert reply["entity"]["name"] == created["cached_display_name"]


def test_values_that_a_site_fills_in(site: Sandbox, sg: Any) -> None:
    """A version gets its creator as user, a time log the date, a storage a uuid."""
    project = {"type": "Project", "id": 1}
    version = sg.create("Version", {"project": project}, ["user", "created_by"])
    assert version["user"] == version["created_by"]
    log = sg.create("TimeLog", {"project": project}, ["date"])
    assert log["date"] == site.database.clock().date().isoformat()
    storage = sg.create("LocalStorage", {"code": "x"}, ["uuid"])
    assert sg.find_one("LocalStorage", [["uuid", "is", storage["uuid"]]])["id"] == storage["id"]


@pytest.mark.parametrize(
    ("values", "name", "parts"),
    [
        ({"firstname": "Gus", "lastname": "Lind"}, "Gus Lind", ("Gus", "Lind")),
        ({"name": "Gus Lind Ek"}, "Gus Lind Ek", ("Gus", "Lind Ek")),
        ({"name": "Gus"}, "Gus", ("Gus", None)),
        ({"login": "gus"}, None, (None, None)),
    ],
)
def test_names_of_people(
    site: Sandbox, values: dict[str, str], name: str | None, parts: tuple[str | None, str | None]
) -> None:
    """A person's name is composed from its parts, or the parts are taken from the name."""
    created = site.create("HumanUser", values)
    fields = ["name", "firstname", "lastname"]
    read = site.find("HumanUser", [["id", "is", created["id"]]], fields)[0]
    assert (read["name"], (read["firstname"], read["lastname"])) == (name, parts)


@pytest.mark.parametrize(
    ("entity_type", "field"),
    [("HumanUser", "login"), ("Project", "name"), ("LocalStorage", "code")],
)
def test_some_values_are_unique(site: Sandbox, entity_type: str, field: str) -> None:
    """Two live records cannot have the same login, project name or storage; a retired one can."""
    first = site.create(entity_type, {field: "twin"})
    other = site.create(entity_type, {field: "other"})
    site.update(entity_type, first["id"], {field: "twin"})
    with pytest.raises(RefusedCallError, match="is required to be unique"):
        site.create(entity_type, {field: "twin"})
    with pytest.raises(RefusedCallError, match="is required to be unique"):
        site.update(entity_type, other["id"], {field: "twin"})
    site.delete(entity_type, first["id"])
    site.update(entity_type, other["id"], {field: "twin"})


def test_links_are_read_by_name(site: Sandbox) -> None:
    """Several links are sorted by name, whatever order they were written in; replies by age."""
    versions = [site.create("Version", {"code": code}) for code in ("c", "a", "B")]
    playlist = site.create("Playlist", {"versions": versions})
    assert [link["name"] for link in playlist["versions"]] == ["a", "B", "c"]
    note = site.create("Note", {"content": "x"})
    for content in ("z", "y"):
        site.create("Reply", {"content": content, "entity": note})
    replies = site.find("Note", [["id", "is", note["id"]]], ["replies"])[0]["replies"]
    assert [link["name"] for link in replies] == ["z", "y"]


def test_a_task_without_content_is_a_dash(site: Sandbox) -> None:
    """It is named "-" where it is linked."""
    task = site.create("Task", {"content": None})
    version = site.create("Version", {"sg_task": task})
    assert version["sg_task"]["name"] == "-"


def test_passwords_are_never_shown(site: Sandbox, connect: Connect) -> None:
    """A written password lets its person log in; it reads as asterisks, in the log too."""
    values = {"name": "Gus", "login": "gus", "password_proxy": "a demo password"}
    person = site.create("HumanUser", values)
    sg = connect(site, login="gus", password="a demo password")
    assert sg.find_one("HumanUser", [["id", "is", person["id"]]], ["password_proxy"]) == {
        **{"type": "HumanUser", "id": person["id"]},
        "password_proxy": "*******",
    }
    assert "a demo password" not in str(site.event_rows())
    with pytest.raises(Fault, match="cannot be used in a filter"):
        sg.find("HumanUser", [["password_proxy", "is", "x"]])


@pytest.mark.parametrize(
    ("sent", "storage"),
    [
        ({"local_path": "/mnt/projects/fah/a.ma"}, "primary"),
        ({"local_path": "P:/projects/fah/a.ma"}, "primary"),
        ({"local_path": "/mnt/projects/deep/fah/a.ma"}, "deep"),
        (
            {"relative_path": "fah/a.ma", "local_storage": {"type": "LocalStorage", "id": 1}},
            "primary",
        ),
    ],
)
def test_a_path_in_a_storage(site: Sandbox, sg: Any, sent: Any, storage: str) -> None:
    """A path has a value for each platform for which the deepest matching storage has a root."""
    site.create("LocalStorage", {"code": "deep", "linux_path": "/mnt/projects/deep/"})
    values = {"code": "a.ma", "project": {"type": "Project", "id": 1}, "path": sent}
    created = site.create("PublishedFile", values)["path"]
    assert (created["link_type"], created["relative_path"]) == ("local", "fah/a.ma")
    assert created["local_storage"]["name"] == storage
    linux = "/mnt/projects/deep/fah/a.ma" if storage == "deep" else "/mnt/projects/fah/a.ma"
    assert created["local_path_linux"] == linux
    windows = None if storage == "deep" else "P:\\projects\\fah\\a.ma"
    assert created["local_path_windows"] == windows
    assert (created["name"], created["type"], "url" in created) == ("a.ma", "Attachment", False)


def test_a_path_in_no_storage_is_refused(site: Sandbox) -> None:
    """A path outside all roots is refused."""
    with pytest.raises(RefusedCallError, match="doesn't match any defined Local"):
        site.create("PublishedFile", {"path": {"local_path": "/tmp/x.ma"}})
