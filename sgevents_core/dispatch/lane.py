"""One worker that hands the journal's events to the callbacks of its groups, in order."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.calls import Call, Caller, key_of
from sgevents_core.dispatch.plan import Plan
from sgevents_core.dispatch.rider import Rider
from sgevents_core.events import Event
from sgevents_core.journal.base import Entry, Place, Step
from sgevents_core.journal.register import APART, LANE, Register
from sgevents_core.journal.sqlite import SqliteState

logger = logging.getLogger("sgevents.dispatch")

PAGE: Final = 500
SLICE: Final = 0.1
"""Seconds a plugin that catches up may take before live events get their turn again."""
FOLD_EVERY: Final = 1.0
"""Seconds between two notes of the lane's place in the ledger."""
LONGEST_SLEEP: Final = 1.0

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Lane:
    """Processes one lane; `run` is the body of its thread.

    Args:
        name: The lane's name.
        riders: Its plugins, in call order.
        state: A connection of its own to journal and ledger.
        place: Where it goes on.
        tried: `(callback key, seq)` -> attempts so far, of calls that are not settled.
        folder: Where its register is kept.
        announcer: Tells plugins and people of failures.
    """

    def __init__(
        self,
        name: str,
        riders: Sequence[Rider],
        *,
        state: SqliteState,
        place: Place,
        tried: dict[tuple[str, int], int],
        folder: Path,
        announcer: Announcer,
    ) -> None:
        self.name = name
        self.riders = riders
        self.error: BaseException | None = None
        self._state = state
        callbacks = [callback for rider in riders for callback in rider.plugin.callbacks]
        self._plan = Plan(callbacks)
        self._keys = [key_of(callback) for callback in callbacks]
        self._rider_of = [rider for rider in riders for _ in rider.plugin.callbacks]
        self._seq = place.seq if place.done is None else place.seq - 1
        self._resume = place.done
        self._folded: Place | None = None
        self._folded_at = 0.0
        self._stop = threading.Event()
        self._news = threading.Event()
        self._register = Register(register_path(folder, name), self._keys)
        self._caller = Caller(
            name,
            state=state,
            register=self._register,
            keys=self._keys,
            tried=tried,
            announcer=announcer,
        )

    def stop(self) -> None:
        """Let the lane end after the callback in hand."""
        self._stop.set()
        self._news.set()

    def wake(self) -> None:
        """Tell the lane that the journal has grown."""
        self._news.set()

    def caught_up(self, end: int) -> bool:
        """Return whether the lane and its active plugins are at the journal's end."""
        return self._seq >= end and not any(
            rider.record.apart and rider.record.state == "active" for rider in self.riders
        )

    @property
    def seq(self) -> int:
        """The last event finished."""
        return self._seq

    def run(self) -> None:
        """Process events until stopped; an error that ends it is kept in `error`."""
        try:
            while not self._stop.is_set():
                self._news.clear()
                worked = self._live()
                worked = self._catch_up_all() or worked
                self._fold()
                if not worked:
                    self._news.wait(self._sleep())
            self._fold(final=True)
        except BaseException as error:  # the daemon ends on it, and says so
            self.error = error
        finally:
            self._register.close()
            self._state.close()

    def _sleep(self) -> float:
        now = time.monotonic()
        holds = [r.hold_until - now for r in self.riders if r.record.state == "held"]
        return max(min([LONGEST_SLEEP, *holds]), 0.001)

    # Live events

    def _live(self) -> bool:
        """Process live events: a page, or a slice of time while a plugin catches up."""
        entries = self._state.read(self._seq, PAGE)
        until = time.monotonic() + SLICE
        for entry in entries:
            if not self._handle(entry) or self._stop.is_set():
                break
            now = time.monotonic()
            if now - self._folded_at > FOLD_EVERY:
                self._fold()
            if now > until and any(rider.due(now) for rider in self.riders):
                break
        return bool(entries)

    def _handle(self, entry: Entry) -> bool:
        """Hand one event to every callback whose plugin goes with the lane; False if cut short."""
        steps = self._plan.for_type(entry.event_type)
        done, self._resume = self._resume or frozenset(), None
        if steps:
            self._caller.resumed = done
            call = Call(LANE, entry, Event(_decode(entry.body)), steps, 0, self.riders[0])
            for call.number, (place, _) in enumerate(steps):
                call.rider = self._rider_of[place]
                if call.rider.record.apart or self._keys[place] in done:
                    continue
                if self._stop.is_set():
                    self._resume = done | {self._keys[p] for p, _ in steps[: call.number]}
                    return False
                self._caller.call(call)
        self._seq = entry.seq
        return True

    # Plugins that go their own way

    def _catch_up_all(self) -> bool:
        worked = False
        for rider in self.riders:
            if self._resume is None and rider.due(time.monotonic()) and not self._stop.is_set():
                worked = self._catch_up(rider) or worked
        return worked

    def _catch_up(self, rider: Rider) -> bool:
        """Let a plugin catch up for one slice; it rejoins when its cursor is the lane's."""
        record = rider.record
        if record.cursor > self._seq:
            return False
        rider.go_on()
        until = time.monotonic() + SLICE
        while record.cursor < self._seq and time.monotonic() < until:
            if self._stop.is_set() or not self._catch_up_one(rider):
                break
        rejoins = record.state == "active" and record.cursor == self._seq
        record.apart = not rejoins
        step = Step(place=Place(self._seq) if rejoins else None, plugins=[record])
        self._state.record(self.name, self._caller.fence, step)
        self._register.clear(APART)
        if rejoins:
            rider.ahead.clear()
            extra = {"action": "plugin.rejoined", "plugin": record.name}
            logger.info("Plugin %s has caught up with its lane", record.name, extra=extra)
        return record.state == "active"

    def _catch_up_one(self, rider: Rider) -> bool:
        """Hand a plugin the next event it is behind on; False if it stops there."""
        entry = rider.next_entry()
        if entry is None:
            rider.ahead = self._state.read(rider.record.cursor, PAGE)
            entry = rider.ahead[0]
        steps = self._plan.for_type(entry.event_type)
        mine = [n for n, (place, _) in enumerate(steps) if self._rider_of[place] is rider]
        if mine and not self._hand_over(rider, entry, mine):
            return False
        rider.record.cursor, rider.record.done = entry.seq, frozenset()
        return True

    def _hand_over(self, rider: Rider, entry: Entry, mine: Sequence[int]) -> bool:
        steps = self._plan.for_type(entry.event_type)
        event = Event(_decode(entry.body))
        for number in mine:
            key = self._keys[steps[number][0]]
            if key in rider.record.done:
                continue
            if self._stop.is_set():
                return False
            if not self._caller.call(Call(APART, entry, event, steps, number, rider)):
                return False
            rider.record.done |= {key}
        return True

    # The ledger

    def _fold(self, *, final: bool = False) -> None:
        """Note in the ledger where the lane is, at most once a second."""
        now = time.monotonic()
        place = Place(self._seq) if self._resume is None else Place(self._seq + 1, self._resume)
        if place == self._folded or (not final and now - self._folded_at < FOLD_EVERY):
            return
        step = Step(place=place, durable=True)
        self._state.record(self.name, self._caller.fence, step)
        self._folded, self._folded_at = place, now


def register_path(folder: Path, lane: str) -> Path:
    """Return the file of a lane's register; a lane's name may hold anything."""
    safe = "".join(c if c.isalnum() or c in "-_" else f"%{ord(c):x}" for c in lane)
    return folder / f"lane-{safe}.register"
