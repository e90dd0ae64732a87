"""Dead letters of a state in memory."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator

from sgevents_core.state.letters import Letter, LetterChoice, LetterGroup, merged_groups
from sgevents_core.state.memory.tables import FailedCall, Tables


class MemoryLetters:
    """The dead letters; see `protocols.Letters`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def get(self, number: int) -> Letter | None:
        """Return the dead letter with this number, even if retried or dismissed; None if none."""
        with self._tables.lock:
            call = self._tables.failures.get(number)
        if call is None or not (call.dead or call.failure.outcome in {"retried", "dismissed"}):
            return None
        return _letter(number, call)

    def find(self, plugin: str | None = None, event_id: int | None = None) -> list[Letter]:
        """Return the dead letters, oldest first."""
        return list(self._dead(LetterChoice(plugin=plugin, event_id=event_id)))

    def listed(self, chosen: LetterChoice, after: int = 0, limit: int = -1) -> Iterator[Letter]:
        """Yield dead letters, oldest first, without events and tracebacks."""
        for place, letter in enumerate(self._dead(chosen, after)):
            if place == limit:
                return
            failure = dataclasses.replace(letter.failure, traceback="")
            yield letter._replace(failure=failure, body=b"")

    def count(self, chosen: LetterChoice, after: int = 0) -> int:
        """Count the chosen dead letters whose number is above `after`."""
        return sum(1 for _ in self._dead(chosen, after))

    def groups(self, chosen: LetterChoice) -> list[LetterGroup]:
        """Return dead letters grouped by plugin, callback and error, the largest group first."""
        return merged_groups(
            LetterGroup(
                letter.failure.plugin,
                letter.failure.callback,
                letter.failure.error,
                1,
                letter.number,
                letter.failure.at,
                letter.failure.at,
            )
            for letter in self._dead(chosen)
        )

    def of_call(self, plugin: str, callback: str, seq: int, event_id: int) -> Letter | None:
        """Return a callback's dead letter for an event; None if it has none."""
        chosen = LetterChoice(plugin=plugin, callback=callback, event_id=event_id)
        letters = (letter for letter in self._dead(chosen) if letter.failure.seq == seq)
        return next(letters, None)

    def _dead(self, chosen: LetterChoice, after: int = 0) -> Iterator[Letter]:
        is_chosen = _condition(chosen)
        with self._tables.lock:
            calls = list(self._tables.failures.items())
        for number, call in calls:
            if call.dead and number > after and is_chosen(call):
                yield _letter(number, call)


def _letter(number: int, call: FailedCall) -> Letter:
    return Letter(number, call.failure, call.dead, call.era, call.body)


def _condition(chosen: LetterChoice) -> Callable[[FailedCall], bool]:
    pattern = re.compile(re.escape(chosen.error or "").replace(r"\#", "[#0-9].*"), re.DOTALL)

    def is_chosen(call: FailedCall) -> bool:
        failure = call.failure
        return (
            chosen.plugin in {None, failure.plugin}
            and chosen.callback in {None, failure.callback}
            and chosen.event_id in {None, failure.event_id}
            and pattern.search(failure.error) is not None
        )

    return is_chosen
