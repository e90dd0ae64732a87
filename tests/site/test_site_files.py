"""Uploads and downloads: no key to another host, no half a file, no page for an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import IncompleteRead
from pathlib import Path
from typing import Any
from xmlrpc.client import ProtocolError

import pytest
from raw_site import INFO, Asked, RawSite, Says, Talk, answers, raw_site, says, sends
from shotgun_api3.shotgun import Shotgun, ShotgunError

from sgevents_core.calling.connection import CountingShotgun
from sgevents_core.calling.transient import transient_failure
from sgevents_core.errors import SiteAnswerError
from sgevents_core.site import deadline
from sgevents_core.site.transfers import is_safe_address

KEY = "key-to-keep"
SESSION = "session-to-keep"


@pytest.fixture
def raw() -> Iterator[RawSite]:
    """A site."""
    with raw_site() as site:
        yield site


@pytest.fixture
def elsewhere() -> Iterator[RawSite]:
    """Another host."""
    with raw_site() as site:
        yield site


@pytest.fixture
def sg(raw: RawSite, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A plugin's connection to the site."""
    monkeypatch.setattr(Shotgun, "BACKOFF", 0)
    with closing(CountingShotgun(raw.url, "sgevents", KEY, connect=False)) as client:
        client.config.timeout_secs = 20
        yield client


@pytest.fixture
def picture(tmp_path: Path) -> str:
    """A file to send."""
    path = tmp_path / "turn.jpg"
    path.write_bytes(b"picture" * 100)
    return str(path)


def by_path(**paths: Says) -> Says:
    """Answer by the last part of the path."""

    def said(talk: Talk, asked: Asked) -> None:
        name = asked.line.split()[1].split("?")[0].rsplit("/", 1)[-1]
        paths[name](talk, asked)

    return said


def passes(error: BaseException) -> bool:
    """Whether a callback that raises it is called again."""
    return transient_failure(error, 0.0) is not None


SENDING: dict[str, Callable[[Any, str], object]] = {
    "upload": lambda sg, path: sg.upload("Version", 5, path, "sg_uploaded_movie"),
    "thumbnail": lambda sg, path: sg.upload_thumbnail("Version", 5, path),
    "share": lambda sg, _: sg.share_thumbnail(
        [{"type": "Version", "id": 6}], source_entity={"type": "Version", "id": 5}
    ),
}


@pytest.mark.parametrize("send", SENDING.values(), ids=SENDING)
@pytest.mark.parametrize(
    "said",
    [
        sends(b""),
        sends(b"<html>Sign in</html>", content_type="text/html"),
        sends(b"<p>1:</p>"),
        sends(b'{"id": 1}'),
        sends(b"\xff\xfe\x00"),
        sends(b"1"),
        sends(b"x" * 2**21),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n1:12"),
    ],
    ids=["empty", "page", "tags", "json", "binary", "bare", "large", "cut"],
)
def test_a_form_whose_answer_is_none(
    raw: RawSite, sg: Any, picture: str, send: Callable[[Any, str], object], said: Says
) -> None:
    """A file counts as sent only where the site says so; all else may pass."""

    def then_gone(talk: Talk, asked: Asked) -> None:
        said(talk, asked)
        talk.hang_up()

    raw.says = then_gone
    with pytest.raises((SiteAnswerError, IncompleteRead)) as caught:
        send(sg, picture)
    assert passes(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("send", SENDING.values(), ids=SENDING)
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_form_follows_no_redirect(
    raw: RawSite,
    elsewhere: RawSite,
    sg: Any,
    picture: str,
    send: Callable[[Any, str], object],
    status: int,
) -> None:
    """Forms carry the key, so they go to the site alone; it is told where it pointed."""
    raw.says = sends(b"", f"{status} Elsewhere", location=elsewhere.url)
    with pytest.raises(SiteAnswerError, match=f":{elsewhere.port} ") as caught:
        send(sg, picture)
    assert isinstance(caught.value, ProtocolError)
    assert elsewhere.connections == 0


@pytest.mark.parametrize(("status", "again"), [(500, True), (503, True), (429, True), (403, False)])
def test_a_form_that_is_refused(
    raw: RawSite, sg: Any, picture: str, status: int, again: bool
) -> None:
    """The status is told as by every other call, and not that there were several attempts."""
    raw.says = sends(b"<html>no</html>", f"{status} No", retry_after="7")
    with pytest.raises(ProtocolError) as caught:
        sg.upload("Version", 5, picture)
    assert caught.value.errcode == status
    assert passes(caught.value) is again


def test_a_site_that_is_gone_is_told_as_that(sg: Any, raw: RawSite, picture: str) -> None:
    """A connection that is refused is the error, not that there were several attempts."""
    assert sg.server_info
    raw.close()
    with pytest.raises(ConnectionError):
        sg.upload("Version", 5, picture)


def test_what_the_site_says_against_a_file(raw: RawSite, sg: Any, picture: str) -> None:
    """A refusal in the site's own form stays what shotgun_api3 makes of it."""
    raw.says = sends(b"0:Version 5 does not exist\n")
    with pytest.raises(ShotgunError, match="does not exist") as caught:
        sg.upload("Version", 5, picture)
    assert not passes(caught.value)
    raw.says = sends(b"1:77\n")
    assert sg.upload("Version", 5, picture) == 77


# Storages


def storing(storage: RawSite, etag: str | None = '"x"', status: str = "200 OK") -> Says:
    """A site that sends files to a storage."""
    link = f"1\n{storage.url}/bucket/turn.jpg?signature=signed-secret\n2026\nAttachment\n\n"
    named = {} if etag is None else {"etag": etag}
    storage.says = sends(b"", status, **named)
    return by_path(api_get_upload_link_info=sends(link.encode()), api_link_file=sends(b"1:78\n"))


@pytest.fixture
def direct(raw: RawSite, sg: Any) -> Any:
    """A connection to a site whose files go straight to a storage."""
    sg._server_caps = None
    info = {**INFO, "s3_direct_uploads_enabled": True, "s3_enabled_upload_types": {"*": "*"}}
    sg.info = lambda: info
    return sg


def test_a_file_goes_to_its_storage_without_a_key(
    raw: RawSite, elsewhere: RawSite, direct: Any, picture: str
) -> None:
    """The storage is another host by design; it gets the file, and neither key nor session."""
    raw.says = storing(elsewhere)
    assert direct.upload("Version", 5, picture, "sg_uploaded_movie") == 78
    (asked,) = elsewhere.asked
    assert asked.body == b"picture" * 100
    assert KEY not in f"{asked}"
    assert "cookie" not in asked.headers


@pytest.mark.parametrize(
    ("status", "etag"),
    [("200 OK", None), ("307 Temporary", None), ("503 Slow", None), ("403 Forbidden", None)],
)
def test_a_storage_that_did_not_take_the_file(
    raw: RawSite, elsewhere: RawSite, direct: Any, picture: str, status: str, etag: str | None
) -> None:
    """Without the storage's word the file is not there; the signed address is not shown."""
    with raw_site() as third:
        raw.says = storing(elsewhere, etag, status)
        if status.startswith("307"):
            elsewhere.says = sends(b"", status, location=third.url)
        with pytest.raises((SiteAnswerError, ProtocolError)) as caught:
            direct.upload("Version", 5, picture, "sg_uploaded_movie")
        assert "signed-secret" not in str(caught.value)
        assert passes(caught.value) is not status.startswith("403")
        assert third.connections == 0


def test_a_storage_that_is_busy_once_gets_the_whole_file(
    raw: RawSite, elsewhere: RawSite, direct: Any, picture: str
) -> None:
    """What is sent again is sent from its beginning."""
    raw.says = storing(elsewhere)

    def busy_once(talk: Talk, asked: Asked) -> None:
        first = len(elsewhere.asked) == 1
        sends(b"", "503 Slow" if first else "200 OK", etag="x", connection="close")(talk, asked)
        talk.hang_up()

    elsewhere.says = busy_once
    assert direct.upload("Version", 5, picture, "sg_uploaded_movie") == 78
    assert [asked.body for asked in elsewhere.asked] == [b"picture" * 100] * 2


# Downloads


def serving(raw: RawSite, file: Says) -> None:
    """Give a session, and a file."""
    session = answers({"session_id": SESSION})
    raw.says = by_path(json=session, file=file)


def test_a_download_shows_the_session_to_the_site_alone(
    raw: RawSite, elsewhere: RawSite, sg: Any
) -> None:
    """A download may be redirected; the other host sees neither the key nor the session."""
    elsewhere.says = sends(b"movie", content_type="video/mp4")
    serving(raw, sends(b"", "302 Found", location=f"{elsewhere.url}/movie.mp4?signature=1"))
    assert sg.download_attachment({"url": f"{raw.url}/file"}) == b"movie"
    assert raw.asked[-1].headers["cookie"] == f"_session_id={SESSION}"
    (asked,) = elsewhere.asked
    assert "cookie" not in asked.headers
    assert SESSION not in f"{asked}"
    assert KEY not in f"{asked}"


def test_a_download_from_elsewhere_gets_no_session(
    raw: RawSite, elsewhere: RawSite, sg: Any
) -> None:
    """That an address names the site somewhere does not make it the site's."""
    serving(raw, sends(b""))
    elsewhere.says = sends(b"movie", content_type="video/mp4")
    url = f"{elsewhere.url}/{raw.url.removeprefix('http://')}/movie.mp4"
    assert sg.download_attachment({"url": url}) == b"movie"
    assert "cookie" not in elsewhere.asked[0].headers


@pytest.mark.parametrize(
    "url", ["http://files.example/x", "http://10.0.0.1/x", "ftp://127.0.0.1/x", "file:///etc/hosts"]
)
def test_a_download_is_not_redirected_to_what_is_not_safe(raw: RawSite, sg: Any, url: str) -> None:
    """Only https, or this machine."""
    serving(raw, sends(b"", "302 Found", location=url))
    with pytest.raises((SiteAnswerError, ShotgunError)):
        sg.download_attachment({"url": f"{raw.url}/file"})


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://files.example/x", True),
        ("http://localhost:8000/x", True),
        ("http://[::1]/x", True),
        ("http://127.0.0.1.evil.example/x", False),
        ("http://[bad", False),
        ("", False),
    ],
)
def test_safe_addresses(url: str, safe: bool) -> None:
    """An address is judged by its scheme and host alone."""
    assert is_safe_address(url) is safe


def test_redirects_have_an_end(raw: RawSite, sg: Any) -> None:
    """A download that points to itself is given up."""
    serving(raw, sends(b"", "302 Found", location=f"{raw.url}/file"))
    with pytest.raises(ShotgunError):
        sg.download_attachment({"url": f"{raw.url}/file"})


def test_a_page_instead_of_a_file(raw: RawSite, sg: Any, tmp_path: Path) -> None:
    """A page that asks to log in is no movie; a file that is a page is one."""
    serving(raw, sends(b"<html>Sign in</html>", content_type="text/html; charset=utf-8"))
    with pytest.raises(SiteAnswerError, match="Sign in") as caught:
        sg.download_attachment({"url": f"{raw.url}/file"}, str(tmp_path / "movie"))
    assert passes(caught.value)
    serving(raw, sends(b"<html>", content_type="text/html", content_disposition="attachment"))
    assert sg.download_attachment({"url": f"{raw.url}/file"}) == b"<html>"


@pytest.mark.parametrize("to_disk", [True, False])
def test_a_file_that_is_cut_short(raw: RawSite, sg: Any, tmp_path: Path, to_disk: bool) -> None:
    """Half a file is an error, in memory and on disk."""

    def half(talk: Talk, _asked: Asked) -> None:
        talk.say(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 100\r\n\r\nhalf")
        talk.hang_up()

    serving(raw, half)
    with pytest.raises(IncompleteRead) as caught:
        sg.download_attachment(
            {"url": f"{raw.url}/file"}, str(tmp_path / "movie") if to_disk else None
        )
    assert passes(caught.value)


def test_a_file_may_take_its_time_as_long_as_it_moves(
    raw: RawSite, sg: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that comes steadily is read to its end; one that drips is given up."""
    monkeypatch.setattr(deadline, "SLOWEST_TRANSFER", 10)
    sg.config.timeout_secs = 0.4
    over = threading.Event()

    def steadily(talk: Talk, _asked: Asked) -> None:
        talk.say(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 80\r\n\r\n")
        for _ in range(8):
            over.wait(0.1)
            talk.say(b"x" * 10)

    serving(raw, steadily)
    assert len(sg.download_attachment({"url": f"{raw.url}/file"})) == 80

    def dripping(talk: Talk, _asked: Asked) -> None:
        talk.say(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 80000\r\n\r\n")
        while not over.wait(0.2):
            talk.say(b"x")

    serving(raw, dripping)
    try:
        with pytest.raises(TimeoutError):
            sg.download_attachment({"url": f"{raw.url}/file"})
    finally:
        over.set()
