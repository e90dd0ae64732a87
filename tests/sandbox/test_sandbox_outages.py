"""The sandbox becomes unavailable: outages, silence, its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from typing import Any

import pytest
from shotgun_api3.lib.httplib2 import HttpLib2Error
from waiting import PATIENCE, wait_until

from sgevents_core.errors import PortInUseError
from sgevents_core.sandbox import Sandbox

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


def test_outage_and_return(empty: Sandbox, calm: Any) -> None:
    """During an outage, connections are refused; afterwards, the site has the same address."""
    url = empty.url
    with empty.outage():
        with pytest.raises(OSError, match=r"closed|reset|pipe"):
            calm.find("Shot", [])  # over the connection there was
        with pytest.raises(ConnectionRefusedError):
            calm.find("Shot", [])
        empty.go_down()  # it is already
    empty.come_back()  # it is already
    assert empty.url == url
    assert works(calm)


def test_outage_for_a_while(empty: Sandbox, calm: Any) -> None:
    """An outage can end by itself."""
    empty.outage_for(0.01)
    answers: list[bool] = []

    def is_back() -> bool:
        try:
            answers.append(works(calm))
        except OSError:
            answers.append(False)
        return answers[-1] and False in answers

    wait_until(is_back)


def test_outage_that_a_call_sets_off(empty: Sandbox, calm: Any) -> None:
    """An outage can be a fault: the call that it strikes gets no answer."""
    empty.faults.add("outage", seconds=3600, method="read", calls=1)
    with pytest.raises((OSError, HTTPException, HttpLib2Error)):
        [calm.find("Shot", []) for _ in range(3)]  # the client's library tries again by itself
    assert empty.faults.injected("outage") == 1


def test_silence_ends_when_the_client_hangs_up(empty: Sandbox, connect: Connect) -> None:
    """A silent connection is released when the client gives up."""
    sg = connect(empty)
    sg.close()
    sg.config.timeout_secs = 0.05
    empty.faults.add("silent", calls=1)
    before = set(threading.enumerate())
    with pytest.raises(TimeoutError):
        sg.find("Shot", [])
    sg.close()
    wait_until(lambda: not any(t.name == "sandbox" for t in set(threading.enumerate()) - before))


def test_closing_leaves_nothing_behind(connect: Connect) -> None:
    """A closed site has no threads left, refuses connections, and may be closed again."""
    before = set(threading.enumerate())
    site = Sandbox()
    sg = connect(site)
    site.late(1, seconds=3600)
    site.set_rate(50)
    site.outage_for(3600)
    site.close()
    site.close()
    site.come_back()
    assert set(threading.enumerate()) == before
    sg.close()
    with pytest.raises(ConnectionRefusedError):
        sg.find("Shot", [])


def test_silent_connections_end_with_the_site(empty: Sandbox, connect: Connect) -> None:
    """A silent connection never answers until the client's timeout; closing does not wait."""
    sg = connect(empty)
    sg.close()  # the timeout is that of the next connection
    sg.config.timeout_secs = 0.05
    empty.faults.add("silent", method="read")
    with pytest.raises(TimeoutError):
        sg.find("Shot", [])
    empty.close()


def test_latency_ends_with_the_site(empty: Sandbox, calm: Any) -> None:
    """Closing the site does not wait for slow answers."""
    empty.faults.add("latency", seconds=9999)

    def find() -> None:
        with suppress(Exception):  # the answer may or may not get through
            calm.find("Shot", [])

    waiting = threading.Thread(target=find)
    waiting.start()
    wait_until(lambda: empty.faults.injected("latency"))
    empty.close()
    waiting.join(PATIENCE)
    assert not waiting.is_alive()


def test_port_in_use_is_reported() -> None:
    """A port in use is reported with the fix."""
    with Sandbox(project=False) as site:
        port = int(site.url.rsplit(":", 1)[1])
        with pytest.raises(PortInUseError, match=f"(?s)cannot listen on 127.0.0.1:{port}.*free"):
            Sandbox(port)
