"""Uploads and downloads of a site's client: complete or an error, and no key to another host.

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
from sgevents_core.site.bounded_socket import BoundedSocket, tls_context_of
from sgevents_core.site.client_errors import NoAnswer, redirected
from sgevents_core.site.deadline import Pace
from sgevents_core.site.stock_client import Shotgun, ShotgunError

MOST_REDIRECTS: Final = 5
SHORTEST_SECRET: Final = 4
"""The shortest secret that is removed, in characters: shorter ones occur in every sentence."""
LARGEST_FORM_ANSWER: Final = 1 << 20
_CONFIRMED_ID: Final = r"1:\d+"
_FORM_CONFIRMATIONS: Final[Mapping[str, str]] = {
    "upload_file": _CONFIRMED_ID,
    "publish_thumbnail": _CONFIRMED_ID,
    "api_link_file": _CONFIRMED_ID,
    "share_thumbnail": r"1:",
    "api_get_upload_link_info": r"1\n[^\n]+\n[^\n]*\n[^\n]*\n",
    "api_get_upload_link_for_part": r"1\n\S",
    "api_complete_multipart_upload": r"1",
}
"""Last part of a form's address -> the beginning of an answer that confirms it."""
_FORM_REFUSAL: Final = re.compile(r"[02](?=[:\s]|$)")
"""The beginning of an answer that refuses a form."""


class GuardedFiles(Shotgun):
    """The client's uploads and downloads."""

    _ca_certs: str | None = None
    _last_error: Exception | None = None
    """The error of the last attempt to send a file, which the stock client does not report."""

    def _build_opener(self, handler: Any) -> urllib.request.OpenerDirector:
        is_upload = handler is not None and not isinstance(handler, HTTPCookieProcessor)
        return Opener(self, handler, is_upload=is_upload)

    def get_auth_cookie_handler(self) -> HTTPCookieProcessor:
        """Return a handler that shows the session to the site and to no other host."""
        return _SiteCookieHandler(self.get_session_token(), origin_of(self.address))

    def _send_form(self, url: str, params: dict[str, Any]) -> str:
        try:
            answer = self._send_or_raise(super()._send_form, url, params)
        finally:  # the stock client does not close the files that it sends
            for value in params.values():
                if isinstance(value, IOBase):
                    value.close()
        form_name = url.rsplit("/", 1)[-1]
        if not re.match(
            _FORM_CONFIRMATIONS.get(form_name, "1"), answer
        ) and not _FORM_REFUSAL.match(answer):
            raise self._not_sent_error(
                f"to a form it is {excerpt(answer.encode(), self.without_secrets)!r}"
            )
        return answer

    def _upload_data_to_storage(
        self, data: Any, content_type: str, size: int, storage_url: str
    ) -> str:
        scheme = urlsplit(storage_url).scheme
        if scheme != "https" and not (scheme == "http" and self.config.scheme == "http"):
            raise self._not_sent_error(f"files are to be sent to a {scheme[:20]!r} address")
        upload = super()._upload_data_to_storage
        etag = self._send_or_raise(upload, data, content_type, size, storage_url)
        if not etag:
            raise self._not_sent_error("the storage did not say that it has the file")
        return etag

    def download_attachment(self, *args: Any, **kwargs: Any) -> Any:
        """Download as the stock client does, but raise the original error."""
        self._last_error = None
        try:
            return super().download_attachment(*args, **kwargs)
        except ShotgunError:
            if self._last_error is not None:
                raise self._last_error from None
            raise

    def _send_or_raise(self, send: Any, *args: Any) -> str:
        """Send a request; if all attempts fail, raise the error of the last one."""
        self._last_error = None
        try:
            return str(send(*args) or "")
        except UnicodeDecodeError as error:
            raise self._not_sent_error(
                f"it is {excerpt(error.object, self.without_secrets)!r}"
            ) from None
        except NoAnswer:
            raise
        except ShotgunError:
            if isinstance(self._last_error, NotAnAnswerError):
                raise self._not_sent_error(str(self._last_error)) from None
            if self._last_error is not None:
                raise self._last_error from None
            raise

    def _not_sent_error(self, reason: str) -> NoAnswer:
        return NoAnswer(url=self.address, reason=reason)

    @property
    def address(self) -> str:
        """The site, for people: without a user or a password."""
        return f"{self.config.scheme}://{self.config.server}"

    def without_secrets(self, text: str) -> str:
        """Return the text without the credentials that this client shows to site and proxy."""
        config = self.config
        for secret in (
            config.api_key,
            config.session_token,
            config.user_password,
            config.proxy_pass,
        ):
            if secret and len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret, "***")
        return text


class Opener(urllib.request.OpenerDirector):
    """A URL opener for the uploads and downloads of a client.

    Args:
        client: The client.
        handler: A handler of the client's own.
        is_upload: Whether it sends a file, rather than reading one.
    """

    def __init__(self, client: GuardedFiles, handler: Any, *, is_upload: bool) -> None:
        super().__init__()
        self._client = client
        self._is_upload = is_upload
        timeout = client.config.timeout_secs
        redirect_handler: HTTPRedirectHandler = _SafeRedirects(client)
        if is_upload:
            redirect_handler = _RefusingRedirects(client)
        own_handler = handler() if isinstance(handler, type) else handler
        handlers: list[Any] = [
            client.config.proxy_handler or urllib.request.ProxyHandler(),
            _BoundedHttpHandler(timeout, LARGEST_FORM_ANSWER if is_upload else None),
            _BoundedHttpsHandler(
                timeout, LARGEST_FORM_ANSWER if is_upload else None, client._ca_certs
            ),
            redirect_handler,
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.FileHandler(),
            urllib.request.UnknownHandler(),
        ]
        if own_handler is not None and type(own_handler) is not urllib.request.HTTPHandler:
            handlers.append(own_handler)
        for handler_to_add in handlers:
            self.add_handler(handler_to_add)

    def open(self, fullurl: Any, data: Any = None, timeout: Any = None) -> Any:
        """Open an address, with the client's own timeout."""
        body: Any = getattr(fullurl, "data", None)
        if hasattr(body, "seek"):
            body.seek(0)  # an earlier attempt has read the file
        timeout_seconds = self._client.config.timeout_secs if timeout is None else timeout
        try:
            answer = super().open(fullurl, data, timeout_seconds)
        except HTTPError as error:
            if self._is_upload:
                self._client._last_error = _as_protocol_error(error)
                error.close()
            raise
        except URLError as error:
            reason = error.reason
            self._client._last_error = reason if isinstance(reason, Exception) else error
            raise
        download = CheckedDownload(answer, self._client)
        if not self._is_upload:
            self._refuse_page_for_people(answer, download)
        return download

    def _refuse_page_for_people(self, answer: Any, download: CheckedDownload) -> None:
        """Raise the fitting error if the site sent a web page instead of a file."""
        content_type = str(answer.headers.get("content-type") or "").lower()
        path = urlsplit(answer.geturl()).path.lower()
        is_page = content_type.startswith("text/html") and not path.endswith((".html", ".htm"))
        if is_page and not answer.headers.get("content-disposition"):
            page = download.read(4_000)
            reason = f"not a file, but the page {excerpt(page, self._client.without_secrets)!r}"
            answer.close()
            self._client._last_error = NoAnswer(url=self._client.address, reason=reason)
            raise URLError(reason)


class CheckedDownload:
    """A download that raises an error if it ends before the whole file has arrived.

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
            return self._read_next(amount)
        except Exception as error:
            self._answer.close()
            self._client._last_error = error
            raise URLError(error) from error

    def _read_next(self, amount: int | None) -> bytes:
        data: bytes = self._answer.read() if amount in {None, -1} else self._answer.read(amount)
        missing_bytes = getattr(self._answer, "length", None)
        if not data and amount != 0 and missing_bytes:
            raise IncompleteRead(data, missing_bytes)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._answer, name)


class _SiteCookieHandler(HTTPCookieProcessor):
    """A cookie handler that shows the session to the site."""

    def __init__(self, session_token: str, site: tuple[str, str, int | None]) -> None:
        super().__init__()
        self._session_token = session_token
        self._site = site

    def http_request(self, request: Request) -> Request:
        if origin_of(request.full_url) == self._site:
            request.add_unredirected_header("Cookie", f"_session_id={self._session_token}")
        return request

    https_request = http_request


class _RefusingRedirects(HTTPRedirectHandler):
    """A redirect handler that follows nothing."""

    def __init__(self, client: GuardedFiles) -> None:
        self._client = client

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        fp.close()
        location = headers.get("location") or ""
        raise redirected(self._client.address, code, location, dict(headers))

    http_error_300 = http_error_301 = http_error_303 = http_error_302
    http_error_304 = http_error_305 = http_error_307 = http_error_308 = http_error_302


class _SafeRedirects(HTTPRedirectHandler):
    """A redirect handler that follows only safe redirects, never with the site's credentials."""

    max_redirections = MOST_REDIRECTS

    def __init__(self, client: GuardedFiles) -> None:
        self._client = client

    def redirect_request(self, req: Any, *answer: Any) -> Any:
        fp, code, _, headers, newurl = answer
        if not is_safe_address(newurl):
            fp.close()
            error = redirected(self._client.address, code, newurl, dict(headers))
            raise URLError(error)  # so that the client closes its files
        request = super().redirect_request(req, *answer)
        if request is not None and origin_of(newurl) != origin_of(req.full_url):
            for name in ("Cookie", "Authorization", "Proxy-authorization"):
                request.remove_header(name)
        return request

    http_error_308 = HTTPRedirectHandler.http_error_302


class _BoundedHttpHandler(urllib.request.HTTPHandler):
    """An opener of http addresses, within the time limit."""

    def __init__(self, timeout: float | None, largest: int | None) -> None:
        super().__init__()
        self._connection_limits = (timeout, largest)

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(
            _bounded_connection_class(HTTPConnection, *self._connection_limits), req
        )


class _BoundedHttpsHandler(urllib.request.HTTPSHandler):
    """An opener of https addresses, within the time limit."""

    def __init__(self, timeout: float | None, largest: int | None, ca_certs: str | None) -> None:
        super().__init__()
        self._connection_limits = (timeout, largest)
        self._ca_certs = tls_context_of(ca_certs)

    def https_open(self, req: Request) -> HTTPResponse:
        connection = _bounded_connection_class(HTTPSConnection, *self._connection_limits)
        return self.do_open(connection, req, context=self._ca_certs)


def _bounded_connection_class(kind: Any, timeout: float | None, largest: int | None) -> Any:
    """Return a class of connections that end when no bytes move any more."""

    class Bounded(kind):  # type: ignore[misc]  # one of two base classes of urllib
        def connect(self) -> None:
            super().connect()
            connection_socket: Any = self
            connection_socket.sock = BoundedSocket(connection_socket.sock, Pace(timeout), largest)

    return Bounded


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Return the scheme, host and port of an address."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), port


def is_safe_address(url: str) -> bool:
    """Return whether a download may be redirected there: over https, or within this machine."""
    try:
        scheme, host, _ = origin_of(url)
    except ValueError:
        return False
    return scheme == "https" or (scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _as_protocol_error(error: HTTPError) -> ProtocolError:
    """Return an HTTP error as other calls raise it, without the address, which is signed."""
    host = urlsplit(error.url or "").hostname or ""
    return ProtocolError(host, error.code, excerpt(str(error.reason).encode()), dict(error.headers))
