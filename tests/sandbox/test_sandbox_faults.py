"""The sandbox misbehaves on demand, as often as requested, and counts it."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from typing import Any
from xmlrpc.client import ProtocolError

import pytest
from shotgun_api3.lib.httplib2 import HttpLib2Error
from shotgun_api3.shotgun import AuthenticationFault, Fault
from waiting import PATIENCE, wait_until

from sgevents_core.errors import UnknownFaultError
from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.faults import FAULT_KINDS, parse_fault

Connect = Callable[..., Any]


@pytest.fixture
def calm(empty: Sandbox, connect: Connect) -> Any:
    """The client of a site without records, `info` read already."""
    sg = connect(empty)
    sg.find("Shot", [])
    return sg


def works(sg: Any) -> bool:
    """Return whether the site answers normally."""
    return bool(sg.find("Shot", []) == [])


def test_http_errors(empty: Sandbox, calm: Any) -> None:
    """A status of 5xx is a ProtocolError, for the requested number of calls."""
    fault = empty.faults.add("status", status=500, calls=2)
    for _ in range(2):
        with pytest.raises(ProtocolError) as caught:
            calm.find("Shot", [])
        assert caught.value.errcode == 500
    assert works(calm)
    assert fault.injected == 2
    assert empty.faults.injected("status") == empty.faults.injected() == 2


def test_html_with_status_200(empty: Sandbox, calm: Any) -> None:
    """A maintenance page is HTML with status 200, which the client cannot decode."""
    empty.faults.add("html", calls=1)
    with pytest.raises(AttributeError):
        calm.find("Shot", [])
    assert works(calm)


@pytest.mark.parametrize("kind", ["garbage", "cut-json"])
def test_bodies_that_are_no_json(empty: Sandbox, calm: Any, kind: str) -> None:
    """Garbage and cut-off JSON cannot be decoded."""
    empty.faults.add(kind, calls=1)
    with pytest.raises(json.JSONDecodeError):
        calm.find("Shot", [])
    assert works(calm)


@pytest.mark.parametrize("kind", ["cut-body", "drop", "reset"])
def test_connections_that_break(empty: Sandbox, calm: Any, kind: str) -> None:
    """A connection closed within or before a body, cleanly or not, is an error."""
    empty.faults.add(kind, calls=3)  # the client's library tries again by itself
    with pytest.raises((OSError, HttpLib2Error, Exception)) as caught:
        calm.find("Shot", [])
    assert not isinstance(caught.value, (Fault, ProtocolError))
    empty.faults.clear()
    assert works(calm)
    assert empty.faults.injected(kind) >= 1


def test_reset_is_not_an_orderly_end(empty: Sandbox) -> None:
    """The system reports a reset as such; after a drop, the connection ends."""
    empty.faults.add("drop", calls=1)
    with called(empty) as connection:
        assert connection.recv(1) == b""
    empty.faults.add("reset", calls=1)
    with called(empty) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)


def called(site: Sandbox) -> socket.socket:
    """Return a connection over which a call was sent."""
    connection = socket.create_connection(("127.0.0.1", int(site.url.rsplit(":", 1)[1])), 10)
    body = b'{"method_name": "info"}'
    head = (
        f"POST /api3/json HTTP/1.1\r\nHost: {site.url[7:]}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


def test_latency(empty: Sandbox, calm: Any) -> None:
    """Latency delays the answer, which is then correct."""
    empty.faults.add("latency", seconds=0.05, calls=1)
    began = time.monotonic()
    assert works(calm)
    assert time.monotonic() - began >= 0.05


def test_refused_key(empty: Sandbox, calm: Any) -> None:
    """A correct key can be refused for a while."""
    empty.faults.add("refused-key", calls=1)
    with pytest.raises(AuthenticationFault, match="Can't authenticate script 'sgevents'"):
        calm.find("Shot", [])
    assert works(calm)


def test_summarize_can_be_refused(empty: Sandbox, calm: Any) -> None:
    """A fault can be restricted to a method and an entity type, and its message can be set."""
    empty.faults.add(
        "api-error", message="No permission", method="summarize", entity_type="EventLogEntry"
    )
    count = [{"field": "id", "type": "count"}]
    with pytest.raises(Fault, match="No permission"):
        calm.summarize("EventLogEntry", [], count)
    assert calm.summarize("Shot", [], count)["summaries"] == {"id": 0}
    assert works(calm)


def test_faults_for_one_script(empty: Sandbox, calm: Any, connect: Connect) -> None:
    """A fault can be restricted to one script."""
    empty.add_script("other", "other-key")
    other = connect(empty, script_name="other", api_key="other-key")
    fault = empty.faults.add("status", script="other")
    assert works(calm)
    with pytest.raises(ProtocolError):
        other.find("Shot", [])
    empty.faults.remove(fault)
    assert works(other)


def test_chance_comes_from_the_seed() -> None:
    """With a probability, the same seed strikes the same calls, about that share of them."""

    def struck(seed: int) -> list[bool]:
        with Sandbox(project=False, seed=seed) as site:
            site.faults.add("status", probability=0.3)
            return [bool(site.faults.strike_call(method="read")) for _ in range(400)]

    assert struck(1) == struck(1) != struck(2)
    assert 80 < sum(struck(1)) < 160


def test_lagging_replica(empty: Sandbox, calm: Any) -> None:
    """A lagging replica shows the log as it was some rows ago, in pages and in counts."""
    for _ in range(10):
        empty.event("Studio_Row")
    empty.faults.add("lagging-replica", rows=4, calls=2)
    assert len(calm.find("EventLogEntry", [])) == 6
    count = [{"field": "id", "type": "count"}]
    assert calm.summarize("EventLogEntry", [], count)["summaries"] == {"id": 6}
    assert len(calm.find("EventLogEntry", [])) == 10


def test_late_and_lost_transactions_of_the_api(empty: Sandbox, calm: Any) -> None:
    """Faults on writes: rows come some seconds late, never, or after a gap of many ids."""
    empty.faults.add("commit-late", seconds=3600, calls=1)
    empty.faults.add("commit-never", calls=1, entity_type="Tag")
    late = calm.create("Department", {"name": "late"})
    assert calm.find_one("Department", [["id", "is", late["id"]]])
    assert empty.log.visible_ids() == []
    calm.create("Tag", {"name": "lost"})
    assert calm.find("Tag", []) == []
    taken = empty.log.next_id
    empty.faults.add("burn", ids=500, calls=1)
    calm.create("Group", {"code": "after"})
    assert empty.log.visible_ids()[0] == taken + 500


def test_faults_strike_batches(empty: Sandbox, calm: Any) -> None:
    """A fault treats a batch as one transaction."""
    fault = empty.faults.add("commit-never", method="batch", calls=1)
    create = {"request_type": "create", "entity_type": "Tag", "data": {"name": "x"}}
    assert len(calm.batch([create, create])) == 2
    assert works(calm)
    assert fault.injected == 1
    assert empty.log.visible_ids() == []


def test_rows_hidden_by_a_call(empty: Sandbox, calm: Any) -> None:
    """A call can trigger that the newest rows are hidden for some seconds."""
    for _ in range(5):
        empty.event("Studio_Row")
    empty.faults.add("hide", rows=2, seconds=3600, calls=1)
    assert [row["id"] for row in calm.find("EventLogEntry", [])] == [1, 2, 3]
    empty.show()
    shown = threading.Event()
    show = empty.log.show

    def noticed(ids: Any = None, script: str | None = None) -> None:
        show(ids, script)
        shown.set()

    empty.log.show = noticed  # type: ignore[method-assign]  # to wait for it without sleeping
    empty.faults.add("hide", rows=50, seconds=0.01, calls=1)
    calm.find("EventLogEntry", [])
    assert shown.wait(PATIENCE)
    assert empty.log.visible_ids() == [1, 2, 3, 4, 5]


def test_log_taken_back_by_a_call(empty: Sandbox, calm: Any) -> None:
    """A call can trigger that the log is set back by some rows."""
    for _ in range(5):
        empty.event("Studio_Row")
    empty.faults.add("rewind", rows=2, calls=1)
    assert [row["id"] for row in calm.find("EventLogEntry", [])] == [1, 2, 3]
    assert empty.event("Studio_Again") == 4
    empty.faults.add("rewind", rows=50, calls=1)
    assert calm.find("EventLogEntry", []) == []
    assert empty.log.next_id == 1


def test_unknown_faults_are_reported() -> None:
    """An unknown fault or option is refused with the known ones."""
    with Sandbox(project=False) as site:
        with pytest.raises(UnknownFaultError, match=r"has no fault 'statsu'.*cut-body"):
            site.faults.add("statsu")
        with pytest.raises(UnknownFaultError, match=r"'status:code'.*calls, probability.*status"):
            site.faults.add("status", code=500)
    with pytest.raises(UnknownFaultError, match="KIND:name=value"):
        parse_fault("status:500")
    with pytest.raises(UnknownFaultError):
        parse_fault("nope:1")


def test_faults_from_text() -> None:
    """The text of an option is parsed to kind and values, with numbers as numbers."""
    assert parse_fault("silent") == {"kind": "silent"}
    assert parse_fault("status:status=502,probability=0.25,entity-type=Shot") == {
        "kind": "status",
        "status": 502,
        "probability": 0.25,
        "entity_type": "Shot",
    }


def test_faults_from_the_start(connect: Connect) -> None:
    """A site can be created with faults."""
    with Sandbox(project=False, faults=[{"kind": "status", "calls": 1, "method": "read"}]) as site:
        sg = connect(site)
        with pytest.raises(ProtocolError):
            sg.find("Shot", [])
        assert works(sg)


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_site_survives_every_fault(kind: str) -> None:
    """After any fault, with its own defaults, a new call is answered."""
    with Sandbox(project=False) as site:
        short = {"seconds": 0.01} if "seconds" in FAULT_KINDS[kind] else {}
        site.faults.add(kind, calls=1, **short)
        auth = {"script_name": site.script_name, "script_key": site.api_key}
        body = {"method_name": "read", "params": [auth, {"type": "Shot"}]}
        request = urllib.request.Request(f"{site.url}/api3/json", json.dumps(body).encode())
        with suppress(OSError, HTTPException):
            urllib.request.urlopen(request, timeout=0.2).close()
        answers: list[bytes] = []

        def is_answered() -> bool:
            with suppress(OSError), urllib.request.urlopen(request, timeout=PATIENCE) as response:
                answers.append(response.read())
            return bool(answers)

        wait_until(is_answered)
        assert json.loads(answers[0])["results"]["entities"] == []
