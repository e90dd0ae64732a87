"""Check the NATS servers of `[state] url`: whether they keep what they have confirmed."""

from __future__ import annotations

from typing import Final

from sgevents_core.cli.findings import Finding, FindingStatus
from sgevents_core.errors import BrokerRefused, BrokerUnreachable, ExtraMissingError, StateError
from sgevents_core.settings import Settings
from sgevents_core.state.nats import require_client

_UNREACHABLE_FIX: Final = "check url in [state], and whether the servers run; a start waits"
_CONNECT_WITHIN: Final = 3.0
"""Seconds: whoever checks wants to know at once."""


def broker_findings(settings: Settings) -> list[Finding]:
    """Return what is wrong with the servers; nothing if the state is this host's alone."""
    if settings.state.url is None:
        return []
    try:
        require_client(settings.path)
    except ExtraMissingError as error:
        return [Finding("servers", "problem", error.message, error.fix)]
    try:
        return _tried_servers(settings)
    except BrokerUnreachable as error:
        message = f"{error.path} does not answer: {error.reason}"
        return [Finding("servers", "problem", message, _UNREACHABLE_FIX)]
    except BrokerRefused as error:
        message = f"{error.path} refuses the connection: {error.reason}"
        return [Finding("servers", "problem", message, error.fix)]
    except StateError as error:
        return [Finding("servers", "problem", str(error), error.fix)]


def _tried_servers(settings: Settings) -> list[Finding]:
    from sgevents_core.cli.servers import connected_broker
    from sgevents_core.state.nats.server_checks import find_faults, find_full_servers
    from sgevents_core.state.nats.stream_names import site_names
    from sgevents_core.state.nats.streams import wanted_streams

    state = settings.state
    with connected_broker(settings, "sgevents check", _CONNECT_WITHIN) as broker:
        version = broker.server_info.get("version", "")
        findings = [Finding("servers", "ok", f"{broker} answers: nats-server {version}")]
        wanted = wanted_streams(settings)
        names = site_names(settings.site.url)
        faults = find_faults(broker, state, names, wanted)
        if not any(fault.weight == "unusable" for fault in faults):
            faults += find_full_servers(broker, names)
    if not faults:
        findings.append(Finding("servers", "ok", f"they keep the state: {len(wanted)} streams"))
    for fault in faults:
        is_problem = fault.prevents_run(state.durability)
        status: FindingStatus = "problem" if is_problem else "warning"
        findings.append(Finding("servers", status, fault.problem, fault.fix, fault.subject))
    return findings
