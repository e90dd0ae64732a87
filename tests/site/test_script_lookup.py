"""How the daemon learns which script is behind which id, beside the feed and never in its way."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw
from site_records import settings

from sgevents_core import Event
from sgevents_core.errors import SiteUnreachable, StateError
from sgevents_core.origin import is_by_script
from sgevents_core.sandbox import Sandbox
from sgevents_core.scripts import Scripts
from sgevents_core.site.client import EventLog
from sgevents_core.site.questions import Page
from sgevents_core.site.row_decoding import decode_rows
from sgevents_core.site.script_lookup import LONGEST_WAIT_SECONDS, ScriptLookup
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Writer


class Told:
    """A lookup on a state, with a clock of its own, and what it asked."""

    def __init__(self, state: Writer, own: tuple[str, ...] = ("sgevents",)) -> None:
        self.now = 0.0
        self.scripts = Scripts(state.scripts())
        self.lookup = ScriptLookup(self.scripts, own, state.keep_scripts, lambda: self.now)
        self.asked: list[Any] = []
        self.answers: list[Any] = []

    def ask(self, filters: list[Any]) -> Any:
        """Answer as the site, with what is next; an error is raised."""
        self.asked.append(filters[0][1:])
        answer = self.answers.pop(0) if self.answers else []
        if isinstance(answer, Exception):
            raise answer
        return answer

    def look(self, *links: Mapping[str, Any]) -> None:
        """Let it see a row by each of these."""
        self.look_at(*({"id": 1 + place, "user": link} for place, link in enumerate(links)))

    def look_at(self, *rows: Any) -> None:
        """Let it see rows as a site sends them."""
        records = [Raw(json.dumps(row).encode()) for row in rows]
        self.lookup.look(decode_rows(records).scripts, self.ask)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Writer]:
    """A state."""
    with closing(open_state(tmp_path).writer()) as made:
        yield made


@pytest.fixture
def told(state: Writer) -> Told:
    """A lookup."""
    return Told(state)


def link(one: int, shown: str = "farm 1.0") -> dict[str, Any]:
    """A script as a row links it."""
    return {"type": "ApiUser", "id": one, "name": shown}


def user(one: int, name: str) -> dict[str, Any]:
    """A script as the site tells it."""
    return {"type": "ApiUser", "id": one, "firstname": name}


DOWN = SiteUnreachable(url="https://x", reason="down")


def test_each_script_is_asked_for_once(told: Told) -> None:
    """Those that sign in by name, others by id when their events turn up."""
    told.answers = [[user(1, "sgevents")], [user(7, "farm"), user(8, "shot roll up")]]
    told.look(link(1, "sgevents 1.0"))
    told.look(link(7), link(8), {"type": "HumanUser", "id": 9, "name": "Ada"})
    told.look(link(8), link(7))
    assert told.asked == [["in", ["sgevents"]], ["in", [7, 8]]]
    assert told.scripts.names == {1: "sgevents", 7: "farm", 8: "shot roll up"}


def test_a_script_that_shows_another_name_is_asked_for_again(told: Told) -> None:
    """It was renamed, or has a new version."""
    told.answers = [[user(1, "sgevents")], [user(7, "farm")], [user(7, "farm2")]]
    told.look(link(7))
    told.look(link(7, "farm2 1.0"))
    told.look(link(7, "farm2 1.0"), link(7))
    assert len(told.asked) == 3
    assert told.scripts.name_of(link(7)) == "farm2"


def test_a_script_that_the_site_does_not_show_is_asked_for_once(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    """What its rows show goes on to decide; one that signs in is warned about."""
    told.look(link(7, "farm 1.0"))
    told.look(link(7, "farm 1.0"))
    assert len(told.asked) == 2
    assert told.scripts.is_named(link(7), "farm")
    assert told.scripts.is_named(link(1, "sgevents 1.0"), "sgevents")
    assert "no script called sgevents" in caplog.text


def test_a_refusal_is_no_end_and_told_once(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    """Asked again after a minute, then less and less often; all that is wanted comes then."""
    told.answers = [DOWN, DOWN, [user(1, "sgevents")], [user(7, "farm 2")]]
    told.look(link(7, "farm 2"))
    told.look()
    told.now = 59
    told.look()
    assert len(told.asked) == 1
    told.now = 61
    told.look()
    told.now += 61
    told.look()
    assert len(told.asked) == 2
    told.now += LONGEST_WAIT_SECONDS
    told.look()
    assert told.scripts.names == {1: "sgevents", 7: "farm 2"}
    warnings = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert len(warnings) == 1


def test_no_question_is_longer_than_a_site_takes(state: Writer) -> None:
    """Fifty names or ids at most."""
    told = Told(state, tuple(f"s{number}" for number in range(60)))
    told.look(*map(link, range(1, 121)))
    assert [len(asked[1]) for asked in told.asked] == [50, 10, 50, 50, 20]


def test_names_outlast_the_daemon(told: Told, state: Writer) -> None:
    """A start without the site knows them, and a name that moved to another script is not kept."""
    told.answers = [[user(1, "sgevents")], [user(7, "farm"), user(8, "looper")]]
    told.look(link(7), link(8))
    assert Told(state).scripts.names == {1: "sgevents", 7: "farm", 8: "looper"}
    again = Told(state, ("sgevents", "farm"))
    again.answers = [[user(1, "sgevents"), user(9, "farm")]]
    again.look()
    assert state.scripts() == {1: "sgevents", 8: "looper", 9: "farm"}


def test_a_full_disk_keeps_no_name_from_being_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is known in this run, and that it was not kept is told."""

    def keep(names: Mapping[int, str], own: Mapping[str, Collection[int]]) -> None:
        raise StateError(path="x", reason="disk full")

    scripts = Scripts()
    lookup = ScriptLookup(scripts, ["sgevents"], keep)
    lookup.look([], lambda _filters: [user(1, "sgevents")])
    assert scripts.names == {1: "sgevents"}
    assert "disk full" in caplog.text


@pytest.mark.parametrize(
    "row",
    [
        *(None, 7, "x", [], {}, {"id": 1, "user": 7}, {"id": 1, "user": {"type": "ApiUser"}}),
        {"id": 1, "user": {"type": "ApiUser", "id": 2**63, "name": "x"}},
        {"id": 1, "user": {"type": "ApiUser", "id": "7", "name": ["x"]}},
        {"id": 1, "meta": "sudo_actual_user"},
        {"id": 1, "meta": {"sudo_actual_user": [7]}},
    ],
)
def test_odd_rows_ask_nothing(told: Told, row: object) -> None:
    """And raise nothing."""
    told.look_at(row)
    assert len(told.asked) == 1


def test_unhashable_names_and_odd_answers_do_no_harm(told: Told) -> None:
    """A site may send anything."""
    odd = {"type": "ApiUser", "id": 7, "name": ["x"]}
    told.answers = [[{}, {"id": 5}, {"id": "1", "firstname": "sgevents"}], [{"id": 7}]]
    told.look(odd)
    assert told.scripts.names == {}


def test_who_is_behind_a_person_is_asked_for_too(told: Told) -> None:
    """In details that are a mapping, or JSON text."""
    behind = {"sudo_actual_user": {"id": 7, "name": "farm 1.0"}}
    for meta in (behind, json.dumps({"sudo_actual_user": {"id": 8, "name": "farm 1.0"}})):
        told.look_at({"id": 1, "user": None, "meta": meta})
    assert told.asked[1:] == [["in", [7]], ["in", [8]]]


def test_rows_of_a_site_come_with_their_scripts(state: Writer) -> None:
    """Asked with the page, so that events are known by the time they are handed out."""
    with Sandbox(project=False) as site:
        site.add_script("shot roll up", "demo-key", "of the farm")
        site.create("Shot", {"code": "sh010"}, user="shot roll up")
        told = Told(state)
        with closing(EventLog(settings(site.url), (), told.lookup)) as log:
            rows = log.ask(Page(0, 50, None)).rows
        (row, *_) = [json.loads(row.body) for row in rows]
        assert row["user"]["name"] == "shot roll up of the farm"
        event = Event(row, told.scripts)
        assert event.script == "shot roll up"
        assert is_by_script(event, "shot roll up")


def test_a_site_that_does_not_let_scripts_be_read_keeps_up_nothing(state: Writer) -> None:
    """Pages come as ever, and the names of scripts are asked for later."""
    with Sandbox(project=False) as site:
        site.create("Shot", {"code": "sh010"})
        site.faults.add("status", status=500, entity_type="ApiUser")
        told = Told(state)
        with closing(EventLog(settings(site.url), (), told.lookup)) as log:
            assert log.ask(Page(0, 50, None)).rows
            site.faults.clear()
            told.now = 61
            assert log.ask(Page(0, 50, None)).rows
        assert told.scripts.names == {1: "sgevents"}
