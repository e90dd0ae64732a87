"""The site's webhooks: each that is genuine wakes the feed of its site, and changes nothing else.

What a webhook says is never read: the event log alone tells what has happened. So one that is lost,
doubled or replayed only changes when the daemon asks the site next.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response

from sgevents_core.console.bodies import read_at_most
from sgevents_core.console.sites import ConsoleSite, Sites
from sgevents_core.state.wake_signal import send_wake_signal

logger: Final = logging.getLogger("sgevents.console")

HOOK_PATH: Final = "/hooks/flow"
SIGNATURE_HEADER: Final = "x-sg-signature"
_ALGORITHM_PREFIX: Final = "sha1="
MOST_HOOK_BYTES: Final = 2_000_000
"""The largest body: a site sends at most 1 MB."""
HOOK_SECONDS: Final = 10.0
"""Seconds for the whole body."""
REPORT_INTERVAL: Final = 60.0
"""Seconds between two records of refused webhooks, of which anybody can send many."""


async def answer_hook(request: HttpRequest) -> Response:
    """Answer a webhook: 204 if it is genuine, 404 if no site has a secret."""
    sites: Sites = request.app.state.sites
    sites_with_hooks = [site for site in sites if _secret_of(site)]
    if not sites_with_hooks:
        return PlainTextResponse("Not Found\n", 404)
    try:
        hook_body = await asyncio.wait_for(read_at_most(request, MOST_HOOK_BYTES), HOOK_SECONDS)
    except (ClientDisconnect, asyncio.TimeoutError):
        return PlainTextResponse("the body did not arrive\n", 408)
    if hook_body is None:
        return _refuse("it is too large", 413)
    signature = request.headers.get(SIGNATURE_HEADER, "")
    signing_sites = [site for site in sites_with_hooks if _is_signed(site, hook_body, signature)]
    if not signing_sites:
        return _refuse("its signature is missing or wrong", 403)
    for site in signing_sites:
        send_wake_signal(site.state_folder)  # without a daemon there is nothing to wake
    return Response(status_code=204)


def _secret_of(site: ConsoleSite) -> str:
    """Return the secret of a site's webhooks; empty if none is configured, or it is not there."""
    secret = site.settings.console.webhook_secret
    return secret.reveal() if secret is not None and secret.is_there else ""


def _is_signed(site: ConsoleSite, hook_body: bytes, signature: str) -> bool:
    """Return whether a site has signed a body: an HMAC with SHA-1, as it documents."""
    expected_digest = hmac.new(_secret_of(site).encode(), hook_body, hashlib.sha1).hexdigest()
    given_signature = signature.strip().encode("utf-8", "replace")
    return hmac.compare_digest(f"{_ALGORITHM_PREFIX}{expected_digest}".encode(), given_signature)


class _Refusals:
    """Counts refused webhooks, and logs them at most once a minute."""

    def __init__(self) -> None:
        self._refusal_count = 0
        self._next_report_at = 0.0

    def note(self, refusal_reason: str) -> None:
        self._refusal_count += 1
        if time.monotonic() < self._next_report_at:
            return
        log_extra = {"action": "console.hook_refused", "count": self._refusal_count}
        logger.warning("A webhook was refused: %s", refusal_reason, extra=log_extra)
        self._refusal_count, self._next_report_at = 0, time.monotonic() + REPORT_INTERVAL


_refusals: Final = _Refusals()


def _refuse(refusal_reason: str, http_status: int) -> Response:
    _refusals.note(refusal_reason)
    return PlainTextResponse(f"{refusal_reason}\n", http_status)
