"""The changes of a step of work besides its progress: requests, dead letters and deaths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from sgevents_core.state.base import Failure
from sgevents_core.state.keys import CallKey


class RequestAnswer(NamedTuple):
    """The answer to a request.

    Args:
        outcome: `done`, `refused` if it could not apply, or `failed` if it went wrong.
        text: The answer for the person who asked.
    """

    outcome: Literal["done", "refused", "failed"]
    text: str


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


class RequestStep(NamedTuple):
    """The change to a person's request in one step of work.

    Args:
        number: The request's number.
        progress: How far it has come; None to leave that unchanged.
        answer: Its answer, once it is carried out.
        letter: The change to its dead letter.
        dismissed: Numbers of the dead letters to dismiss.
        passed: `(plugin, seq)` of an event given up for a plugin; its attempts are over.
    """

    number: int
    progress: Mapping[str, Any] | None = None
    answer: RequestAnswer | None = None
    letter: LetterChange | None = None
    passed: tuple[str, int] | None = None
    dismissed: Sequence[int] = ()


class Died(NamedTuple):
    """The count of deaths of the process in one call.

    Args:
        plugin: The plugin's name.
        callback: The callback's name.
        seq: The event's place in the journal.
        proved: Deaths with a known cause: it crashed, ended itself or ran out of memory.
        unproved: Deaths that may have had a cause outside the process.
        how: How it died last, for people.
        traceback: Where it died last, if known.
    """

    plugin: str
    callback: str
    seq: int
    proved: int
    unproved: int
    how: str
    traceback: str

    @property
    def key(self) -> CallKey:
        """The callback."""
        return CallKey(self.plugin, self.callback)
