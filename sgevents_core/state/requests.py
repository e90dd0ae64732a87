"""People's requests to a state, their answers, and the changes that a step makes to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from sgevents_core.state.letters import LetterChange

CALLING_KINDS: Final = frozenset({"retry", "replay"})
"""Kinds of requests that call a plugin, which therefore has to be loaded."""


class Request(NamedTuple):
    """One request.

    Args:
        number: Its number.
        kind: `pause`, `resume`, `skip`, `retry`, `dismiss`, `replay`; about the feed `reset`,
            `parked`.
        plugin: The plugin it is about; empty for the feed.
        detail: Further values, by kind.
        asked_by: Who asked, for people.
        begun: How often its current call was begun.
        progress: How far a long request has come.
    """

    number: int
    kind: str
    plugin: str
    detail: dict[str, Any]
    asked_by: str
    begun: int
    progress: dict[str, Any]


class ShownRequest(NamedTuple):
    """One request as shown to people, answered or not.

    Args:
        number: Its number.
        kind: See `Request`.
        plugin: The plugin it is about; empty for the feed.
        about: The event, dead letters or position it names, for people; empty if it names none.
        asked_by: Who asked: `anna@host`.
        asked_at: When, in seconds since 1970.
        reason: The reason given by the person who asked; empty if none.
        outcome: `done`, `refused` or `failed`; None while it is unanswered.
        answer: The answer, for people; empty while it is unanswered.
        answered_at: When, in seconds since 1970; None while it is unanswered.
    """

    number: int
    kind: str
    plugin: str
    about: str
    asked_by: str
    asked_at: float
    reason: str
    outcome: str | None
    answer: str
    answered_at: float | None


LAST_REQUESTS: Final = 20_000
"""The number of last requests that are looked at to show their progress."""


class RequestProgress(NamedTuple):
    """How far the requests of one kind about one plugin have come.

    Args:
        kind: Their kind.
        plugin: Their plugin.
        waiting: How many are not answered.
        done: How many were carried out.
        failed: How many were refused or failed.
    """

    kind: str
    plugin: str
    waiting: int
    done: int
    failed: int


def request_subject(request_detail: Mapping[str, Any]) -> str:
    """Return the subject of a request, in the words of the command that made it."""
    if "letters" in request_detail:
        return f"{len(request_detail['letters'])} dead letters"
    if "letter" in request_detail:
        return f"dead letter {request_detail['letter']}"
    if "events" in request_detail:
        return f"events {request_detail['events']}"
    return str(
        request_detail.get("event_id")
        or request_detail.get("from")
        or request_detail.get("decision")
        or ""
    )


class ReplayEvent(NamedTuple):
    """One event to replay; `seq` is 0 if it is not in the journal."""

    era: int
    seq: int
    event_id: int
    body: bytes


RequestDraft: TypeAlias = tuple[str, str, Mapping[str, Any], Iterable[ReplayEvent]]
"""Kind, plugin, detail and events of a request that is made; see `Requests.ask`."""


class RequestAnswer(NamedTuple):
    """The answer to a request.

    Args:
        outcome: `done`, `refused` if it could not apply, or `failed` if an error occurred.
        text: The answer for the person who asked.
    """

    outcome: Literal["done", "refused", "failed"]
    text: str


class RequestStep(NamedTuple):
    """The change to a person's request in one step of work.

    Args:
        number: The request's number.
        progress: How far it has come; None to leave that unchanged.
        answer: The request's answer, once it is carried out.
        letter: The change to its dead letter.
        dismissed: Numbers of the dead letters to dismiss.
        retried: Numbers of the dead letters whose events were all called again.
        passed: `(plugin, seq)` of an event given up for a plugin; its attempts are over.
    """

    number: int
    progress: Mapping[str, Any] | None = None
    answer: RequestAnswer | None = None
    letter: LetterChange | None = None
    passed: tuple[str, int] | None = None
    dismissed: Sequence[int] = ()
    retried: Sequence[int] = ()
