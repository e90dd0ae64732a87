"""Numbers that are given once in the whole site: the sequences of empty messages."""

from __future__ import annotations

from sgevents_core.state.nats.connection import Broker
from sgevents_core.state.nats.jetstream import publish


class Counter:
    """The counter of a site.

    Args:
        broker: The servers.
        subject: The subject of its stream.
    """

    def __init__(self, broker: Broker, subject: str) -> None:
        self._broker = broker
        self._subject = subject

    def next_numbers(self, count: int = 1) -> list[int]:
        """Return numbers that nobody else gets; some may be left out between them.

        Raises:
            BrokerError: The server refused, or did not answer.
        """
        return [publish(self._broker, self._subject) for _ in range(count)]
