"""Connections over TLS and through proxies: what is not to be trusted is told, with what helps."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import trustme
from forward_proxy import forward_proxy
from raw_site import RawSite, answers, raw_site, says
from waiting import PATIENCE

from sgevents_core.calling.connection import CountingShotgun
from sgevents_core.calling.transient import transient_failure
from sgevents_core.cli.check_site import site_findings
from sgevents_core.errors import SiteError, SiteNotTrusted, SiteProxyRefused
from sgevents_core.settings import Secret, Settings, SiteSettings
from sgevents_core.site.bounded_socket import ProxyRefusedError
from sgevents_core.site.client import EventLog
from sgevents_core.site.distrust import objection_to
from sgevents_core.site.questions import Newest

DAY = timedelta(days=1)
ROW = {"type": "Shot", "id": 5}


class Authority:
    """Makes certificates, and servers that show them."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.other = trustme.CA()
        self.file = str(folder / "ca.pem")
        self.ca.cert_pem.write_to_path(self.file)
        self._stack = ExitStack()

    def close(self) -> None:
        """End the servers."""
        self._stack.close()

    def server(self, *names: str, ca: trustme.CA | None = None, **dates: Any) -> RawSite:
        """A server with a certificate for these names."""
        certificate = (ca or self.ca).issue_cert(*(names or ("127.0.0.1", "localhost")), **dates)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return self.serving(context)

    def serving(self, context: ssl.SSLContext) -> RawSite:
        """A server with a context of its own."""
        return self._stack.enter_context(raw_site(context))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    """An authority of this test's own."""
    made = Authority(tmp_path_factory.mktemp("ca"))
    yield made
    made.close()


def ask(site: RawSite, ca_certs: str, url: str = "", **options: Any) -> SiteError:
    """What the feed's client raises."""
    where = _settings(url or site.url, ca_certs, **options)
    with closing(EventLog(where)) as log, pytest.raises(SiteError) as caught:
        log.ask(Newest(1))
    return caught.value


def _settings(url: str, ca_certs: str | None = None, **options: Any) -> SiteSettings:
    return SiteSettings(
        url=url,
        script_name="sgevents",
        api_key=Secret("demo-key"),
        ca_certs=ca_certs,
        timeout=20.0,
        **options,
    )


def checked(url: str, ca_certs: str | None = None, **options: Any) -> str:
    """What `check` says of the site."""
    site = _settings(url, ca_certs, **options)
    found = site_findings(Settings(path=Path("sgevents.toml"), site=site))[0]
    assert found.status == "problem"
    return f"{found.message} [{found.fix}]"


def test_a_trusted_site(authority: Authority) -> None:
    """A certificate of an authority that is trusted, for the host, in its time."""
    site = authority.server()
    site.says = answers({"entities": [ROW]})
    sg: Any = CountingShotgun(site.url, "s", "demo-key", ca_certs=authority.file, connect=False)
    with closing(sg):
        for _ in range(3):
            assert sg.find_one("Shot", []) == ROW
    assert site.connections == 1


def test_each_reason_has_its_own_advice(authority: Authority) -> None:
    """What is wrong with a certificate decides what to do, in the feed's error and in `check`."""
    now = datetime.now(timezone.utc)
    expired = authority.server(not_before=now - 9 * DAY, not_after=now - 2 * DAY)
    early = authority.server(not_before=now + 2 * DAY, not_after=now + 9 * DAY)
    unknown = authority.server(ca=authority.other)
    other_host = authority.server("site.example")
    for site, reason, advice in (
        (expired, "expired", "renew it"),
        (early, "not valid yet", "clock"),
        (unknown, "authority that is not known", "ca_certs"),
        (other_host, "for another address", "by its name"),
    ):
        error = ask(site, authority.file)
        assert isinstance(error, SiteNotTrusted)
        assert reason in error.reason
        assert advice in error.advice
        assert ("ca_certs" in str(error)) is (advice == "ca_certs")
        told = checked(site.url, authority.file)
        assert reason in told
        assert advice in told
    by_name = f"https://localhost:{other_host.port}"
    assert "for another host" in ask(other_host, authority.file, by_name).reason


def test_a_certificate_signed_by_itself(authority: Authority) -> None:
    """One that nobody else has signed may be trusted by itself, if it is meant."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    alone = trustme.CA()
    with alone.private_key_pem.tempfile() as key, alone.cert_pem.tempfile() as certificate:
        context.load_cert_chain(certificate, key)
    error = ask(authority.serving(context), authority.file)
    assert "signed by itself" in error.reason or "authority that is not known" in error.reason
    assert "ca_certs" in str(error)


def raises_for(greeting: bytes, ca_certs: str) -> SiteError:
    """What the feed's client raises where a server answers the first bytes of TLS with others."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            sock, _ = server.accept()
            with sock, suppress(ConnectionError):
                sock.recv(65536)
                sock.sendall(greeting)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        where = _settings(f"https://127.0.0.1:{server.getsockname()[1]}", ca_certs)
        with closing(EventLog(where)) as log, pytest.raises(SiteError) as caught:
            log.ask(Newest(1))
        thread.join(PATIENCE)
    return caught.value


@pytest.mark.parametrize(
    ("alert", "reason"),
    [
        (40, "no cipher in common"),
        (70, "no version of TLS in common"),
        (112, "knows no host of this name"),
    ],
)
def test_what_a_site_objects_to(authority: Authority, alert: int, reason: str) -> None:
    """A site that ends TLS says why, and that decides what to do."""
    error = raises_for(b"\x15\x03\x03\x00\x02\x02" + bytes([alert]), authority.file)
    assert isinstance(error, SiteNotTrusted)
    assert reason in error.reason
    assert "ca_certs" not in str(error)


def test_a_site_that_breaks_off(authority: Authority) -> None:
    """A connection that ends while TLS begins is told as that."""
    error = raises_for(b"", authority.file)
    assert "broke off" in error.reason
    assert "ca_certs" not in str(error)


def test_a_port_that_does_not_speak_tls(authority: Authority) -> None:
    """https on a port without it names the port, not the certificate."""
    error = raises_for(b"HTTP/1.1 400 Bad Request\r\n\r\n", authority.file)
    assert "does not speak TLS" in error.reason
    assert "ca_certs" not in str(error)


def test_a_file_without_certificates(authority: Authority, tmp_path: Path) -> None:
    """`ca_certs` that names something else is told as that."""
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate\n")
    error = ask(authority.server(), str(wrong))
    assert "holds no certificate" in error.reason


def test_a_changed_file_of_certificates_is_read_again(authority: Authority, tmp_path: Path) -> None:
    """An authority that is added to `ca_certs` is trusted from the next connection on."""
    site = authority.server(ca=authority.other)
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.ca.cert_pem.bytes())
    with closing(EventLog(_settings(site.url, str(file)))) as log:
        with pytest.raises(SiteNotTrusted):
            log.page_size()
        file.write_bytes(authority.ca.cert_pem.bytes() + authority.other.cert_pem.bytes())
        assert log.page_size() == 500


@pytest.mark.parametrize("name", ["CERTIFICATE_VERIFY_FAILED", "SOMETHING_NEW", None])
def test_what_is_not_known_is_told_in_its_own_words(name: str | None) -> None:
    """An objection that this version has no words for is shown as it is, in one line."""
    error = ssl.SSLError(1, "[SSL] odd\nthing\x1b (_ssl.c:1)")
    error.reason = name or ""
    found = objection_to(error, 0)
    assert "odd thing" in found.reason
    assert found.reason.isprintable()


# Proxies


def _authorized(asked: Any) -> str:
    scheme, _, encoded = asked.headers["proxy-authorization"].partition(" ")
    assert scheme == "Basic"
    return base64.b64decode(encoded).decode()


PASSWORDS = ["p@ss:w/ord", "100%", "%41", "#?&=+ x", "pässwörd", "日本", "'\"\\", "@@::"]


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_proxy_gets_the_password_as_it_is(password: str) -> None:
    """Whatever characters it has, for calls and for files, and it is shown nowhere."""
    with raw_site() as proxy:
        proxy.says = says(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        way = f"user:{password}@127.0.0.1:{proxy.port}"
        error = ask(proxy, "", "http://site.example", http_proxy=way)
        assert isinstance(error, SiteProxyRefused)
        assert "407" in error.reason
        assert "user:password@host" in error.advice
        assert password not in str(error).replace("user:password@host:port", "")
        assert _authorized(proxy.asked[-1]) == f"user:{password}"
        assert proxy.asked[-1].line.startswith("CONNECT site.example:80 ")
        sg: Any = CountingShotgun(
            "http://site.example", "s", "demo-key", http_proxy=way, connect=False
        )
        with closing(sg), pytest.raises(Exception, match="407"):
            sg.download_attachment({"url": "http://files.example/x"})
        assert _authorized(proxy.asked[-1]) == f"user:{password}"
        told = checked("http://site.example", http_proxy=way)
        assert "407" in told
        assert "user:password@host" in told


def test_a_tunnel_through_a_proxy_with_tls(authority: Authority) -> None:
    """Inside the tunnel the site's own certificate counts, and the proxy sees no key."""
    site = authority.server()
    with forward_proxy() as proxy:
        where = _settings(site.url, authority.file, http_proxy=proxy.address)
        with closing(EventLog(where)) as log:
            assert log.page_size() == 500


@pytest.mark.parametrize(
    ("status", "advice"), [("403 Forbidden", "let this machine through"), ("502 Bad", "later")]
)
def test_a_proxy_that_refuses_says_what_helps(status: str, advice: str) -> None:
    """The status of a proxy's answer decides what to do."""
    with raw_site() as proxy:
        proxy.says = says(f"HTTP/1.1 {status}\x1b[31m\r\nConnection: close\r\n\r\n".encode())
        error = ask(proxy, "", "https://site.example", http_proxy=f"127.0.0.1:{proxy.port}")
    assert isinstance(error, SiteProxyRefused)
    assert advice in error.advice
    assert transient_failure(ProxyRefusedError(int(status[:3]), "No"), 0.0) is not None
    assert str(error).isprintable()


def test_a_redirect_in_check() -> None:
    """`check` says where a site points."""
    with raw_site() as site:
        site.info = says(
            b"HTTP/1.1 308 Moved\r\nLocation: https://new.example/\r\nContent-Length: 0\r\n\r\n"
        )
        told = checked(site.url)
    assert "points to https://new.example" in told
    assert "site.url" in told
