"""Which script is behind an event: by id, where the site has said; guessed from rows if not."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from sgevents_core import Event
from sgevents_core.filters import Match, made_match
from sgevents_core.origin import is_by_script
from sgevents_core.scripts import Scripts, ids_of

ADA = {"type": "HumanUser", "id": 34, "name": "rollup"}


def script(shown: object = "rollup 1.0", one: object = 34) -> dict[str, object]:
    """A link to a script as a row has it."""
    return {"type": "ApiUser", "id": one, "name": shown}


def event(user: object, meta: object = None, scripts: Scripts | None = None) -> Event:
    """A change that `user` made."""
    row = {"id": 1, "event_type": "Shotgun_Task_Change", "user": user, "meta": meta}
    return Event(row, scripts)


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        ("rollup 1.0", "rollup"),
        ("rollup v2", "rollup"),
        ("rollup", "rollup"),
        ("rollup ", "rollup"),
        ("shot roll up 1.0.3", "shot roll up"),
        ("rollup 1.0 beta", "rollup"),
        ("sync 2 farm 1.0", "sync 2 farm"),
        ("rollup comp", "rollup comp"),
        ("2 1.0", "2"),
        ("1.0", "1.0"),
        ("Überblick 1.0", "Überblick"),
        (None, "ApiUser 34"),
        ("", "ApiUser 34"),
        (7, "ApiUser 34"),
        ("x 1" * 50_000 + "\n!", None),
    ],
)
def test_a_name_is_guessed_from_what_rows_show(shown: object, name: str | None) -> None:
    """Until the site has told it: all but what looks like a version."""
    guessed = event(script(shown)).script
    assert guessed == name or (name is None and isinstance(guessed, str))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("rollup", "rollup of the day"),
        ("farm 2", "farm 2"),
        ("rollup 1.0", "rollup 1.0 2.0"),
        ("shot roll up", "shot roll up 1.0 build 7"),
        ("renamed", "rollup 1.0"),
    ],
)
def test_what_the_site_has_told_comes_before_what_rows_show(name: str, shown: str) -> None:
    """Also for the script behind a person, and in filters."""
    known = Scripts({34: name})
    for one in (event(script(shown), scripts=known), event(ADA, sudo(shown), known)):
        assert one.script == name
        assert made_match(script=name).accepts(one)
        assert not made_match(script="other").accepts(one)
        assert not Match(not_script=name).accepts(one)
        assert Match(not_script="other").accepts(one)


def sudo(shown: object = "rollup 1.0", **more: object) -> dict[str, object]:
    """Details of a change in a person's name."""
    return {"sudo_actual_user": {**script(shown), **more}}


@pytest.mark.parametrize(
    "meta",
    [
        sudo(),
        json.dumps(sudo()),
        {"sudo_actual_user": {"id": 34, "name": "rollup 1.0"}},
    ],
)
def test_who_is_behind_a_person_is_a_script(meta: object) -> None:
    """Also in details that are JSON text, and where the link has no type."""
    assert event(ADA, meta).script == "rollup"
    assert is_by_script(event(ADA, meta), "rollup")


@pytest.mark.parametrize(
    ("user", "meta"),
    [
        (ADA, None),
        (ADA, {"sudo_actual_user": ADA}),
        ({**ADA, "type": "ClientUser"}, {}),
        ({"id": 34, "name": "rollup 1.0"}, {}),
        (None, {"sudo_actual_user": "rollup 1.0"}),
        (None, None),
    ],
)
def test_a_person_is_no_script(user: object, meta: object) -> None:
    """Neither by name nor by id."""
    known = Scripts({34: "rollup"})
    known.settle("rollup", [34])
    for scripts in (None, known):
        assert event(user, meta, scripts).script is None
        assert not is_by_script(event(user, meta, scripts), "rollup")


def test_the_plugins_own_script_is_an_id() -> None:
    """Not what another is called, and still the same when it is renamed while the daemon runs."""
    scripts = Scripts({34: "rollup", 35: "rollup"})
    scripts.settle("rollup", [34])
    assert scripts.names == {34: "rollup"}
    own, other = event(script(), scripts=scripts), event(script(one=35), scripts=scripts)
    assert (is_by_script(own, "rollup"), is_by_script(other, "rollup")) == (True, False)
    scripts.learn({34: "rollup2"})
    assert is_by_script(own, "rollup")
    assert own.script == "rollup2"
    scripts.learn({36: "rollup"})
    assert is_by_script(event(script(one=36), scripts=scripts), "rollup")


def test_a_script_of_another_case_is_meant_only_where_there_is_no_better_one() -> None:
    """A site compares names without regard to case."""
    found = [(1, "Rollup"), (2, "rollup"), (3, "other")]
    assert ids_of("rollup", found) == [2]
    assert ids_of("ROLLUP", found) == [1, 2]
    assert ids_of("nobody", found) == []


def test_an_event_takes_the_name_of_its_script_along() -> None:
    """To a file or another process, and no other name."""
    one = event(script("rollup of the day"), scripts=Scripts({34: "rollup", 35: "other"}))
    again = pickle.loads(pickle.dumps(one))
    assert (again, again.script) == (one, "rollup")
    assert b"other" not in pickle.dumps(one)


def test_an_id_with_two_names_is_known_by_none() -> None:
    """Events of two sources in one test: what they show decides then."""
    scripts = Scripts({34: "rollup"})
    scripts.merge({34: "rollup", 35: "farm"})
    assert event(script("x 1.0"), scripts=scripts).script == "rollup"
    scripts.merge({34: "farm"})
    assert event(script("x 1.0"), scripts=scripts).script == "x"


@pytest.mark.parametrize("one", [None, "34", 3.4, [34], {"id": 34}, True, 2**70])
def test_an_odd_id_is_nobodys(one: Any) -> None:
    """What the row shows decides."""
    scripts = Scripts({34: "rollup", 1: "rollup"})
    scripts.settle("rollup", [34])
    odd = event(script("farm 1.0", one), scripts=scripts)
    assert odd.script == "farm"
    assert not is_by_script(odd, "rollup")


def test_another_process_can_take_over_the_names() -> None:
    """A copy of the names answers as the original does, and each change has another version."""
    original, copy = Scripts({34: "rollup"}), Scripts()
    first = original.version
    original.settle("rollup", [34, 35])
    assert original.version != first
    copy.replace(original.names, original.ids)
    link = {"type": "ApiUser", "id": 36, "name": "rollup 1.0"}
    assert copy.names == original.names
    assert not copy.is_named(link, "rollup")
    assert copy.is_named({**link, "id": 35}, "rollup")
