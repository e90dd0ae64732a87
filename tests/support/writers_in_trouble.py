"""Hosts that take a stream from each other over bad links, and what must hold for the stream."""

from __future__ import annotations

import random
import threading
import time

from nats_server import NatsServer
from nats_sites import NatsSite, connected
from tcp_link import Fate, Link, drop_nth

from sgevents_core.errors import BrokerError, OutcomeNotKnown
from sgevents_core.state.nats.appending import StoredAt, Superseded
from sgevents_core.state.nats.stream_log import LogMessage, StreamLog

SIZES = (10, 300, 5_000, 600_000)


class RivalWriter:
    """A host that takes the journal over, writes for a moment, and takes it over again.

    Args:
        site: The site.
        link: Its link to the server.
        seed: What decides how much it writes.
        stop: When to end.
    """

    def __init__(self, site: NatsSite, link: Link, seed: int, stop: threading.Event) -> None:
        self._site = site
        self._link = link
        self._random = random.Random(seed)
        self._name = f"host{seed}"
        self._number = 0
        self._stop = stop
        self.confirmed: list[LogMessage] = []
        self.ended_well = False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        with connected(self._link.port) as broker:
            log = StreamLog(broker, self._site.names.journal)
            while not self._stop.is_set():
                place = self._take_over(log)
                writes_until = time.monotonic() + self._random.uniform(0.05, 0.5)
                while place is not None and time.monotonic() < writes_until:
                    place = self._write(log, self._site.page, place)
        self.ended_well = True

    def _take_over(self, log: StreamLog) -> int | None:
        try:
            last = log.last_sequence()
        except BrokerError:
            return None
        return self._write(log, self._site.names.journal_subject("fence"), last)

    def _write(self, log: StreamLog, subject: str, place: int) -> int | None:
        """Write a message until its outcome is known; None if it is not the writer any more."""
        self._number += 1
        token = f"{self._name}/{self._number}"
        data = token.encode() + bytes(self._random.choice(SIZES[: self._random.choice([2, 2, 4])]))
        is_repeat = False
        while not self._stop.is_set():
            try:
                outcome = log.append(subject, data, place, token, within=1.0, is_repeat=is_repeat)
            except OutcomeNotKnown:
                is_repeat = True
            except BrokerError:
                assert not is_repeat, "nothing was stored, it says of what may have been stored"
            else:
                return self._note(subject, token, data, outcome)
        return None

    def _note(
        self, subject: str, token: str, data: bytes, outcome: StoredAt | Superseded
    ) -> int | None:
        if isinstance(outcome, Superseded):
            return None
        self.confirmed.append(LogMessage(outcome.sequence, subject, token, data))
        return outcome.sequence


def trouble(seed: int, seconds: float, server: NatsServer, links: list[Link]) -> None:
    """Cut and hold links, lose what goes over them, kill and freeze the server, at random."""
    chance, until = random.Random(seed), time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(chance.uniform(0.05, 0.2))
        link = chance.choice(links)
        deed = chance.choice(["cut", "cut", "hold", "lose", "lose", "kill", "freeze"])
        if deed == "cut":
            link.cut()
            time.sleep(chance.uniform(0, 0.2))
            link.mend()
        elif deed == "hold":
            link.hold()
            time.sleep(chance.uniform(0, 0.5))
            link.release()
        elif deed == "lose":
            direction = chance.choice(["to server", "to client"])
            wanted = chance.choice([b"HPUB", b"PUB", b"MSG _INBOX"])
            fate = chance.choice([Fate.CUT, Fate.DROP])
            link.rule = drop_nth(direction, wanted, chance.randint(1, 9), fate)
        elif deed == "kill":
            server.kill()
            server.start()
        else:
            server.freeze()
            time.sleep(chance.uniform(0, 0.5))
            server.thaw()
    for link in links:
        link.rule = lambda direction, line: Fate.PASS
        link.mend()
