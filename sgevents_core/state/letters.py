"""Dead letters: events that a callback failed on for good, kept with everything a retry needs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from sgevents_core.state.failures import Failure

_DIGITS: Final = re.compile(r"\d+")


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

    def merged(self, other_group: LetterGroup) -> LetterGroup:
        """Return the two groups as one."""
        return self._replace(
            letters=self.letters + other_group.letters,
            first=min(self.first, other_group.first),
            since=min(self.since, other_group.since),
            until=max(self.until, other_group.until),
        )


def merge_letter_groups(letter_groups: Iterable[LetterGroup]) -> list[LetterGroup]:
    """Merge groups whose errors differ only in numbers, such as ids; return the largest first."""
    groups_by_cause: dict[tuple[str, str, str], LetterGroup] = {}
    for letter_group in letter_groups:
        normalized_group = letter_group._replace(error=_DIGITS.sub("#", letter_group.error))
        group_key = normalized_group[:3]
        groups_by_cause[group_key] = (
            normalized_group.merged(groups_by_cause[group_key])
            if group_key in groups_by_cause
            else normalized_group
        )
    return sorted(
        groups_by_cause.values(),
        key=lambda letter_group: (-letter_group.letters, letter_group.first),
    )


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
