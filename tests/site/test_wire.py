"""Connections to a site that is slow, endless, too large, or gone: bounded, and opened anew."""

from __future__ import annotations

import gzip
import os
import socket
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from raw_site import RawSite, Says, answers, raw_site, says, sends
from shotgun_api3.shotgun import ShotgunError
from site_records import Connect
from waiting import PATIENCE

from sgevents_core.calling.connection import CountingShotgun
from sgevents_core.calling.transient import transient_failure
from sgevents_core.errors import SiteAnswerError, SiteAnswerTooLarge, SiteError, SiteUnreachable
from sgevents_core.site import bounded_socket as line_module
from sgevents_core.site import wire as wire_module
from sgevents_core.site.questions import Newest

SHOT = {"type": "Shot", "id": 5}


@pytest.fixture
def raw() -> Iterator[RawSite]:
    """A server that says the bytes it is told to."""
    with raw_site() as site:
        yield site


def client(url: str, timeout: float = 20.0, **options: Any) -> Any:
    """A plugin's connection."""
    sg = CountingShotgun(url, "sgevents", "demo-key", connect=False, **options)
    sg.config.timeout_secs = timeout
    return closing(sg)


def passes(error: BaseException) -> bool:
    """Whether a callback that raises it is called again."""
    return transient_failure(error, 0.0) is not None


# Too slow


def slowly(before: bytes, piece: bytes) -> Says:
    """Say something for ever, after something else."""

    def said(talk: Any, _asked: Any) -> None:
        talk.say(before)
        talk.for_ever(piece)

    return said


def dripping(before: bytes, tick: threading.Event) -> Says:
    """Say something and then a space now and then, so that no single wait is long."""

    def said(talk: Any, _asked: Any) -> None:
        talk.say(before)
        while not tick.wait(0.02):
            talk.say(b" ")

    return said


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS: dict[str, Says] = {
    "silence": lambda talk, _: talk.silence(),
    "heads": slowly(b"HTTP/1.1 200 OK\r\n", b"X: 1\r\n"),
    "one head": slowly(b"HTTP/1.1 200 OK\r\nX: ", b"1"),
    "continues": slowly(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "chunks": slowly(CHUNKED, b"1\r\n \r\n"),
    "trailers": slowly(CHUNKED + b"0\r\n", b"X: 1\r\n"),
    "no length": slowly(HEAD + b"\r\n", b" "),
}


@pytest.mark.parametrize("said", ENDLESS.values(), ids=ENDLESS)
def test_what_never_ends_is_given_up(
    raw: RawSite, connect: Connect, monkeypatch: pytest.MonkeyPatch, said: Says
) -> None:
    """Whatever part of an answer has no end, a call is over in time, and may pass later."""
    monkeypatch.setattr(line_module, "LARGEST_ANSWER", 1 << 20)
    raw.says = said
    with client(raw.url, timeout=0.3) as sg, pytest.raises(Exception) as caught:  # noqa: PT011 - what it is, the test looks at
        sg.update("Shot", 5, {"code": "x"})
    assert passes(caught.value) is not isinstance(caught.value, SiteAnswerTooLarge)
    with pytest.raises(SiteError):
        connect(raw.url, timeout=0.3).ask(Newest(1))


@pytest.mark.parametrize("before", [b"", HEAD, HEAD + b"\r\n", CHUNKED], ids=len)
def test_a_byte_at_a_time_is_too_slow(raw: RawSite, connect: Connect, before: bytes) -> None:
    """The time of a call is that of the whole call, not of each wait."""
    with_end = threading.Event()
    raw.says = dripping(before, with_end)
    log = connect(raw.url, timeout=0.3)
    try:
        with pytest.raises(SiteUnreachable, match=r"no whole answer within 0\.3 s"):
            log.ask(Newest(1))
    finally:
        with_end.set()


def test_a_name_that_is_looked_up_for_ever(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the system's resolver takes counts too; a name that is none is an error at once."""
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(PATIENCE))
    try:
        with pytest.raises(SiteUnreachable, match=r"no whole answer|looked up"):
            connect("http://slow.example", timeout=0.2).ask(Newest(1))
    finally:
        over.set()
    monkeypatch.undo()
    for name in ("no-such-host.invalid", "a" * 70 + ".example", "a..b"):
        with pytest.raises(SiteError):
            connect(f"http://{name}").ask(Newest(1))


# Too large


def zipped(data: bytes, **headers: str) -> Says:
    """Answer with something packed."""
    return sends(data, content_encoding="gzip", **headers)


def test_a_small_answer_that_unpacks_to_a_large_one(raw: RawSite) -> None:
    """What an answer unpacks to is bounded too, and is not unpacked further than that."""
    packer = zlib.compressobj(9, wbits=31)
    piece = b" " * 2**20
    raw.says = zipped(b"".join([*(packer.compress(piece) for _ in range(140)), packer.flush()]))
    with client(raw.url) as sg, pytest.raises(SiteAnswerTooLarge, match="128 MiB") as caught:
        sg.find("Shot", [])
    assert isinstance(caught.value, ShotgunError)
    assert not passes(caught.value)


@pytest.mark.parametrize(
    "said",
    [
        says(HEAD + b"Content-Length: 1000000000000\r\n\r\n"),
        slowly(CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n"),
        slowly(CHUNKED + b"fffffffffffffff\r\n", b" " * 65536),
        slowly(HEAD + b"\r\n", b" " * 65536),
        sends(gzip.compress(b" " * 2**21) * 3, content_encoding="gzip"),
    ],
    ids=["length", "chunks", "chunk", "no length", "members"],
)
def test_answers_beyond_all_bounds(
    raw: RawSite, monkeypatch: pytest.MonkeyPatch, said: Says
) -> None:
    """Whatever is announced or sent, only so much is taken."""
    monkeypatch.setattr(line_module, "LARGEST_ANSWER", 2**20)
    monkeypatch.setattr(wire_module, "LARGEST_ANSWER", 2**20)
    raw.says = said
    with client(raw.url) as sg, pytest.raises(SiteAnswerTooLarge):
        sg.find("Shot", [])


RIGHT = b'{"results": {"entities": [{"type": "Shot", "id": 5}]}}'


def deflated(data: bytes, kind: int) -> bytes:
    """Pack without a frame, or with another."""
    packer = zlib.compressobj(wbits=kind)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (RIGHT, "identity"),
        (gzip.compress(RIGHT), "gzip"),
        (gzip.compress(RIGHT), "X-GZIP"),
        (gzip.compress(RIGHT[:20]) + gzip.compress(RIGHT[20:]) + b"\0\0", "gzip"),
        (zlib.compress(RIGHT), "deflate"),
        (deflated(RIGHT, -15), "deflate"),
    ],
    ids=["as it is", "gzip", "old name", "two members and zeros", "zlib frame", "no frame"],
)
def test_packed_answers(raw: RawSite, body: bytes, encoding: str) -> None:
    """What is packed as the client can unpack it is read."""
    raw.says = sends(body, content_encoding=encoding)
    with client(raw.url) as sg:
        assert sg.find_one("Shot", []) == SHOT


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"garbage", "gzip"),
        (gzip.compress(RIGHT)[:-9], "gzip"),
        (gzip.compress(RIGHT) + b"more", "gzip"),
        (b"garbage", "deflate"),
        (gzip.compress(b"") * 100, "gzip"),
        (RIGHT, "br"),
        (RIGHT, "gzip, gzip"),
    ],
    ids=[
        "no gzip",
        "cut off",
        "more behind it",
        "no deflate",
        "empty members",
        "unknown packing",
        "packed twice",
    ],
)
def test_answers_that_cannot_be_unpacked(raw: RawSite, body: bytes, encoding: str) -> None:
    """What cannot be unpacked is no answer, and may be one next time."""
    raw.says = sends(body, content_encoding=encoding)
    with client(raw.url) as sg, pytest.raises(SiteAnswerError, match="packed") as caught:
        sg.update("Shot", 5, {"code": "x"})
    assert passes(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x03\x00\x02\x02\x46",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        HEAD + b"X: 1\r\n" * 200 + b"\r\n",
        HEAD + b"X: " + b"1" * 70_000 + b"\r\n\r\n",
        CHUNKED + b"not hex\r\n",
        CHUNKED + b"-1\r\n",
    ],
    ids=lambda data: data[:24],
)
def test_what_is_no_http(raw: RawSite, connect: Connect, data: bytes) -> None:
    """Whatever speaks there instead of a site, a write is not taken for done."""

    def then_gone(talk: Any, asked: Any) -> None:
        talk.say(data)
        talk.hang_up()

    raw.says = then_gone
    with client(raw.url) as sg, pytest.raises(Exception) as caught:  # noqa: PT011 - what it is, the test looks at
        sg.update("Shot", 5, {"code": "x"})
    assert passes(caught.value)
    with pytest.raises(SiteError):
        connect(raw.url).ask(Newest(1))


# Kept, and given up


def test_a_connection_is_kept_between_calls(raw: RawSite) -> None:
    """Calls soon after one another go over one connection, packed or not, chunked or not."""
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(RIGHT), RIGHT)
    with client(raw.url) as sg:
        for said in (sends(RIGHT), says(CHUNKED + body), zipped(gzip.compress(RIGHT))):
            raw.says = said
            assert sg.find_one("Shot", []) == SHOT
    assert raw.connections == 1


def test_what_was_idle_is_not_used_again(raw: RawSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """After half a minute something on the way may have forgotten the connection."""
    monkeypatch.setattr(wire_module, "IDLE_SECONDS", -1.0)
    with client(raw.url) as sg:
        for _ in range(3):
            sg.find("Shot", [])
    assert raw.connections == len(raw.asked) == 4


def test_a_connection_that_the_site_has_closed(raw: RawSite) -> None:
    """One that was closed meanwhile, with or without a word, is opened anew."""

    def closing_after(talk: Any, asked: Any) -> None:
        answers({"entities": [SHOT]})(talk, asked)
        talk.hang_up()

    raw.says = closing_after
    with client(raw.url) as sg:
        for _ in range(3):
            assert sg.find_one("Shot", []) == SHOT
            raw.wait_for(open_connections=0)
    raw.says = answers({"entities": [SHOT]}, connection="close")
    with client(raw.url) as sg:
        for _ in range(3):
            assert sg.find_one("Shot", []) == SHOT


def test_a_kept_connection_that_ends_at_the_next_request(raw: RawSite) -> None:
    """It is opened anew once; a new one that ends without a word is an error at once."""
    with client(raw.url) as sg:
        assert sg.server_info
        raw.says = lambda talk, asked: (
            talk.hang_up() if asked.connection == 1 else answers({"entities": [SHOT]})(talk, asked)
        )
        assert sg.find_one("Shot", []) == SHOT
        raw.says = lambda talk, _: talk.hang_up()
        before = raw.connections
        with pytest.raises(ConnectionError) as caught:
            sg.find_one("Shot", [])
        assert raw.connections == before + 1
        assert passes(caught.value)


def test_half_an_answer_is_not_asked_for_again(raw: RawSite) -> None:
    """Once something of an answer has come, the request is not sent twice."""

    def half(talk: Any, _asked: Any) -> None:
        talk.say(HEAD + b"Content-Length: 100\r\n\r\n{")
        talk.hang_up()

    raw.says = half
    with client(raw.url) as sg:
        assert sg.server_info
        asked = len(raw.asked)
        with pytest.raises(Exception, match="IncompleteRead") as caught:
            sg.update("Shot", 5, {"code": "x"})
        assert passes(caught.value)
        assert len(raw.asked) == asked + 1


def test_a_silent_peer_is_noticed_by_the_system(raw: RawSite) -> None:
    """The system is asked to find out whether the other side is still there."""
    with client(raw.url) as sg:
        sg.find("Shot", [])
        sock = sg._wire._bounded_socket._sock
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_connections_nobody_uses_are_closed(raw: RawSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call closes what other clients of the process have left open and not used for long."""
    paused, active = client(raw.url), client(raw.url)
    with paused as left, active as sg:
        left.find("Shot", [])
        monkeypatch.setattr(wire_module._OPEN_WIRES, "_last_check_at", float("-inf"))
        monkeypatch.setattr(left._wire, "_last_used_at", float("-inf"))
        sg.find("Shot", [])
        raw.wait_for(open_connections=1)
        assert not left._wire.is_open
        assert left.find("Shot", []) == []


def test_closing_ends_a_call_that_hangs(raw: RawSite) -> None:
    """A connection closed by another thread does not keep the one that waits on it."""
    began = threading.Event()

    def hanging(talk: Any, _asked: Any) -> None:
        began.set()
        talk.silence()

    raw.says = hanging
    failed: list[BaseException] = []

    def call(sg: Any) -> None:
        try:
            sg.find("Shot", [])
        except Exception as error:
            failed.append(error)

    with client(raw.url, timeout=60) as sg:
        thread = threading.Thread(target=call, args=(sg,))
        thread.start()
        assert began.wait(PATIENCE)
        sg.close()
        thread.join(PATIENCE)
    assert not thread.is_alive()
    assert failed


def test_a_fork_leaves_the_connection_alone(raw: RawSite) -> None:
    """A fork of the process neither uses nor ends the connection that it has a copy of."""
    with client(raw.url) as sg:
        assert sg.find("Shot", []) == []
        with warnings.catch_warnings():  # newer Pythons warn, as callbacks are not
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            ended = 1
            try:
                ended = 0 if sg.find("Shot", []) == [] else 2
                sg.close()
            finally:
                os._exit(ended)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        before = raw.connections
        assert sg.find("Shot", []) == []
        assert raw.connections == before
        assert [asked.connection for asked in raw.asked] == [1, 1, 2, 1]


# Redirects

POINTING: list[tuple[str, str]] = [
    (f"{code} Elsewhere", "{elsewhere}/api3/json")
    for code in (300, 301, 302, 303, 304, 305, 307, 308)
]
CALLS: dict[str, Callable[[Any], object]] = {
    "find": lambda sg: sg.find("Shot", []),
    "update": lambda sg: sg.update("Shot", 5, {"code": "x"}),
    "delete": lambda sg: sg.delete("Shot", 5),
}


@pytest.mark.parametrize(("status", "location"), POINTING, ids=lambda value: value[:3])
def test_no_call_follows_a_redirect(
    raw: RawSite, connect: Connect, status: str, location: str
) -> None:
    """The script's key goes to the site and nowhere else; the error says where it pointed."""
    with raw_site() as elsewhere:
        raw.says = sends(b"", status, location=location.format(elsewhere=elsewhere.url))
        with client(raw.url) as sg:
            for call in CALLS.values():
                with pytest.raises(SiteAnswerError, match=f":{elsewhere.port} ") as caught:
                    call(sg)
                assert passes(caught.value)
                assert getattr(caught.value, "errcode", 0) == int(status[:3])
        with pytest.raises(SiteAnswerError, match=f"(?s):{elsewhere.port} .*set url in"):
            connect(raw.url).ask(Newest(1))
        assert elsewhere.connections == 0


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("http://user:hunter22@evil.example:81/x?token=hunter22", "http://evil.example:81 "),
        ("https://evil.example/\x1b[31m", "https://evil.example "),
        ("//evil.example/x", "http://evil.example "),
        ("/login", "http://127.0.0.1:"),
        ("http://" + "e" * 60_000, "http://eee"),
        ("http://[evil", "not an address"),
        ("http://evil\u202eelpmaxe", "http://evil"),
        ("javascript:alert(1)", "javascript://"),
    ],
)
def test_where_a_redirect_pointed_is_one_short_line(
    raw: RawSite, location: str, shown: str
) -> None:
    """Host and port can be printed and are bounded; the rest may be secret and is not shown."""
    raw.says = sends(b"", "302 Found", location=location.encode().decode("latin-1"))
    with client(raw.url) as sg, pytest.raises(SiteAnswerError) as caught:
        sg.find("Shot", [])
    text = str(caught.value)
    assert shown in text
    assert "hunter22" not in text
    assert len(text) < 700
    assert all(part.isprintable() for part in text.splitlines())


def test_a_redirect_to_nowhere(raw: RawSite) -> None:
    """A redirect need not say where to."""
    raw.says = sends(b"", "308 Moved")
    with client(raw.url) as sg, pytest.raises(SiteAnswerError, match="no address"):
        sg.find("Shot", [])


def test_a_connection_closed_while_it_is_opened(
    raw: RawSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not used, and not left open."""
    real = line_module.dial

    def dial(*args: Any) -> Any:
        bounded_socket = real(*args)
        thread = threading.Thread(target=sg.close)
        thread.start()
        thread.join()
        return bounded_socket

    monkeypatch.setattr(wire_module, "dial", dial)
    with client(raw.url) as sg, pytest.raises(ConnectionAbortedError):
        sg.find("Shot", [])
    raw.wait_for(open_connections=0)
