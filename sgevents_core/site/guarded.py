"""The client of every connection to a site: strict about answers, redirects and time.

The stock client returns an answer it cannot read as if it were the result: a write can be lost
silently. This client accepts only valid answers, follows no redirect with a key, and ends each call
in time; its errors are also shotgun_api3's.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit
from urllib.request import ProxyHandler
from xmlrpc.client import ProtocolError

from sgevents_core.errors import SiteAnswerError
from sgevents_core.site.answers import NotAnAnswerError, TooLargeError, answer_in, excerpt
from sgevents_core.site.bounded_socket import Endpoint, Proxy
from sgevents_core.site.client_errors import AnswerTooLarge, NoAnswer, redirected
from sgevents_core.site.deadline import Deadline
from sgevents_core.site.transfers import GuardedFiles
from sgevents_core.site.wire import Wire


class Question(NamedTuple):
    """The call being made: its method, its parameters and its deadline."""

    method: str
    params: Any
    deadline: Deadline


class GuardedShotgun(GuardedFiles):
    """The stock client, but it raises `NoAnswer` if the site sends no valid answer.

    A call takes at most `config.timeout_secs` in all. Takes the arguments of the stock client.
    """

    _wire: Wire | None = None

    def __init__(
        self,
        base_url: str,
        script_name: str | None = None,
        api_key: str | None = None,
        *,
        ca_certs: str | None = None,
        **options: Any,
    ) -> None:
        self._thread_state = threading.local()
        stock_client: Any = super()
        self._ca_certs = stock_client._get_certs_file(ca_certs)
        stock_client.__init__(base_url, script_name, api_key, ca_certs=ca_certs, **options)
        self.config.max_rpc_attempts = 1  # a stale connection is reopened anyway
        self._encode_proxy_password()

    def _encode_proxy_password(self) -> None:
        """Encode the proxy's password so that uploads and downloads can use it."""
        proxy = self._proxy()
        if proxy is None:
            return
        user_part = ""
        if proxy.user and proxy.password is not None:
            user_part = f"{quote(proxy.user, '')}:{quote(proxy.password, '')}@"
        address = f"http://{user_part}{proxy.host}:{proxy.port}"
        self.config.proxy_handler = ProxyHandler({"http": address, "https": address})

    def _proxy(self) -> Proxy | None:
        config = self.config
        if not config.proxy_server:
            return None
        return Proxy(config.proxy_server, config.proxy_port, config.proxy_user, config.proxy_pass)

    def _endpoint(self) -> Endpoint:
        """Return the site's address and proxy, by the client's present configuration."""
        server, scheme = self.config.server or "", self.config.scheme or "https"
        if server.count(":") > 1 and "[" not in server:  # an IPv6 address without its brackets
            server = urlsplit(self.base_url).netloc.rpartition("@")[2]
        address_parts = urlsplit(f"//{server}")
        return Endpoint(
            scheme, address_parts.hostname or "", address_parts.port, self._ca_certs, self._proxy()
        )

    def _get_connection(self) -> Any:
        if self._wire is None:
            self._wire = Wire(self._endpoint())
        return self._wire

    def _close_connection(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def _call_rpc(self, method: str, params: Any, *args: Any, **kwargs: Any) -> Any:
        with self._asking_question(Question(method, params, Deadline(self.config.timeout_secs))):
            try:
                return super()._call_rpc(method, params, *args, **kwargs)
            except ProtocolError as error:
                self._shorten_message(error)
                raise

    @contextmanager
    def _asking_question(self, question: Question) -> Iterator[None]:
        """Remember the question until the block ends: authenticating it may take another call."""
        outer_question, self._question = self._question, question
        try:
            yield
        finally:
            self._question = outer_question

    def _http_request(self, verb: str, path: str, body: Any, headers: dict[str, Any]) -> Any:
        question = self._question
        deadline = question.deadline if question else Deadline(self.config.timeout_secs)
        try:
            reply = self._get_connection().request(verb, path, body, headers, deadline)
        except NotAnAnswerError as error:
            raise self._no_answer_error(error) from None
        except (RemoteDisconnected, IncompleteRead):
            raise
        except HTTPException as error:
            error_text = excerpt(f"{type(error).__name__}: {error}".encode(), self.without_secrets)
            raise self._no_answer_error(
                NotAnAnswerError(f"it is not HTTP, {error_text!r}")
            ) from None
        if 300 <= reply.status < 400:
            location = reply.headers.get("location", "")
            raise redirected(self.address, reply.status, location, reply.headers)
        if reply.status >= 600:
            raise self._no_answer_error(NotAnAnswerError(f"its HTTP status is {reply.status}"))
        reason = excerpt(reply.reason.encode(), self.without_secrets)
        return (reply.status, reason), reply.headers, reply.body

    def _decode_response(self, headers: dict[str, Any], body: Any) -> Any:
        question = self._question
        method, params = (question.method, question.params) if question else ("", None)
        try:
            return answer_in(body, method, params, self._json_loads, self.without_secrets)
        except NotAnAnswerError as error:
            raise self._no_answer_error(error) from None

    def _no_answer_error(self, error: NotAnAnswerError) -> SiteAnswerError:
        method_part = f" (method {self._question.method})" if self._question else ""
        error_class = AnswerTooLarge if isinstance(error, TooLargeError) else NoAnswer
        return error_class(url=self.address, reason=f"{error}{method_part}")

    def _shorten_message(self, error: ProtocolError) -> None:
        """Reduce a page of HTML, which the stock client adds to a refusal, to its text."""
        error.errmsg = excerpt(error.errmsg.encode(errors="replace"), self.without_secrets)

    def _json_loads(self, body: str | bytes) -> Any:
        return json.loads(body)

    @property
    def _question(self) -> Question | None:
        """This thread's question: a client is made for one thread, but plugins may share it."""
        return getattr(self._thread_state, "question", None)

    @_question.setter
    def _question(self, question: Question | None) -> None:
        self._thread_state.question = question
