"""Check the NATS servers of `[state] url`: whether they keep what they have confirmed."""

from __future__ import annotations

from sgevents_core.cli.findings import Finding
from sgevents_core.errors import SgEventsError
from sgevents_core.settings import Settings


def broker_findings(settings: Settings) -> list[Finding]:
    """Return what is wrong with the servers; nothing if the state is this host's alone."""
    if settings.state.url is None:
        return []
    from sgevents_core.state.nats import require_client

    try:
        require_client()
        from sgevents_core.state.nats.connection import Broker

        broker = Broker(settings.state, name="sgevents check")
    except SgEventsError as error:
        return [Finding("servers", "problem", str(error))]
    try:
        broker.connect()
        version = broker.server_info.get("version", "")
        return [Finding("servers", "ok", f"{broker} answers: nats-server {version}")]
    except SgEventsError as error:
        return [Finding("servers", "problem", str(error))]
    finally:
        broker.close()
