"""The sandbox answers programs on this machine, and no web page of another site."""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Iterator

import pytest
from waiting import PATIENCE

from sgevents_core.sandbox import Sandbox


@pytest.fixture(scope="module")
def lone() -> Iterator[Sandbox]:
    """A site that these tests only read."""
    with Sandbox(project=False) as site:
        yield site


def status(site: Sandbox, method: str, path: str, headers: dict[str, str]) -> int:
    """The HTTP status of a request with exactly these headers."""
    connection = http.client.HTTPConnection("127.0.0.1", int(site.url.rsplit(":", 1)[1]))
    body = json.dumps({"method_name": "info", "params": []}).encode()
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse().status
    connection.close()
    return answer


def here(site: Sandbox, name: str = "127.0.0.1") -> str:
    """The site under one of its names, with its port."""
    return f"{name}:{site.url.rsplit(':', 1)[1]}"


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_names_of_this_machine_are_answered(lone: Sandbox, name: str) -> None:
    """Host may be any name of the loopback address, with the port."""
    assert status(lone, "POST", "/api3/json", {"Host": here(lone, name)}) == 200


@pytest.mark.parametrize("path", ["/api3/json", "/sandbox/status", "/upload/upload_file", "/"])
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil:80"]
)
def test_a_foreign_host_is_refused(lone: Sandbox, path: str, host: str) -> None:
    """A foreign name that resolves to this machine (DNS rebinding) is refused at every address."""
    port = lone.url.rsplit(":", 1)[1]
    assert status(lone, "POST", path, {"Host": host.format(port=port)}) == 403


def test_a_request_without_host_is_refused(lone: Sandbox) -> None:
    """A request without a Host is refused."""
    assert status(lone, "POST", "/api3/json", {}) == 403


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1", ""]
)
@pytest.mark.parametrize("path", ["/api3/json", "/sandbox/status", "/upload/upload_file"])
def test_a_page_of_another_site_is_refused(lone: Sandbox, origin: str, path: str) -> None:
    """A browser's POST for a page of another origin is not carried out."""
    assert status(lone, "POST", path, {"Host": here(lone), "Origin": origin}) == 403


def test_its_own_origin_is_answered(lone: Sandbox) -> None:
    """An Origin that is the sandbox itself is answered."""
    assert status(lone, "POST", "/api3/json", {"Host": here(lone), "Origin": lone.url}) == 200


def test_a_file_that_is_shown_acts_in_nobodys_name(lone: Sandbox) -> None:
    """A browser treats a file of the sandbox as a page without an origin."""
    with urllib.request.urlopen(f"{lone.url}/thumbnail/image/1", timeout=PATIENCE) as answer:
        assert answer.headers["Content-Security-Policy"] == "sandbox"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_picture_in_a_foreign_page_steers_nothing(lone: Sandbox) -> None:
    """A GET carries out no order; one caused by a page of another site is refused at once."""
    headers = {"Host": here(lone)}
    assert status(lone, "GET", "/sandbox/outage", headers) == 404
    assert status(lone, "GET", "/", {**headers, "Sec-Fetch-Site": "cross-site"}) == 403
