"""Filters on who caused an event: `user`, `script`, `in_create`, and a plugin's own doings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from installed_packages import Packages

from sgevents_core import Event, match
from sgevents_core.errors import MatchError
from sgevents_core.filters import Match, made_match
from sgevents_core.origin import LOGIN, is_by_script
from sgevents_core.settings import PluginSettings, Secret

ADA = {"type": "HumanUser", "id": 7, "name": "Ada Park"}
FARM = {"type": "ApiUser", "id": 7, "name": "farm_publisher 1.0"}


def event(user: object = None, meta: object = None, **fields: object) -> Event:
    """Return the change of a task that `user` made."""
    row = {"id": 1, "event_type": "Shotgun_Task_Change", "user": user, "meta": meta or {}}
    return Event({**row, **fields})


BY_ADA = event(ADA)
BY_FARM = event(FARM)
BY_NOBODY = event()
BEHIND_ADA = event(ADA, {"sudo_actual_user": FARM})
WITH_LOGIN = Event({**BY_ADA.row, LOGIN: "ada"})


def accepted(happened: Event, **conditions: Any) -> bool:
    """Return whether a filter accepts `happened`; why_not must agree."""
    wanted = made_match(**conditions)
    is_accepted = wanted.accepts(happened)
    assert (wanted.why_not(happened) is None) is is_accepted
    return is_accepted


@pytest.mark.parametrize(
    ("happened", "user", "is_accepted"),
    [
        (BY_ADA, 7, True),
        (BY_ADA, "Ada Park", True),
        (BY_ADA, ADA, True),
        (BY_ADA, {"type": "HumanUser", "name": "Ada Park"}, True),
        (BY_ADA, [1, "Ada Park"], True),
        (BY_ADA, 8, False),
        (BY_ADA, "Ada", False),
        (BY_ADA, "ada", False),
        (WITH_LOGIN, "ada", True),
        (WITH_LOGIN, "Ada Park", True),
        (BEHIND_ADA, 7, True),
        (BY_FARM, 7, False),
        (BY_FARM, "farm_publisher", False),
        (BY_NOBODY, 7, False),
        (event("Ada Park"), "Ada Park", False),
    ],
)
def test_user_is_a_person_by_id_name_or_login(
    happened: Event, user: object, is_accepted: bool
) -> None:
    """A script with the same id is not meant; logins count where the row has them."""
    assert accepted(happened, user=user) is is_accepted


@pytest.mark.parametrize(
    ("happened", "script", "is_accepted"),
    [
        (BY_FARM, "farm_publisher", True),
        (BY_FARM, "farm_*", True),
        (BY_FARM, ["other", "farm_publisher"], True),
        (BY_FARM, "farm", False),
        (BEHIND_ADA, "farm_publisher", True),
        (BY_ADA, "*", False),
        (BY_ADA, "Ada Park", False),
        (BY_NOBODY, "*", False),
        (event(ADA, {"sudo_actual_user": {"type": "HumanUser", "name": "Bo"}}), "Bo", False),
    ],
)
def test_script_is_who_did_it_also_in_a_users_name(
    happened: Event, script: object, is_accepted: bool
) -> None:
    """Under its own name or by sudo; a person is no script."""
    assert accepted(happened, script=script) is is_accepted


def test_in_create_tells_values_of_a_new_record_from_later_changes() -> None:
    """Left out, both are wanted."""
    born = event(ADA, {"in_create": True})
    assert accepted(born, in_create=True)
    assert not accepted(born, in_create=False)
    assert accepted(BY_ADA, in_create=False)
    assert accepted(born)
    assert accepted(BY_ADA)


@pytest.mark.parametrize(
    ("happened", "conditions", "why"),
    [
        (BY_ADA, {"user": [8, "Bo"]}, "user 'Ada Park 7' is not 8 or 'Bo'"),
        (BY_ADA, {"script": "farm_*"}, "script None is not 'farm_*'"),
        (BY_ADA, {"in_create": True}, "in_create False is not True"),
    ],
)
def test_people_are_told_who_it_was(happened: Event, conditions: dict[str, Any], why: str) -> None:
    """With what is wanted instead."""
    assert made_match(**conditions).why_not(happened) == why


def test_people_can_read_such_filters() -> None:
    """In one line, with what a configuration adds."""
    wanted = made_match(user=[7, "ada"], script="farm_*", in_create=False)
    assert wanted.describe() == "user=7|ada script=farm_* in_create=False"
    assert Match(not_script="rollup").describe() == "ignore_own=rollup"


@pytest.mark.parametrize(
    ("wrong", "problem", "advice"),
    [
        ({"user": True}, "user=True is no person", "id"),
        ({"user": FARM}, "is no person", "script=NAME"),
        ({"user": []}, "user is empty", "Leave it out"),
        ({"script": 7}, "script=7 is not a name", "publisher"),
        ({"in_create": "yes"}, "in_create='yes' is no bool", "True or False"),
    ],
)
def test_wrong_values_are_refused_where_they_are_written(
    wrong: dict[str, Any], problem: str, advice: str
) -> None:
    """With the value and the fix."""
    with pytest.raises(MatchError) as caught:
        match(**wrong)
    assert caught.value.where.startswith(f"{__file__}:")
    assert problem in caught.value.reason
    assert advice in caught.value.fix


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.sampled_from(["ApiUser", "HumanUser", "x"]),
    lambda inner: st.dictionaries(
        st.sampled_from(["type", "id", "name", "sudo_actual_user"]), inner, max_size=4
    ),
    max_leaves=6,
)


@given(ODD, ODD, ODD)
def test_strange_rows_raise_nothing_and_both_ways_agree(
    user: object, meta: object, login: object
) -> None:
    """Whatever a row holds, a filter has an answer, and why_not the same one."""
    happened = Event({"user": user, "meta": meta, LOGIN: login, "event_type": "Shotgun_X_New"})
    assert happened.script is None or isinstance(happened.script, str)
    for conditions in ({"user": [7, "x"]}, {"script": "*"}, {"in_create": True}):
        accepted(happened, **conditions)
    by_script = accepted(happened, script="*")
    assert by_script is (happened.script is not None)
    assert Match(not_script="x").accepts(happened) is not is_by_script(happened, "x")


PLUGIN = """
    from sgevents_core import hookimpl, match

    @hookimpl
    @match(entity_type="Task")
    def on_change(event): ...

    @hookimpl
    def register_callbacks(registrar):
        registrar.register(lambda event: None)
"""


def test_ignore_own_keeps_what_the_plugins_own_script_did_from_all_its_callbacks(
    packages: Packages,
) -> None:
    """Also behind sudo; what others do comes, and the reason can be read."""
    packages.install_module("rollup", PLUGIN)
    own = PluginSettings(
        enabled=True, ignore_own=True, script_name="farm_publisher", api_key=Secret("demo-key")
    )
    loaded = packages.load(tables={"rollup": own})
    assert len(loaded.callbacks) == 2
    for callback in loaded.callbacks:
        assert callback.matches(BY_ADA)
        assert not callback.matches(BY_FARM)
        assert not callback.matches(BEHIND_ADA)
        assert callback.why_not(BY_FARM) == (
            "it was caused by the plugin's own script 'farm_publisher' (ignore_own)"
        )
    assert loaded.callbacks[0].match.describe() == "entity_type=Task ignore_own=farm_publisher"
    everything = packages.load("rollup")
    assert everything.callbacks[0].matches(BY_FARM)


def test_a_login_that_the_feed_does_not_read_is_warned_about(packages: Packages) -> None:
    """It would never match; a full name and an id are left alone."""
    text = PLUGIN.replace('entity_type="Task"', 'user=["ada", "Ada Park", 7]')
    packages.install_module("rollup", text)
    (warning,) = packages.load("rollup").plugins[0].warnings
    assert warning.startswith("rollup.py:")
    assert "user='ada' is compared with names only" in warning
    assert 'fields = ["user.HumanUser.login"]' in warning
