"""What a person decides about events that are set aside."""

from __future__ import annotations

import logging

from sgevents_core.journal.aside import SetAside
from sgevents_core.journal.requests import Request
from sgevents_core.journal.sqlite import SqliteState
from sgevents_core.journal.steps import Answer, RequestStep

logger = logging.getLogger("sgevents.feed")


def forget_aside(state: SqliteState, request: Request) -> Answer:
    """Carry out a request to forget what is set aside, and return what came of it.

    It is about what the person was shown: what was set aside since stays on record.

    Args:
        state: The journal.
        request: Its detail holds `set_aside`, each with the fields of `SetAside`.

    Raises:
        StateError: It cannot be written; the request waits.
    """
    ones = [SetAside(*one) for one in request.detail["set_aside"]]
    answer = Answer("done", f"{len(ones)} event(s) are no longer on record as set aside")
    state.forget_aside(ones, RequestStep(request.number, answer=answer))
    extra = {"action": "feed.aside_forgotten", "events": len(ones)}
    logger.warning("%s decided: %s", request.asked_by, answer.text, extra=extra)
    return answer
