"""`match` and Match: which events pass a filter, and what is refused where it is written."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core import Event, hookimpl, match
from sgevents_core.errors import MatchError
from sgevents_core.filters import Match, made_match
from sgevents_core.markers import matched_of

ARTIST = {"type": "HumanUser", "id": 7, "name": "Ada"}


def event(meta: dict[str, Any] | None = None, **fields: object) -> Event:
    """Return the change of a task's status, with other fields."""
    return Event(
        {
            "id": 1,
            "event_type": "Shotgun_Task_Change",
            "attribute_name": "sg_status_list",
            "entity": {"type": "Task", "id": 45},
            "project": {"type": "Project", "id": 65, "name": "Demo"},
            "meta": {"old_value": "wtg", "new_value": "ip"} if meta is None else meta,
            **fields,
        }
    )


def accepted(happened: Event, **conditions: Any) -> bool:
    """Return whether the filter of `conditions` accepts `happened`; why_not must agree."""
    event_match = made_match(**conditions)
    is_accepted = event_match.accepts(happened)
    assert (event_match.why_not(happened) is None) is is_accepted
    return is_accepted


def test_a_filter_without_conditions_accepts_everything() -> None:
    """Also what has no type, entity or project."""
    assert accepted(Event({}))
    assert made_match().describe() == "every event"


@pytest.mark.parametrize(
    ("conditions", "is_accepted"),
    [
        ({"event_type": "Shotgun_Task_Change"}, True),
        ({"event_type": "Shotgun_*_Change"}, True),
        ({"event_type": "*"}, True),
        ({"event_type": ["Shotgun_Shot_*", "Shotgun_Task_*"]}, True),
        ({"event_type": "Shotgun_Task"}, False),
        ({"event_type": "shotgun_task_change"}, False),
        ({"event_type": "Shotgun.Task.Change"}, False),
        ({"event_type": "Shotgun.Task*"}, False),
        ({"entity_type": "Task"}, True),
        ({"entity_type": {"Shot", "Task"}}, True),
        ({"entity_type": "Ta*"}, True),
        ({"entity_type": "Shot"}, False),
        ({"attribute": "sg_status_list"}, True),
        ({"attribute": ("code", "sg_*")}, True),
        ({"attribute": "code"}, False),
        ({"project": 65}, True),
        ({"project": "Demo"}, True),
        ({"project": {"type": "Project", "id": 65}}, True),
        ({"project": {"type": "Project", "name": "Demo"}}, True),
        ({"project": [1, "Demo"]}, True),
        ({"project": "65"}, False),
        ({"project": 66}, False),
        ({"old_value": "wtg"}, True),
        ({"old_value": ["rdy", "wtg"]}, True),
        ({"old_value": None}, False),
        ({"new_value": "ip"}, True),
        ({"new_value": {"ip", "fin"}}, True),
        ({"new_value": "i*"}, False),
        ({"where": lambda event: event.id == 1}, True),
        ({"where": lambda event: None}, False),
        ({"entity_type": "Task", "attribute": "code"}, False),
        ({"entity_type": "Task", "new_value": "ip", "project": 65}, True),
    ],
)
def test_conditions(conditions: dict[str, Any], is_accepted: bool) -> None:
    """Every condition given has to hold; of several values any will do."""
    assert accepted(event(), **conditions) is is_accepted


def test_what_an_event_does_not_have_fits_no_pattern() -> None:
    """`*` wants some attribute, and an event in no project is in none of the projects."""
    login = Event({"event_type": "Shotgun_User_Login"})
    assert not accepted(login, attribute="*")
    assert not accepted(login, entity_type="*")
    assert not accepted(login, project=65)
    assert not accepted(login, new_value=None)


def test_entities_are_compared_by_type_and_id() -> None:
    """The name of a linked record may change."""
    linked = event({"old_value": None, "new_value": {**ARTIST, "valid": "valid"}})
    assert accepted(linked, new_value={"type": "HumanUser", "id": 7})
    assert accepted(linked, new_value=[{"type": "Group", "id": 7}, ARTIST])
    assert not accepted(linked, new_value={"type": "Group", "id": 7})
    assert accepted(linked, old_value=None)
    assert not accepted(linked, old_value=ARTIST)


def test_for_multi_entity_fields_values_are_among_removed_and_added() -> None:
    """They have no old and new value."""
    other = {"type": "HumanUser", "id": 8}
    assigned = event({"added": [ARTIST], "removed": [other]})
    assert accepted(assigned, new_value={"type": "HumanUser", "id": 7})
    assert accepted(assigned, old_value=other)
    assert not accepted(assigned, new_value=other)
    assert not accepted(assigned, old_value=None)


def test_a_checkbox_is_not_a_number() -> None:
    """True and 1 are different values of different fields."""
    assert accepted(event({"new_value": True}), new_value=True)
    assert not accepted(event({"new_value": True}), new_value=1)
    assert not accepted(event({"new_value": 0}), new_value=False)


def test_what_where_raises_comes_out_of_accepts_and_is_told_by_why_not() -> None:
    """The one who calls handles it like the callback's own."""

    def broken(event: Event) -> bool:
        raise RuntimeError("no such thing")

    event_match = made_match(where=broken)
    with pytest.raises(RuntimeError):
        event_match.accepts(event())
    assert event_match.why_not(event()) == "where raised RuntimeError: no such thing"


def test_where_is_asked_last() -> None:
    """It may be slow, and may rely on the other conditions."""
    asked_events: list[Event] = []
    assert not accepted(event(), attribute="code", where=asked_events.append)
    assert asked_events == []


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ({"event_type": "A_*"}, "event_type 'Shotgun_Task_Change' is not 'A_*'"),
        ({"entity_type": ["Shot", "Asset"]}, "entity_type 'Task' is not 'Shot' or 'Asset'"),
        ({"project": 1}, "project 'Demo 65' is not 1"),
        ({"new_value": ARTIST}, "new_value 'ip' is not 'Ada 7'"),
    ],
)
def test_people_are_told_which_condition_failed(conditions: dict[str, Any], why: str) -> None:
    """The first one that does not hold, with what the event has and what is wanted."""
    assert made_match(**conditions).why_not(event()) == why


def test_people_can_read_a_filter() -> None:
    """describe lists what is wanted."""
    event_match = made_match(entity_type=["Shot", "Task"], new_value=[ARTIST, None], where=len)
    assert event_match.describe() == "entity_type=Shot|Task new_value=Ada 7|None where=len"


def test_match_and_hookimpl_go_in_either_order() -> None:
    """And leave the function as it was, to be called in tests."""

    @hookimpl
    @match(entity_type="Task", on_error="skip", timeout="1m30s")
    def on_new(event: Event) -> str:
        return "called"

    @match(entity_type="Task", on_error="skip", timeout=90)
    @hookimpl
    def on_change(event: Event) -> str:
        return "called"

    for function in (on_new, on_change):
        matched = matched_of(function)
        assert matched is not None
        assert matched.match == Match(entity_type=("Task",))
        assert (matched.on_error, matched.timeout) == ("skip", 90.0)
        assert function(event()) == "called"
        assert hasattr(function, "sgevents_impl")


def test_match_works_on_methods_of_all_kinds() -> None:
    """Above or below staticmethod and classmethod."""

    class Plugin:
        @match(entity_type="A")
        @staticmethod
        def above(event: Event) -> None: ...

        @classmethod
        @match(entity_type="A")
        def below(cls, event: Event) -> None: ...

        @match(entity_type="A")
        def method(self, event: Event) -> None: ...

    for holder in (vars(Plugin)["above"], vars(Plugin)["below"], Plugin().method, Plugin.below):
        attached_match = matched_of(holder)
        assert attached_match is not None
        assert attached_match.match.entity_type == ("A",)


@pytest.mark.parametrize(
    ("wrong_values", "problem"),
    [
        ({"event_type": 7}, "event_type=7 is not a name"),
        ({"event_type": ""}, "event_type='' is not a name"),
        ({"entity_type": []}, "entity_type is empty"),
        ({"entity_type": ["Shot", None]}, "entity_type=None is not a name"),
        ({"attribute": b"code"}, "attribute=b'code' is not a name"),
        ({"project": True}, "project=True is no project"),
        ({"project": {"type": "Project"}}, "is no project"),
        ({"project": ()}, "project is empty"),
        ({"old_value": []}, "old_value is empty"),
        ({"new_value": set()}, "new_value is empty"),
        ({"where": "event.id"}, "where='event.id' cannot be called"),
        ({"on_error": "ignore"}, "on_error='ignore' is not a policy"),
        ({"timeout": "5 minutes"}, "timeout"),
        ({"timeout": 0}, "timeout=0 is no time"),
        ({"timeout": -1.5}, "timeout=-1.5 is no time"),
        ({"timeout": float("inf")}, "timeout=inf is no time"),
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": True}, "timeout=True is no time"),
        ({"timeout": float("nan")}, "timeout=nan is no time"),
    ],
)
def test_wrong_values_are_refused_where_they_are_written(
    wrong_values: dict[str, Any], problem: str
) -> None:
    """With file, line, the value and the fix."""
    with pytest.raises(MatchError) as caught:
        match(**wrong_values)
    frame = inspect.currentframe()
    assert frame is not None
    assert caught.value.where == f"{__file__}:{frame.f_lineno - 3}"
    assert problem in caught.value.reason
    assert caught.value.fix


def test_a_second_match_is_refused() -> None:
    """It would be unclear whether both or either should hold."""

    def on_new(event: Event) -> None: ...

    marked = match(entity_type="B")(on_new)
    with pytest.raises(MatchError, match=r"on_new has a second one"):
        match(entity_type="A")(marked)


@given(st.lists(st.sampled_from(["A", "B", "_", "."]), max_size=5).map("".join), st.data())
def test_a_star_is_any_characters_and_nothing_else_is_special(
    text: str, data: st.DataObject
) -> None:
    """A pattern made of a text by replacing a part of it by `*` fits that text."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    pattern = f"{text[:start]}*{text[end:]}"
    assert Match(event_type=(pattern,)).accepts_type(text)
    assert Match(event_type=(text,)).accepts_type(text)
    assert Match(event_type=(text,)).accepts_type(f"{text}x") is False
    assert Match(event_type=(text.replace("_", "."),)).accepts_type(text) is ("_" not in text)
