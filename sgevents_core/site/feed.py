"""The feed's thread: it sends the follower's queries, commits rows and reports trouble."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final, TypeVar

from sgevents_core.errors import (
    InternalError,
    OtherSiteError,
    SgEventsError,
    SiteError,
    SiteFault,
    SiteRefused,
    StateError,
)
from sgevents_core.observe import liveness
from sgevents_core.observe.lasting_failure import LastingFailure
from sgevents_core.settings import FeedSettings
from sgevents_core.site import notices
from sgevents_core.site.ages import is_same
from sgevents_core.site.anchoring import FEWEST_RECENT
from sgevents_core.site.audits import SMALLEST_COUNT
from sgevents_core.site.catching_up import commit_step
from sgevents_core.site.client import EventLog
from sgevents_core.site.feed_counts import FeedCounts
from sgevents_core.site.follower import Follower
from sgevents_core.site.follower_values import Rules, StepResult
from sgevents_core.site.handing_over import CatchUpProcess, HandOver, Stint
from sgevents_core.site.health import SiteHealth
from sgevents_core.site.mending import Mender
from sgevents_core.site.odd_rows import forget_aside
from sgevents_core.site.paging import SMALLEST_PAGE
from sgevents_core.site.parking import decide_parked
from sgevents_core.site.questions import ASIDE, After, Answer, Call, Count, Newest, Recent, spans_of
from sgevents_core.site.reset import begin_anew
from sgevents_core.site.trouble import JOURNAL, SITE, Trouble
from sgevents_core.state.feed_values import FeedState
from sgevents_core.state.protocols import FeedWriter
from sgevents_core.state.requests import Request

logger = logging.getLogger("sgevents.feed")

SAVE_INTERVAL: Final = 5.0
"""Seconds between two saves of the feed's state while nothing happens."""
REFUSALS_AT_START: Final = 3
"""Refusals in a row, before this process's first answer, that end it: the credentials are wrong."""
BETWEEN_REFUSALS: Final = 1.0
REMINDER_INTERVAL: Final = 600.0
"""Seconds between two reminders that a log went backwards."""
QUICK_WAIT: Final = 1.0
"""Seconds until the next page after the answer to a small query."""
_T = TypeVar("_T")


class Feed:
    """The follower of one site's event log, which writes it to the journal.

    Args:
        event_log: The site's event log.
        feed_writer: A connection of its own to the journal.
        feed_settings: How to follow the log.
        on_growth: Called after each append of rows.
        on_notice: Called with each notice for people, after it was committed and logged.
        site_health: Whether the site answers, shared with the connections of plugins.
        catch_up_process: Follows the log while the feed is far behind; None for this thread.
    """

    def __init__(
        self,
        event_log: EventLog,
        feed_writer: FeedWriter,
        feed_settings: FeedSettings,
        on_growth: Callable[[], None],
        on_notice: Callable[[notices.Notice], None],
        *,
        site_health: SiteHealth | None = None,
        catch_up_process: CatchUpProcess | None = None,
    ) -> None:
        self.health = SiteHealth() if site_health is None else site_health
        self.health.on_want(self._wake_up)
        self.error: SgEventsError | None = None
        self.idle = threading.Event()
        self.counts = FeedCounts()
        self._event_log = event_log
        self._feed_writer = feed_writer
        self._rules = rules_of(feed_settings)
        self._report_growth = on_growth
        self._report_notice = on_notice
        self._mender = Mender(event_log, feed_writer)
        self._hand_over = (
            None
            if catch_up_process is None
            else HandOver(
                catch_up_process,
                event_log,
                site_health=self.health,
                feed_counts=self.counts,
                report_growth=on_growth,
                report_notices=self._report_notices,
            )
        )
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._person_requests: deque[Request] = deque()
        self._trouble = Trouble(SITE)
        self._aside_trouble = Trouble(SITE)
        self._last_aside_error: SiteError | None = None
        self._journal_trouble = Trouble(JOURNAL)
        self._has_hint = False
        self._tries_site = False
        self._last_saved_at = float("-inf")
        self._next_reminder_at = 0.0
        self._page_size_known = False
        self._is_after_probe = False
        self._is_accepted = False
        self._counts_refused = False
        self._refusals = 0
        self._load_follower()

    def stop(self) -> None:
        """Tell the feed to end; do not wait for a running call to the site."""
        self._stopping.set()
        self._woken.set()

    @property
    def site_trouble(self) -> LastingFailure | None:
        """Why the site does not answer; None while it does. May be read from any thread."""
        return self._trouble.lasting_failure

    @property
    def journal_trouble(self) -> LastingFailure | None:
        """Why the journal cannot be written; None while it can. May be read from any thread."""
        return self._journal_trouble.lasting_failure

    def expect_news(self) -> None:
        """Ask the site at once, as somebody says that it has news; for any thread."""
        self._has_hint = True
        self._woken.set()

    def _wake_up(self) -> None:
        self._woken.set()

    def decide(self, person_request: Request) -> None:
        """Queue a person's request to the feed; its own thread carries it out."""
        self._person_requests.append(person_request)
        self._woken.set()

    def run(self) -> None:
        """Follow the log until stopped; keep an error that ends the feed in `error`."""
        try:
            while not self._stopping.is_set():
                self._take_turn()
        except SgEventsError as error:
            self.error = error
        except Exception as error:
            logger.exception("The feed failed", extra={"action": "feed.failed"})
            self.error = InternalError(where="the feed", reason=f"{type(error).__name__}: {error}")
        finally:
            if self._hand_over is not None:
                self._hand_over.close()
            self._event_log.close()
            self._feed_writer.close()

    @property
    def state(self) -> FeedState | None:
        """The feed's state; None before the site's first answer."""
        return self._follower.state

    def _load_follower(self) -> None:
        """Rebuild the follower from the committed state."""
        self._journal_end = self._feed_writer.end()
        self._follower = Follower(self._rules, self._feed_writer.load_feed())
        if self._counts_refused:
            self._follower.counts_refused()
        self._is_loaded = True

    def _take_turn(self) -> None:
        """Make one call to the site, or wait once."""
        self._woken.clear()
        liveness.report_alive(self._event_log.longest_call)
        if self._stopping.is_set() or not (self._is_ready() and self._knows_page_size()):
            return
        if self._person_requests:
            self._carry_out_request(self._person_requests[0])
            return
        if not self._recognises_site() or not self._has_tried_site():
            return
        self._mend_entries()
        self._remind_of_decision()
        if self._hand_over is not None and self._hand_over.is_due(self._follower):
            self._let_catch_up(self._hand_over)
            return
        if self._has_hint:
            self._has_hint = False
            self._follower.expect_news(time.monotonic())
        site_call = self._follower.next_call(time.monotonic())
        if isinstance(site_call, float):
            if self.state is None or not self.state.rewound:
                self.counts.note_wait()
            if self._hand_over is not None:
                self._hand_over.close()  # it is not needed after all
            if self._follower.is_idle:
                self.idle.set()
            liveness.report_alive(site_call)
            self._woken.wait(site_call)
            return
        self.idle.clear()
        site_answer = self._ask_follower_call(site_call)
        if site_answer is None or self._stopping.is_set():
            return
        is_new = self.state is None
        step_result = self._follower.take_answer(site_call, site_answer, time.monotonic())
        if self._commit(step_result):
            if is_new:
                self._log_beginning()
            self._report_notices(step_result.notices)

    def _let_catch_up(self, hand_over: HandOver) -> None:
        """Let the process of the feed follow the log until it has caught up, failed, or must stop.

        What it has committed decides where this feed continues.
        """
        self.idle.clear()
        self._is_loaded = False
        self._event_log.read_ahead((), 0)  # what was requested ahead is not taken here
        stint = Stint(self._rules.page_size, self._follower.highest_seen, self._counts_refused)
        has_failed = hand_over.run_stint(stint, self._is_needed_here)
        if has_failed and self._is_ready():
            self._follower.catching_up_failed()

    def _is_needed_here(self) -> bool:
        """Return whether this thread needs the log now; do its other work."""
        self._mend_entries()
        return self._stopping.is_set() or bool(self._person_requests)

    def _remind_of_decision(self) -> None:
        """Repeat from time to time that a person has to decide where a log continues."""
        monotonic_now, feed_state = time.monotonic(), self.state
        if feed_state is None or not feed_state.rewound:
            self._next_reminder_at = monotonic_now + REMINDER_INTERVAL
        elif monotonic_now >= self._next_reminder_at:
            self._next_reminder_at = monotonic_now + REMINDER_INTERVAL
            notices.log(notices.LogRewound(feed_state.rewound, again=True))

    def _mend_entries(self) -> None:
        """Ask the site again for events that can no longer be read from the journal."""
        if self.state is None:
            return
        try:
            self._mender.look(self.state.era, time.monotonic())
        except StateError as error:
            self._wait_for_journal(error)

    def _carry_out_request(self, person_request: Request) -> None:
        try:
            carry_out_feed_request(self._event_log, self._rules, self._feed_writer, person_request)
        except StateError as error:
            self._wait_for_journal(error)
            return
        self._person_requests.popleft()
        self._is_loaded = False

    def _is_ready(self) -> bool:
        """Return whether the follower is loaded; load it from the committed state first if not."""
        if not self._is_loaded:
            try:
                self._load_follower()
            except StateError as error:
                self._wait_for_journal(error)
        return self._is_loaded

    def _knows_page_size(self) -> bool:
        """Return whether the site's page size is known; ask for it first if not.

        Never request a longer page than the site allows: its shorter answer would look like the
        last page.
        """
        if not self._page_size_known:
            try:
                longest_page = max(self._ask_and_note(self._event_log.page_size), SMALLEST_PAGE)
            except SiteError as error:
                self._stopping.wait(self._trouble.record_failure(error))
                return False
            self._rules = replace(self._rules, page_size=min(self._rules.page_size, longest_page))
            self._page_size_known = True
            self._load_follower()
        return True

    def _has_tried_site(self) -> bool:
        """Return whether the site answers, if a plugin's call needs to know; otherwise True."""
        if not (self.health.is_wanted or self._tries_site):
            return True
        liveness.report_alive(self._event_log.longest_call)
        try:
            self._ask_and_note(lambda: self._event_log.ask(Newest(1)))
            self._tries_site = False
        except SiteFault:  # the site has answered
            self._tries_site = False
        except SiteError as error:
            self._tries_site = True  # do not wait for the next page, which may be due much later
            self._stopping.wait(self._wait_after(error))
        return not self._tries_site

    def _ask_and_note(self, make_call: Callable[[], _T], *, is_aside: bool = False) -> _T:
        """Ask the site, and record whether it answered.

        Args:
            make_call: Makes the call.
            is_aside: Whether a failure of this call says nothing about the site.
        """
        began_at = time.monotonic()
        try:
            site_answer = make_call()
        except SiteFault as error:
            self.counts.note_error(error)
            self.health.answered(began_at)
            raise
        except SiteError as error:
            self.counts.note_error(error)
            if not is_aside:
                self.health.failed(began_at, time.monotonic())
            raise
        if isinstance(site_answer, Answer) and site_answer.asked_at is not None:
            began_at = site_answer.asked_at
        self.health.answered(began_at)
        return site_answer

    def _recognises_site(self) -> bool:
        """Return whether this state belongs to the site; ask the site if its host name is new.

        A site that moved to another address still has the events taken last.

        Raises:
            OtherSiteError: The site has none of those events.
        """
        feed_state = self.state
        if (
            feed_state is None
            or feed_state.site in {"", self._event_log.host}
            or not feed_state.recent
        ):
            return True
        known_times = dict(feed_state.recent[-FEWEST_RECENT:])
        try:
            recent_call = Recent(spans_of(sorted(known_times)), len(known_times) + 1)
            event_rows = self._ask_and_note(lambda: self._event_log.ask(recent_call)).rows
        except SiteError as error:
            self._stopping.wait(self._wait_after(error))
            return False
        self._is_accepted = True
        if not any(is_same(event_row, known_times[event_row.id]) for event_row in event_rows):
            raise OtherSiteError(before=feed_state.site, now=self._event_log.host)
        feed_state.site = self._event_log.host
        return True

    # The site

    def _ask_follower_call(self, site_call: Call) -> Answer | None:
        liveness.report_alive(self._event_log.longest_call)
        self._event_log.read_ahead(self._follower.ranges_ahead, self._follower.connections)
        self.counts.note_call(site_call)
        asked_at = time.monotonic()
        try:
            site_answer = self._ask_and_note(
                lambda: self._event_log.ask(site_call), is_aside=isinstance(site_call, ASIDE)
            )
        except SiteFault as error:
            if isinstance(site_call, Count) and site_call.span.size <= SMALLEST_COUNT:
                self._note_refused_counts(error)
            else:
                self._note_failure(site_call, error)
            return None
        except SiteError as error:
            self._note_failure(site_call, error)
            return None
        self._note_answer(site_call)
        self.counts.note_answer(site_call, asked_at)
        self._is_accepted = True
        return site_answer

    def _note_answer(self, site_call: Call) -> None:
        self._is_after_probe = isinstance(site_call, After)
        if self._is_after_probe:
            return
        if isinstance(site_call, ASIDE):
            self._aside_trouble.record_success()
            return
        self._trouble.record_success()
        if self._last_aside_error is not None:  # the site itself answers
            self._aside_trouble.record_failure(self._last_aside_error)
            self._last_aside_error = None

    def _note_refused_counts(self, error: SiteError) -> None:
        log_message = "%s Audits compare ids instead of counts from now on."
        logger.warning(log_message, error, extra={"action": "feed.counts_refused"})
        self._counts_refused = True
        self._follower.counts_refused()

    def _note_failure(self, site_call: Call, error: SiteError) -> None:
        was_quick, self._is_after_probe = self._is_after_probe, False
        self._follower.take_failure(
            site_call, time.monotonic(), is_answering=isinstance(error, SiteFault)
        )
        if isinstance(site_call, ASIDE):
            # The follower puts such calls off, and pages continue. If those fail as well, it is an
            # outage, which is reported once.
            self._last_aside_error = error
            return
        self._last_aside_error = None
        wait_seconds = self._wait_after(error)
        if was_quick:  # the site answers, and a page size that works is being found
            wait_seconds = min(wait_seconds, QUICK_WAIT)
        liveness.report_alive(wait_seconds)
        self._stopping.wait(wait_seconds)

    def _wait_after(self, error: SiteError) -> float:
        """Return how long to wait after a failure.

        Raises:
            SiteRefused: The credentials are wrong: they were refused repeatedly, and never accepted
                since the process started.
        """
        wait_seconds = self._trouble.record_failure(error)
        if self._is_accepted:
            return wait_seconds
        self._refusals = self._refusals + 1 if isinstance(error, SiteRefused) else 0
        if self._refusals >= REFUSALS_AT_START:
            raise error
        return min(wait_seconds, BETWEEN_REFUSALS) if self._refusals else wait_seconds

    # The journal

    def _commit(self, step_result: StepResult) -> bool:
        """Write rows and state in one transaction; if that fails, rebuild the follower."""
        monotonic_now = time.monotonic()
        is_needed = step_result.rows or step_result.notices or self._follower.known.has_changes
        if not is_needed and monotonic_now - self._last_saved_at < SAVE_INTERVAL:
            return True
        if self.state is None:
            return True
        try:
            self._journal_end = commit_step(
                self._feed_writer,
                self._journal_end,
                self._follower,
                step_result,
                self._event_log.host,
            )
        except StateError as error:
            self._is_loaded = False
            self._wait_for_journal(error)
            return False
        self._journal_trouble.record_success()
        self._last_saved_at = monotonic_now
        if step_result.rows:
            self.counts.note_rows(step_result.rows)
            self._report_growth()
        return True

    def _wait_for_journal(self, error: StateError) -> None:
        """Wait until the journal can be written again, unless no waiting mends it."""
        if error.is_lasting:
            raise error
        self._stopping.wait(self._journal_trouble.record_failure(error))

    def _log_beginning(self) -> None:
        if self.state is not None:
            message = "The journal is new: it begins behind event %d"
            log_extra = {"action": "feed.began", "event_id": self.state.frontier}
            logger.info(message, self.state.frontier, extra=log_extra)

    def _report_notices(self, step_notices: Iterable[notices.Notice]) -> None:
        for notice in step_notices:
            notices.log(notice)
            self._report_notice(notice)


def carry_out_feed_request(
    event_log: EventLog, feed_rules: Rules, feed_writer: FeedWriter, person_request: Request
) -> None:
    """Carry out a person's request to the feed, and answer it.

    Args:
        event_log: The site's event log.
        feed_rules: How the feed follows the log.
        feed_writer: The journal; nobody else appends to it meanwhile.
        person_request: The request; repeating it changes nothing.

    Raises:
        StateError: The journal cannot be written; the request waits.
    """
    if person_request.kind == "reset":
        begin_anew(event_log, feed_rules, feed_writer, person_request)
    elif person_request.kind == "aside":
        forget_aside(feed_writer, person_request)
    else:
        decide_parked(feed_writer, person_request)


def rules_of(feed_settings: FeedSettings) -> Rules:
    """Return the follower's rules, as the configuration sets them."""
    return Rules(
        page_size=feed_settings.page_size,
        poll_interval=feed_settings.poll_interval,
        idle_interval=max(feed_settings.idle_interval, feed_settings.poll_interval),
        backlog_timeout=feed_settings.backlog_timeout,
        settle=feed_settings.settle,
        audit_horizon=feed_settings.audit_horizon,
        start=feed_settings.start,
        connections=feed_settings.connections,
    )
