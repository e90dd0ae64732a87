"""Dead letters: events that a callback failed on for good, kept with everything a retry needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

from sgevents_core.state.failures import Failure

_DETAILS: Final = re.compile(r"\{.*\}|\{[^}]*\Z", re.DOTALL)
"""Everything between braces, such as a record or the body of an answer that an error quotes."""
_NAME: Final = re.compile(r"(?<!\w)(['\"])(?![45]\d\d [A-Z][a-z])[^'\"\n\d]*\d[^'\"\n]*\1(?!\w)")
"""Quoted text with a number in it that is not the status of an answer: `'404 Not Found'`."""
_STATUS: Final = re.compile(
    r"(?:HTTP\w*|[Ee]rrno|[Ss]tatus|[Cc]ode)[ :=]{1,3}[0-9]{1,3}\b|\b[45][0-9][0-9](?= [A-Z][a-z])"
)
"""The status of an answer or of the system, which says more than ids do."""
_NUMBER: Final = re.compile(r"\d+")
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
        batch: The ids of the events of its batch, in order; empty unless it is of a batch.
    """

    number: int
    failure: Failure
    dead: bool
    era: int
    body: bytes
    whole: bool = True
    batch: tuple[int, ...] = ()


class LetterChoice(NamedTuple):
    """A choice of dead letters; a field that is None matches all.

    Args:
        plugin: The plugin's name.
        callback: The callback's name.
        error: Text that the error contains; `#` in it stands for any number, `…` for any text.
        event_id: The event's id, or that of any event of its batch.
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
        error: Their error as `error_kind` returns it.
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

    Errors of one kind are grouped together; see `error_kind`.
    """
    sums: dict[tuple[str, str, str], list[Any]] = {}
    for plugin, callback, error, number, at in letters:
        cause = (plugin, callback, error_kind(error))
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


def error_kind(error: str) -> str:
    """Return an error without what changes from event to event.

    A number becomes `#`, unless it is the status of an answer or of the system; what is between
    braces, and what is quoted with a number in it, such as the name of a record, becomes `…`.
    """
    kind_text = _NAME.sub(r"\1…\1", _DETAILS.sub("{…}", error))
    kind_parts, end = [], 0
    for status in _STATUS.finditer(kind_text):
        kind_parts += [_NUMBER.sub("#", kind_text[end : status.start()]), status[0]]
        end = status.end()
    return "".join([*kind_parts, _NUMBER.sub("#", kind_text[end:])])


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
        error: Their error as `error_kind` returns it.
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
    """Merge groups whose errors are of one kind; return the newest first."""
    by_cause: dict[tuple[str, str, str, str], FailureGroup] = {}
    for group in failure_groups:
        normalized = group._replace(error=error_kind(group.error))
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
