"""Follow the log while the feed is far behind: page after page, until nothing is due.

Each step is committed as the feed commits its own, behind the same fence. Anything unexpected ends
it, and the feed continues from the committed state.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from sgevents_core.errors import SiteError, StateError
from sgevents_core.site.client import EventLog
from sgevents_core.site.feed_counts import PollKind, poll_kind_of
from sgevents_core.site.follower import Follower
from sgevents_core.site.follower_values import Rules, StepResult
from sgevents_core.site.notices import Notice
from sgevents_core.state.entries import IN_TURN
from sgevents_core.state.protocols import FeedWriter


class CommittedStep(NamedTuple):
    """One committed step.

    Args:
        asked_at: When the site was asked, in monotonic seconds.
        poll_kind: What the site was asked for.
        row_count: How many rows were appended.
        late_count: How many of them were late.
        notices: The notices to report.
    """

    asked_at: float
    poll_kind: PollKind
    row_count: int
    late_count: int
    notices: tuple[Notice, ...] = ()


def catch_up(
    event_log: EventLog,
    feed_writer: FeedWriter,
    feed_rules: Rules,
    report_step: Callable[[CommittedStep], None],
    *,
    highest_id: int = 0,
    counts_refused: bool = False,
) -> bool:
    """Follow the log until nothing is due; return False if a call or a commit failed.

    Args:
        event_log: The site's event log.
        feed_writer: A connection to the journal, in which the feed has begun.
        feed_rules: The follower's rules.
        report_step: Called after each committed step.
        highest_id: The highest id that the site has shown; 0 if it has to be asked.
        counts_refused: Whether the site is known to refuse to count.
    """
    try:
        follower = Follower(feed_rules, feed_writer.load_feed())
        if highest_id:
            follower.continue_to(highest_id)
        if counts_refused:
            follower.counts_refused()
        journal_end = feed_writer.end()
        while not isinstance(site_call := follower.next_call(time.monotonic()), float):
            asked_at = time.monotonic()
            event_log.read_ahead(follower.ranges_ahead, follower.connections)
            site_answer = event_log.ask(site_call)
            step_result = follower.take_answer(site_call, site_answer, time.monotonic())
            journal_end = commit_step(
                feed_writer, journal_end, follower, step_result, event_log.host
            )
            report_step(
                CommittedStep(
                    asked_at if site_answer.asked_at is None else site_answer.asked_at,
                    poll_kind_of(site_call),
                    len(step_result.rows),
                    sum(taken_row.late != IN_TURN for taken_row in step_result.rows),
                    tuple(step_result.notices),
                )
            )
    except (SiteError, StateError):
        return False
    return True


def commit_step(
    feed_writer: FeedWriter,
    journal_end: int,
    follower: Follower,
    step_result: StepResult,
    site_host: str,
) -> int:
    """Write rows and state in one transaction, and return the journal's new end.

    Args:
        feed_writer: The connection to the journal.
        journal_end: The journal's end as the follower knows it.
        follower: The follower, which has taken an answer.
        step_result: What came of the answer.
        site_host: The site's host name.

    Raises:
        StateError: Nothing was written; the follower must be rebuilt from the committed state.
    """
    feed_change = follower.take_changes()
    if feed_change is None:  # before the site's first answer
        return journal_end
    host_time = time.time()
    feed_change.state.answered, feed_change.state.site = host_time, site_host
    set_aside = [event_aside._replace(at=host_time) for event_aside in feed_change.set_aside]
    return feed_writer.append(
        journal_end, step_result.rows, feed_change._replace(set_aside=set_aside)
    )
