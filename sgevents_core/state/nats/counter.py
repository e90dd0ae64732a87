"""Numbers that are given once in the whole site: the sequences of empty messages."""

from __future__ import annotations

from typing import Final

from sgevents_core.errors import BrokerUnreachable
from sgevents_core.state.nats.connection import Broker
from sgevents_core.state.nats.jetstream import call, publish, stream_info

_SKIPPED: Final = 1000
"""How many numbers others may have given that this host does not know yet."""


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
            StreamMissing: The counter was deleted.
            BrokerError: The server refused, or did not answer.
        """
        try:
            return [publish(self._broker, self._subject) for _ in range(count)]
        except BrokerUnreachable:
            stream_info(self._broker, self._stream)  # which raises if it is gone
            raise

    def number_above(self, known_number: int) -> int:
        """Return a number that nobody else gets, and that is higher than one that is known.

        A counter that was deleted and made anew begins behind what is known, and far enough behind
        for what others know.

        Raises:
            BrokerError: The server refused, or did not answer.
        """
        (number,) = self.next_numbers()
        if number > known_number:
            return number
        self.raise_to(known_number + _SKIPPED)
        return self.next_numbers()[0]
