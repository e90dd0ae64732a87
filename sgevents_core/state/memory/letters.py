"""Dead letters of a state in memory."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator

from sgevents_core.state.batches import BatchedEvent
from sgevents_core.state.letters import (
    FailureGroup,
    GroupedLetter,
    Letter,
    LetterChoice,
    LetterGroup,
    group_letters,
    merge_failure_groups,
)
from sgevents_core.state.memory.tables import FailedCall, Tables


class MemoryLetters:
    """The dead letters; see `protocols.Letters`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def close(self) -> None:
        """Do nothing: a state in memory holds nothing open."""

    def get(self, letter_number: int) -> Letter | None:
        """Return the dead letter with this number, even if retried or dismissed; None if none."""
        with self._tables.lock:
            call = self._tables.failures.get(letter_number)
        if call is None or not (call.dead or call.failure.outcome in {"retried", "dismissed"}):
            return None
        return self._build_letter(letter_number, call)

    def find(self, plugin_name: str | None = None, event_id: int | None = None) -> list[Letter]:
        """Return the dead letters, oldest first."""
        return list(self._chosen_letters(LetterChoice(plugin=plugin_name, event_id=event_id)))

    def listed(
        self, letter_choice: LetterChoice, after_number: int = 0, letter_limit: int = -1
    ) -> Iterator[Letter]:
        """Yield dead letters, oldest first, without events and tracebacks."""
        for letter_index, letter in enumerate(self._chosen_letters(letter_choice, after_number)):
            if letter_index == letter_limit:
                return
            last_failure = dataclasses.replace(letter.failure, traceback="")
            yield letter._replace(failure=last_failure, body=b"")

    def count(self, letter_choice: LetterChoice, after_number: int = 0) -> int:
        """Count the chosen dead letters whose number is above `after_number`."""
        return sum(1 for _ in self._chosen_letters(letter_choice, after_number))

    def groups(self, letter_choice: LetterChoice) -> list[LetterGroup]:
        """Return dead letters grouped by plugin, callback and error, the largest group first."""
        return group_letters(
            GroupedLetter(
                letter.failure.plugin,
                letter.failure.callback,
                letter.failure.error,
                letter.number,
                letter.failure.at,
            )
            for letter in self._chosen_letters(letter_choice)
        )

    def failure_groups(self, plugin_name: str | None = None) -> list[FailureGroup]:
        """Return the failures that are no dead letters, grouped by cause, the newest first."""
        with self._tables.lock:
            failures = [call.failure for call in self._tables.failures.values() if not call.dead]
        groups: dict[tuple[str, str, str, str, int], FailureGroup] = {}
        for one in failures:
            if plugin_name in {None, one.plugin}:
                cause = (one.plugin, one.callback, one.error, one.outcome, one.event_id)
                group = FailureGroup(*cause[:4], 1, 1, one.event_id, one.at, one.at)
                merged = (
                    groups[cause].merged(group)._replace(events=1) if cause in groups else group
                )
                groups[cause] = merged
        return merge_failure_groups(groups.values())

    def of_call(
        self, plugin_name: str, callback_name: str, seq: int, event_id: int
    ) -> Letter | None:
        """Return a callback's dead letter for an event; None if it has none."""
        letter_choice = LetterChoice(plugin=plugin_name, callback=callback_name, event_id=event_id)
        letters_of_event = (
            letter for letter in self._chosen_letters(letter_choice) if letter.failure.seq == seq
        )
        return next(letters_of_event, None)

    def events_of(self, letter_number: int) -> list[BatchedEvent]:
        """Return the events of a dead letter of a batch, in order; none for any other letter."""
        with self._tables.lock:
            letter_events = [
                event
                for event in self._tables.batched
                if letter_number and event.letter == letter_number
            ]
        return sorted(letter_events, key=lambda event: event.seq)

    def _chosen_letters(
        self, letter_choice: LetterChoice, after_number: int = 0
    ) -> Iterator[Letter]:
        is_chosen = _choice_predicate(letter_choice)
        with self._tables.lock:
            calls = list(self._tables.failures.items())
        for letter_number, call in calls:
            if call.dead and letter_number > after_number and is_chosen(call):
                letter = self._build_letter(letter_number, call)
                if letter_choice.event_id in {None, call.failure.event_id, *letter.batch}:
                    yield letter

    def _build_letter(self, letter_number: int, call: FailedCall) -> Letter:
        batch = tuple(event.event_id for event in self.events_of(letter_number))
        return Letter(letter_number, call.failure, call.dead, call.era, call.body, batch=batch)


def _choice_predicate(letter_choice: LetterChoice) -> Callable[[FailedCall], bool]:
    escaped_text = re.escape(letter_choice.error or "")
    error_pattern = re.compile(
        escaped_text.replace(r"\#", "[#0-9].*").replace("…", ".*"), re.DOTALL
    )

    def is_chosen(call: FailedCall) -> bool:
        last_failure = call.failure
        return (
            letter_choice.plugin in {None, last_failure.plugin}
            and letter_choice.callback in {None, last_failure.callback}
            and error_pattern.search(last_failure.error) is not None
        )

    return is_chosen
