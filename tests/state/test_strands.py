"""The strand of an event: the same for all events of a key, in every process and version."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_rows import grow

from sgevents_core.choices import OrderBy
from sgevents_core.state.entries import Row
from sgevents_core.state.opening import open_state
from sgevents_core.state.sqlite import schema
from sgevents_core.state.strands import (
    STRANDS,
    pack_linked_strands,
    pack_strands,
    project_key,
    record_key,
    strand_in,
    strands_of,
    strands_of_body,
)

PROJECT = {"type": "Project", "id": 70, "name": "Demo"}
SHOT = {"type": "Shot", "id": 860, "name": "sh010"}
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "id", "entity_type", "entity_id"]), inner)
    ),
    max_leaves=6,
)
ROWS = st.fixed_dictionaries(
    {"id": st.integers(1, 2**53)},
    optional={
        "event_type": st.sampled_from(["Shotgun_Shot_Change", "Shotgun_Version_View", "x"])
        | ANYTHING,
        "entity": st.just(SHOT) | ANYTHING,
        "project": st.just(PROJECT) | ANYTHING,
        "meta": ANYTHING,
    },
)


def changed(**more: Any) -> dict[str, Any]:
    """A row about the shot, of its project."""
    row = {"id": 5, "event_type": "Shotgun_Shot_Change", "entity": SHOT, "project": PROJECT}
    return {**row, **more}


def strand(row: dict[str, Any], order_by: OrderBy) -> int:
    """Its strand in a lane with that order."""
    return strand_in(strands_of(row), order_by)


def test_events_of_one_record_share_a_strand_whatever_else_they_say() -> None:
    """Type, id, project and name are no part of the key by entity."""
    other = changed(
        id=77,
        event_type="Shotgun_Shot_New",
        entity={"type": "Shot", "id": 860, "name": "renamed"},
        project={"type": "Project", "id": 71},
    )
    assert strand(changed(), "entity") == strand(other, "entity")


def test_a_retired_record_keeps_its_strand_by_what_meta_says() -> None:
    """A row loses its `entity` when the record is retired; type and id are in `meta`."""
    kinds = ["Shotgun_Shot_Retirement", "Shotgun_Shot_Change", "Shotgun_Shot_New"]
    for kind in kinds:
        meta = {"entity_type": "Shot", "entity_id": 860}
        retired = changed(event_type=kind, entity=None, meta=meta)
        assert strand(retired, "entity") == strand(changed(), "entity")
    text = changed(entity=None, meta=json.dumps({"entity_type": "Shot", "entity_id": 860}))
    assert strand(text, "entity") == strand(changed(), "entity")


def test_a_back_reference_belongs_to_the_record_whose_field_changed() -> None:
    """Its `meta` names the other record, which has a strand of its own."""
    meta = {
        "entity_type": "Task",
        "entity_id": 1,
        "actual_attribute_changed": "Task.entity",
        "original_event_log_entry_id": 4,
    }
    assert strand(changed(meta=meta), "entity") == strand(changed(), "entity")
    gone = changed(meta=meta, entity=None)  # only the other record is known
    assert strand(gone, "entity") == strand({"id": 5, "project": PROJECT}, "entity")


def test_a_view_belongs_to_what_was_viewed() -> None:
    """Its `entity` is the page, which many views share."""
    meta = {"link_entity_type": "Shot", "link_entity_id": 860}
    page = {"type": "Page", "id": 3}
    viewed = changed(event_type="Shotgun_Shot_View", entity=page, meta=meta)
    assert strand(viewed, "entity") == strand(changed(), "entity")


def test_an_event_without_a_record_goes_by_its_project_and_without_that_by_itself() -> None:
    """By entity: record, project, itself. By project: project, record, itself."""
    about_project = {"id": 5, "project": PROJECT}
    itself = {"id": 5}
    assert strand(about_project, "entity") == strand(about_project, "project")
    assert strand(about_project, "project") == strand(changed(), "project")
    without_project = changed(project=None)
    assert strand(without_project, "project") == strand(changed(), "entity")
    assert {strand(itself, "entity"), strand(itself, "project")} == {strand(itself, "none")}


def test_by_none_each_event_goes_by_itself() -> None:
    """Neighbours spread over the strands, whatever they are about."""
    assert len({strand(changed(id=number), "none") for number in range(400)}) == STRANDS


def test_strands_are_the_same_in_every_process_and_version() -> None:
    """Places are kept by strand: these numbers may never change."""
    row = changed()
    known = [strand(row, "entity"), strand(row, "project"), strand(row, "none")]
    assert known == [33, 56, 5]
    code = f"from sgevents_core.state.strands import strands_of; print(strands_of({row!r}))"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert int(printed) == strands_of(row)


@given(
    event_id=st.integers(1, 2**53),
    record_type=st.text(max_size=20),
    record_id=st.integers(1, 2**40),
    project_id=st.none() | st.integers(1, 2**40),
)
def test_linked_record_packs_as_any_other(
    event_id: int, record_type: str, record_id: int, project_id: int | None
) -> None:
    """The short way for rows that link their record comes to the same strands."""
    of_record = record_key(record_type, record_id)
    of_project = None if project_id is None else project_key(project_id)
    assert pack_linked_strands(event_id, of_record, project_id) == pack_strands(
        event_id, of_record, of_project
    )


def test_records_spread_evenly() -> None:
    """2,000 records in a row: no strand has twice its share."""
    strands = [strand(changed(entity={"type": "Shot", "id": n}), "entity") for n in range(2000)]
    assert max(map(strands.count, set(strands))) < 2 * 2000 / STRANDS
    assert len(set(strands)) == STRANDS


@given(row=ROWS)
def test_any_row_has_a_strand(row: dict[str, Any]) -> None:
    """Nothing in a row raises, and what is read back from the journal says the same."""
    packed = strands_of(row)
    assert 0 <= packed < STRANDS**3
    assert strands_of_body(json.dumps(row).encode(), row["id"]) == packed


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b'"text"'])
def test_a_body_that_cannot_be_read_goes_by_its_id(body: bytes) -> None:
    """The entry is set aside when it is its turn."""
    assert strands_of_body(body, 5) == strands_of({"id": 5})


def test_the_journal_keeps_the_strands_beside_the_row(tmp_path: Path) -> None:
    """They are read back with the entry; one without them says so."""
    row = changed()
    state = open_state(tmp_path).writer()
    body = json.dumps(row).encode()
    grow(state, [Row(5, 0, row["event_type"], body, strands=strands_of(row)), Row(6, 0, "x", b"")])
    assert [entry.strands for entry in state.read(0, 9)] == [strands_of(row), None]
    state.close()


def test_entries_of_an_older_version_have_no_strands(tmp_path: Path) -> None:
    """They are read as they are, also before the schema is brought up to date."""
    with sqlite3.connect(tmp_path / "sgevents.db") as db:
        scripts = "".join(script for _, script in schema.migrations()[:8])
        db.executescript(scripts + "PRAGMA user_version = 8;")
        db.execute("INSERT INTO journal VALUES (1, 1, 5, 'x', 0, 0, x'7b7d', NULL)")
    state = open_state(tmp_path)
    for connect in (state.reader, state.writer):
        with closing(connect()) as reader:
            assert [entry.strands for entry in reader.read(0, 9)] == [None]
