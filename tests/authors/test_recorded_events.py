"""Recorded events: the file, its loader, and its anonymisation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sgevents_core import Event
from sgevents_core.errors import RecordedEventError
from sgevents_core.testing import EventBuilder, load_events
from sgevents_core.testing.anonymising import Anonymiser, without_signatures
from sgevents_core.testing.recorded import recorded_text

Recorded = Callable[[str], list[Event]]


def test_recorded_events_are_loaded(tmp_path: Path, sgevents_event: EventBuilder) -> None:
    """Rows, odd ones too, are read back unchanged, in their order."""
    rows = [
        sgevents_event.new("Shot", id=9).row,
        sgevents_event.other("Studio_Ü", text_meta=True, meta={"ä": "\u2028"}).row,
        sgevents_event.other("Studio_Text", meta={"pasted": "a\u2028b\x85c\u202ed\x9b2J"}).row,
        sgevents_event.failed_login().row,
    ]
    file = tmp_path / "day.jsonl"
    file.write_text(recorded_text(rows), "utf-8")
    assert all(character.isprintable() for character in file.read_text("utf-8").replace("\n", ""))
    assert [event.row for event in load_events(file)] == rows


def test_file_of_another_hand_is_loaded(tmp_path: Path) -> None:
    """A text may contain characters that end a line for Python but not for JSON."""
    file = tmp_path / "day.jsonl"
    file.write_text('{"id": 1, "meta": {"a": "\u2028\x85"}}\r\n{"id": 2}\n', "utf-8")
    assert [event.id for event in load_events(file)] == [1, 2]


@pytest.mark.parametrize("line", ["{", "[]", '{"event_type": "x"}', '{"id": "1"}'])
def test_an_invalid_line_is_reported(tmp_path: Path, line: str) -> None:
    """A wrong line is reported with file and line."""
    file = tmp_path / "day.jsonl"
    file.write_text('{"id": 1}\n\n' + line + "\n")
    with pytest.raises(RecordedEventError, match=r"day\.jsonl, line 3, is not a recorded event"):
        load_events(file)


def test_fixture_finds_files_beside_the_test(
    sgevents_recorded: Recorded, request: pytest.FixtureRequest
) -> None:
    """A relative path is relative to the test's file."""
    with pytest.raises(FileNotFoundError) as missing:
        sgevents_recorded("data/none.jsonl")
    assert Path(missing.value.filename) == request.path.parent / "data" / "none.jsonl"


class TestAnonymous:
    """People in recorded rows."""

    def rows(self) -> list[dict[str, Any]]:
        """Rows with people in many places."""
        ada = {"type": "HumanUser", "id": 11, "name": "Ada Park"}
        events = EventBuilder(user=ada)
        client = {"type": "ClientUser", "id": 3, "name": "Ada"}
        text = {"description": "Ada Park wrote to Ada and bo@studio.com, not to Adam"}
        login = {"user.HumanUser.login": "apark", "user.HumanUser.email": "Ada.Park@studio.com"}
        return [
            events.multi_change("Task", "task_assignees", added=[client], fields=text).row,
            events.new("Shot", fields=login, meta={"mail": "see bo@studio.com"}).row,
            events.new("Shot", user=events.script("Ada Park's script")).row,
        ]

    def test_people_are_others_and_the_same_throughout(self) -> None:
        """Names, logins and addresses are replaced consistently; ids stay."""
        rows = self.rows()
        first, second, third = map(Anonymiser(rows), rows)
        assert first["user"] == {"type": "HumanUser", "id": 11, "name": "Person 11"}
        assert first["meta"]["added"][0]["name"] == "Client 3"
        assert first["description"] == (
            "Person 11 wrote to Client 3 and person1@studio.example, not to Adam"
        )
        assert second["meta"]["mail"] == "see person1@studio.example"
        assert second["user.HumanUser.login"] == "anonymous"
        assert second["user.HumanUser.email"] == "person2@studio.example"
        assert third["user"]["name"] == "Person 11's script 1.0"
        assert "Park" not in json.dumps([first, second, third])

    def test_all_else_stays(self) -> None:
        """Types, ids, other values and keys stay."""
        (row,) = [EventBuilder().change("Shot", "code", "a", "b").row]
        changed = Anonymiser([row])(row)
        assert {**changed, "user": None} == {**row, "user": None}
        assert Anonymiser([])(row) == row

    def test_signatures_in_links_to_files_are_left_out(self) -> None:
        """Signatures of links, which grant access to anybody, are removed."""
        links = {
            "https://bucket.example/a.jpg?x-amz-signature=abc&x=1": "https://bucket.example/a.jpg",
            "see https://b.example/a?Token=1 now": "see https://b.example/a now",
            "https://site.example/page?project=4": "https://site.example/page?project=4",
        }
        for text, expected in links.items():
            assert without_signatures({"image": [text], "id": 4}) == {"image": [expected], "id": 4}
