"""A new era of the feed, after the event log went backwards and a person decided where to begin."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from sgevents_core.errors import SiteError, StartAheadError
from sgevents_core.settings import Start
from sgevents_core.settings.starts import parse_start
from sgevents_core.site.client import EventLog
from sgevents_core.site.follower import Follower
from sgevents_core.site.follower_values import Rules
from sgevents_core.state.feed_values import FeedChange
from sgevents_core.state.protocols import FeedWriter
from sgevents_core.state.requests import Request, RequestAnswer, RequestStep

logger = logging.getLogger("sgevents.feed")


def begin_anew(
    event_log: EventLog, feed_rules: Rules, feed_writer: FeedWriter, person_request: Request
) -> RequestAnswer:
    """Carry out a request to begin anew, and return the result.

    Events in the journal stay, and are handled before those of the new era. The new era and the
    answer are written together; repeating the request changes nothing.

    Args:
        event_log: The site's event log.
        feed_rules: How the feed follows the log.
        feed_writer: The journal; nobody else appends to it meanwhile.
        person_request: The request; its detail holds `from`, `era` (the era in which it was made)
            and `force`.

    Raises:
        StateError: The journal cannot be written; the request waits.
    """
    request_answer = _refuse(feed_writer, person_request)
    if request_answer is None:
        try:
            feed_change = first_change(
                event_log, feed_rules, parse_start(str(person_request.detail["from"]))
            )
        except StartAheadError as error:
            request_answer = RequestAnswer("refused", f"{error} Nothing was changed.")
        except SiteError as error:
            request_answer = RequestAnswer("failed", f"{error} Nothing was changed; ask again.")
        else:
            return _begin_era(feed_writer, person_request, feed_change)
    feed_writer.answer(RequestStep(person_request.number, answer=request_answer))
    return request_answer


def first_change(event_log: EventLog, feed_rules: Rules, start_position: Start) -> FeedChange:
    """Ask the site for the id of a start, and return the feed's state there, before any row.

    Raises:
        SiteError: The site could not be asked.
        StartAheadError: The site has not reached the start yet.
    """
    page_size = min(
        feed_rules.page_size, max(event_log.page_size(), 2)
    )  # the site's limit may be lower
    follower = Follower(replace(feed_rules, start=start_position, page_size=page_size))
    while follower.state is None:
        site_call = follower.next_call(0.0)
        if follower.state is None and not isinstance(site_call, float):
            follower.take_answer(site_call, event_log.ask(site_call), 0.0)
    feed_change = follower.take_changes()
    assert feed_change is not None  # noqa: S101 - there is a state, so there is a change
    return feed_change


def _refuse(feed_writer: FeedWriter, person_request: Request) -> RequestAnswer | None:
    feed_record = feed_writer.load_feed()
    if feed_record is None:
        return RequestAnswer("refused", "nothing was read yet: start in [feed] says where to begin")
    if feed_record.state.era != person_request.detail["era"]:
        return RequestAnswer(
            "done", f"the feed has begun anew already; this is era {feed_record.state.era}"
        )
    if not feed_record.state.rewound and not person_request.detail.get("force"):
        return RequestAnswer(
            "refused",
            "the event log has not gone backwards, and events could be handed out twice or not at"
            " all; sgevents replay hands out old ones again, and --force resets all the same",
        )
    return None


def _begin_era(
    feed_writer: FeedWriter, person_request: Request, feed_change: FeedChange
) -> RequestAnswer:
    feed_change.state.era = int(person_request.detail["era"]) + 1
    feed_change.state.answered = time.time()
    first_id = feed_change.state.frontier + 1
    outcome_text = (
        f"era {feed_change.state.era} begins at event {first_id}; the journal is handed out first"
    )
    request_answer = RequestAnswer("done", outcome_text)
    feed_writer.begin_era(
        feed_writer.end(), feed_change, RequestStep(person_request.number, answer=request_answer)
    )
    log_extra = {"action": "feed.reset", "era": feed_change.state.era, "event_id": first_id}
    logger.warning("The feed begins anew: %s", outcome_text, extra=log_extra)
    return request_answer
