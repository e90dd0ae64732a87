"""Which requests the sandbox accepts: those of programs on this machine, not those of web pages.

A browser on this machine reaches 127.0.0.1 too. A page of another site may post to it, or let its
own name resolve to 127.0.0.1 (DNS rebinding): Origin and Host reveal this.
"""

from __future__ import annotations

from email.message import Message
from typing import Final
from urllib.parse import urlsplit

LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "::1")
"""The names that mean this machine and nothing else."""


def refusal_reason(request_headers: Message, sandbox_port: int) -> str | None:
    """Return why a request is refused because of its headers, or None.

    Args:
        request_headers: The headers of the request.
        sandbox_port: Where the sandbox listens.
    """
    request_origin = request_headers.get("Origin")
    if not _is_sandbox_address(f"//{request_headers.get('Host')}", sandbox_port):
        return "the sandbox answers to 127.0.0.1 and localhost, and to no other Host"
    if request_origin is not None and not _is_sandbox_address(request_origin, sandbox_port):
        return "the sandbox answers programs, and no page of another Origin"
    if request_headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return "the sandbox answers programs, and no page of another site"
    return None


def _is_sandbox_address(address: str, sandbox_port: int) -> bool:
    try:
        address_parts = urlsplit(address)
        return (
            address_parts.hostname in LOOPBACK_NAMES and (address_parts.port or 80) == sandbox_port
        )
    except ValueError:
        return False
