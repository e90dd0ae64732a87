"""Numbers that are given once in the whole site: the sequences of empty messages."""

from __future__ import annotations

from sgevents_core.state.nats.connection import Broker
from sgevents_core.state.nats.jetstream import call, publish, stream_info


class Counter:
    """The counter of a site.

    Args:
        broker: The servers.
        stream: Its stream.
        subject: The subject of its stream.
    """

    def __init__(self, broker: Broker, stream: str, subject: str) -> None:
        self._broker = broker
        self._stream = stream
        self._subject = subject

    def raise_to(self, least_number: int) -> None:
        """Let the next number be higher than another.

        Raises:
            BrokerError: The server refused, or did not answer.
        """
        if stream_info(self._broker, self._stream)["state"]["last_seq"] < least_number:
            call(self._broker, "STREAM.PURGE", {"seq": least_number + 1}, stream=self._stream)

    def next_numbers(self, count: int = 1) -> list[int]:
        """Return numbers that nobody else gets; some may be left out between them.

        Raises:
            BrokerError: The server refused, or did not answer.
        """
        return [publish(self._broker, self._subject) for _ in range(count)]
