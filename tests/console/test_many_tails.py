"""A hundred open lists of events: the console reads once for all, and the daemon does nothing."""

from __future__ import annotations

import os
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from running_daemon import RunningDaemon
from served_console import ServedConsole, served_console
from starlette.testclient import TestClient
from waiting import wait_until

from sgevents_core.console import shared_views
from sgevents_core.console.pages import events
from sgevents_core.reading.event_search import EventSearch
from sgevents_core.sandbox import Sandbox

TAILS = 100
RENEWALS = 3


def test_all_who_look_at_the_same_share_one_reading(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a second the journal is read once, however many look; then once more."""
    readings = []

    class CountedSearch(EventSearch):
        def __init__(self, state_folder: Path) -> None:
            readings.append(state_folder)
            super().__init__(state_folder)

    now = [1000.0]
    monkeypatch.setattr(events, "EventSearch", CountedSearch)
    monkeypatch.setattr(shared_views, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for second in (1, 2):
        for _ in range(TAILS // 2):
            assert client.get("/sites/studio/events").status_code == 200
            assert client.get("/api/v1/sites/studio/events").status_code == 200
        assert len(readings) == second
        now[0] += 1.0


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[int, ServedConsole]]:
    """The process id of a daemon that follows a site, and a console of it."""
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.install_writer("alpha")
        daemon.log = '[console]\nlisten = "127.0.0.1:0"\naccess = "open"\n'
        with (
            daemon.running() as process,
            served_console(daemon.config, environment=daemon.environment()) as console,
        ):
            site.fill(50)
            wait_until(lambda: len(daemon.noted()) >= 50, what="the events are handled")
            yield process.pid, console


def processor_seconds(process_id: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{process_id}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_hundred_tails_cost_the_daemon_less_than_a_twentieth_of_a_core(
    watched: tuple[int, ServedConsole],
) -> None:
    """Measured in its processor time, beside what it uses by itself in the same time."""
    daemon_id, console = watched
    address = f"{console.address}/sites/127-0-0-1/events"

    def renew(_: int) -> int:
        with urllib.request.urlopen(address) as answer:
            return int(answer.status)

    with ThreadPoolExecutor(TAILS // 5) as tails:
        assert set(tails.map(renew, range(TAILS))) == {200}  # everything is loaded now
        began, used = time.monotonic(), processor_seconds(daemon_id)
        assert set(tails.map(renew, range(TAILS * RENEWALS))) == {200}
        seconds, with_tails = time.monotonic() - began, processor_seconds(daemon_id) - used
    used = processor_seconds(daemon_id)
    time.sleep(seconds)
    alone = processor_seconds(daemon_id) - used
    assert (with_tails - alone) / seconds < 0.05, (with_tails, alone, seconds)
