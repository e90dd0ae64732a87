"""Uploads and downloads of a site's client: no key goes to another host, and none ends half done.

A file may take any time, but bytes have to keep coming. Forms with the script's key follow no
redirect; a download may follow some, over https, without the key.
"""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection, IncompleteRead
from io import IOBase
from ipaddress import ip_address
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, Request
from xmlrpc.client import ProtocolError

from sgevents_core.site.answers import NotAnAnswerError, excerpt
from sgevents_core.site.bounded_socket import BoundedSocket, trusting
from sgevents_core.site.client_errors import NoAnswer, redirected
from sgevents_core.site.deadline import Pace
from sgevents_core.site.stock_client import Shotgun, ShotgunError

MOST_REDIRECTS: Final = 5
SHORTEST: Final = 4
"""The shortest secret that is removed, in characters: shorter ones occur in every sentence."""
LARGEST_FORM_ANSWER: Final = 1 << 20
_NUMBER: Final = r"1:\d+"
_FORMS: Final[Mapping[str, str]] = {
    "upload_file": _NUMBER,
    "publish_thumbnail": _NUMBER,
    "api_link_file": _NUMBER,
    "share_thumbnail": r"1:",
    "api_get_upload_link_info": r"1\n[^\n]+\n[^\n]*\n[^\n]*\n",
    "api_get_upload_link_for_part": r"1\n\S",
    "api_complete_multipart_upload": r"1",
}
"""Last part of a form's address -> the beginning of an answer that confirms it."""
_NO: Final = re.compile(r"[02](?=[:\s]|$)")
"""The beginning of an answer that refuses a form."""


class GuardedFiles(Shotgun):
    """The client's uploads and downloads."""

    _ca_certs: str | None = None
    _failed: Exception | None = None
    """The error of the last attempt to send a file, which the stock client does not report."""

    def _build_opener(self, handler: Any) -> urllib.request.OpenerDirector:
        sends = handler is not None and not isinstance(handler, HTTPCookieProcessor)
        return Opener(self, handler, sends=sends)

    def get_auth_cookie_handler(self) -> HTTPCookieProcessor:
        """Return a handler that shows the session to the site and to no other host."""
        return _SiteCookie(self.get_session_token(), origin_of(self.address))

    def _send_form(self, url: str, params: dict[str, Any]) -> str:
        try:
            answer = self._attempted(super()._send_form, url, params)
        finally:  # the stock client does not close what it sends
            for value in params.values():
                if isinstance(value, IOBase):
                    value.close()
        name = url.rsplit("/", 1)[-1]
        if not re.match(_FORMS.get(name, "1"), answer) and not _NO.match(answer):
            raise self._not_sent(
                f"to a form it is {excerpt(answer.encode(), self.without_secrets)!r}"
            )
        return answer

    def _upload_data_to_storage(
        self, data: Any, content_type: str, size: int, storage_url: str
    ) -> str:
        scheme = urlsplit(storage_url).scheme
        if scheme != "https" and not (scheme == "http" and self.config.scheme == "http"):
            raise self._not_sent(f"files are to be sent to a {scheme[:20]!r} address")
        send = super()._upload_data_to_storage
        etag = self._attempted(send, data, content_type, size, storage_url)
        if not etag:
            raise self._not_sent("the storage did not say that it has the file")
        return etag

    def download_attachment(self, *args: Any, **kwargs: Any) -> Any:
        """Download as the stock client does, but raise the error that was the cause."""
        self._failed = None
        try:
            return super().download_attachment(*args, **kwargs)
        except ShotgunError:
            if self._failed is not None:
                raise self._failed from None
            raise

    def _attempted(self, send: Any, *args: Any) -> str:
        """Send something; if all attempts fail, raise the error of the last."""
        self._failed = None
        try:
            return str(send(*args) or "")
        except UnicodeDecodeError as error:
            raise self._not_sent(f"it is {excerpt(error.object, self.without_secrets)!r}") from None
        except NoAnswer:
            raise
        except ShotgunError:
            if isinstance(self._failed, NotAnAnswerError):
                raise self._not_sent(str(self._failed)) from None
            if self._failed is not None:
                raise self._failed from None
            raise

    def _not_sent(self, reason: str) -> NoAnswer:
        return NoAnswer(url=self.address, reason=reason)

    @property
    def address(self) -> str:
        """The site, for people: without a user or a password."""
        return f"{self.config.scheme}://{self.config.server}"

    def without_secrets(self, text: str) -> str:
        """Return the text without what this client shows to the site and its proxy."""
        known = self.config
        for secret in (known.api_key, known.session_token, known.user_password, known.proxy_pass):
            if secret and len(secret) >= SHORTEST:
                text = text.replace(secret, "***")
        return text


class Opener(urllib.request.OpenerDirector):
    """The opener of addresses for uploads and downloads of a client.

    Args:
        client: The client.
        handler: A handler of the client's own.
        sends: Whether something is sent, rather than read.
    """

    def __init__(self, client: GuardedFiles, handler: Any, *, sends: bool) -> None:
        super().__init__()
        self._client = client
        self._sends = sends
        timeout = client.config.timeout_secs
        follow: HTTPRedirectHandler = _Following(client)
        if sends:
            follow = _NotFollowing(client)
        own = handler() if isinstance(handler, type) else handler
        opened: list[Any] = [
            client.config.proxy_handler or urllib.request.ProxyHandler(),
            _Http(timeout, LARGEST_FORM_ANSWER if sends else None),
            _Https(timeout, LARGEST_FORM_ANSWER if sends else None, client._ca_certs),
            follow,
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.FileHandler(),
            urllib.request.UnknownHandler(),
        ]
        if own is not None and type(own) is not urllib.request.HTTPHandler:
            opened.append(own)
        for one in opened:
            self.add_handler(one)

    def open(self, fullurl: Any, data: Any = None, timeout: Any = None) -> Any:
        """Open an address, with the client's own timeout."""
        body: Any = getattr(fullurl, "data", None)
        if hasattr(body, "seek"):
            body.seek(0)  # an earlier attempt has read it
        limit = self._client.config.timeout_secs if timeout is None else timeout
        try:
            answer = super().open(fullurl, data, limit)
        except HTTPError as error:
            if self._sends:
                self._client._failed = _as_protocol_error(error)
                error.close()
            raise
        except URLError as error:
            reason = error.reason
            self._client._failed = reason if isinstance(reason, Exception) else error
            raise
        received = Received(answer, self._client)
        if not self._sends:
            self._look_at(answer, received)
        return received

    def _look_at(self, answer: Any, received: Received) -> None:
        """Raise the fitting error if a page for people came instead of a file."""
        kind = str(answer.headers.get("content-type") or "").lower()
        path = urlsplit(answer.geturl()).path.lower()
        is_page = kind.startswith("text/html") and not path.endswith((".html", ".htm"))
        if is_page and not answer.headers.get("content-disposition"):
            page = received.read(4_000)
            reason = f"not a file, but the page {excerpt(page, self._client.without_secrets)!r}"
            answer.close()
            self._client._failed = NoAnswer(url=self._client.address, reason=reason)
            raise URLError(reason)


class Received:
    """An answer that is read to its end or raises: a truncated file is not a file.

    Args:
        answer: The answer.
        client: The client that reads it.
    """

    def __init__(self, answer: Any, client: GuardedFiles) -> None:
        self._answer = answer
        self._client = client

    def read(self, amount: int | None = None) -> bytes:
        """Return the next bytes, by default all; nothing at the end.

        Raises:
            URLError: The answer ended too early, or too late; the client keeps the reason.
        """
        try:
            return self._next(amount)
        except Exception as error:
            self._answer.close()
            self._client._failed = error
            raise URLError(error) from error

    def _next(self, amount: int | None) -> bytes:
        data: bytes = self._answer.read() if amount in {None, -1} else self._answer.read(amount)
        missing = getattr(self._answer, "length", None)
        if not data and amount != 0 and missing:
            raise IncompleteRead(data, missing)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._answer, name)


class _SiteCookie(HTTPCookieProcessor):
    """A cookie handler that shows the session to the site."""

    def __init__(self, session: str, site: tuple[str, str, int | None]) -> None:
        super().__init__()
        self._session = session
        self._site = site

    def http_request(self, request: Request) -> Request:
        if origin_of(request.full_url) == self._site:
            request.add_unredirected_header("Cookie", f"_session_id={self._session}")
        return request

    https_request = http_request


class _NotFollowing(HTTPRedirectHandler):
    """A redirect handler that follows nothing."""

    def __init__(self, client: GuardedFiles) -> None:
        self._client = client

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        fp.close()
        location = headers.get("location") or ""
        raise redirected(self._client.address, code, location, dict(headers))

    http_error_300 = http_error_301 = http_error_303 = http_error_302
    http_error_304 = http_error_305 = http_error_307 = http_error_308 = http_error_302


class _Following(HTTPRedirectHandler):
    """A redirect handler that follows only what is safe, and never with the site's credentials."""

    max_redirections = MOST_REDIRECTS

    def __init__(self, client: GuardedFiles) -> None:
        self._client = client

    def redirect_request(self, req: Any, *answer: Any) -> Any:
        fp, code, _, headers, newurl = answer
        if not is_safe(newurl):
            fp.close()
            error = redirected(self._client.address, code, newurl, dict(headers))
            raise URLError(error)  # so that the client closes its files
        request = super().redirect_request(req, *answer)
        if request is not None and origin_of(newurl) != origin_of(req.full_url):
            for name in ("Cookie", "Authorization", "Proxy-authorization"):
                request.remove_header(name)
        return request

    http_error_308 = HTTPRedirectHandler.http_error_302


class _Http(urllib.request.HTTPHandler):
    """An opener of http addresses, within the time limit."""

    def __init__(self, timeout: float | None, largest: int | None) -> None:
        super().__init__()
        self._limits = (timeout, largest)

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_bounded(HTTPConnection, *self._limits), req)


class _Https(urllib.request.HTTPSHandler):
    """An opener of https addresses, within the time limit."""

    def __init__(self, timeout: float | None, largest: int | None, ca_certs: str | None) -> None:
        super().__init__()
        self._limits = (timeout, largest)
        self._trusted = trusting(ca_certs)

    def https_open(self, req: Request) -> HTTPResponse:
        connection = _bounded(HTTPSConnection, *self._limits)
        return self.do_open(connection, req, context=self._trusted)


def _bounded(kind: Any, timeout: float | None, largest: int | None) -> Any:
    """Return a class of connections that end when no bytes move any more."""

    class Bounded(kind):  # type: ignore[misc]  # one of two base classes of urllib
        def connect(self) -> None:
            super().connect()
            own: Any = self
            own.sock = BoundedSocket(own.sock, Pace(timeout), largest)

    return Bounded


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Return the scheme, host and port of an address."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), port


def is_safe(url: str) -> bool:
    """Return whether a download may be redirected there: over https, or within this machine."""
    try:
        scheme, host, _ = origin_of(url)
    except ValueError:
        return False
    return scheme == "https" or (scheme == "http" and _is_here(host))


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _as_protocol_error(error: HTTPError) -> ProtocolError:
    """Return an HTTP error as other calls raise it, without the address, which is signed."""
    host = urlsplit(error.url or "").hostname or ""
    return ProtocolError(host, error.code, excerpt(str(error.reason).encode()), dict(error.headers))
