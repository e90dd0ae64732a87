"""What a step of work writes beside its own progress: of requests, dead letters and deaths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from sgevents_core.journal.base import Failure
from sgevents_core.journal.keys import CallKey


class Answer(NamedTuple):
    """What came of a request.

    Args:
        outcome: `done`; `refused` where it made no sense; `failed` where it went wrong.
        text: What to tell the person who asked.
    """

    outcome: Literal["done", "refused", "failed"]
    text: str


class LetterChange(NamedTuple):
    """What becomes of a dead letter.

    Args:
        number: Its number, None for a new one.
        failure: What is kept of it now.
        dead: Whether it still is one.
        era: The era of its event; of use for a new one.
        body: The event's row as JSON; of use for a new one.
    """

    number: int | None
    failure: Failure
    dead: bool
    era: int = 1
    body: bytes = b""


class RequestStep(NamedTuple):
    """What becomes of a person's request in one step of work.

    Args:
        number: The request's number.
        progress: How far it is, None to leave that.
        answer: What came of it, once it is carried out.
        letter: What it does to a dead letter.
        dismissed: Numbers of dead letters that are dismissed.
        passed: `(plugin, seq)` of an event given up for a plugin: its attempts are over.
    """

    number: int
    progress: Mapping[str, Any] | None = None
    answer: Answer | None = None
    letter: LetterChange | None = None
    passed: tuple[str, int] | None = None
    dismissed: Sequence[int] = ()


class Died(NamedTuple):
    """How often the process died in one call.

    Args:
        plugin: The plugin's name.
        callback: The callback's name.
        seq: The event's place in the journal.
        proved: Deaths that were the process's own: it crashed, ended itself, ran out of memory.
        unproved: Deaths that may have come from outside.
        how: How it died last, for people.
        traceback: Where it died last, as far as it is known.
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
