"""Actions: what is asked for on a page is recorded as a request, and answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from console_states import requests_of
from console_visits import form_token
from starlette.testclient import TestClient

from sgevents_core.console.page import LARGEST_FORM


def post(client: TestClient, path: str, **fields: Any) -> Any:
    """Send a form of the page of plugins."""
    token = form_token(client)
    next_address = "/sites/studio/requests"
    return client.post(
        f"/sites/studio/{path}", data={"form_token": token, "next": next_address, **fields}
    )


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_a_form_records_a_request_and_says_so(
    client: TestClient, config: Path, action: str
) -> None:
    """The next page says what came of it: without a daemon, that it waits."""
    assert post(client, f"plugins/{action}", plugin="notify").status_code == 303
    page = client.get("/sites/studio/requests")
    assert "Request 1 is recorded, and waits. The daemon is not running: start it" in page.text
    assert "is recorded" not in client.get("/sites/studio/requests").text
    assert requests_of(config) == [(action, "notify", "anna@host")]


def test_the_api_answers_with_the_numbers(client: TestClient) -> None:
    """A program can look for the answer under the number."""
    client.headers["X-Form-Token"] = form_token(client)
    body = {"plugin": "notify", "reason": "the disk is full"}
    answer = client.post("/api/v1/sites/studio/plugins/pause", json=body)
    assert (answer.status_code, answer.json()["requests"]) == (202, [1])
    (request,) = client.get("/api/v1/sites/studio/requests").json()["requests"]
    assert (request["number"], request["outcome"]) == (1, "waiting")
    assert request["reason"] == "the disk is full"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"plugin": 7}', b'{"plugin": "a", "more": 1}', b"\xff"]
)
def test_a_body_that_does_not_fit_is_refused(client: TestClient, config: Path, body: bytes) -> None:
    """With the reason, and nothing recorded."""
    client.headers["X-Form-Token"] = form_token(client)
    answer = client.post("/api/v1/sites/studio/plugins/pause", content=body)
    assert answer.status_code == 400
    assert answer.json()["detail"]
    assert requests_of(config) == []


def test_a_form_that_is_too_large_is_refused(client: TestClient, config: Path) -> None:
    """It is not read to its end."""
    answer = post(client, "plugins/pause", plugin="x" * (LARGEST_FORM + 1))
    assert answer.status_code == 413
    assert requests_of(config) == []


def test_an_unknown_site_has_no_actions(client: TestClient) -> None:
    """Neither pages nor the API know it."""
    token = form_token(client)
    form = {"form_token": token, "plugin": "notify"}
    assert client.post("/sites/other/plugins/pause", data=form).status_code == 404
