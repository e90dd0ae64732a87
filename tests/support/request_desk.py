"""People's requests to lanes that run in the test, and what comes of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from journal_rows import event_row
from lane_house import House
from waiting import wait_until

from sgevents_core.requests.inbox import Inbox
from sgevents_core.state.letters import Letter
from sgevents_core.state.opening import open_state
from sgevents_core.state.requests import ReplayEvent, Request, RequestAnswer


class Asking:
    """Asks as a command does, and hands on as the daemon's main thread does.

    Args:
        house: The lanes, which run.
    """

    def __init__(self, house: House) -> None:
        self.house = house
        self.of_the_feed: list[Request] = []
        self._requests = open_state(house.folder).requests()
        self._inbox = Inbox(house.folder, house.lanes, self)

    def close(self) -> None:
        """Close the connections."""
        self._inbox.close()
        self._requests.close()

    def decide(self, request: Request) -> bool:
        """Stand for the feed."""
        self.of_the_feed.append(request)
        return True

    def note(
        self, kind: str, plugin: str, events: Iterable[ReplayEvent] = (), **detail: Any
    ) -> int:
        """Write a request down, and hand nothing on."""
        return self._requests.ask(kind, plugin, detail, "anna@host", events)

    def poll(self) -> None:
        """Hand on what was noted."""
        self._inbox.poll()

    def answer(self, number: int) -> RequestAnswer:
        """Wait for what comes of a request."""
        wait_until(lambda: self._requests.answer_of(number) is not None, what="it is answered")
        answer = self._requests.answer_of(number)
        assert answer is not None
        return answer

    def ask(
        self, kind: str, plugin: str, events: Iterable[ReplayEvent] = (), **detail: Any
    ) -> RequestAnswer:
        """Ask, hand on, and wait for what comes of it."""
        number = self.note(kind, plugin, events, **detail)
        self.poll()
        return self.answer(number)


@contextmanager
def asking(house: House) -> Iterator[Asking]:
    """Let the house's lanes run, with somebody who asks."""
    with house.running(), closing(Asking(house)) as desk:
        yield desk


def letters(house: House) -> list[Letter]:
    """The dead letters there are."""
    with closing(open_state(house.folder).letters()) as found:
        return found.find()


def letter(house: House, number: int) -> Letter:
    """One dead letter, whatever has become of it."""
    with closing(open_state(house.folder).letters()) as found:
        one = found.get(number)
    assert one is not None
    return one


def old_event(event_id: int, kind: str = "Studio_Old") -> ReplayEvent:
    """An event as it is read from the site, which the journal does not hold."""
    return ReplayEvent(1, 0, event_id, event_row(event_id, kind).body)


def kept_event(house: House, seq: int) -> ReplayEvent:
    """An event of the journal, to be replayed."""
    entry = house.state.read(seq - 1, 1)[0]
    assert json.loads(entry.body)["id"] == entry.event_id
    return ReplayEvent(entry.era, entry.seq, entry.event_id, entry.body)
