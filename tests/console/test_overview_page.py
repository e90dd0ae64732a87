"""The overview: what the daemon does, as its pulse has it."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from console_states import fill_state
from console_visits import config_file, console_client, form_token
from starlette.testclient import TestClient

from sgevents_core.console.pages import PAGES
from sgevents_core.console.shared_views import SharedViews
from sgevents_core.observe.lasting_failure import LastingFailure
from sgevents_core.state.lock import StateLock
from sgevents_core.state.pulse import (
    BlockedLane,
    ProcessLane,
    Pulse,
    RunningCall,
    RunningWorker,
    write_pulse,
)

LANES = """
[lanes.main]
workers = 2
order_by = "entity"
executor = "process"
[[groups]]
name = "first"
lane = "main"
[plugins.notify]
enabled = true
group = "first"
"""


@contextmanager
def running(folder: Path, **pulse: Any) -> Iterator[TestClient]:
    """A console over a state whose daemon, this process, has just written its pulse."""
    fill_state(folder / "studio")
    config = config_file(folder, more=LANES)
    with closing(StateLock(folder / "studio")):
        fields = {"version": "9.9", "started": time.time() - 7200, "at": time.time(), **pulse}
        write_pulse(folder / "studio", Pulse(pid=os.getpid(), **fields))
        with console_client([config]) as client:
            yield client


def overview_of(client: TestClient) -> Any:
    """Return the overview as JSON, after its page has been shown."""
    assert client.get("/sites/studio/").status_code == 200
    return client.get("/api/v1/sites/studio/overview").json()


def test_a_site_that_is_followed(tmp_path: Path) -> None:
    """Since the daemon's start."""
    with running(tmp_path) as client:
        daemon = overview_of(client)["daemon"]
        page = client.get("/sites/studio/").text
    assert (daemon["state"], daemon["following"], daemon["version"]) == (
        "running",
        "following",
        "9.9",
    )
    assert daemon["following_since"] == daemon["started_at"]
    assert "Following studio.shotgrid.autodesk.com" in page


def test_a_site_that_does_not_answer(tmp_path: Path) -> None:
    """It says since when, and why."""
    since = time.time() - 600
    with running(tmp_path, site=LastingFailure("no route to host", since)) as client:
        overview = overview_of(client)
        page = client.get("/sites/studio/").text
    assert overview["daemon"]["following"] == "not following"
    assert overview["feed"]["error"] == "no route to host"
    assert "Not following studio" in page
    assert overview["needs"][0]["kind"] == "site_down"


def test_a_daemon_that_does_not_move(tmp_path: Path) -> None:
    """It holds the lock, and its pulse is old."""
    with running(tmp_path, at=time.time() - 300) as client:
        overview = overview_of(client)
    assert overview["daemon"]["state"] == "not moving"
    assert overview["needs"][0]["kind"] == "not_moving"


def test_a_daemon_that_is_down(tmp_path: Path) -> None:
    """What was left is shown, and what needs a person comes first."""
    fill_state(tmp_path / "studio")
    with console_client([config_file(tmp_path, more=LANES)]) as client:
        overview = overview_of(client)
        page = client.get("/sites/studio/").text
    assert overview["daemon"]["state"] == "not running"
    assert [need["kind"] for need in overview["needs"]][:2] == ["not_running", "paused"]
    assert "The daemon is not running" in page
    assert "requests wait until it runs" in page


def test_every_page_says_that_nobody_carries_out_requests(tmp_path: Path) -> None:
    """Where the daemon is down or does not move, with what to do; otherwise there is no such word.

    A request that is made meanwhile is answered with the same.
    """
    paths = [page.path for page in PAGES if page.in_navigation and page.template and page.path]
    with running(tmp_path) as client:
        assert not any(
            "as it was left" in client.get(f"/sites/studio/{path}").text for path in paths
        )
        write_pulse(tmp_path / "studio", Pulse(pid=os.getpid(), version="9", started=1.0, at=2.0))
        texts = [client.get(f"/sites/studio/{path}").text for path in paths]
        assert all(re.search("has not moved for .*restart it", text, re.DOTALL) for text in texts)
    with console_client([tmp_path / "studio.toml"]) as client:
        texts = [client.get(f"/sites/studio/{path}").text for path in paths]
        assert all("start it: sgevents run" in text for text in texts)
        client.headers["X-Form-Token"] = form_token(client)
        answer = client.post("/api/v1/sites/studio/plugins/pause", json={"plugin": "notify"})
    assert "start it: sgevents run" in answer.json()["text"]


def test_lanes_show_their_workers_with_what_they_call(tmp_path: Path) -> None:
    """Each process, its call, and what holds up the lane."""
    call = RunningCall("main", "notify", "notify:on_new", 102, time.time() - 90)
    workers = (
        RunningWorker(1, "calling", pid=4711, memory=210_000_000, restarts=3, call=call),
        RunningWorker(2, "not running", trouble="no such file: python"),
    )
    blocked = BlockedLane("main", 5, 102, "notify", "notify:on_new")
    pulse = {"process_lanes": (ProcessLane("main", workers),), "blocked": (blocked,)}
    with running(tmp_path, calls=(call,), **pulse) as client:
        (lane,) = overview_of(client)["lanes"]
        page = client.get("/sites/studio/").text
    assert (lane["workers"], lane["executor"], lane["order_by"]) == (2, "process", "entity")
    assert [worker["state"] for worker in lane["processes"]] == ["calling", "not running"]
    assert lane["processes"][0]["call"]["event_id"] == 102
    assert "until event 102 is finished" in lane["blocked"]
    for text in ("process 4711", "210", "replaced 3 times", "no such file: python"):
        assert text in page


def test_plugins_in_trouble_come_first(tmp_path: Path) -> None:
    """With the reason and what failed last."""
    with running(tmp_path) as client:
        (plugin,) = overview_of(client)["plugins"]
    assert (plugin["name"], plugin["state"], plugin["dead_letters"]) == ("notify", "paused", 1)
    assert plugin["reason"] == "ValueError: no"


@pytest.mark.parametrize("readers", [2, 100])
def test_readers_who_ask_at_once_share_one_reading(readers: int) -> None:
    """A hundred open pages read the state as often as one."""
    views = SharedViews()
    readings: list[int] = []
    answers: list[int] = []
    begun = threading.Barrier(readers)

    def read_state() -> int:
        readings.append(1)
        return len(readings)

    def read() -> None:
        begun.wait()
        answers.append(views.read("overview", 3600, read_state))

    threads = [threading.Thread(target=read) for _ in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (readings, answers) == ([1], [1] * readers)
    views.forget_all()
    assert views.read("overview", 3600, lambda: "anew") == "anew"


def test_a_view_that_cannot_be_read_is_read_again() -> None:
    """The next reader does not get the error of the last one."""
    views = SharedViews()

    def fail() -> None:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        views.read("overview", 3600, fail)
    assert views.read("overview", 3600, lambda: "fine") == "fine"
