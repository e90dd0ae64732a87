"""Dead letters: events that a callback failed on for good, kept with everything a retry needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

from sgevents_core.state.failures import Failure

_DIGITS: Final = re.compile(r"\d+")
FEW_LETTERS: Final = 20
"""The most dead letters that are dismissed by a request for each."""
_LETTERS_PER_REQUEST: Final = 1_000
"""The most dead letters that one request dismisses."""


class Letter(NamedTuple):
    """One dead letter, which may have been retried or dismissed.

    Args:
        number: Its number.
        failure: The last failure.
        dead: Whether it is still dead, that is, neither retried nor dismissed.
        era: The era of its event.
        body: The event's row as JSON; empty if it was not kept.
        whole: Whether its checksum is right, as far as is known.
    """

    number: int
    failure: Failure
    dead: bool
    era: int
    body: bytes
    whole: bool = True


class LetterChoice(NamedTuple):
    """A choice of dead letters; a field that is None matches all.

    Args:
        plugin: The plugin's name.
        callback: The callback's name.
        error: Text that the error contains; `#` in it stands for any number.
        event_id: The event's id.
    """

    plugin: str | None = None
    callback: str | None = None
    error: str | None = None
    event_id: int | None = None


class LetterGroup(NamedTuple):
    """Dead letters with the same cause.

    Args:
        plugin: Their plugin.
        callback: Their callback.
        error: Their error, with `#` for each number.
        letters: Their number.
        first: The lowest letter's number.
        since: Last failure of the earliest one, in seconds since 1970.
        until: Last failure of the latest one.
    """

    plugin: str
    callback: str
    error: str
    letters: int
    first: int
    since: float
    until: float


class GroupedLetter(NamedTuple):
    """What counts of a dead letter in its group; see `LetterGroup`."""

    plugin: str
    callback: str
    error: str
    number: int
    at: float


def group_letters(letters: Iterable[GroupedLetter | tuple[Any, ...]]) -> list[LetterGroup]:
    """Return dead letters in groups, the largest first; there may be very many.

    Errors that differ only in numbers, such as ids, are grouped together.
    """
    sums: dict[tuple[str, str, str], list[Any]] = {}
    for plugin, callback, error, number, at in letters:
        cause = (plugin, callback, without_numbers(error))
        known = sums.get(cause)
        if known is None:
            sums[cause] = [1, number, at, at]
            continue
        known[0] += 1
        known[1] = min(known[1], number)
        known[2] = min(known[2], at)
        known[3] = max(known[3], at)
    groups = (LetterGroup(*cause, *values) for cause, values in sums.items())
    return sorted(groups, key=lambda group: (-group.letters, group.first))


def without_numbers(error: str) -> str:
    """Return an error with `#` for each number in it."""
    return _DIGITS.sub("#", error)


def letter_requests(
    request_kind: Literal["retry", "dismiss"], letters: Sequence[Letter]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the requests about dead letters: plugin and detail of each.

    A retry is a request of its own, since it is answered by what the callback does; many letters
    are dismissed by few requests.

    Args:
        request_kind: What is to be done.
        letters: The dead letters.
    """
    if request_kind == "retry" or len(letters) <= FEW_LETTERS:
        for letter in letters:
            yield letter.failure.plugin, {"letter": letter.number}
        return
    numbers_by_plugin: dict[str, list[int]] = {}
    for letter in letters:
        numbers_by_plugin.setdefault(letter.failure.plugin, []).append(letter.number)
    for plugin_name, numbers in numbers_by_plugin.items():
        for start in range(0, len(numbers), _LETTERS_PER_REQUEST):
            yield plugin_name, {"letters": numbers[start : start + _LETTERS_PER_REQUEST]}


class FailureGroup(NamedTuple):
    """Failures that are no dead letters, with the same cause.

    Args:
        plugin: Their plugin.
        callback: Their callback; empty for an event that a person skipped.
        error: Their error, with `#` for each number.
        outcome: What came of them.
        failures: Their number.
        events: The number of events.
        event_id: The event of the newest one.
        since: When the earliest happened, in seconds since 1970.
        until: When the latest happened.
    """

    plugin: str
    callback: str
    error: str
    outcome: str
    failures: int
    events: int
    event_id: int
    since: float
    until: float

    def merged(self, other: FailureGroup) -> FailureGroup:
        """Return the two groups as one."""
        return self._replace(
            failures=self.failures + other.failures,
            events=self.events + other.events,
            event_id=max(self, other, key=lambda group: group.until).event_id,
            since=min(self.since, other.since),
            until=max(self.until, other.until),
        )


def merge_failure_groups(failure_groups: Iterable[FailureGroup]) -> list[FailureGroup]:
    """Merge groups whose errors differ only in numbers; return the newest first."""
    by_cause: dict[tuple[str, str, str, str], FailureGroup] = {}
    for group in failure_groups:
        normalized = group._replace(error=without_numbers(group.error))
        cause = normalized[:4]
        by_cause[cause] = by_cause[cause].merged(normalized) if cause in by_cause else normalized
    return sorted(by_cause.values(), key=lambda group: (-group.until, group[:4]))


class LetterChange(NamedTuple):
    """The change to a dead letter.

    Args:
        number: Its number; None for a new one.
        failure: The failure it holds now.
        dead: Whether it is still dead, that is, neither retried nor dismissed.
        era: The era of its event; used for a new one.
        body: The event's row as JSON; used for a new one.
    """

    number: int | None
    failure: Failure
    dead: bool
    era: int = 1
    body: bytes = b""
