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


def refusal_reason(headers: Message, port: int) -> str | None:
    """Return why a request is refused because of its headers, or None.

    Args:
        headers: The headers of the request.
        port: Where the sandbox listens.
    """
    origin = headers.get("Origin")
    if not _is_sandbox_address(f"//{headers.get('Host')}", port):
        return "the sandbox answers only to the Hosts 127.0.0.1 and localhost"
    if origin is not None and not _is_sandbox_address(origin, port):
        return "the sandbox answers programs, not pages of another Origin"
    if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return "the sandbox answers programs, not pages of another site"
    return None


def _is_sandbox_address(address: str, port: int) -> bool:
    try:
        parts = urlsplit(address)
        return parts.hostname in LOOPBACK_NAMES and (parts.port or 80) == port
    except ValueError:
        return False
