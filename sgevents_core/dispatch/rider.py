"""One plugin in its lane: goes with it, or its own way while held, paused or catching up."""

from __future__ import annotations

from dataclasses import dataclass, field

from sgevents_core.dispatch.breaker import Breaker
from sgevents_core.dispatch.context import Services
from sgevents_core.dispatch.policy import FailureRules
from sgevents_core.journal.base import Entry, PluginRecord
from sgevents_core.plugins.loading import LoadedPlugin


@dataclass(slots=True)
class Rider:
    """One plugin in its lane.

    Args:
        plugin: The plugin.
        record: Its record in the ledger; this is the copy that counts while the lane runs.
        services: What its calls share.
        rules: Its failure policy.
        hold_until: When a hold ends, in seconds of the monotonic clock.
        ahead: Entries read for it while it catches up.
        breaker: Stops it where its own writes call it for ever; None where nothing does.
        recovered: Whether its failures in a row have ended, and the ledger does not know yet.
    """

    plugin: LoadedPlugin
    record: PluginRecord
    services: Services
    rules: FailureRules
    hold_until: float = 0.0
    ahead: list[Entry] = field(default_factory=list)
    breaker: Breaker | None = None
    recovered: bool = False
    _seq: int = 0
    _given_up: int = 0

    def meet(self, seq: int) -> None:
        """Note that it is handed an event: one without a dead letter ends failures in a row."""
        if seq == self._seq:
            return
        if self.record.failures and self._seq and self._given_up != self._seq:
            self.record.failures, self.recovered = 0, True
        self._seq = seq

    def give_up(self) -> None:
        """Note a dead letter of the event it was handed; several count as one."""
        self.record.failures += self._given_up != self._seq
        self._given_up = self._seq

    def due(self, now: float) -> bool:
        """Return whether it goes its own way and may be called now (monotonic seconds)."""
        record = self.record
        if not record.apart or record.state == "paused":
            return False
        return record.state == "active" or now >= self.hold_until

    def part(self, seq: int, done: frozenset[str]) -> None:
        """Let it go its own way: at the event `seq`, with those of its callbacks done."""
        record = self.record
        if record.apart and record.cursor == seq - 1:
            done |= record.done
        record.apart, record.cursor, record.done = True, seq - 1, done

    def hold(self, reason: str, seconds: float, *, now: float, wall: float) -> None:
        """Call it again after so many seconds.

        Args:
            reason: Why, for people.
            seconds: How long to wait.
            now: The monotonic clock, in seconds.
            wall: The host's clock, in seconds since 1970.
        """
        self.record.state, self.record.reason = "held", reason
        self.record.retry_at, self.hold_until = wall + seconds, now + seconds

    def pause(self, reason: str) -> None:
        """Call it no more until a person resumes it."""
        self.record.state, self.record.reason, self.record.retry_at = "paused", reason, 0.0

    def go_on(self) -> None:
        """End a hold."""
        self.record.state, self.record.reason, self.record.retry_at = "active", "", 0.0

    def next_entry(self) -> Entry | None:
        """Return the next of the entries read ahead, None if they have to be read."""
        while self.ahead and self.ahead[0].seq <= self.record.cursor:
            del self.ahead[0]
        return self.ahead[0] if self.ahead else None
