"""Connections that plugins' threads open: each ends with its thread, all with the plugin."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from lane_house import Plugin
from raw_site import RawSite, raw_site
from site_records import settings
from waiting import PATIENCE

from sgevents_core.calling.context import CallContext, Services
from sgevents_core.markers import Match
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.callback import Callback, Credentials
from sgevents_core.settings import PluginSettings, Secret


@pytest.fixture
def raw() -> Iterator[RawSite]:
    """A site that counts its connections."""
    with raw_site() as site:
        yield site


@pytest.fixture
def services(raw: RawSite) -> Iterator[Services]:
    """What all calls of a plugin share."""
    made = Services(
        Plugin("one", []).loaded(),
        settings(raw.url),
        PluginSettings(enabled=True),
        store=cast("Any", None),
        site_key="site",
        redact=Redactor(),
    )
    yield made
    made.close()


def test_callbacks_with_credentials_of_their_own_sign_in_with_them(raw: RawSite) -> None:
    """Each has a connection of its own per thread; all others share that of the plugin."""
    studio, farm = (Credentials(name, Secret(f"{name}-key")) for name in ("studio", "farm"))
    callbacks = [
        Callback("one", name, None, Match(), print, credentials=credentials)
        for name, credentials in (("a", studio), ("b", farm), ("c", studio), ("d", None))
    ]
    services = Services(
        Plugin("one", callbacks).loaded(),
        settings(raw.url),
        PluginSettings(enabled=True),
        store=cast("Any", None),
        site_key="site",
        redact=Redactor(),
    )
    connections = {name: CallContext(services, None, name).sg for name in ("a", "b", "c", "d", "x")}
    common = settings(raw.url).script_name
    assert [sg.config.script_name for sg in connections.values()] == [
        "studio", "farm", "studio", common, common,
    ]  # fmt: skip
    assert connections["b"].config.api_key == "farm-key"
    assert connections["a"] is not connections["c"]
    assert connections["d"] is connections["x"]
    for name in ("a", "b", "c", "d"):
        cast("Any", connections[name]).writes += 1
    assert services.take_writes() == 4
    assert services.take_writes() == 0
    services.close()


def test_a_connection_ends_with_its_thread(raw: RawSite, services: Services) -> None:
    """Threads that come and go leave no connection open, however many they are."""
    for _ in range(100):
        thread = threading.Thread(
            target=lambda: CallContext(services, None, "x").sg.find("Shot", [])
        )
        thread.start()
        thread.join()
    raw.wait_for(open_connections=0)
    assert raw.connections == 100


def test_a_kept_connection_of_an_ended_thread_can_be_used(raw: RawSite, services: Services) -> None:
    """Who keeps `ctx.sg` beyond its thread has a client that opens itself anew."""
    kept: list[Any] = []
    thread = threading.Thread(target=lambda: kept.append(CallContext(services, None, "x").sg))
    thread.start()
    thread.join()
    assert kept[0].find("Shot", []) == []
    kept[0].close()


def test_connections_of_a_pool_end_with_it(raw: RawSite, services: Services) -> None:
    """A pool of a plugin has one connection for each of its threads, until it is shut down."""
    together = threading.Barrier(4)

    def work(_: int) -> object:
        together.wait(PATIENCE)
        return CallContext(services, None, "x").sg.find("Shot", [])

    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            list(pool.map(work, range(4)))
        assert raw.connections == 4
    raw.wait_for(open_connections=0)


def test_connections_end_with_the_plugin(raw: RawSite, services: Services) -> None:
    """When a plugin is shut down, so are the connections of threads that go on."""
    done, over = threading.Event(), threading.Event()

    def work() -> None:
        CallContext(services, None, "x").sg.find("Shot", [])
        done.set()
        over.wait(PATIENCE)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert done.wait(PATIENCE)
        assert CallContext(services, None, "x").sg.find("Shot", []) == []
        services.close()
        raw.wait_for(open_connections=0)
    finally:
        over.set()
        thread.join()


def test_writes_are_counted_in_the_thread_that_writes(raw: RawSite, services: Services) -> None:
    """How often a plugin has written is known in this thread, also where it never asked."""
    assert services.take_writes() == 0
    sg: Any = CallContext(services, None, "x").sg
    with pytest.raises(Exception, match="not the record"):
        sg.create("Shot", {"code": "x"})
    assert services.take_writes() == 1
    assert services.take_writes() == 0
    assert raw.connections == 1
