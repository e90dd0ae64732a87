"""The plan: which callbacks may be called for a type, and why others are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core import Event
from sgevents_core.dispatch import plan as plan_module
from sgevents_core.dispatch.plan import Plan
from sgevents_core.filters import Match
from sgevents_core.hookspecs import EVENT_HOOKS, EVERY_HOOK, hook_of
from sgevents_core.plugins.callback import Callback


def callback(hook: str | None, match: Match | None = None, name: str = "m:f") -> Callback:
    """Return a callback of `hook` that does nothing."""
    return Callback(
        plugin="p", name=name, hook=hook, match=match or Match(), function=lambda event, ctx: None
    )


TYPES = [
    "Shotgun_Task_New",
    "Shotgun_Task_Change",
    "Shotgun_Reading_Change",
    "Shotgun_Shot_Retirement",
    "Shotgun_Shot_Revival",
    "Shotgun_User_Login",
    "CRS_PlaylistShare_Create",
    "Toolkit_Desktop_AppLaunch",
    "SG_RV_Session_Validate_Success",
    "Studio_Task_New",
    "Published",
    "",
]


@pytest.mark.parametrize(
    ("event_type", "hook"),
    [
        ("Shotgun_Task_New", "on_new"),
        ("Shotgun_CustomEntity06_Change", "on_change"),
        ("Shotgun_Reading_Change", "on_change"),
        ("Shotgun_Playlist_Retirement", "on_retirement"),
        ("Shotgun_Playlist_Revival", "on_revival"),
        ("CRS_PlaylistShare_Create", "on_playlist_share_create"),
        ("CRS_PlaylistShare_Revoke", "on_playlist_share_revoke"),
        ("Shotgun_Attachment_View", "on_attachment_view"),
        ("Shotgun_Big_Query", "on_big_query"),
        ("Shotgun_DisplayColumn_Delete", "on_display_column_delete"),
        ("Shotgun_NotesApp_Summary_Email", "on_notes_app_summary_email"),
        ("Shotgun_User_FailedLogin", "on_user_failed_login"),
        ("Shotgun_User_Login", "on_user_login"),
        ("Shotgun_User_Logout", "on_user_logout"),
        ("Toolkit_Desktop_AppLaunch", "on_toolkit_desktop_app_launch"),
        ("Toolkit_Desktop_ProjectLaunch", "on_toolkit_desktop_project_launch"),
        ("Shotgun_Version_View", "on_other"),
        ("ClientLogin_Failed", "on_other"),
        ("shotgun_task_new", "on_other"),
        ("Shotgun_New", "on_other"),
    ],
)
def test_every_type_fires_one_hook_and_on_event(event_type: str, hook: str) -> None:
    """The hook of its kind, or on_other; and on_event, in the order of registration."""
    assert hook_of(event_type) == hook
    callbacks = [callback(name) for name in sorted(EVENT_HOOKS)]
    fired = [found.hook for _, found in Plan(callbacks).for_type(event_type)]
    assert fired == sorted([hook, EVERY_HOOK])


def test_registered_callbacks_are_called_by_their_filter_alone() -> None:
    """They implement no hook."""
    plan = Plan(
        [callback(None), callback(None, Match(event_type=("*_New",))), callback("on_change")]
    )
    assert [place for place, _ in plan.for_type("Shotgun_Task_New")] == [0, 1]
    assert [place for place, _ in plan.for_type("Studio_New")] == [0, 1]
    assert [place for place, _ in plan.for_type("Shotgun_Task_Change")] == [0, 2]


callbacks = st.builds(
    callback,
    st.sampled_from([None, *sorted(EVENT_HOOKS)]),
    st.builds(
        Match,
        event_type=st.lists(
            st.sampled_from([*TYPES, "*", "Shotgun_*", "*_New", "*Task*"]), max_size=2
        ).map(tuple),
        entity_type=st.sampled_from([(), ("Task",), ("S*",)]),
    ),
)
typed = st.sampled_from(TYPES) | st.lists(
    st.sampled_from(["Shotgun", "Task", "New", "Change"]), max_size=4
).map("_".join)


def naive(registered: list[Callback], event_type: str) -> list[tuple[int, Callback]]:
    """Say what the rules say, one callback at a time."""
    return [
        (place, one)
        for place, one in enumerate(registered)
        if one.hook in (None, "on_event", hook_of(event_type))
        and one.match.accepts_type(event_type)
    ]


@given(st.lists(callbacks, max_size=8), st.lists(typed, max_size=4))
def test_the_plan_is_a_naive_filter_with_a_memory(
    registered: list[Callback], event_types: list[str]
) -> None:
    """For every type, asked for once or again: those that accept it, in order, with places."""
    plan = Plan(registered)
    for event_type in [*event_types, *event_types]:
        assert list(plan.for_type(event_type)) == naive(registered, event_type)


ATTRIBUTES = [None, "", "sg_status_list", "code", 5]
LINKS = [None, {"type": "Task", "id": 1}, {"type": "Shot", "id": 2}, {"type": ""}, "Task"]
METAS = [None, {"entity_type": "Shot", "entity_id": 3}, {"pref": "code"}, {"new_value": "fin"}]
PROJECTS = [None, {"type": "Project", "id": 65, "name": "Home"}, {"id": 66}, {"id": "65"}, "Home"]
events = st.builds(
    lambda event_type, attribute, entity, meta, project: Event(
        {
            "event_type": event_type,
            "attribute_name": attribute,
            "entity": entity,
            "meta": meta,
            "project": project,
        }
    ),
    typed,
    st.sampled_from(ATTRIBUTES),
    st.sampled_from(LINKS),
    st.sampled_from(METAS),
    st.sampled_from(PROJECTS),
)
narrow = st.builds(
    callback,
    st.sampled_from([None, "on_event", "on_change", "on_new", "on_other"]),
    st.builds(
        Match,
        event_type=st.sampled_from([(), ("*_Change",), ("Shotgun_Task_New", "Published")]),
        entity_type=st.sampled_from([(), ("Task",), ("S*",), ("Page", "*ot")]),
        attribute=st.sampled_from([(), ("code",), ("sg_*", "code"), ("*",)]),
        new_value=st.sampled_from([(), ("fin",), (None, "fin")]),
        project=st.sampled_from([(), (), (65,), (66, 67), ("Home",), (66, "Home")]),
    ),
)


@given(st.lists(narrow, max_size=8), st.lists(events, max_size=4))
def test_an_event_reaches_those_whose_filter_accepts_it(
    registered: list[Callback], happened: list[Event]
) -> None:
    """By its route and the rest of its filter, asked for once or again."""
    plan = Plan(registered)
    for event in [*happened, *happened]:
        routed = plan.for_event(event)
        called = [one for _, one in routed if one.match.may_accept_routed(event)]
        assert called == [one for one in registered if one.matches(event)]
        assert [registered[index] for index, _ in routed] == [one for _, one in routed]


def test_filters_that_cannot_match_are_not_asked() -> None:
    """Neither for another attribute, another type of entity nor another project."""
    plan = Plan(
        [
            callback("on_change", Match(attribute=("sg_status_list",))),
            callback("on_change", Match(attribute=("sg_cut_in",))),
            callback("on_change", Match(entity_type=("Shot",))),
            callback("on_change", Match(entity_type=("Task",), new_value=("fin",))),
            callback("on_change", Match(project=(66,))),
            callback("on_change", Match(project=(65, 66))),
            callback("on_change", Match(project=(66, "Home"))),
        ]
    )
    row = {"event_type": "Shotgun_Task_Change", "attribute_name": "sg_status_list"}
    event = Event({**row, "entity": {"type": "Task", "id": 1}, "project": {"id": 65}})
    assert [index for index, _ in plan.for_event(event)] == [0, 3, 5, 6]
    assert plan.callbacks[5].match.is_decided_by_route
    assert not plan.callbacks[6].match.is_decided_by_route


@given(st.lists(callbacks, max_size=6), typed)
def test_explain_agrees_with_what_is_called(registered: list[Callback], event_type: str) -> None:
    """Every callback is in it, in order; a reason is given exactly where it is not called."""
    plan, event = Plan(registered), Event({"event_type": event_type})
    called = [one for _, one in plan.for_type(event_type) if one.matches(event)]
    explained = plan.explain(event)
    assert [one.callback for one in explained] == registered
    assert [one.callback for one in explained if one.matched] == called
    assert all(bool(one.why_not) is not one.matched for one in explained)


def test_explain_says_why_not() -> None:
    """By the hook, by the filter."""
    plan = Plan([callback("on_new"), callback("on_change", Match(entity_type=("Shot",)))])
    explained = plan.explain(Event({"event_type": "Shotgun_Task_Change"}))
    assert [one.why_not for one in explained] == [
        "it is for on_new, and 'Shotgun_Task_Change' fires on_change",
        "entity_type 'Task' is not 'Shot'",
    ]


def test_types_without_end_do_not_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool may put a number into every type it creates."""
    monkeypatch.setattr(plan_module, "_MAX_TABLE_SIZE", 10)
    plan = Plan([callback("on_other")])
    for number in range(35):
        assert len(plan.for_type(f"Render_{number}")) == 1
        assert len(plan.for_event(Event({"event_type": f"Render_{number}"}))) == 1
    assert len(plan.by_type) == len(plan.by_route) == 5  # those since it was last emptied
