"""The order of groups and plugins."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.plugins.ordering import call_order, group_order

names = st.text("abzAZé_-0", min_size=1, max_size=3)
groups = st.sampled_from(["default", "comp", "anim", "Zoo", "éclair"])


def test_groups_come_as_configured_and_plugins_by_code_point() -> None:
    """Capital letters before small ones, accents after; default last."""
    order = call_order(
        ["comp", "anim"],
        {"b": "anim", "a": "default", "é": "comp", "z": "comp", "Z": "comp", "_": "comp"},
    )
    assert order == ("Z", "_", "z", "é", "b", "a")


def test_default_comes_where_it_is_listed() -> None:
    """Listed like any other group, default has that place."""
    assert group_order(["comp", "default", "anim"], ["anim"]) == ("comp", "default", "anim")
    assert group_order(["comp"], ["anim", "Anim"]) == ("comp", "Anim", "anim", "default")


@given(st.lists(groups, max_size=4), st.dictionaries(names, groups, max_size=8))
def test_the_order_is_total_and_follows_the_rules(
    configured: list[str], group_of: dict[str, str]
) -> None:
    """Every plugin once; the group decides, then the name; the input's order does not matter."""
    order = call_order(configured, group_of)
    assert sorted(order) == sorted(group_of)
    assert order == call_order(configured, dict(reversed(group_of.items())))
    all_groups = group_order(configured, group_of.values())
    assert all_groups[: len(set(configured))] == tuple(dict.fromkeys(configured))
    assert "default" in configured or all_groups[-1] == "default"
    for first, second in pairwise(order):
        places = [all_groups.index(group_of[name]) for name in (first, second)]
        assert (places[0], first) < (places[1], second)
