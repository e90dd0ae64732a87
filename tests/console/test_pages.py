"""Every page: as HTML, as JSON of the same view, and under its headers."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from busy_scene import fill_last_hour
from console_visits import ADDRESS, config_file, console_client
from starlette.testclient import TestClient

from sgevents_core.console.page import Page
from sgevents_core.console.pages import PAGES

PLAIN_PAGES = [page for page in PAGES if page.in_navigation]


@pytest.mark.parametrize("page", PLAIN_PAGES, ids=lambda page: page.name)
def test_every_page_of_the_navigation_works_before_the_first_run(
    page: Page, tmp_path: Path
) -> None:
    """The console may be started before the daemon; both forms answer."""
    with console_client([config_file(tmp_path)]) as client:
        html = client.get(f"/sites/studio/{page.path}")
        json = client.get(f"/api/v1/sites/studio/{page.name}")
    assert (html.status_code, json.status_code) == (200, 200)
    assert page.title in html.text
    assert json.headers["content-type"] == "application/json"
    assert isinstance(json.json(), dict)


def test_pages_have_a_strict_content_policy(tmp_path: Path) -> None:
    """No inline script or style, and no other host, is ever loaded."""
    with console_client([config_file(tmp_path)]) as client:
        answer = client.get("/sites/studio/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "<script>" not in answer.text
    assert "style=" not in answer.text


def test_a_mistake_of_the_console_is_a_page_with_the_same_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names no file and no line; the log does."""
    monkeypatch.setattr("sgevents_core.console.answering.read_query", lambda *_: 1 / 0)
    with console_client([config_file(tmp_path)]) as client:
        browser = TestClient(client.app, base_url=ADDRESS, raise_server_exceptions=False)
        page, json = browser.get("/sites/studio/"), browser.get("/api/v1/sites/studio/overview")
    for answer in (page, json):
        assert answer.status_code == 500
        assert "The console has failed" in answer.text
        assert "ZeroDivision" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_state_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    """With the file and what to do; other sites go on."""
    for name in ("studio", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "studio" / "sgevents.db").write_bytes(b"no database at all, but long enough" * 99)
    configs = [config_file(tmp_path), config_file(tmp_path, "other")]
    with console_client(configs) as client:
        page, json = client.get("/sites/studio/"), client.get("/api/v1/sites/studio/overview")
        assert (page.status_code, json.status_code) == (503, 503)
        assert "sgevents.db" in page.text
        assert client.get("/sites/other/").status_code == 200
        assert "unreadable" in client.get("/").text


def test_a_changed_configuration_is_read_again(tmp_path: Path) -> None:
    """A broken one is reported on each page, and the last one stays in use."""
    config = config_file(tmp_path)
    with console_client([config]) as client:
        config.write_text(config.read_text() + "[plugins.notify]\nenabledd = true\n")
        client.get("/sites/studio/")
        assert "did you mean enabled?" in client.get("/sites/studio/requests").text
        config.write_text(config.read_text().replace("enabledd", "enabled"))
        client.get("/sites/studio/")
        assert "cannot be read" not in client.get("/sites/studio/requests").text


def test_charts_have_a_value_for_each_minute(tmp_path: Path) -> None:
    """Over the last hour or day, and none where no daemon ran."""
    fill_last_hour(tmp_path / "studio")
    with console_client([config_file(tmp_path)]) as client:
        load = client.get("/api/v1/sites/studio/charts").json()
        lag = client.get("/api/v1/sites/studio/charts?chart=lag&span=day").json()
    assert [series["name"] for series in load["series"]] == ["events", "calls", "failures"]
    assert len(load["times"]) == 60
    assert all(value is not None for value in load["series"][0]["values"])
    assert len(lag["times"]) == 24 * 60
    assert lag["series"][0]["values"][0] is None


def test_charts_are_empty_before_the_first_run(tmp_path: Path) -> None:
    """Nothing has been recorded then."""
    with console_client([config_file(tmp_path)]) as client:
        chart = client.get("/api/v1/sites/studio/charts").json()
    assert chart == {"times": [], "series": []}


def test_a_state_of_an_older_version_is_not_upgraded_by_a_page(tmp_path: Path) -> None:
    """That is for the daemon's start; the page says so."""
    fill_last_hour(tmp_path / "studio")
    with closing(sqlite3.connect(tmp_path / "studio" / "sgevents.db")) as database:
        database.execute("PRAGMA user_version = 5")
        database.commit()
    with console_client([config_file(tmp_path)]) as client:
        answer = client.get("/api/v1/sites/studio/requests")
        assert answer.status_code == 503
        assert "Restart the daemon" in answer.json()["detail"]
    with closing(sqlite3.connect(tmp_path / "studio" / "sgevents.db")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (5,)


def test_two_sites_of_one_host_have_names_of_their_own(tmp_path: Path) -> None:
    """In addresses; both are listed."""
    first, second = config_file(tmp_path), tmp_path / "second.toml"
    second.write_text(first.read_text().replace('path = "studio"', 'path = "second"'))
    with console_client([first, second]) as client:
        sites = client.get("/api/v1/sites").json()["sites"]
        assert [site["slug"] for site in sites] == ["studio", "studio-2"]
        host = "studio.shotgrid.autodesk.com"
        assert [site["title"] for site in sites] == [f"{host} (studio)", f"{host} (second)"]
        assert client.get("/sites/studio-2/").status_code == 200
