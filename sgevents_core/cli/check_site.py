"""Checking the site: whether it answers and accepts the keys, what the scripts may do, what time it
has. It asks as the feed does and writes nothing.
"""

from __future__ import annotations

import socket
import time
from contextlib import closing
from typing import Final
from xmlrpc.client import ProtocolError

from msgspec.structs import replace

from sgevents_core.cli.check_scripts import script_findings
from sgevents_core.cli.findings import Finding
from sgevents_core.errors import (
    SiteAnswerError,
    SiteAnswerTooLarge,
    SiteError,
    SiteFault,
    SiteNotTrusted,
    SiteProxyRefused,
    SiteRedirected,
    SiteRefused,
    SiteUnreachable,
)
from sgevents_core.settings import Secret, Settings, SiteSettings
from sgevents_core.site.client import EventLog
from sgevents_core.site.questions import Answer, Count, Newest
from sgevents_core.site.ranges import Span

_ON_THE_WAY: Final = "something on the way, such as a page to log in, may answer for it"
_PATIENCE: Final = 15.0
_APART: Final = 30.0
_COUNTED: Final = 1000


def site_findings(settings: Settings) -> list[Finding]:
    """Check the site of `settings` with its script, and with those of the enabled plugins."""
    site = replace(settings.site, timeout=min(settings.site.timeout, _PATIENCE))
    with closing(EventLog(site, settings.feed.fields)) as log:
        connection = _of_connection(log, site)
        if connection.status == "problem":
            return [connection]
        findings = [connection, *_of_rights(log, site)]
        if all(one.status != "problem" for one in findings):
            findings += script_findings(log, settings)
    for name, plugin in settings.plugins.items():
        if plugin.enabled and plugin.script_name and plugin.api_key is not None:
            findings.append(_of_plugin_key(name, site, plugin.script_name, plugin.api_key))
    return findings


def _of_connection(log: EventLog, site: SiteSettings) -> Finding:
    try:
        rows = log.page_size()
    except SiteError as error:
        return _explained("site", error, site)
    return Finding("site", "ok", f"{site.url} answers, with at most {rows} rows a page")


def _of_rights(log: EventLog, site: SiteSettings) -> list[Finding]:
    before = time.time()
    try:
        answer = log.ask(Newest(limit=1))
    except SiteError as error:
        return [_explained("rights", error, site)]
    clock = clock_finding(answer.date, before, time.time())
    return [_of_newest(answer), _of_counting(log, site, answer), clock]


def _of_newest(answer: Answer) -> Finding:
    if answer.rows:
        message = f"the key is accepted, the newest event is {answer.rows[0].id}"
        return Finding("rights", "ok", message)
    fix = "let the script's permission group read EventLogEntry, unless the site is new"
    return Finding("rights", "warning", "the key is accepted, but no event is to be seen", fix)


def _of_counting(log: EventLog, site: SiteSettings, newest: Answer) -> Finding:
    """Check that counting is allowed; if not, only warn: audits then compare the ids."""
    last = newest.rows[0].id if newest.rows else 1
    try:
        log.ask(Count(Span(max(1, last - _COUNTED), last)))
    except SiteFault as error:
        message = f"events cannot be counted (summarize): {error.reason}"
        fix = "allow it to the script; without, audits read ids and take longer"
        return Finding("rights", "warning", message, fix)
    except SiteError as error:
        return _explained("rights", error, site)
    return Finding("rights", "ok", "events can be counted (summarize)")


def _of_plugin_key(plugin: str, site: SiteSettings, script_name: str, key: Secret) -> Finding:
    theirs = replace(site, script_name=script_name, api_key=key)
    subject = f"plugin {plugin}"
    with closing(EventLog(theirs)) as log:
        try:
            log.ask(Newest(limit=1))
        except SiteFault:  # it signed in, and need not be allowed to read the event log
            pass
        except SiteError as error:
            return _explained("rights", error, theirs)._replace(subject=subject)
    return Finding("rights", "ok", "its own key is accepted", subject=subject)


def clock_finding(date: int | None, before: float, after: float) -> Finding:
    """Compare the site's time with this host's before and after the call, in seconds since 1970."""
    if date is None:
        return Finding("clock", "ok", "the site does not tell its time")
    apart = max(before - (date + 1), date - after, 0)
    if apart <= _APART:
        return Finding("clock", "ok", "this host and the site agree on the time")
    way = "behind" if date > after else "ahead of"
    message = f"this host is {apart:.0f} s {way} the site"
    return Finding("clock", "warning", message, "let NTP set the clock; delays will look wrong")


def _explained(area: str, error: SiteError, site: SiteSettings) -> Finding:
    message, fix = _explain(error, site)
    return Finding(area, "problem", message, fix)


def _explain(error: SiteError, site: SiteSettings) -> tuple[str, str]:
    """Return what an error of a call to `site` means, and what to do."""
    if isinstance(error, SiteRefused):
        fix = (
            f"compare script_name and api_key ({site.api_key.source}) with the site's Scripts page"
        )
        return f"the site refuses the script {site.script_name}: {error.reason}", fix
    if isinstance(error, SiteFault):
        fix = "look at the script's permission group on the site, and at feed.fields"
        return f"events cannot be read: {error.reason}", fix
    if isinstance(error, SiteAnswerError):
        return _explain_answer(error, site)
    if isinstance(error, SiteUnreachable):
        return _explain_unreachable(error, site)
    return error.reason, "try again; if it stays, look at the site's status"


def _explain_answer(error: SiteAnswerError, site: SiteSettings) -> tuple[str, str]:
    if isinstance(error, SiteRedirected):
        message = f"{site.url} points to {error.where} (HTTP status {error.errcode})"
        return message, f"if the site has moved, set site.url to its address; {_ON_THE_WAY}"
    if isinstance(error, SiteAnswerTooLarge):
        return f"{site.url} gave an answer that cannot be: {error.reason}", _ON_THE_WAY
    fix = "is site.url the address of a Flow Production Tracking site?"
    return f"{site.url} answers, but not as a site does", fix


def _explain_unreachable(error: SiteUnreachable, site: SiteSettings) -> tuple[str, str]:
    if isinstance(error, SiteNotTrusted):
        return f"no safe connection to {site.url}: {error.reason}", error.advice
    if isinstance(error, SiteProxyRefused):
        return f"{site.url} cannot be reached: {error.reason}", error.advice
    return _explain_connection(error.__context__, error.reason, site)


def _explain_connection(
    cause: BaseException | None, reason: str, site: SiteSettings
) -> tuple[str, str]:
    proxy = "site.http_proxy" if site.http_proxy else "whether a site.http_proxy is needed"
    network = f"check site.url, the network, and {proxy}"
    if isinstance(cause, ProtocolError):
        return _explain_status(cause, site)
    if isinstance(cause, TimeoutError):
        return f"{site.url} does not answer in time", network
    if isinstance(cause, ConnectionRefusedError):
        return f"nothing answers at {site.url}", f"check the host and port in site.url, and {proxy}"
    if isinstance(cause, socket.gaierror):
        return f"there is no host of the name in {site.url}", f"correct site.url, or check {proxy}"
    return f"{site.url} cannot be reached: {reason}", network


def _explain_status(error: ProtocolError, site: SiteSettings) -> tuple[str, str]:
    message = f"{site.url} answers with HTTP status {error.errcode}"
    if error.errcode == 407:
        return message, "the proxy wants a user and password: user:password@host:port"
    if error.errcode >= 500:
        return message, "the site is in trouble; try again later"
    return message, "is site.url the address of a Flow Production Tracking site?"
