"""A new era of the feed, after the event log went backwards and a person decided where to begin."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from sgevents_core.errors import SiteError, StartAheadError
from sgevents_core.settings import Start
from sgevents_core.settings.starts import parse_start
from sgevents_core.site.client import EventLog
from sgevents_core.site.follower import Follower, Rules
from sgevents_core.state.feed_values import FeedChange
from sgevents_core.state.protocols import FeedWriter
from sgevents_core.state.requests import Request, RequestAnswer, RequestStep

logger = logging.getLogger("sgevents.feed")


def begin_anew(log: EventLog, rules: Rules, state: FeedWriter, request: Request) -> RequestAnswer:
    """Carry out a request to begin anew, and return the result.

    What is in the journal stays, and is handled before what comes. The new era and the answer are
    written together; repeating a request changes nothing.

    Args:
        log: The site's event log.
        rules: How the feed follows it.
        state: The journal; nobody else appends to it meanwhile.
        request: Its detail holds `from`, `era` (the one it was asked in) and `force`.

    Raises:
        StateError: It cannot be written; the request waits.
    """
    answer = _refuse(state, request)
    if answer is None:
        try:
            change = first_change(log, rules, parse_start(str(request.detail["from"])))
        except StartAheadError as error:
            answer = RequestAnswer("refused", f"{error} Nothing was changed.")
        except SiteError as error:
            answer = RequestAnswer("failed", f"{error} Nothing was changed; ask again.")
        else:
            return _begin_era(state, request, change)
    state.answer(RequestStep(request.number, answer=answer))
    return answer


def first_change(log: EventLog, rules: Rules, start: Start) -> FeedChange:
    """Ask the site where a start lies, and return the feed's state there, before any row.

    Raises:
        SiteError: The site could not be asked.
        StartAheadError: The site has not reached the start yet.
    """
    page_size = min(rules.page_size, max(log.page_size(), 2))  # the site's limit may be lower
    follower = Follower(replace(rules, start=start, page_size=page_size))
    while follower.state is None:
        call = follower.next_call(0.0)
        if follower.state is None and not isinstance(call, float):
            follower.take_answer(call, log.ask(call), 0.0)
    change = follower.take_changes()
    assert change is not None  # noqa: S101 - there is a state, so there is a change
    return change


def _refuse(state: FeedWriter, request: Request) -> RequestAnswer | None:
    feed = state.load_feed()
    if feed is None:
        return RequestAnswer("refused", "nothing was read yet: start in [feed] says where to begin")
    if feed.state.era != request.detail["era"]:
        return RequestAnswer(
            "done", f"the feed has begun anew already; this is era {feed.state.era}"
        )
    if not feed.state.rewound and not request.detail.get("force"):
        return RequestAnswer(
            "refused",
            "the event log has not gone backwards, and events could be handed out twice or not at"
            " all; sgevents replay hands out old ones again, and --force resets all the same",
        )
    return None


def _begin_era(state: FeedWriter, request: Request, change: FeedChange) -> RequestAnswer:
    change.state.era = int(request.detail["era"]) + 1
    change.state.answered = time.time()
    first_id = change.state.frontier + 1
    outcome_text = (
        f"era {change.state.era} begins at event {first_id}; the journal is handed out first"
    )
    answer = RequestAnswer("done", outcome_text)
    state.begin_era(state.end(), change, RequestStep(request.number, answer=answer))
    extra = {"action": "feed.reset", "era": change.state.era, "event_id": first_id}
    logger.warning("The feed begins anew: %s", outcome_text, extra=extra)
    return answer
