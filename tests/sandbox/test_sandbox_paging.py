"""Order and pages, in both directions, with counts and without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from shotgun_api3.shotgun import Fault

from sgevents_core.sandbox import Sandbox

Connect = Callable[..., Any]
ASCENDING = [{"field_name": "id", "direction": "asc"}]
DESCENDING = [{"field_name": "id", "direction": "desc"}]


@pytest.fixture
def small(connect: Connect) -> Any:
    """A site whose pages hold ten rows at most, and its client."""
    with Sandbox(project=False, page_size=10) as site:
        for _ in range(35):
            site.event("Studio_Row")
        yield site, connect(site)


def test_client_follows_the_pages(small: Any) -> None:
    """`find` without a limit gets all rows, page by page, each exactly once."""
    site, sg = small
    with site.counts.during() as counts:
        records_found = sg.find("EventLogEntry", [], ["id"])
    assert [row["id"] for row in records_found] == list(range(1, 36))
    assert counts.calls("read", "EventLogEntry") == 4
    assert counts.rows("EventLogEntry") == 35


def test_full_last_page_needs_no_further_one(small: Any) -> None:
    """If the last page is full, the site reports that there is no next one."""
    site, sg = small
    with site.counts.during() as counts:
        records_found = sg.find("EventLogEntry", [["id", "less_than", 31]])
    assert (len(records_found), counts.calls("read")) == (30, 3)


def test_limits_and_pages(small: Any) -> None:
    """A limit within a page is one call, beyond it as many as needed; a page can be requested."""
    site, sg = small
    with site.counts.during() as counts:
        assert len(sg.find("EventLogEntry", [], limit=7)) == 7
        assert counts.calls() == 0  # counted when the block is left
    assert (counts.calls("read"), counts.rows()) == (1, 7)
    assert len(sg.find("EventLogEntry", [], limit=25)) == 25
    assert [row["id"] for row in sg.find("EventLogEntry", [], limit=4, page=3)] == [9, 10, 11, 12]
    assert sg.find("EventLogEntry", [], limit=10, page=5) == []


@pytest.mark.parametrize("order", [ASCENDING, DESCENDING, None])
def test_pages_by_id_both_ways(small: Any, order: Any) -> None:
    """Rows above or below an id come in id order, ascending by default."""
    _, sg = small
    records_found = sg.find("EventLogEntry", [["id", "greater_than", 20]], order=order, limit=5)
    ids = [row["id"] for row in records_found]
    assert ids == ([35, 34, 33, 32, 31] if order is DESCENDING else [21, 22, 23, 24, 25])


def test_old_clients_get_counts(small: Any) -> None:
    """Clients of older sites request counts and get the number of rows and pages."""
    _, sg = small
    sg.server_caps.version = (7, 0, 0)
    assert len(sg.find("EventLogEntry", [["id", "greater_than", 5]])) == 30
    params = {
        "type": "EventLogEntry",
        "return_fields": ["id"],
        "filters": {
            "logical_operator": "and",
            "conditions": [{"path": "event_type", "relation": "is", "values": ["studio_row"]}],
        },
        "paging": {"entities_per_page": 10, "current_page": 4},
        "return_paging_info": True,
    }
    assert sg._call_rpc("read", params)["paging_info"] == {
        "current_page": 4,
        "entities_per_page": 10,
        "entity_count": 35,
        "page_count": 4,
    }
    params["return_paging_info"] = False
    assert "paging_info" not in sg._call_rpc("read", params)


@pytest.mark.parametrize(
    "paging",
    [
        {"entities_per_page": 0, "current_page": 1},
        {"entities_per_page": 5, "current_page": 0},
        {"entities_per_page": "x", "current_page": 1},
        {"entities_per_page": 11, "current_page": 1},
    ],
)
def test_invalid_paging_is_refused(small: Any, paging: dict[str, Any]) -> None:
    """A page begins at 1 and has from 1 to as many rows as `info` says."""
    _, sg = small
    with pytest.raises(Fault, match="'paging'"):
        sg._call_rpc("read", {"type": "EventLogEntry", "paging": paging})


def test_order_by_several_fields(empty: Sandbox, connect: Connect) -> None:
    """The first sort counts most; each has its own direction; empty values come last in both."""
    sg = connect(empty)
    for code, cut in (("b", 2), ("a", 2), ("a", 1), (None, 3), ("B", None)):
        empty.create("Shot", {"code": code, "sg_cut_in": cut})
    order = [
        {"field_name": "sg_cut_in", "direction": "desc"},
        {"field_name": "code", "direction": "asc"},
    ]
    records_found = sg.find("Shot", [], ["code", "sg_cut_in"], order=order)
    assert [(shot["code"], shot["sg_cut_in"]) for shot in records_found] == [
        (None, 3),
        ("a", 2),
        ("b", 2),
        ("a", 1),
        ("B", None),
    ]
    upward = sg.find("Shot", [], ["sg_cut_in"], order=[{"field_name": "sg_cut_in"}])
    assert [shot["sg_cut_in"] for shot in upward] == [1, 2, 2, 3, None]


def test_order_by_links_and_paths(site: Sandbox, sg: Any) -> None:
    """Links sort by name, paths by the value they lead to; unknown fields are ignored."""
    order = [
        {"field_name": "entity", "direction": "desc"},
        {"field_name": "nope", "direction": "asc"},
        {"field_name": "step.Step.list_order", "direction": "desc"},
    ]
    records_found = sg.find("Task", [], ["entity", "content"], order=order)
    expected = sorted(records_found, key=lambda task: task["entity"]["name"].lower(), reverse=True)
    assert [task["entity"] for task in records_found] == [task["entity"] for task in expected]
    assert records_found[0]["content"] == "Comp"
    assert records_found[-1]["content"] == "Model"
