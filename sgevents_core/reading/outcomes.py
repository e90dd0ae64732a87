"""The outcome of an event for each callback, from the ledger and the registers. Only reads."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from sgevents_core.crashes import recovery
from sgevents_core.printable import counted
from sgevents_core.state import register
from sgevents_core.state.call_times import TimedCall, calls_of
from sgevents_core.state.failures import Failure, KeptFailure
from sgevents_core.state.keys import CallKey
from sgevents_core.state.opening import open_state
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import BEGINNING, Progress
from sgevents_core.state.skips import was_skipped

What: TypeAlias = Literal[
    "handled",
    "handled later",
    "dead letter",
    "dismissed",
    "skipped",
    "failed",
    "not yet",
    "not for it",
]
_SETTLED: Final[dict[str, What]] = {
    "retried": "handled later",
    "dismissed": "dismissed",
    "skip": "skipped",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an event for one callback.

    Args:
        what: The outcome in a word or two.
        text: The outcome in a sentence.
        failures: Its failures, oldest first.
        calls: The known calls with their times, oldest first.
    """

    what: What
    text: str
    failures: tuple[Failure, ...] = ()
    calls: tuple[TimedCall, ...] = ()


class Outcomes:
    """The progress of every plugin at the moment this object was made.

    Args:
        folder: The state's folder.

    Raises:
        StateError: The state cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._calls: dict[tuple[str, int], list[TimedCall]] = {}
        with closing(open_state(folder).reader()) as state:
            self.records = state.plugins()
            self._lanes: dict[str, Progress | None] = {}
            for lane in {record.lane for record in self.records.values()}:
                noted = register.read(register.path_of(folder, lane)).of()
                progress = state.lane_progress(lane)
                self._lanes[lane] = progress and recovery.goes_on(progress, noted.lane)
                for record in self.records.values():
                    if record.lane == lane:
                        recovery.catches_up(record, noted.apart)
        with closing(open_state(folder).past()) as past:
            self._joined = past.joined()

    def is_done(self, plugin: str, callback: str, seq: int) -> bool:
        """Return whether a callback is finished for an event."""
        record = self.records.get(plugin)
        if record is None:
            return False
        progress = record.progress if record.apart else self._lanes[record.lane]
        return progress is not None and progress.is_done(seq, CallKey(plugin, callback))

    def is_for(self, plugin: str, seq: int) -> bool:
        """Return whether an event came after the point at which a plugin began."""
        return plugin in self.records and seq > self._joined.get(plugin, 0)

    def calls(self, plugin: str, callback: str, seq: int) -> tuple[TimedCall, ...]:
        """Return the known calls of a callback for an event, oldest first."""
        record = self.records.get(plugin)
        if record is None:
            return ()
        event = (record.lane, seq)
        if event not in self._calls:
            self._calls[event] = calls_of(self._folder, *event)
        key = CallKey(plugin, callback)
        return tuple(call for call in self._calls[event] if call.key == key)

    def fate(
        self, plugin: str, callback: str, seq: int, failures: Iterable[KeptFailure]
    ) -> Outcome:
        """Return the outcome of an event for a callback that wants it.

        Args:
            plugin: The callback's plugin.
            callback: Its name.
            seq: The event's place in the journal.
            failures: All failures for the event, as `Past.failures` returns them.
        """
        own = [one for one in failures if one[0].plugin == plugin and one[0].seq == seq]
        mine = [one for one in own if one[0].callback == callback]
        history = tuple(failure for failure, _, _ in mine)
        if not self.is_for(plugin, seq):
            return Outcome(
                "not for it", "the plugin was enabled later, and began behind this event"
            )
        for failure, dead, number in reversed(mine):
            if dead:
                text = f"dead letter {number}: {failure.error}"
                return Outcome("dead letter", text, history)
            if failure.outcome in _SETTLED:
                return _settled(failure, number, history)
        if not self.is_done(plugin, callback, seq):
            return self._not_done(self.records[plugin], seq, history)
        for failure, _, _ in own:
            if was_skipped(failure, callback):
                return Outcome("skipped", failure.error, history)
        times = f" after {counted(len(history), 'failed attempt')}" if history else ""
        return Outcome("handled", f"handled{times}", history)

    def _not_done(self, record: PluginRecord, seq: int, history: tuple[Failure, ...]) -> Outcome:
        if not record.apart:
            behind = (self._lanes[record.lane] or BEGINNING).behind(seq)
            text = f"not yet: its lane is {counted(behind, 'event')} before it"
            return Outcome("not yet", text, history)
        stands = record.progress.running == seq
        how = record.state
        if stands and history:
            last = record.reason if record.state == "held" else history[-1].error
            times = f"{counted(len(history), 'attempt')}: {last}"
            text = (
                f"{how} at it after {times}" if how != "active" else f"called again after {times}"
            )
            return Outcome("failed", text, history)
        why = f"{how}, {record.reason}" if how != "active" else "catching up"
        before = counted(record.progress.before(seq), "event")
        where = "at it" if stands else f"{before} before it"
        return Outcome("not yet", f"not yet: the plugin is {where} ({why})", history)


def _settled(failure: Failure, number: int, history: tuple[Failure, ...]) -> Outcome:
    what = _SETTLED[failure.outcome]
    text = {
        "handled later": f"dead letter {number} was handled when called again",
        "dismissed": f"dead letter {number} was dismissed: {failure.error}",
        "skipped": f"failed, and skipped as on_error says: {failure.error}",
    }[what]
    return Outcome(what, text, history)
