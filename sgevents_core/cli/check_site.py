"""Check the site: its answers, whether it accepts the keys, the scripts' rights, and its clock.

It sends the feed's own queries and writes nothing.
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

_PROXY_HINT: Final = "something on the way, such as a page to log in, may answer for it"
_SITE_TIMEOUT: Final = 15.0
_CLOCK_TOLERANCE: Final = 30.0
_COUNTED_EVENTS: Final = 1000


def site_findings(settings: Settings) -> list[Finding]:
    """Check the site of `settings` with its script, and with those of the enabled plugins."""
    site = replace(settings.site, timeout=min(settings.site.timeout, _SITE_TIMEOUT))
    with closing(EventLog(site, settings.feed.fields)) as log:
        connection_finding = _connection_finding(log, site)
        if connection_finding.status == "problem":
            return [connection_finding]
        findings = [connection_finding, *_rights_findings(log, site)]
        if all(finding.status != "problem" for finding in findings):
            findings += script_findings(log, settings)
    for name, plugin_settings in settings.plugins.items():
        if (
            plugin_settings.enabled
            and plugin_settings.script_name
            and plugin_settings.api_key is not None
        ):
            findings.append(
                _plugin_key_finding(
                    name, site, plugin_settings.script_name, plugin_settings.api_key
                )
            )
    return findings


def _connection_finding(log: EventLog, site: SiteSettings) -> Finding:
    try:
        page_size = log.page_size()
    except SiteError as error:
        return _error_finding("site", error, site)
    return Finding("site", "ok", f"{site.url} answers, with at most {page_size} rows a page")


def _rights_findings(log: EventLog, site: SiteSettings) -> list[Finding]:
    time_before = time.time()
    try:
        answer = log.ask(Newest(limit=1))
    except SiteError as error:
        return [_error_finding("rights", error, site)]
    clock_result = clock_finding(answer.date, time_before, time.time())
    return [_newest_finding(answer), _counting_finding(log, site, answer), clock_result]


def _newest_finding(answer: Answer) -> Finding:
    if answer.rows:
        message = f"the key is accepted, the newest event is {answer.rows[0].id}"
        return Finding("rights", "ok", message)
    fix = "let the script's permission group read EventLogEntry, unless the site is new"
    return Finding("rights", "warning", "the key is accepted, but no event is visible", fix)


def _counting_finding(log: EventLog, site: SiteSettings, newest_answer: Answer) -> Finding:
    """Check that the script may count rows; if not, only warn, since audits then compare ids."""
    last_id = newest_answer.rows[0].id if newest_answer.rows else 1
    try:
        log.ask(Count(Span(max(1, last_id - _COUNTED_EVENTS), last_id)))
    except SiteFault as error:
        message = f"events cannot be counted (summarize): {error.reason}"
        fix = "allow it to the script; without, audits read ids and take longer"
        return Finding("rights", "warning", message, fix)
    except SiteError as error:
        return _error_finding("rights", error, site)
    return Finding("rights", "ok", "events can be counted (summarize)")


def _plugin_key_finding(
    plugin_name: str, site: SiteSettings, script_name: str, api_key: Secret
) -> Finding:
    plugin_site = replace(site, script_name=script_name, api_key=api_key)
    subject = f"plugin {plugin_name}"
    with closing(EventLog(plugin_site)) as log:
        try:
            log.ask(Newest(limit=1))
        except SiteFault:  # the script signed in; it need not be allowed to read the event log
            pass
        except SiteError as error:
            return _error_finding("rights", error, plugin_site)._replace(subject=subject)
    return Finding("rights", "ok", "its own key is accepted", subject=subject)


def clock_finding(site_time: int | None, time_before: float, time_after: float) -> Finding:
    """Compare the site's time with this host's before and after the call, in seconds since 1970."""
    if site_time is None:
        return Finding("clock", "ok", "the site does not report its time")
    clock_difference = max(time_before - (site_time + 1), site_time - time_after, 0)
    if clock_difference <= _CLOCK_TOLERANCE:
        return Finding("clock", "ok", "this host and the site agree on the time")
    direction = "behind" if site_time > time_after else "ahead of"
    message = f"this host is {clock_difference:.0f} s {direction} the site"
    return Finding("clock", "warning", message, "let NTP set the clock; delays will look wrong")


def _error_finding(area: str, error: SiteError, site: SiteSettings) -> Finding:
    message, fix = _explain_error(error, site)
    return Finding(area, "problem", message, fix)


def _explain_error(error: SiteError, site: SiteSettings) -> tuple[str, str]:
    """Return the meaning of an error of a call to `site`, and what to do."""
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
        return message, f"if the site has moved, set site.url to its address; {_PROXY_HINT}"
    if isinstance(error, SiteAnswerTooLarge):
        return f"{site.url} gave an impossible answer: {error.reason}", _PROXY_HINT
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
    proxy_advice = "site.http_proxy" if site.http_proxy else "whether a site.http_proxy is needed"
    network_advice = f"check site.url, the network, and {proxy_advice}"
    if isinstance(cause, ProtocolError):
        return _explain_status(cause, site)
    if isinstance(cause, TimeoutError):
        return f"{site.url} does not answer in time", network_advice
    if isinstance(cause, ConnectionRefusedError):
        return (
            f"nothing answers at {site.url}",
            f"check the host and port in site.url, and {proxy_advice}",
        )
    if isinstance(cause, socket.gaierror):
        return (
            f"there is no host of the name in {site.url}",
            f"correct site.url, or check {proxy_advice}",
        )
    return f"{site.url} cannot be reached: {reason}", network_advice


def _explain_status(error: ProtocolError, site: SiteSettings) -> tuple[str, str]:
    message = f"{site.url} answers with HTTP status {error.errcode}"
    if error.errcode == 407:
        return message, "the proxy wants a user and password: user:password@host:port"
    if error.errcode >= 500:
        return message, "the site is in trouble; try again later"
    return message, "is site.url the address of a Flow Production Tracking site?"
