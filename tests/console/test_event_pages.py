"""The pages of events: the search, and one event with its outcome for every callback."""

from __future__ import annotations

import html
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from commanding import installed_here
from console_states import requests_of
from console_visits import config_file, console_client, form_token
from journal_rows import AT, event_row, grow
from running_daemon import RunningDaemon
from starlette.testclient import TestClient
from waiting import PATIENCE, wait_until

from sgevents_core.console import dry_runs
from sgevents_core.reading import event_search
from sgevents_core.sandbox import Sandbox
from sgevents_core.state.opening import open_state
from sgevents_core.testing.recorded import load_events

SHOT = {"type": "Shot", "id": 12, "name": "SH010"}
PLUGIN = """
    from sgevents_core import hookimpl, match

    @hookimpl
    @match(event_type="Studio_Bad")
    def on_other(event, ctx):
        raise ValueError("no frames")

    @hookimpl(specname="on_other")
    @match(entity_type="Asset")
    def assets(event): ...
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """A browser of a state with twelve events, one of them late and about a record."""
    (tmp_path / "studio").mkdir()
    with closing(open_state(tmp_path / "studio").writer()) as state:
        grow(state, [event_row(n, at=AT + n) for n in range(1, 12)])
        grow(state, [event_row(12, "Studio_Odd", AT, entity=SHOT, user=SHOT)], late=[12])
    (tmp_path / "studio.toml").write_text(
        '[site]\nurl = "https://studio.example"\nscript_name = "s"\napi_key = "k"\n'
        '[state]\npath = "studio"\n'
    )
    with console_client([tmp_path / "studio.toml"]) as browser:
        yield browser


def ids(client: TestClient, **query: Any) -> list[int]:
    """The ids that a search finds, as JSON."""
    answer = client.get("/api/v1/sites/studio/events", params={**query}).json()
    return [event["event_id"] for event in answer["events"]]


def test_search_and_its_pages(client: TestClient) -> None:
    """Newest first; the link to older events has the conditions and the place."""
    assert ids(client, limit=3) == [12, 11, 10]
    assert ids(client, ids="3-5") == [5, 4, 3]
    assert ids(client, entity="Shot 12", late="1") == [12]
    assert ids(client, type="Studio_*", user="SH010") == [12]
    page = client.get("/sites/studio/events", params={"type": "Shotgun_*", "limit": 3})
    assert "Older events" in page.text
    assert 'href="/sites/studio/events?below=9&amp;type=Shotgun_%2A"' in page.text
    assert ids(client, type="Shotgun_*", below=9, limit=3) == [8, 7, 6]
    assert "That is all there is" in client.get("/sites/studio/events").text


def test_search_that_has_found_nothing_goes_on(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself in a browser, and by a link without scripts, until the oldest event."""
    monkeypatch.setattr(event_search, "PAGE_BUDGET", 0.0)
    monkeypatch.setattr(event_search, "ENTRIES_AT_ONCE", 5)
    page, pages = client.get("/sites/studio/events?type=Nothing"), 1
    while link := re.search(r'data-continue href="([^"]+)"', page.text):
        assert "searching older events" in page.text
        page, pages = client.get(html.unescape(link[1])), pages + 1
    assert pages == 3
    assert "There are no such events down to the oldest in the journal" in page.text
    assert "data-continue" not in client.get("/sites/studio/events?limit=2").text


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Vancouver"])
def test_times_that_are_searched_for_are_those_of_the_studio(tmp_path: Path, zone: str) -> None:
    """Wherever the machine is; the page says which zone it is, and another one may be named."""
    (tmp_path / "studio").mkdir()
    with closing(open_state(tmp_path / "studio").writer()) as state:
        grow(state, [event_row(n, at=AT + n) for n in range(1, 12)])
    moment = datetime.fromtimestamp(AT + 6, ZoneInfo(zone))
    named = moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    with console_client([config_file(tmp_path)], zone=ZoneInfo(zone)) as client:
        for since in (moment.strftime("%Y-%m-%d %H:%M:%S"), named):
            page = client.get("/api/v1/sites/studio/events", params={"since": since}).json()
            assert [event["event_id"] for event in page["events"]] == [11, 10, 9, 8, 7, 6]
            assert page["time_zone"] == zone
        text = client.get("/sites/studio/events", params={"until": named}).text
        assert f"Since and until are times of {zone}" in text


def test_links_lead_to_the_record_on_the_site_and_to_its_events(client: TestClient) -> None:
    """The name searches, the arrow leaves the console."""
    text = client.get("/sites/studio/events").text
    assert 'href="https://studio.example/detail/Shot/12"' in text
    assert 'href="/sites/studio/events?entity=Shot+12"' in text


@pytest.mark.parametrize("query", [{"since": "soon"}, {"ids": "9-3"}, {"ids": "x"}])
def test_conditions_that_cannot_be_read_are_named(
    client: TestClient, query: dict[str, str]
) -> None:
    """The form keeps them, and nothing is listed."""
    page = client.get("/sites/studio/events", params=query)
    assert page.status_code == 200
    (value,) = query.values()
    assert f'value="{value}"' in page.text
    assert 'role="alert"' in page.text
    assert ids(client, **query) == []


def test_event_that_never_was(client: TestClient) -> None:
    """It says why it is not in the journal."""
    answer = client.get("/api/v1/sites/studio/event", params={"id": 4711}).json()
    assert answer["event"] is None
    assert "not taken yet" in answer["missing"] or answer["problem"]


@pytest.fixture
def failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TestClient, int]]:
    """A browser of a state on which a daemon has run, and an event that a callback failed on."""
    with Sandbox() as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.install("alpha", PLUGIN, keys="max_attempts = 1")
        daemon.write_config()
        event_id = site.event("Studio_Bad", attribute_name="code", entity=SHOT)
        monkeypatch.setenv("PYTHONPATH", ":".join([str(daemon.packages.folder), *sys.path]))
        monkeypatch.setenv("SGEVENTS_TEST_KEY", site.api_key)
        with installed_here(daemon) as sgevents:
            assert sgevents("run", "--drain").code == 0
        with console_client([daemon.config]) as browser:
            yield browser, event_id


def read_event(client: TestClient, event_id: int) -> Any:
    """One event as JSON."""
    slug = client.get("/api/v1/sites").json()["sites"][0]["slug"]
    return client.get(f"/api/v1/sites/{slug}/event", params={"id": event_id}).json()


def test_one_event_taken_apart(failed: tuple[TestClient, int], tmp_path: Path) -> None:
    """Its values, its arrival, each callback in order with its failures, and why not others."""
    client, event_id = failed
    view = read_event(client, event_id)
    assert view["problem"] == ""
    assert view["event"]["attribute"] == "code"
    assert (view["event"]["entity"]["type"], view["event"]["entity"]["id"]) == ("Shot", 12)
    assert view["arrival"] == "it came in turn"
    first, second = view["callbacks"]
    assert (first["outcome"], first["letter"]) == ("dead letter", 1)
    assert first["failures"][0]["error"] == "ValueError: no frames"
    assert "raise ValueError" in first["failures"][0]["traceback"]
    assert len(first["calls"]) == 1
    assert "Asset" in second["why_not"]
    fixture = tmp_path / "events.jsonl"
    fixture.write_text(view["fixture"], "utf-8")
    assert [event.id for event in load_events(fixture)] == [event_id]


def test_retry_and_replay_of_one_event(failed: tuple[TestClient, int], tmp_path: Path) -> None:
    """Both are requests like those of the commands."""
    client, event_id = failed
    root = client.get("/").headers["location"].rstrip("/")
    page = client.get(f"{root}/event", params={"id": event_id})
    assert "failures/retry" in page.text
    assert "events/replay" in page.text
    token = form_token(client, root=root)
    for path, fields in (
        ("failures/retry", {"letters": "1"}),
        ("events/replay", {"id": str(event_id), "plugin": "alpha", "reason": "to see"}),
    ):
        answer = client.post(f"{root}/{path}", data={"form_token": token, **fields})
        assert answer.status_code == 303
    asked = requests_of(tmp_path / "sgevents.toml")
    assert [request[:2] for request in asked] == [("retry", "alpha"), ("replay", "alpha")]


def test_dry_run_is_no_request(failed: tuple[TestClient, int], tmp_path: Path) -> None:
    """A process of its own calls the plugin; what it would do is shown, and nothing is recorded."""
    client, event_id = failed
    root = client.get("/").headers["location"].rstrip("/")
    token = form_token(client, root=root)
    fields = {"form_token": token, "id": str(event_id), "plugin": "alpha"}
    assert client.post(f"{root}/events/dry-run", data=fields).status_code == 303
    wait_until(lambda: read_event(client, event_id)["dry_runs"][0]["state"] != "running")
    (dry_run,) = read_event(client, event_id)["dry_runs"]
    assert (dry_run["plugin"], dry_run["state"]) == ("alpha", "failed")
    assert "ValueError: no frames" in dry_run["output"]
    assert "nothing was changed" in client.get(f"{root}/event?id={event_id}").text
    assert client.post(f"{root}/events/dry-run", data={**fields, "plugin": "x"}).status_code == 404
    assert requests_of(tmp_path / "sgevents.toml") == []


def test_dry_runs_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once; the same one is not started twice, and the oldest are forgotten."""
    release = threading.Event()

    def run_command(arguments: list[str], config_path: Path) -> tuple[str, int]:
        release.wait(PATIENCE)
        return " ".join(arguments), 0

    monkeypatch.setattr(dry_runs, "_run_command", run_command)
    monkeypatch.setattr(dry_runs, "_MOST_KEPT", 2)
    runs = dry_runs.DryRuns(tmp_path)
    started = [runs.start(event_id, "alpha", "anna") for event_id in (1, 1, 2, 3)]
    assert started == [True, True, True, False]
    release.set()
    for event_id in (3, 4):
        wait_until(partial(runs.start, event_id, "alpha", "anna"))
    assert list(runs.of_event(1)) == []
    wait_until(lambda: all(one.exit_code == 0 for one in runs.of_event(4)))
    (last,) = runs.of_event(4)
    assert last.output == "replay 4 --dry-run --plugin=alpha"
