"""The site as a dry run sees it: everything can be read, whatever would change it is only told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sgevents_core.observe.redaction import Redactor
from sgevents_core.requests.dry_run import ReadOnlySite
from sgevents_core.sandbox import Sandbox


class Recorded(ReadOnlySite):
    """Keeps what it tells."""

    said: list[str]


@pytest.fixture(scope="module")
def site() -> Iterator[Sandbox]:
    """A site with a project."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sg(site: Sandbox) -> Iterator[Recorded]:
    """A client that changes nothing; the site's log is as long as before."""
    before = len(site.event_rows())
    client = Recorded(site.url, script_name=site.script_name, api_key=site.api_key)
    client.said = []
    client.print_line = client.said.append
    yield client
    client.close()
    assert len(site.event_rows()) == before


def test_reading_works(sg: Recorded) -> None:
    """Find, summarize, schema."""
    shots = sg.find("Shot", [], ["code"])
    assert shots
    assert sg.find_one("Shot", [["id", "is", shots[0]["id"]]]) is not None
    assert sg.summarize("Shot", [], [{"field": "id", "type": "count"}])["summaries"]["id"] > 0
    assert sg.schema_field_read("Shot")
    assert sg.info()
    assert sg.said == []


def test_writing_is_told_and_answered_as_if_it_were_done(sg: Recorded) -> None:
    """A plugin can go on with what it gets back; ids of what was not made are negative."""
    first: Any = sg.create("Note", {"subject": "hello", "project": {"type": "Project", "id": 1}})
    second: Any = sg.create("Note", {"subject": "again"})
    assert (first["type"], first["id"], second["id"]) == ("Note", -1, -2)
    assert first["subject"] == "hello"
    changed: Any = sg.update("Note", first["id"], {"subject": "new"})
    assert changed["subject"] == "new"
    assert sg.delete("Shot", 1) is True
    assert sg.revive("Shot", 1) is True
    assert [line.split()[:3] for line in sg.said] == [
        *([["would", "create", "Note"]] * 2),
        ["would", "update", "Note"],
        ["would", "delete", "Shot"],
        ["would", "revive", "Shot"],
    ]


def test_secret_that_is_half_left_out_is_not_shown(sg: Recorded) -> None:
    """It is taken out before what is written becomes too long to be shown."""
    sg.redact_secrets = Redactor(["shown-demo-key"])
    for before in range(270, 310):
        sg.update("Note", 1, {"subject": "x" * before + "shown-demo-key" + "y" * 99})
    assert not any("shown" in line for line in sg.said)


def test_batch_is_told_one_by_one(sg: Recorded) -> None:
    """With a result for each."""
    requests: list[dict[str, Any]] = [
        {"request_type": "create", "entity_type": "Shot", "data": {"code": "x"}},
        {"request_type": "update", "entity_type": "Shot", "entity_id": 1, "data": {"code": "y"}},
        {"request_type": "delete", "entity_type": "Shot", "entity_id": 2},
    ]
    made: list[Any] = list(sg.batch(requests))
    assert [one if one is True else one["code"] for one in made] == ["x", "y", True]
    assert len(sg.said) == 3


def test_everything_else_that_changes_is_blocked(sg: Recorded, tmp_path: Path) -> None:
    """Following, schema, uploads, thumbnails; also methods of which nobody has thought."""
    file = tmp_path / "movie.mov"
    file.write_bytes(b"frames")
    sg.follow({"type": "HumanUser", "id": 1}, {"type": "Shot", "id": 1})
    sg.schema_field_create("Shot", "text", "New Field")
    sg.upload("Shot", 1, str(file), "sg_movie")
    sg.upload_thumbnail("Shot", 1, str(file))
    sg.share_thumbnail([{"type": "Shot", "id": 1}], thumbnail_path=str(file))
    sg._call_rpc("something_new", {"a": 1})
    assert len(sg.said) >= 6
    assert all(line.strip().startswith("would ") for line in sg.said)


def test_long_values_are_cut(sg: Recorded) -> None:
    """A line is for people."""
    sg.update("Shot", 1, {"description": "x" * 10_000})
    assert len(sg.said[0]) < 500
