"""Every page: as HTML, as JSON of the same view, and under its headers."""

from __future__ import annotations

from pathlib import Path

import pytest
from console_visits import config_file, console_client

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
