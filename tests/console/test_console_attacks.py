"""Calls that no browser and no program of a person makes: refused in words, nothing changed."""

from __future__ import annotations

import asyncio
import threading
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from console_states import fill_state, requests_of
from console_visits import config_file, console_client, form_token
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route
from starlette.testclient import TestClient
from uvicorn.server import ServerState

from sgevents_core.console import bodies, hooks, inspections
from sgevents_core.console.attempts import MOST_FAILURES, Attempts
from sgevents_core.console.connections import ImpatientProtocol
from sgevents_core.console.ended_sessions import EndedSessions
from sgevents_core.console.inspections import MOST_AT_ONCE, Inspections
from sgevents_core.console.problems import FormTooSlow
from sgevents_core.console.sessions import Sessions
from sgevents_core.console.ways_in import OpenWay, ProxyWay

API_PAUSE = "/api/v1/sites/studio/plugins/pause"
PAUSE = "/sites/studio/plugins/pause"
UNSAFE_METHODS = ("POST", "PUT", "PATCH", "DELETE")
NO_SESSION_NEEDED = ("/sign-in", "/hooks/flow")


class Viewers(ProxyWay):
    """Everybody is a viewer, named by a header from anywhere."""

    def __init__(self) -> None:
        super().__init__("X-Remote-User", [ip_network("0.0.0.0/0")], [])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A site with a state."""
    fill_state(tmp_path / "studio")
    return config_file(tmp_path)


def paths_of(client: TestClient) -> list[str]:
    """Return the address of every route."""
    routes = [route for route in client.app.routes if isinstance(route, Route)]  # type: ignore[attr-defined]  # starlette's
    return sorted({route.path.replace("{site}", "studio") for route in routes})


# Every route


def test_no_route_changes_anything_for_viewers_and_strangers(config: Path) -> None:
    """Whatever the method and the fields, with a right form token and without a session."""
    fields = {"plugin": "notify", "id": "101", "letters": "1", "decision": "drop"}
    with console_client([config], Viewers()) as client:
        token = form_token(client, **{"X-Remote-User": "ben"})
        paths = [path for path in paths_of(client) if path not in NO_SESSION_NEEDED]
        assert API_PAUSE in paths
        for path in paths:
            for method in UNSAFE_METHODS:
                headers = {"X-Remote-User": "ben", "X-Form-Token": token}
                form = client.request(
                    method, path, data={**fields, "form_token": token}, headers=headers
                )
                json = client.request(method, path, json={"plugin": "notify"}, headers=headers)
                stranger = client.request(method, path, json=fields)
                statuses = {form.status_code, json.status_code, stranger.status_code}
                allowed = {303} if path == "/sign-out" else set()
                assert statuses <= {400, 401, 403, 405} | allowed, path
    assert requests_of(config) == []


def test_every_answer_has_the_content_policy(config: Path) -> None:
    """Also errors, files, redirections and JSON."""
    paths = ["/static/console.js", "/static/%00", "/nothing", "/sites/nobody/", "/favicon.ico"]
    with console_client([config], Viewers()) as client:
        for path in [*paths_of(client), *paths]:
            for method in ("GET", "HEAD", "OPTIONS", "POST", "TRACE"):
                answer = client.request(method, path)
                assert "default-src 'none'" in answer.headers["content-security-policy"], path
                assert answer.headers["referrer-policy"] == "same-origin", path
                assert answer.status_code < 500, path


# Headers


@pytest.mark.parametrize("host", ["127.0.0.1:65536", "localhost:99999"])
def test_a_host_with_an_impossible_port_is_refused(config: Path, host: str) -> None:
    """It is no address of this console."""
    with console_client([config]) as client:
        assert client.get("/sites/studio/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("names", [("127.0.0.1", "evil.example"), ("evil.example", "127.0.0.1")])
def test_two_hosts_are_none(config: Path, names: tuple[str, str]) -> None:
    """A proxy in front could have looked at the other one."""
    with console_client([config]) as client:
        answer = client.get("/sites/studio/", headers=[("Host", name) for name in names])
        assert answer.status_code == 421


@pytest.mark.parametrize(
    "origins",
    [
        ["http://["],
        ["http://[::1"],
        [""],
        ["http://127.0.0.1:8090", "http://evil.example"],
        ["http://127.0.0.1:8090@evil.example"],
    ],
)
def test_an_origin_that_cannot_be_read_is_foreign(config: Path, origins: list[str]) -> None:
    """So is each of several."""
    with console_client([config]) as client:
        fields = {"plugin": "notify", "form_token": form_token(client)}
        headers = [("Origin", origin) for origin in origins]
        assert client.post(PAUSE, data=fields, headers=headers).status_code == 403
    assert requests_of(config) == []


@pytest.mark.parametrize("scheme", ["Basic", "Negotiate", "Digest", "NTLM"])
@pytest.mark.parametrize("path", [PAUSE, API_PAUSE])
def test_what_a_browser_adds_by_itself_is_no_form_token(
    config: Path, scheme: str, path: str
) -> None:
    """A password for a proxy goes along with a post from any page, and the cookie does not."""
    with console_client([config], OpenWay("anna@host")) as client:
        headers = {"Authorization": f"{scheme} YW5uYTp4"}
        assert client.post(path, data={"plugin": "notify"}, headers=headers).status_code == 403
    assert requests_of(config) == []


def test_a_proxy_is_known_at_a_socket_for_both_kinds_of_addresses(config: Path) -> None:
    """There, its address arrives as one of IPv6."""
    way = ProxyWay("X-Remote-User", [ip_network("10.1.0.0/16")], ["anna"])
    for peer, status in (("::ffff:10.1.2.3", 200), ("::ffff:10.2.0.1", 401), ("::1", 401)):
        with console_client([config], way, peer=peer) as client:
            answer = client.get("/api/v1/sites", headers={"X-Remote-User": "anna"})
            assert answer.status_code == status, peer


# Bodies


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"a":' * 50_000, b'{"letters":' + b"[" * 2000 + b"]" * 2000 + b"}"]
)
def test_deep_json_is_a_mistake_of_the_caller(config: Path, body: bytes) -> None:
    """The console itself does not fail."""
    with console_client([config]) as client:
        headers = {"X-Form-Token": form_token(client)}
        answer = client.post(API_PAUSE, content=body, headers=headers)
        assert answer.status_code == 400
        assert "nested" in answer.json()["detail"]


@pytest.mark.parametrize(("length", "status"), [(2000, 202), (2001, 400), (900_000, 400)])
def test_a_reason_is_short_since_every_request_records_it(
    config: Path, length: int, status: int
) -> None:
    """One action makes up to ten thousand requests."""
    with console_client([config]) as client:
        headers = {"X-Form-Token": form_token(client)}
        body = {"plugin": "notify", "reason": "r" * length}
        assert client.post(API_PAUSE, json=body, headers=headers).status_code == status
    assert len(requests_of(config)) == (status == 202)


class _Sender:
    """What a caller sends, portion by portion; then silence, or its end."""

    def __init__(self, *portions: bytes, leaves: bool = False) -> None:
        self._portions = list(portions)
        self._leaves = leaves
        self.read = 0

    async def receive(self) -> dict[str, object]:
        if self._portions:
            self.read += 1
            return {"type": "http.request", "body": self._portions.pop(0), "more_body": True}
        if not self._leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    def request(self, **headers: str) -> Request:
        raw_headers = [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ]
        return Request({"type": "http", "method": "POST", "headers": raw_headers}, self.receive)


@pytest.mark.parametrize("leaves", [True, False])
def test_a_body_that_does_not_arrive_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    """Neither from a caller that has gone, nor from one that sends nothing more."""
    monkeypatch.setattr(bodies, "FORM_SECONDS", 0.01)
    with pytest.raises(FormTooSlow):
        asyncio.run(bodies.read_body(_Sender(b"plugin=", leaves=leaves).request()))
    assert FormTooSlow.status == 408


@pytest.mark.parametrize("length", ["1073741824", "9" * 5000])
def test_a_body_that_is_announced_as_huge_is_not_read(length: str) -> None:
    """Not a byte of it."""
    sender = _Sender(b"x" * 100)
    request = sender.request(content_length=length)
    assert asyncio.run(bodies.read_at_most(request, hooks.MOST_HOOK_BYTES)) is None
    assert sender.read == 0


def test_a_caller_that_leaves_is_noticed() -> None:
    """What has arrived of its body is not taken for all of it."""
    with pytest.raises(ClientDisconnect):
        asyncio.run(bodies.read_at_most(_Sender(b"x", leaves=True).request(), 100))


async def converse(
    app: Any, sent: bytes, protocol: type[ImpatientProtocol] = ImpatientProtocol, limit: int = 1000
) -> bytes:
    """Send bytes to an application behind the console's server, and return what comes back."""
    config = uvicorn.Config(app, timeout_keep_alive=3600, lifespan="off", limit_concurrency=limit)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(sent)
    received = await reader.read()
    writer.close()
    server.close()
    return received


@pytest.mark.parametrize(
    ("sent", "limit", "status"),
    [
        (b"no HTTP at all\r\n\r\n", 9, 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 9, 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000, 9, 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, 503),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 9, 500),
    ],
)
def test_the_servers_own_answers_have_the_content_policy(
    sent: bytes, limit: int, status: int
) -> None:
    """To what is no HTTP or too long, while too many are there, and after a mistake of ours."""

    async def fail(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("the application has failed")

    head, _, _ = asyncio.run(converse(fail, sent, limit=limit)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    header_names = [line.partition(b":")[0] for line in head.lower().split(b"\r\n")[1:]]
    assert header_names.count(b"content-security-policy") == 1
    assert {b"x-frame-options", b"x-content-type-options", b"cache-control"} <= {*header_names}


class _SilentEnd(ImpatientProtocol):
    """A server's end that waits for a moment alone."""

    head_seconds = 0.05


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nG",
    ],
)
def test_a_connection_that_sends_no_call_is_closed(sent: bytes) -> None:
    """A thousand of them would keep everybody else out."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(3 * _SilentEnd.head_seconds)  # a call in progress is not silence
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"answered"})

    received = asyncio.run(converse(answer, sent, _SilentEnd))
    assert (b"answered" in received) == (b"\r\n\r\n" in sent)


# Sessions and attempts


def test_an_ended_session_stays_ended_after_a_restart_and_elsewhere(tmp_path: Path) -> None:
    """A copied cookie is worth nothing to the next console of the state, or a second one."""
    key, ended_file = bytes(32), tmp_path / "console.ended"
    first, second = Sessions(key, ended_file), Sessions(key, ended_file)
    record, other = first.begin("anna", "mark"), first.begin("anna", "mark")
    cookie, other_cookie = first.cookie_of(record), first.cookie_of(other)
    assert second.read_cookie(cookie)
    first.end(record)
    for sessions in (first, second, Sessions(key, ended_file)):
        assert sessions.read_cookie(cookie) is None
        assert sessions.read_cookie(other_cookie)
    second.end(other)
    assert first.read_cookie(other_cookie) is None
    assert first.read_cookie(cookie) is None


def test_ended_sessions_are_forgotten_once_their_cookies_have_expired(tmp_path: Path) -> None:
    """So the file does not grow; a line that is none, or no file, changes nothing."""
    path = tmp_path / "console.ended"
    path.write_bytes(b"\xff\n\nabc\nabc later\n")
    ended = EndedSessions(path, 10.0)
    ended.add("first", 100.0)
    ended.add("second", 111.0)
    assert path.read_text(encoding="utf-8") == "second 111\n"
    assert ended.has("second")
    nowhere = EndedSessions(tmp_path / "missing" / "console.ended", 10.0)
    nowhere.add("first", 100.0)
    assert nowhere.has("first")


def test_an_attempt_counts_from_its_start() -> None:
    """Else many could be made at once before the first is found to be wrong."""
    attempts = Attempts()
    for _ in range(MOST_FAILURES):
        assert not attempts.wait_of("10.0.0.1", "anna", current_time=1.0)
        attempts.add_failure("10.0.0.1", "anna", current_time=1.0)
    assert attempts.wait_of("10.0.0.1", "anna", current_time=1.0)


def test_people_who_sign_in_cost_their_peer_no_attempt() -> None:
    """A proxy in front is the peer of everybody."""
    attempts = Attempts()
    for number in range(1000):
        attempts.add_failure("10.0.0.1", f"name {number}", current_time=1.0)
        attempts.forget("10.0.0.1", f"name {number}")
    assert not attempts.wait_of("10.0.0.1", "anna", current_time=1.0)


# Commands that pages begin


def test_a_reader_of_many_events_starts_few_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait for their turn, and the page says that they do."""
    may_end, begun = threading.Event(), threading.Semaphore(0)
    running: list[object] = []

    def run_command(inspected: object, config_path: Path) -> tuple[object, str]:
        running.append(inspected)
        begun.release()
        may_end.wait()
        return {}, ""

    monkeypatch.setattr(inspections, "_run_command", run_command)
    asked = Inspections(tmp_path / "x.toml", lambda: 0)
    threads = []
    for number in range(MOST_AT_ONCE * 5):
        assert asked.read("explain", subject=str(number), patience=0.0).is_running
    for _ in range(MOST_AT_ONCE):
        begun.acquire()
    threads = [thread for thread in threading.enumerate() if thread.name == "inspection"]
    assert len(running) == len(threads) == MOST_AT_ONCE
    may_end.set()
    for thread in threads:
        thread.join()
    last = str(MOST_AT_ONCE * 5 - 1)
    assert asked.read("explain", subject=last, patience=60.0).result == {}


@pytest.mark.parametrize("name", ["--help", "--config=/etc/passwd", "-x", "a\x00b", "x" * 300_000])
def test_a_plugin_whose_name_is_no_name_is_not_taken_for_an_option(config: Path, name: str) -> None:
    """The command answers about a plugin of that name, or why it cannot."""
    asked = Inspections(config, lambda: 0)
    inspection = asked.read("plugins", "show", subject=name, patience=60.0)
    assert not inspection.is_running
    assert inspection.result is None
    assert "Usage" not in inspection.problem
    assert inspection.problem
