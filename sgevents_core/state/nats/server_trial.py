"""Trying servers again and again before a start: whether they answer, and can keep the state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sgevents_core.settings import Settings
from sgevents_core.state.nats.connection import Broker
from sgevents_core.state.nats.server_checks import refuse_unsafe_servers
from sgevents_core.state.nats.stream_names import site_names
from sgevents_core.state.nats.streams import wanted_streams
from sgevents_core.state.protocols import ServerRemark

_CONNECT_WITHIN: Final = 0.2


class BrokerTrial:
    """The NATS servers of a configuration; see `protocols.ServerTrial`.

    Args:
        settings: The configuration.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._broker = Broker(settings.state, "sgevents run")

    @property
    def has_outcome(self) -> bool:
        """Whether a server has answered, or an attempt has failed; else it is still connecting."""
        return self._broker.is_connected or self._broker.has_failed

    def carry_out(self) -> Sequence[ServerRemark]:
        """Try the servers once, and return what is wrong with them and prevents no run."""
        settings = self._settings
        self._broker.connect(_CONNECT_WITHIN)
        faults = refuse_unsafe_servers(
            self._broker, settings.state, site_names(settings.site.url), wanted_streams(settings)
        )
        return [ServerRemark(fault.subject, fault.problem, fault.fix) for fault in faults]

    def close(self) -> None:
        """End the connection."""
        self._broker.close()
