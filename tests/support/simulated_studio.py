"""What a simulated daemon has around it: a site with typed rows, a feed whose journal is real."""

from __future__ import annotations

import json
from collections.abc import Callable

from mortal_process import Machine
from simulated_feed import SimulatedFeed, SimulatedJournal
from simulated_plugins import entity_of, type_of
from simulated_site import SimulatedSite

from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.site.health import SiteHealth
from sgevents_core.site.questions import Call, Newest
from sgevents_core.state.entries import Row, TakenRow
from sgevents_core.state.feed_values import FeedChange, FeedRecord
from sgevents_core.state.protocols import Writer

NOTE_EVERY = 10.0
"""Seconds between two notes of a feed that found nothing, as in the daemon."""


class StudioSite(SimulatedSite):
    """A site whose rows have types and bodies; nobody is answered while it is `down`."""

    down = False

    def __init__(self, *, tells_date: bool) -> None:
        super().__init__(tells_date=tells_date)
        self.before_time_passes: Callable[[float], None] = lambda _: None
        """Called with the time until which time is about to pass."""

    def advance(self, now: float) -> None:
        """Let time pass."""
        self.before_time_passes(now)
        super().advance(now)

    def row(self, id_: int) -> Row:
        """Return a visible row as it is read."""
        kind, attribute = type_of(id_), "odd" if id_ % 2 else "even"
        row = {
            "type": "EventLogEntry",
            "id": id_,
            "event_type": kind,
            "attribute_name": attribute,
            "entity": {"type": "Shot", "id": entity_of(id_)},
        }
        return Row(id_, self.visible[id_], kind, json.dumps(row).encode())


class SilentAnnouncer(Announcer):
    """Tells nobody, without a thread."""

    def __init__(self) -> None:
        self._listeners = ()
        self._failure_observers = []


class StateJournal(SimulatedJournal):
    """The journal in the real state; remembers for the oracles what was ever committed.

    Args:
        machine: The machine of the process that writes.
        onlooker: A connection that is no part of that process.
    """

    def __init__(self, machine: Machine, onlooker: Writer) -> None:
        super().__init__()
        self._machine = machine
        self._onlooker = onlooker
        self._noted_at = 0.0
        self.state: Writer | None = None

    def append(self, rows: list[TakenRow], change: FeedChange) -> None:
        """Commit one step."""
        needed = rows or any(change[1:])
        if self.state is None or (not needed and self._machine.now - self._noted_at < NOTE_EVERY):
            return
        self._noted_at = self._machine.now
        self.state.append(len(self.rows), rows, change)
        self.rows += rows

    def load(self) -> FeedRecord | None:
        """Return what a new process finds, and remember what the last one committed."""
        for entry in self._onlooker.read(len(self.rows), 1_000_000):
            row = Row(entry.event_id, entry.created, entry.event_type, entry.body)
            self.rows.append(TakenRow(row, entry.late))
        return None if self.state is None else self.state.load_feed()


class DaemonFeed(SimulatedFeed):
    """The feed of a daemon that may die at any time.

    `health` is what it tells whether the site answers; `troubled` when it last did not, in the
    site's time.
    """

    dying = True
    health = SiteHealth()
    machine: Machine
    troubled = float("-inf")

    def turn(self, until: float) -> None:
        """Do one call or one wait, or try the site where somebody has to know."""
        if not self.health.is_wanted:
            super().turn(until)
            return
        asked = self.site.now
        self.site.advance(asked + self._random.uniform(0.01, 0.2))
        fails = self._fails(Newest(1))
        self.heard(asked, answered=not fails, aside=False)
        if fails:
            self.site.advance(self.site.now + self._random.uniform(0.1, 3))

    def _fails(self, call: Call) -> bool:
        fails = super()._fails(call)
        return fails or (isinstance(self.site, StudioSite) and self.site.down)

    def heard(self, asked: float, *, answered: bool, aside: bool) -> None:
        """Tell whether the site answers, as the feed of the daemon does."""
        began = asked - self.machine.booted
        if answered:
            self.health.answered(began)
        elif not aside:
            self.troubled = self.site.now
            self.health.failed(began, self.machine.monotonic())

    @property
    def steady(self) -> bool:
        """Whether nothing keeps looks from being made in time."""
        return not self.dying and super().steady
