"""What holds for every call: the name it came under, and the headers of its answer."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sgevents_core.printable import one_line

_CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_ANSWER_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": _CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
BINDING_HEADERS: Final = tuple(
    (name.lower().encode(), value.encode())
    for name, value in (*_ANSWER_HEADERS.items(), ("Cache-Control", "no-store"))
)
"""The headers that an answer of the server itself has."""
_HOST_PATTERN: Final = re.compile(
    r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/@?#]+)(:(?P<port>[0-9]{1,5}))?"
)
_LARGEST_PORT: Final = 65535
logger: Final = logging.getLogger("sgevents.console")


class Guard:
    """Refuses calls under a foreign name, and adds the headers that bind browsers.

    A page of another site could otherwise reach the console under a name of its own that leads to
    this host.

    Args:
        app: The application.
        hosts: The names under which the console may be called, without ports.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._guarded_app = app
        self._allowed_hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        if scope["type"] != "http":
            await self._guarded_app(scope, receive, send)
            return

        async def send_guarded(asgi_message: Message) -> None:
            if asgi_message["type"] == "http.response.start":
                add_headers(MutableHeaders(scope=asgi_message), scope["path"])
            await send(asgi_message)

        host_headers = Headers(scope=scope).getlist("host")
        host_header = ", ".join(host_headers)
        if len(host_headers) == 1 and host_name(host_header) in self._allowed_hosts:
            await self._guarded_app(scope, receive, send_guarded)
            return
        logger.warning(
            "A call under the name %s was refused: it is not one of [console] hosts",
            one_line(host_header[:200]),
            extra={"action": "console.refused"},
        )
        refusal = PlainTextResponse(
            "This console is not called by that name. Add the name to hosts in [console].\n", 421
        )
        await refusal(scope, receive, send_guarded)


def host_name(host_header: str) -> str:
    """Return the name in a Host header, in lower case and without the port; empty if invalid."""
    host_match = _HOST_PATTERN.fullmatch(host_header)
    if host_match is None or int(host_match["port"] or 0) > _LARGEST_PORT:
        return ""
    return host_match["name"].lower()


def add_headers(headers: MutableHeaders, path: str) -> None:
    """Add the headers that every answer has, whatever it is."""
    for name, value in _ANSWER_HEADERS.items():
        headers.setdefault(name, value)
    is_static = path.startswith("/static/")
    headers.setdefault("Cache-Control", "max-age=3600" if is_static else "no-store")
