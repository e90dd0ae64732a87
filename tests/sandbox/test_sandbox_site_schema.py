"""The schema of a site, used by a sandbox: from the command line, and as a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from sandbox_command import connect_client, running_sandbox

from sgevents_core.cli.root import sgevents
from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.entity_schema import Field
from sgevents_core.sandbox.site_schema import schema_tables, types_file_text
from sgevents_core.sandbox.types_file import FieldTable, TypeTable, parse_types_file

Connect = Callable[..., Any]


@pytest.fixture
def studio() -> Iterator[Sandbox]:
    """A site with fields, a type and lists of its own."""
    with Sandbox(project=False, api_key="studio-demo-key") as site:
        site.add_field("Shot", Field("sg_pack", "list", "Pack", valid_values=("A", 'B "2"')))
        site.add_field("Shot", Field("sg_lead", "entity", "Lead", ("HumanUser",)))
        site.add_field("Task", Field("sg_status_list", "status_list", "Status", (), ("go", "no")))
        yield site


@pytest.fixture
def config(studio: Sandbox, tmp_path: Path) -> Path:
    """A configuration that names that site."""
    path = tmp_path / "sgevents.toml"
    script = f'script_name = "{studio.script_name}"\napi_key = "{studio.api_key}"'
    path.write_text(f'[site]\nurl = "{studio.url}"\n{script}\n', "utf-8")
    return path


def run(*options: str) -> Result:
    """Run the command until it exits."""
    return CliRunner().invoke(sgevents, ["sandbox", *options])


def test_a_schema_is_written_to_a_file(
    studio: Sandbox, config: Path, tmp_path: Path, connect: Connect
) -> None:
    """The written file gives a sandbox the site's types and fields, in another process too."""
    types = tmp_path / "types.toml"
    done = run("--schema-of", str(config), "--write-types", str(types))
    assert done.exit_code == 0, done.output
    assert f"{types}: " in done.output
    assert studio.api_key not in types.read_text("utf-8")
    with Sandbox(types=[types]) as site:
        sg, there = connect(site), connect(studio)
        assert sg.schema_field_read("Shot") == there.schema_field_read("Shot")
        site_schema, theirs = sg.schema_read(), there.schema_read()
        assert {kind: set(fields) for kind, fields in site_schema.items()} == {
            kind: set(fields) for kind, fields in theirs.items()
        }
        assert {task["sg_status_list"] for task in site.find("Task", [], ["sg_status_list"])} == {
            None
        }
        sequence = site.find("Sequence", [], ["shots"])[0]
        assert sequence["shots"], "links keep their other end"


def test_a_file_is_never_written_over(config: Path, tmp_path: Path) -> None:
    """An existing file, or one in a missing folder, is reported by name, with exit code 2."""
    for path in (config, tmp_path / "none" / "types.toml"):
        done = run("--schema-of", str(config), "--write-types", str(path))
        assert done.exit_code == 2
        assert f"{path} cannot be written" in done.output.replace("\n", " ")


def test_a_schema_is_used_at_once(config: Path) -> None:
    """Without a file the sandbox has the site's schema from the start."""
    with running_sandbox("--schema-of", str(config), "--no-project", "--port", "0") as (
        _process,
        values,
    ):
        sg = connect_client(values)
        field = sg.schema_field_read("Shot", "sg_pack")["sg_pack"]
        assert field["properties"]["valid_values"]["value"] == ["A", 'B "2"']
        sg.close()


def test_missing_parameters_are_reported(config: Path, studio: Sandbox, tmp_path: Path) -> None:
    """A site that does not answer and a file without a site are reported in a sentence."""
    done = run("--write-types", str(tmp_path / "types.toml"))
    assert (done.exit_code, "--write-types needs --schema-of" in done.output) == (2, True)
    studio.revoke_script(studio.script_name)
    done = run("--schema-of", str(config), "--write-types", str(tmp_path / "types.toml"))
    assert (done.exit_code, f"The schema of {studio.url} cannot be read" in done.output) == (
        2,
        True,
    )


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FIELDS = st.builds(
    FieldTable,
    type=st.sampled_from(["text", "list", "number", "entity"]),
    label=st.none() | TEXTS,
    links=st.lists(TEXTS, max_size=2),
    values=st.lists(TEXTS, max_size=3),
    default=st.none() | TEXTS | st.integers(-(2**40), 2**40) | st.booleans(),
    editable=st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(TEXTS, st.builds(TypeTable, fields=st.dictionaries(TEXTS, FIELDS))))
def test_any_schema_is_written_as_it_is_read(tables: dict[str, TypeTable]) -> None:
    """The file has any names and values of a site unchanged, in printable lines."""
    text = types_file_text(tables)
    assert parse_types_file(text, Path("types.toml")) == tables
    assert all(line.isprintable() for line in text.split("\n"))


def test_odd_schemas_are_taken() -> None:
    """An unknown data type is opaque; properties may be missing."""
    properties = {"data_type": {"value": "hologram"}, "properties": None}
    tables = schema_tables(
        {"Shot": {"sg_x": properties, "id": properties}, "EventLogEntry": {"x": properties}}
    )
    assert list(tables) == ["Shot"]
    assert tables["Shot"].fields == {"sg_x": FieldTable("serializable")}
    assert json.dumps(types_file_text(tables))
