"""Errors of a site's client that are also shotgun_api3's: catching either catches them."""

from __future__ import annotations

import ssl
import time
from typing import Any
from urllib.parse import urljoin, urlsplit
from xmlrpc.client import ProtocolError

from sgevents_core.errors import (
    SiteAnswerError,
    SiteAnswerTooLarge,
    SiteNotTrusted,
    SiteProxyRefused,
    SiteRedirected,
    SiteUnreachable,
)
from sgevents_core.site.answers import excerpt
from sgevents_core.site.bounded_socket import ProxyRefusedError
from sgevents_core.site.distrust import Objection, objection_of_proxy, objection_to
from sgevents_core.site.stock_client import ShotgunError


class NoAnswer(SiteAnswerError, ShotgunError):
    """The site {url} sent something that is not an answer of the API: {reason}.
    Is this address a site's?
    """


class AnswerTooLarge(SiteAnswerTooLarge, ShotgunError):
    """The site {url} sent something that is not an answer of the API: {reason}.
    Ask for less at once: fewer fields, or a limit.
    """


class Redirected(SiteRedirected, ProtocolError):
    """The site {url} points to {where} (HTTP status {errcode}), and no call follows: it carries the
    script's key. If the site has moved, set url in [site] to its new address; if not, something on
    the way asks people to log in, or the site is down for maintenance.
    """

    __str__ = Exception.__str__
    __repr__ = Exception.__repr__


def unreachable(
    url: str, error: Exception, reason_text: str, retry_after: float | None = None
) -> SiteUnreachable:
    """Return the error for a site that could not be asked, with advice that fits the cause.

    Args:
        url: The site.
        error: The exception raised.
        reason_text: The reason in words, without secrets.
        retry_after: The seconds to wait, if the site asked for a wait.
    """
    tls_objection: Objection | None = None
    error_class: type[SiteUnreachable] = SiteNotTrusted
    if isinstance(error, ssl.SSLError):
        tls_objection = objection_to(error, time.time())
    elif isinstance(error, ProxyRefusedError):
        error_class = SiteProxyRefused
        tls_objection = objection_of_proxy(error.proxy_status, error.reason)
    if tls_objection is None:
        return SiteUnreachable(url=url, reason=reason_text, after=retry_after)
    return error_class(
        url=url, reason=tls_objection.reason, advice=tls_objection.advice, after=retry_after
    )


def redirected(
    url: str, http_status: int, redirect_location: str, answer_headers: Any
) -> Redirected:
    """Return the error for a site that redirects to another address.

    Args:
        url: The site.
        http_status: The HTTP status.
        redirect_location: The address that it redirects to.
        answer_headers: The headers of its answer, kept in the error as shotgun_api3 does.
    """
    target_text = pointed_to(redirect_location, url)
    reason_text = f"it points to {target_text}"
    return Redirected(
        url=url,
        reason=reason_text,
        where=target_text,
        errcode=http_status,
        errmsg=reason_text,
        headers=answer_headers,
    )


def pointed_to(redirect_location: str, site_url: str) -> str:
    """Return the target of a redirect for people: only scheme, host and port."""
    if not redirect_location:
        return "no address"
    try:
        url_parts = urlsplit(urljoin(site_url, redirect_location))
        port_text = f":{url_parts.port}" if url_parts.port else ""
    except ValueError:
        return "something that is not an address"
    return excerpt(
        f"{url_parts.scheme}://{url_parts.hostname or ''}{port_text}".encode(errors="replace")
    )
