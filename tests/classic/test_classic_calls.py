"""Classic callbacks are registered, filtered and called as the classic daemon does it."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

import pytest
from classic_files import ClassicStudio

from sgevents_core.classic.calls import classic_call
from sgevents_core.classic.filters import classic_match
from sgevents_core.events import Event, Route, route_of, stock_row_of
from sgevents_core.plugins.callback import Callback

ROW: dict[str, Any] = {
    "type": "EventLogEntry",
    "id": 7,
    "event_type": "Shotgun_Task_Change",
    "attribute_name": "sg_status_list",
    "meta": {"type": "attribute_change", "old_value": "wtg", "at": "2026-01-02T03:04:05Z"},
    "entity": {"type": "Task", "id": 3, "name": "Comp"},
    "user": None,
    "project": {"type": "Project", "id": 70, "name": "Demo"},
    "session_uuid": "abc",
    "created_at": "2026-01-02T03:04:05Z",
}


class FakeContext:
    """A context with a connection that is only compared."""

    def __init__(self) -> None:
        self.sg = object()


def event(event_type: str, attribute: str | None = None) -> Event:
    """Return an event of a type."""
    return Event({**ROW, "event_type": event_type, "attribute_name": attribute})


def wants(match_events: object, candidate: Event) -> bool:
    """Return whether a callback with this `matchEvents` is called, asked in all ways at once."""
    match, _ = classic_match(match_events)
    callback = Callback("p", "c", None, match, print)
    answers = {callback.matches(candidate), callback.why_not(candidate) is None}
    routed = Route.read(route_of(candidate))
    may = match.accepts_route(routed) and match.may_accept_routed(candidate)
    assert answers == {may}
    return may


CHANGE, NEW = "Shotgun_Task_Change", "Shotgun_Task_New"
STATUS = event(CHANGE, "sg_status_list")


@pytest.mark.parametrize(
    ("match_events", "wanted"),
    [
        (None, True),
        ({}, True),
        ({CHANGE: None}, True),
        ({CHANGE: ["*"]}, True),
        ({CHANGE: ["sg_status_list"]}, True),
        ({CHANGE: ("x", "sg_status_list")}, True),
        ({CHANGE: {"sg_status_list": 1}}, True),
        ({CHANGE: {"sg_status_list": 1}.keys()}, True),
        ({CHANGE: map(str, ["sg_status_list"])}, True),
        ({CHANGE: []}, False),
        ({CHANGE: ["sg_status"]}, False),
        ({NEW: None}, False),
        ({"Shotgun_*_Change": None}, False),
        ({"Shotgun_Task_Chang": None}, False),
        ({"*": None}, True),
        ({"*": ["sg_status_list"]}, True),
        ({"*": ["other"], CHANGE: None}, False),
        ({CHANGE: "sg_status_list"}, True),
        ({CHANGE: "sg_status_list_2"}, False),
        ({CHANGE: "*"}, True),
        ({CHANGE: "sg_*"}, True),
        (CHANGE, True),
        ([CHANGE, NEW], True),
        ([NEW], False),
        ({CHANGE: 1}.keys(), True),
    ],
)
def test_filters_mean_what_they_meant(match_events: object, wanted: bool) -> None:
    """A type is compared as a whole, `*` as a type wins, a bare string is a list of one."""
    assert wants(match_events, STATUS) is wanted


def test_events_without_an_attribute() -> None:
    """They match a type with any attribute, and no list of attributes."""
    created = event(NEW)
    assert wants({NEW: None}, created)
    assert wants({"*": ["*"]}, created)
    assert not wants({NEW: ["code"]}, created)
    assert not wants({"*": ["code"]}, created)
    preference = Event({**ROW, "attribute_name": None, "meta": {"pref": "code", "old": 1}})
    assert preference.attribute == "code"
    assert not wants({CHANGE: ["code"]}, preference)


@pytest.mark.parametrize(
    "match_events", [3, b"x", {CHANGE: 3}, {CHANGE: b"code"}, {3: None}, {"x": object()}]
)
def test_filters_that_cannot_be_compared_match_nothing(match_events: object) -> None:
    """Some end the classic daemon at the first event; here they are warned of."""
    assert not wants(match_events, STATUS)
    assert match_events == {3: None} or classic_match(match_events)[1]


def test_probable_mistakes_are_warned_of() -> None:
    """A bare string matched any part of itself in the classic daemon."""
    _, (warning,) = classic_match({CHANGE: "sg_status_list"})
    assert "'sg_status_list'" in warning
    for usual_form in (["sg_status_list"], "*", None):
        assert classic_match({CHANGE: usual_form})[1] == []


def test_a_filter_that_computes_its_types_is_warned_of() -> None:
    """Only the types that are in it are known."""

    class AllTasks(dict[str, None]):
        def __contains__(self, event_type: object) -> bool:
            return "Task" in str(event_type)

    _, (warning,) = classic_match(AllTasks({NEW: None}))
    assert "of the type AllTasks, which computes its types" in warning


def test_filters_are_shown_to_people() -> None:
    """As types, each with its attributes."""
    match, _ = classic_match({CHANGE: ["sg_status_list", "code"], NEW: None})
    assert match.describe() == f"matchEvents={CHANGE}(sg_status_list|code),{NEW}"


def test_an_event_is_a_new_dict_with_the_classic_keys_and_values() -> None:
    """As the stock client returns it, with a moment in local time; changing it changes no other."""
    source = Event(ROW)
    first, second = stock_row_of(source), stock_row_of(source)
    assert type(first) is dict
    assert set(first) == set(ROW)
    created = first["created_at"]
    assert isinstance(created, datetime)
    assert created.utcoffset() == created.astimezone().utcoffset()
    assert (
        created.isoformat()
        == datetime.fromisoformat("2026-01-02T03:04:05+00:00")
        .astimezone(created.tzinfo)
        .isoformat()
    )
    assert first["entity"] == ROW["entity"]
    assert first["meta"]["at"] == created
    first["meta"]["old_value"] = first["entity"] = None
    assert second["meta"]["old_value"] == "wtg"
    assert stock_row_of(source) == second


@pytest.mark.parametrize("meta", [None, "", '{"type": "attribute_change"}'])
def test_meta_is_as_the_site_sent_it(meta: object) -> None:
    """None and JSON strings too, since plugins ask for them."""
    assert stock_row_of(Event({**ROW, "meta": meta}))["meta"] == meta


def test_missing_keys_are_none() -> None:
    """A row that lacks a field has it as None, as with the stock client."""
    assert stock_row_of(Event({"id": 3}))["project"] is None
    assert stock_row_of(Event({"id": 3}))["type"] == "EventLogEntry"


def test_calls_are_positional_and_args_the_same_object() -> None:
    """Whatever the parameters are called, and however they are taken."""
    seen: list[Any] = []
    args, logger, context = object(), logging.getLogger("plugin.a.b"), FakeContext()
    given: Any = context
    for callback in (
        lambda a, b, c, d: seen.append([a, b, c, d]),
        lambda *all_: seen.append([*all_]),
    ):
        classic_call(callback, logger, args)(STATUS, given)
    for sg, given_logger, given_event, given_args in seen:
        assert sg is context.sg
        assert given_logger is logger
        assert given_event["id"] == 7
        assert given_args is args


def test_registrar_takes_all_forms(studio: ClassicStudio) -> None:
    """Positional and by keyword, functions, methods, partials and instances, and some twice."""
    studio.write(
        "studio/shared-state.py",
        """
        import functools, logging

        class Counter:
            def __call__(self, sg, logger, event, args): pass
            def method(self, sg, logger, event, args): pass

        def plain(sg, logger, event, args): pass

        def registerCallbacks(reg):
            assert reg.getLogger() is reg.logger
            assert reg.logger.name == "plugin.shared-state"
            reg.logger.setLevel(logging.DEBUG)
            reg.setEmails(False); reg.setEmails(True); reg.setEmails("a@b.c", "d@e.f")
            reg.setEmails(["a@b.c"])
            reg.registerCallback("one", "key-of-one", plain, {"Shotgun_Task_New": None}, {}, False)
            reg.registerCallback(
                sgScriptName="two", sgScriptKey="key-of-two", callback=Counter(),
                matchEvents=None, args=None, stopOnError=True,
            )
            reg.registerCallback(scriptName="three", scriptKey="key-of-three", callback=plain)
            reg.registerCallback("one", "key-of-one", Counter().method)
            reg.registerCallback("one", "key-of-one", functools.partial(plain))
            reg.registerCallback("one", "key-of-one", lambda *all: None)
        """,
    )
    loaded = studio.load("studio")
    assert [status.reason for status in loaded.statuses if status.status == "broken"] == []
    assert [
        (one.name, one.on_error, one.credentials.script_name)
        for one in loaded.callbacks
        if one.credentials
    ] == [
        ("plain", "dead-letter", "one"),
        ("Counter", "pause", "two"),
        ("plain#2", "pause", "three"),
        ("method", "pause", "one"),
        ("partial", "pause", "one"),
        ("<lambda>", "pause", "one"),
    ]
    assert loaded.callbacks[0].where == "shared-state.py:8"
    assert logging.getLogger("plugin.shared-state").level == logging.DEBUG
