"""`summarize`: each summary, each grouping, and its refusals."""

from __future__ import annotations

from typing import Any

import pytest
from shotgun_api3.shotgun import Fault

from sgevents_core.sandbox import Sandbox


@pytest.fixture
def tasks(empty: Sandbox, connect: Any) -> Any:
    """The client of a site with five tasks."""
    shots = [empty.create("Shot", {"code": code}) for code in ("sh020", "Sh010")]
    for content, minutes, due, status, shot, milestone in (
        ("Comp", 60, "2026-01-05", "ip", shots[0], True),
        ("Roto", 30, "2026-01-31", "ip", shots[1], False),
        ("comp 2", None, "2026-02-01", "fin", shots[1], False),
        ("Anim", 125, None, "wtg", None, False),
        ("Anim", 5, "2027-02-01", "wtg", shots[0], True),
    ):
        values = {
            "content": content,
            "est_in_mins": minutes,
            "due_date": due,
            "sg_status_list": status,
            "entity": shot,
            "milestone": milestone,
        }
        empty.create("Task", values)
    return connect(empty)


@pytest.mark.parametrize(
    ("field", "summary", "expected"),
    [
        ("id", "count", 5),
        ("id", "record_count", 5),
        ("est_in_mins", "count", 4),
        ("est_in_mins", "record_count", 5),
        ("est_in_mins", "sum", 220),
        ("est_in_mins", "maximum", 125),
        ("est_in_mins", "minimum", 5),
        ("est_in_mins", "average", 55.0),
        ("due_date", "earliest", "2026-01-05"),
        ("due_date", "latest", "2027-02-01"),
        ("milestone", "checked", 2),
        ("milestone", "unchecked", 3),
        ("milestone", "percentage", 40),
        ("sg_status_list", "status_list", "ip"),
        ("entity.Shot.code", "count", 4),
    ],
)
def test_summaries(tasks: Any, field: str, summary: str, expected: Any) -> None:
    """Each summary is computed as its name says; empty values do not count."""
    result = tasks.summarize("Task", [], [{"field": field, "type": summary}])
    assert result == {"summaries": {field: expected}, "groups": []}


@pytest.mark.parametrize(
    ("summary", "expected"), [("status_percentage", 40), ("status_percentage_as_float", 0.4)]
)
def test_share_of_a_status(tasks: Any, summary: str, expected: float) -> None:
    """The share of a status is a percentage, or a fraction of 1."""
    summaries = [{"field": "sg_status_list", "type": summary, "value": "wtg"}]
    assert tasks.summarize("Task", [], summaries)["summaries"] == {"sg_status_list": expected}


def test_nothing_to_summarize(tasks: Any) -> None:
    """Without rows, a sum is 0, an average 0.0, a maximum None."""
    nothing = [["content", "is", "nothing"]]
    for summary, expected in (("sum", 0), ("average", 0.0), ("maximum", None), ("count", 0)):
        summaries = [{"field": "est_in_mins", "type": summary}]
        assert tasks.summarize("Task", nothing, summaries)["summaries"]["est_in_mins"] == expected


def test_groups_have_summaries_of_their_own(tasks: Any) -> None:
    """Grouped by a link: names in order, links as values, the total beside them."""
    count = [{"field": "id", "type": "count"}]
    grouping = [{"field": "entity", "type": "exact", "direction": "asc"}]
    result = tasks.summarize("Task", [], count, grouping=grouping)
    assert result["summaries"] == {"id": 5}
    assert [(group["group_name"], group["summaries"]["id"]) for group in result["groups"]] == [
        ("", 1),
        ("Sh010", 2),
        ("sh020", 2),
    ]
    assert result["groups"][1]["group_value"] == {
        "type": "Shot",
        "id": 2,
        "name": "Sh010",
        "valid": "valid",
    }


def test_groups_within_groups(tasks: Any) -> None:
    """Several groupings nest, each in its own direction."""
    count = [{"field": "id", "type": "count"}]
    grouping = [
        {"field": "sg_status_list", "type": "exact", "direction": "desc"},
        {"field": "content", "type": "exact", "direction": "asc"},
    ]
    groups = tasks.summarize("Task", [], count, grouping=grouping)["groups"]
    assert [group["group_value"] for group in groups] == ["wtg", "ip", "fin"]
    assert [inner["group_name"] for inner in groups[1]["groups"]] == ["Comp", "Roto"]
    assert groups[0]["group_name"] == "wtg"


@pytest.mark.parametrize(
    ("field", "kind", "names"),
    [
        ("content", "firstletter", ["A", "C", "R"]),
        ("est_in_mins", "tens", ["", "0-9", "30-39", "60-69", "120-129"]),
        ("est_in_mins", "hundreds", ["", "0-99", "100-199"]),
        ("due_date", "day", ["", "2026-01-05", "2026-01-31", "2026-02-01", "2027-02-01"]),
        ("due_date", "week", ["", "2026-01-05", "2026-01-26", "2027-02-01"]),
        ("due_date", "month", ["", "January 2026", "February 2026", "February 2027"]),
        ("due_date", "quarter", ["", "Q1 2026", "Q1 2027"]),
        ("due_date", "year", ["", "2026", "2027"]),
        ("entity", "entitytype", ["", "Shot"]),
        ("task_assignees", "exact", [""]),
    ],
)
def test_groupings(tasks: Any, field: str, kind: str, names: list[str]) -> None:
    """Numbers, dates, texts and links can be grouped in the ways that the API names."""
    grouping = [{"field": field, "type": kind, "direction": "asc"}]
    count = [{"field": "id", "type": "count"}]
    groups = tasks.summarize("Task", [], count, grouping=grouping)["groups"]
    assert [group["group_name"] for group in groups] == names


def test_groups_by_days_from_now(tasks: Any, empty: Sandbox) -> None:
    """Clustered dates are relative to today; five days are a group."""
    today = empty.database.clock().date().isoformat()
    empty.update("Task", 4, {"due_date": today})
    count = [{"field": "id", "type": "count"}]
    for kind in ("clustered_date", "fivedays"):
        grouping = [{"field": "due_date", "type": kind}]
        groups = tasks.summarize("Task", [["id", "is", 4]], count, grouping=grouping)["groups"]
        assert groups[0]["summaries"] == {"id": 1}
        assert kind == "fivedays" or groups[0]["group_name"] == "Today"


@pytest.mark.parametrize(
    ("fields", "grouping"),
    [
        ([{"field": "content", "type": "sum"}], None),
        ([{"field": "content", "type": "weight"}], None),
        ([{"field": "nope", "type": "count"}], None),
        ([{"type": "count"}], None),
        ([{"field": "id", "type": "count"}], [{"field": "nope", "type": "exact"}]),
        ([{"field": "id", "type": "count"}], [{"field": "content", "type": "colour"}]),
        ([{"field": "id", "type": "count"}], ["content"]),
    ],
)
def test_summaries_that_do_not_fit_are_refused(tasks: Any, fields: Any, grouping: Any) -> None:
    """Unknown fields, summaries and groupings are a Fault."""
    with pytest.raises(Fault, match=r"API summarize\(\)"):
        tasks.summarize("Task", [], fields, grouping=grouping)
