"""Another process controls the sandbox through its control endpoint."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from waiting import PATIENCE

from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.control import CONTROL_ORDERS


def order(site: Sandbox, name: str, /, **values: Any) -> dict[str, Any]:
    """Send an order and return the answer."""
    body = json.dumps(values).encode() if values else b""
    request = urllib.request.Request(f"{site.url}/sandbox/{name}", body, method="POST")
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        answer: dict[str, Any] = json.loads(response.read())
        return answer


def refused(site: Sandbox, name: str, /, **values: Any) -> tuple[int, str]:
    """Send an order that is refused; return status and reason."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        order(site, name, **values)
    with caught.value as error:
        return error.code, json.loads(error.read())["error"]


def test_status_and_visible_ids(empty: Sandbox) -> None:
    """The state of the log can be read, also as one script sees it."""
    empty.burn(3)
    empty.event("Studio_A")
    empty.event("Studio_B")
    empty.hide([5], "other")
    assert order(empty, "status") == {
        "url": empty.url,
        "visible": 2,
        "highest_id": 5,
        "next_id": 6,
        "rate": 0.0,
    }
    assert order(empty, "visible") == {"ids": [4, 5]}
    assert order(empty, "visible", first=5) == {"ids": [5]}
    assert order(empty, "visible", script="other") == {"ids": [4]}


def test_counts_can_be_read_and_reset(site: Sandbox, sg: Any) -> None:
    """The counts of calls and rows are JSON; control orders are not counted."""
    sg.find("Shot", [])
    counts = order(site, "counts", reset=True)
    assert counts == {"calls": {"info": 1, "read Shot": 1}, "rows": {"Shot": 12}}
    assert order(site, "counts") == {"calls": {}, "rows": {}}


def test_faults_can_be_set_and_counted(empty: Sandbox) -> None:
    """Faults are added, listed, removed and cleared."""
    added = order(empty, "faults/add", kind="status", status=502, calls=3, method="read")
    assert added["status"] == 502
    order(empty, "faults/add", kind="silent", script="other")
    listed = order(empty, "faults")
    assert [fault["kind"] for fault in listed["faults"]] == ["status", "silent"]
    assert listed["injected"]["status"] == 0
    order(empty, "faults/remove", id=added["id"])
    assert [fault["kind"] for fault in order(empty, "faults")["faults"]] == ["silent"]
    order(empty, "faults/clear")
    assert order(empty, "faults")["faults"] == []


def test_rows_can_be_made_late_and_never(empty: Sandbox) -> None:
    """Orders begin, commit and roll back transactions, burn ids, hide and show rows."""
    late = order(empty, "late", rows=2)
    never = order(empty, "late", rows=1)
    burnt = order(empty, "burn", ids=10)
    assert (late["ids"], never["ids"], burnt) == ([1, 2], [3], {"first": 4, "last": 13})
    assert order(empty, "event", event_type="Studio_A", meta={"a": 1}) == {"id": 14}
    assert order(empty, "commit", transaction=late["transaction"]) == {"ids": [1, 2]}
    assert order(empty, "roll-back", transaction=never["transaction"]) == {"ids": [3]}
    assert empty.log.visible_ids() == [1, 2, 14]
    order(empty, "hide", ids=[2])
    assert empty.log.visible_ids() == [1, 14]
    order(empty, "show")
    assert order(empty, "rewind", to_id=2) == {"next_id": 3}
    assert empty.log.visible_ids() == [1, 2]


def test_traffic_steps_and_fill(site: Sandbox) -> None:
    """Orders turn traffic on and off, take single steps and fill the log."""
    assert order(site, "traffic", rate=5) == {"rate": 5.0}
    assert site.rate == 5.0
    order(site, "traffic", rate=0)
    ids = order(site, "step", steps=3)["ids"]
    assert len(ids) >= 3
    (login,) = order(site, "step", kind="login")["ids"]
    assert site.log.row(login).event_type == "Shotgun_User_Login"
    filled = order(site, "fill", events=100)
    assert filled == {"first": login + 1, "last": login + 100}


def test_scripts_and_outages(empty: Sandbox) -> None:
    """Orders add and revoke scripts; an outage begins after the answer."""
    order(empty, "scripts/add", name="other", key="other-key")
    order(empty, "scripts/revoke", name="other")
    assert order(empty, "outage", seconds=0) == {}


def test_invalid_orders(empty: Sandbox) -> None:
    """Unknown addresses are 404; missing or wrong values 400 with the reason."""
    status, reason = refused(empty, "explode")
    assert (status, all(name in reason for name in CONTROL_ORDERS)) == (404, True)
    assert refused(empty, "burn") == (400, "unknown or missing: 'ids'")
    assert refused(empty, "burn", ids="many")[0] == 400
    assert refused(empty, "commit", transaction=9)[0] == 400
    assert refused(empty, "faults/add", kind="nope")[0] == 400
    assert refused(empty, "event", event_type="x", nope=1)[0] == 400
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{empty.url}/elsewhere", timeout=PATIENCE)
    with caught.value as error:
        assert error.code == 404


def test_invalid_calls(empty: Sandbox) -> None:
    """What is not a call of the API is answered with a Fault, not a broken connection."""
    for body in (b"", b"[]", b"{}", b"\x00", b'{"method_name": "read", "params": 5}'):
        request = urllib.request.Request(f"{empty.url}/api3/json", body, method="POST")
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            assert json.loads(response.read())["exception"] is True
