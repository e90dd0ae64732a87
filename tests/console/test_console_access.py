"""Who may come into the console, and which calls are refused: nothing is changed by those."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from console_states import requests_of
from console_visits import ADDRESS, console_client, form_token
from starlette.testclient import TestClient

from sgevents_core.console.attempts import (
    MOST_FAILURES,
    MOST_FAILURES_OF_PEER,
    WINDOW,
    Attempts,
)
from sgevents_core.console.ways_in import ProxyWay, TokenWay, UserWay, WayIn

TOKEN = "the-token-of-this-start"
PASSWORDS = {"anna": "right horse", "ben": "battery"}
SESSION_COOKIE = "sgevents_session_8090"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PAUSE = "/sites/studio/plugins/pause"
API_PAUSE = "/api/v1/sites/studio/plugins/pause"


@pytest.fixture(scope="module")
def user_way() -> UserWay:
    """Two users, one of them an operator."""
    hashes = {name: quick_hash(password) for name, password in PASSWORDS.items()}
    return UserWay(hashes, ["anna"])


def quick_hash(password: str) -> str:
    """Return a hash that is quickly compared with."""
    return QUICK.hash(password)


def sign_in(client: TestClient, name: str, password: str | None = None, **headers: str) -> Any:
    """Send the form of the sign-in."""
    fields = {"name": name, "proof": password or PASSWORDS[name], "next": "/sites/studio/requests"}
    return client.post("/sign-in", data=fields, headers=headers)


def pause_form(token: str) -> dict[str, str]:
    """The fields of the form that pauses a plugin."""
    return {"plugin": "notify", "form_token": token, "next": "/sites/studio/requests"}


# The token of the start


def test_token_in_the_address_becomes_a_cookie(config: Path) -> None:
    """The address is left at once, and from then on the cookie counts."""
    with console_client([config], TokenWay("anna@host", TOKEN)) as client:
        assert client.get("/sites/studio/").status_code == 303
        answer = client.get(f"/enter?token={TOKEN}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert TOKEN not in cookie
        assert client.get("/sites/studio/").status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], f"{TOKEN} ", "\u2603"])
def test_a_wrong_token_is_refused(config: Path, token: str) -> None:
    """Every other text is; no session begins."""
    with console_client([config], TokenWay("anna@host", TOKEN)) as client:
        answer = client.get("/enter", params={"token": token})
        assert answer.status_code == 403
        assert SESSION_COOKIE not in client.cookies
        assert client.get("/api/v1/sites").status_code == 401


def test_the_token_is_in_no_log_and_no_page(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a right nor a wrong attempt writes it anywhere."""
    caplog.set_level(logging.DEBUG)
    with console_client([config], TokenWay("anna@host", TOKEN)) as client:
        pages = [client.get(f"/enter?token={TOKEN}"), client.get("/sites/studio/")]
        pages += [client.get("/enter?token=wrong-token"), client.get("/sign-in")]
    assert not any(TOKEN in page.text for page in pages)
    own_records = [record for record in caplog.records if record.name.startswith("sgevents")]
    assert own_records
    assert not any("oken-of" in record.getMessage() for record in own_records)
    assert not any("wrong-token" in record.getMessage() for record in own_records)


def test_a_program_uses_the_token_as_bearer(config: Path) -> None:
    """It needs no form token, since no browser adds the header by itself."""
    with console_client([config], TokenWay("anna@host", TOKEN)) as client:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = client.post(API_PAUSE, json={"plugin": "notify"}, headers=headers)
        assert answer.status_code == 202
        client.cookies.clear()
        wrong = {"Authorization": "Bearer wrong"}
        assert client.post(API_PAUSE, json={"plugin": "notify"}, headers=wrong).status_code == 401
    assert requests_of(config) == [("pause", "notify", "anna@host")]


# Users


def test_users_sign_in_with_their_passwords(config: Path, user_way: UserWay) -> None:
    """A page asks for the sign-in and is shown after it."""
    with console_client([config], user_way) as client:
        asked = client.get("/sites/studio/requests?")
        assert asked.headers["location"].startswith("/sign-in?next=")
        answer = sign_in(client, "anna")
        assert answer.headers["location"] == "/sites/studio/requests"
        assert "anna" in client.get("/sites/studio/").text


@pytest.mark.parametrize(
    ("name", "password"),
    [("anna", "wrong"), ("nobody", "right horse"), ("ben", "right horse"), ("", ""), ("anna", "")],
)
def test_a_wrong_password_or_name_is_refused(
    config: Path, user_way: UserWay, name: str, password: str
) -> None:
    """Both with the same words, so that nobody learns which names there are."""
    with console_client([config], user_way) as client:
        answer = client.post("/sign-in", data={"name": name, "proof": password})
        assert answer.status_code == 403
        assert "The name or the password is wrong." in answer.text
        assert SESSION_COOKIE not in client.cookies


def test_too_many_wrong_passwords_have_to_wait(config: Path, user_way: UserWay) -> None:
    """Then even the right one is not looked at; others who share the peer still come in."""
    with console_client([config], user_way) as client:
        for _ in range(MOST_FAILURES):
            assert sign_in(client, "anna", "wrong").status_code == 403
        answer = sign_in(client, "anna")
        assert answer.status_code == 429
        assert "Wait" in answer.text
        assert sign_in(client, "ben").status_code == 303


def test_attempts_are_counted_per_peer_and_forgotten_in_time() -> None:
    """A peer that tries many names has to wait, too; another peer does not."""
    attempts = Attempts()
    for number in range(MOST_FAILURES_OF_PEER):
        attempts.add_failure("10.0.0.1", f"name {number}", current_time=100.0)
    assert attempts.wait_of("10.0.0.1", "anna", current_time=130.0) == WINDOW - 30
    assert attempts.wait_of("10.0.0.2", "anna", current_time=130.0) == 0
    assert attempts.wait_of("10.0.0.1", "anna", current_time=100.0 + WINDOW) == 0


def test_a_name_that_signs_in_may_fail_again() -> None:
    """Its failures are forgotten."""
    attempts = Attempts()
    for _ in range(MOST_FAILURES):
        attempts.add_failure("10.0.0.1", "anna", current_time=100.0)
    assert attempts.wait_of("10.0.0.1", "anna", current_time=100.0) == WINDOW
    attempts.forget("10.0.0.1", "anna")
    assert attempts.wait_of("10.0.0.1", "anna", current_time=100.0) == 0


def test_a_viewer_reads_and_changes_nothing(
    config: Path, user_way: UserWay, caplog: pytest.LogCaptureFixture
) -> None:
    """The pages have no buttons for viewers, and their posts are refused and logged."""
    with console_client([config], user_way) as client:
        sign_in(client, "ben")
        page = client.get("/sites/studio/")
        assert "is paused" in page.text
        assert "/plugins/resume" not in page.text
        token = form_token(client)
        assert client.post(PAUSE, data=pause_form(token)).status_code == 403
        headers = {"X-Form-Token": token}
        answer = client.post(API_PAUSE, json={"plugin": "notify"}, headers=headers)
        assert answer.status_code == 403
        assert "viewer" in answer.json()["detail"]
    assert requests_of(config) == []
    refused = [record for record in caplog.records if record.__dict__.get("action")]
    assert [record.__dict__["action"] for record in refused].count("console.refused") == 2


def test_an_operator_asks_in_the_own_name(config: Path, user_way: UserWay) -> None:
    """The request names who has signed in."""
    with console_client([config], user_way) as client:
        sign_in(client, "anna")
        answer = client.post(PAUSE, data=pause_form(form_token(client)))
        assert answer.headers["location"] == "/sites/studio/requests"
        assert "Request 1 is recorded, and waits" in client.get("/sites/studio/requests").text
    assert requests_of(config) == [("pause", "notify", "anna")]


def test_the_session_of_before_the_sign_in_is_worth_nothing_after(
    config: Path, user_way: UserWay
) -> None:
    """Whoever planted a session in a browser does not have the one that signs in there."""
    with console_client([config], user_way) as client:
        sign_in(client, "ben")
        planted = client.cookies[SESSION_COOKIE]
        sign_in(client, "anna")
        renewed = client.cookies[SESSION_COOKIE]
        assert renewed.partition(".")[0] != planted.partition(".")[0]
        client.cookies.clear()
        client.cookies.set(SESSION_COOKIE, planted, domain="127.0.0.1")
        assert "anna" not in client.get("/sites/studio/").text


@pytest.mark.parametrize("kind", ["made up", "changed", "of another key"])
def test_a_forged_session_is_refused(config: Path, user_way: UserWay, kind: str) -> None:
    """Only cookies that this console has signed count."""
    with console_client([config], user_way) as client:
        sign_in(client, "ben")
        cookie = client.cookies[SESSION_COOKIE]
        forged = {
            "made up": "WyJpZCIsImFubmEiXQ.aaaa.bbbb",
            "changed": "x" + cookie[1:],
            "of another key": cookie[:-3] + "AAA",
        }[kind]
        client.cookies.clear()
        client.cookies.set(SESSION_COOKIE, forged, domain="127.0.0.1")
        assert client.get("/api/v1/sites").status_code == 401


def test_a_signed_out_session_is_over(config: Path, user_way: UserWay) -> None:
    """Also for whoever has copied the cookie."""
    with console_client([config], user_way) as client:
        sign_in(client, "anna")
        cookie, token = client.cookies[SESSION_COOKIE], form_token(client)
        assert client.post("/sign-out", data={"form_token": "wrong"}).status_code == 403
        assert client.post("/sign-out", data={"form_token": token}).status_code == 303
        assert SESSION_COOKIE not in client.cookies
        client.cookies.set(SESSION_COOKIE, cookie, domain="127.0.0.1")
        assert client.get("/api/v1/sites").status_code == 401


def test_a_changed_password_ends_the_sessions(config: Path) -> None:
    """The cookie is bound to the hash; a user who was removed is out, too."""
    ways: Sequence[WayIn] = [
        UserWay({"anna": quick_hash("new")}, ["anna"]),
        UserWay({"ben": quick_hash("x")}, []),
    ]
    with console_client([config], UserWay({"anna": quick_hash("old")}, ["anna"])) as client:
        sign_in(client, "anna", "old")
        cookie = client.cookies[SESSION_COOKIE]
    for way in ways:
        with console_client([config], way) as client:
            client.cookies.set(SESSION_COOKIE, cookie, domain="127.0.0.1")
            assert client.get("/api/v1/sites").status_code == 401


@pytest.mark.parametrize(
    "address",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1", "/a\nb"],
)
def test_a_sign_in_leads_to_no_other_site(config: Path, user_way: UserWay, address: str) -> None:
    """The address to go on to is one of this console, whatever the link said."""
    with console_client([config], user_way) as client:
        fields = {"name": "anna", "proof": PASSWORDS["anna"], "next": address}
        assert client.post("/sign-in", data=fields).headers["location"] == "/"


# A proxy in front


def proxy_way() -> ProxyWay:
    """A proxy in 10.1.0.0/16."""
    return ProxyWay("X-Remote-User", [ip_network("10.1.0.0/16")], ["anna"])


def test_a_proxy_says_who_calls(config: Path) -> None:
    """With the role of the operators' list; nobody signs in."""
    with console_client([config], proxy_way(), peer="10.1.2.3") as client:
        for name, status in (("anna", 303), ("ben", 403)):
            headers = {"X-Remote-User": name}
            page = client.get("/sites/studio/requests", headers=headers)
            assert (page.status_code, "Sign out" in page.text) == (200, False)
            form = pause_form(form_token(client, **headers))
            answer = client.post(PAUSE, data=form, headers=headers)
            assert answer.status_code == status
    assert requests_of(config) == [("pause", "notify", "anna")]


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        ("10.2.0.1", {"X-Remote-User": "anna"}),
        ("127.0.0.1", {"X-Remote-User": "anna", "X-Forwarded-For": "10.1.2.3"}),
        ("127.0.0.1", {"X-Remote-User": "anna", "Forwarded": "for=10.1.2.3"}),
        ("10.1.2.3", {}),
        ("10.1.2.3", {"X-Remote-User": ""}),
    ],
)
def test_only_the_proxy_itself_is_believed(
    config: Path, peer: str, headers: dict[str, str]
) -> None:
    """The connection counts, never a header that says where a call came from."""
    with console_client([config], proxy_way(), peer=peer) as client:
        assert client.get("/api/v1/sites", headers=headers).status_code == 401


def test_a_header_that_comes_twice_names_nobody(config: Path) -> None:
    """One of the two could be the caller's own."""
    with console_client([config], proxy_way(), peer="10.1.2.3") as client:
        headers = [("X-Remote-User", "ben"), ("X-Remote-User", "anna")]
        assert client.get("/api/v1/sites", headers=headers).status_code == 401


@pytest.mark.parametrize("name", ["x" * 201, "a\x1b[31m", "a\u202eb"])
def test_a_header_that_is_no_name_names_nobody(config: Path, name: str) -> None:
    """What the proxy says is recorded with requests."""
    with console_client([config], proxy_way(), peer="10.1.2.3") as client:
        headers = [(b"X-Remote-User", name.encode())]
        assert client.get("/api/v1/sites", headers=headers).status_code == 401


def test_a_name_with_other_letters_is_kept(config: Path) -> None:
    """Proxies send UTF-8."""
    with console_client([config], proxy_way(), peer="10.1.2.3") as client:
        page = client.get("/sites/studio/", headers=[(b"X-Remote-User", "J\u00f6rg".encode())])
        assert "J\u00f6rg" in page.text


def test_a_session_of_another_person_is_not_used_behind_a_proxy(config: Path) -> None:
    """The proxy's word counts at every call."""
    with console_client([config], proxy_way(), peer="10.1.2.3") as client:
        client.get("/sites/studio/", headers={"X-Remote-User": "anna"})
        page = client.get("/sites/studio/", headers={"X-Remote-User": "ben"})
        assert "viewer" in page.text


# Calls from elsewhere


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_post_from_another_site_is_refused(
    client: TestClient, config: Path, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Even with the right form token; it is logged, and nothing is changed."""
    token = form_token(client)
    assert client.post(PAUSE, data=pause_form(token), headers=headers).status_code == 403
    answer = client.post(
        API_PAUSE, json={"plugin": "notify"}, headers={**headers, "X-Form-Token": token}
    )
    assert answer.status_code == 403
    assert requests_of(config) == []
    assert "came from a page of another site" in caplog.text


def test_a_sign_in_from_another_site_is_refused(config: Path, user_way: UserWay) -> None:
    """Nobody is signed in as somebody else without noticing."""
    with console_client([config], user_way) as client:
        assert sign_in(client, "ben", Origin="https://evil.example").status_code == 403
        assert SESSION_COOKIE not in client.cookies


@pytest.mark.parametrize("token", ["", "0" * 64, "\u00e9"])
def test_a_post_without_the_form_token_is_refused(
    client: TestClient, config: Path, token: str
) -> None:
    """A page of another site cannot know it."""
    client.get("/sites/studio/")
    assert client.post(PAUSE, data=pause_form(token)).status_code == 403
    assert client.post(API_PAUSE, json={"plugin": "notify"}).status_code == 403
    assert requests_of(config) == []


def test_the_form_token_of_another_session_is_refused(config: Path, user_way: UserWay) -> None:
    """Each session has its own."""
    with console_client([config], user_way) as client:
        sign_in(client, "ben")
        foreign_token = form_token(client)
        sign_in(client, "anna")
        assert client.post(PAUSE, data=pause_form(foreign_token)).status_code == 403
    assert requests_of(config) == []


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8090", "127.0.0.1.evil.example", "127.0.0.1:x", ""]
)
def test_a_call_under_a_foreign_name_is_refused(
    client: TestClient, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A name of another site that leads to this host reaches nothing, not even a static file."""
    for path in ("/sites/studio/", "/api/v1/sites", "/static/console.js", "/sign-in"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 421
        assert "studio" not in answer.text
    assert "is not one of [console] hosts" in caplog.text


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8090", "localhost:1234", "LOCALHOST"])
def test_own_names_are_accepted_with_any_port(client: TestClient, host: str) -> None:
    """Behind a tunnel, the port is another."""
    assert client.get("/sites/studio/", headers={"Host": host}).status_code == 200


def test_a_get_changes_nothing(client: TestClient, config: Path) -> None:
    """A link or an image cannot ask for anything."""
    assert client.get(f"{PAUSE}?plugin=notify").status_code == 405
    assert client.get(f"{API_PAUSE}?plugin=notify").status_code == 405
    assert requests_of(config) == []


def test_every_answer_keeps_the_cookie_to_this_site(client: TestClient) -> None:
    """Frames, other origins and sniffing are refused by headers."""
    headers = client.get(f"{ADDRESS}/sites/studio/").headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize(
    ("headers", "is_secure"),
    [
        ({}, False),
        ({"X-Forwarded-Proto": "http"}, False),
        ({"X-Forwarded-Proto": "https"}, True),
        ({"X-Forwarded-Proto": "HTTPS, http"}, True),
    ],
)
def test_behind_a_proxy_that_encrypts_cookies_go_over_https_alone(
    config: Path, headers: dict[str, str], is_secure: bool
) -> None:
    """Those of the session and of the notice; the proxy says how the browser called."""
    headers |= {"X-Remote-User": "anna"}
    with console_client([config], proxy_way(), peer="10.1.2.3") as client:
        page = client.get("/sites/studio/requests", headers=headers)
        # The client of this test calls without encryption, so it sends no such cookie back.
        session_cookie = page.headers["set-cookie"].partition(";")[0]
        token = page.text.partition('name="form-token" content="')[2].partition('"')[0]
        headers |= {"Cookie": session_cookie}
        answer = client.post(PAUSE, data=pause_form(token), headers=headers)
    assert answer.status_code == 303
    for cookie in (page.headers["set-cookie"], answer.headers["set-cookie"]):
        assert ("Secure" in cookie) == is_secure
