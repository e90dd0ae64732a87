"""The server for monitoring answers its pages, and nothing holds it up."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from waiting import PATIENCE

from sgevents_core.errors import ListenError
from sgevents_core.metrics import answering
from sgevents_core.metrics.answering import AnsweringServer, Reply
from sgevents_core.settings import ListenAddress

CONFIG = Path("/studio/sgevents.toml")
FREE = ListenAddress("127.0.0.1", 0)


async def say_hello() -> Reply:
    """Answer with a greeting."""
    return Reply(200, b"hello\n")


async def fail() -> Reply:
    """Fail, as a mistake of ours would."""
    raise ZeroDivisionError


PAGES = {"/hello": say_hello, "/broken": fail}


@pytest.fixture
def server() -> Iterator[AnsweringServer]:
    """A server with two pages."""
    with closing(AnsweringServer(FREE, PAGES, config_path=CONFIG, key="metrics.listen")) as running:
        yield running


def connect(server: AnsweringServer) -> socket.socket:
    """Return a connection to a server."""
    return socket.create_connection(server.address, timeout=PATIENCE)


def ask(server: AnsweringServer, request: bytes) -> bytes:
    """Return the whole answer to a request."""
    with connect(server) as connection:
        connection.sendall(request)
        answer = b""
        while portion := connection.recv(65536):
            answer += portion
            head, separator, body = answer.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
            if separator and len(body) >= length:
                break
        return answer


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /hello HTTP/1.1", 200),
        (b"GET /hello?a=b HTTP/1.1", 200),
        (b"GET /hello HTTP/1.0", 200),
        (b"GET /other HTTP/1.1", 404),
        (b"GET /hello/../hello HTTP/1.1", 404),
        (b"GET http://elsewhere/hello HTTP/1.1", 404),
        (b"POST /hello HTTP/1.1", 405),
        (b"DELETE /hello HTTP/1.1", 405),
        (b"\xff\xfe\x00 /hello HTTP/1.1", 405),
        (b"GET /hello", 400),
        (b"GET /hello HTTP/2", 400),
        (b"\x16\x03\x01\x02\x00 what a client of TLS sends", 400),
        (b"", 400),
        (b"GET /broken HTTP/1.1", 503),
    ],
)
def test_it_answers_its_pages_and_nothing_else(
    server: AnsweringServer, request_line: bytes, status: int
) -> None:
    """Only GET and HEAD of the pages that there are; a page that fails is a 503."""
    answer = ask(server, request_line + b"\r\n\r\n")
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Traceback" not in answer


def test_head_has_no_body(server: AnsweringServer) -> None:
    """HEAD tells the length of the body, and does not send it."""
    with closing(http.client.HTTPConnection(*server.address, timeout=PATIENCE)) as connection:
        connection.request("HEAD", "/hello")
        response = connection.getresponse()
        assert (response.status, response.headers["Content-Length"]) == (200, "6")
        assert response.read() == b""


def test_a_huge_request_is_refused(server: AnsweringServer) -> None:
    """A request that is longer than any scrape's is not kept, however long it goes on."""
    with connect(server) as connection:
        connection.sendall(b"GET /hello HTTP/1.1\r\nX: " + b"a" * 20_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 431 ")
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            connection.sendall(bytes(600_000_000))


def test_silent_clients_hold_up_nobody(
    server: AnsweringServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With as many silent connections as there may be, the oldest goes: the next is answered."""
    monkeypatch.setattr(answering, "MOST_CONNECTIONS", 20)
    with ExitStack() as opened:
        silent = [opened.enter_context(connect(server)) for _ in range(60)]
        for connection in silent[::2]:
            connection.sendall(b"GET /hello HT")
        for _ in range(5):
            assert ask(server, b"GET /hello HTTP/1.1\r\n\r\n").endswith(b"hello\n")


def test_a_slow_client_is_given_up(
    server: AnsweringServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection has a limit in time, whatever arrives on it meanwhile."""
    monkeypatch.setattr(answering, "REQUEST_SECONDS", 0.05)
    with connect(server) as connection:
        connection.sendall(b"G")
        try:
            assert connection.recv(100) == b""
        except ConnectionResetError:
            return


def test_a_port_in_use_is_named_with_its_key(server: AnsweringServer) -> None:
    """The error says which address, of which key in which file, and what to do."""
    with pytest.raises(ListenError) as raised:
        AnsweringServer(server.address, PAGES, config_path=CONFIG, key="metrics.listen")
    assert str(raised.value) == (
        f"/studio/sgevents.toml: metrics.listen: it is not possible to listen on {server.address}: "
        "Address already in use. Choose another address or port, or end the program that has it."
    )


@pytest.mark.parametrize(
    "host", ["203.0.113.7", "no-such-host.invalid", "a" * 70, "ex\u00e4mple..x"]
)
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    """So is a name that stands for none."""
    with pytest.raises(ListenError, match=r"sgevents\.toml: metrics\.listen: it is not possible"):
        AnsweringServer(ListenAddress(host, 0), PAGES, config_path=CONFIG, key="metrics.listen")


def test_the_port_is_free_once_it_is_closed(server: AnsweringServer) -> None:
    """A daemon that executes itself anew listens on the same port at once."""
    assert ask(server, b"GET /hello HTTP/1.1\r\n\r\n").endswith(b"hello\n")
    server.close()
    again = AnsweringServer(server.address, PAGES, config_path=CONFIG, key="metrics.listen")
    with closing(again):
        assert ask(again, b"GET /hello HTTP/1.1\r\n\r\n").endswith(b"hello\n")


def test_a_fork_does_not_keep_the_port(server: AnsweringServer) -> None:
    """A process that a plugin forks may outlive the daemon, and must not keep its port."""
    ready, hold = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"x")
        os.read(hold[0], 1)
        os._exit(0)
    try:
        os.read(ready[0], 1)
        server.close()
        AnsweringServer(server.address, PAGES, config_path=CONFIG, key="metrics.listen").close()
    finally:
        os.write(hold[1], b"x")
        os.waitpid(child, 0)
        for descriptor in (*ready, *hold):
            os.close(descriptor)
