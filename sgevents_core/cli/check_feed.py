"""Check that the site's event log is the one that the state has followed."""

from __future__ import annotations

from contextlib import closing
from typing import Final

from msgspec.structs import replace

from sgevents_core.cli.findings import Finding
from sgevents_core.errors import SiteError, StartAheadError, StateError
from sgevents_core.settings import Settings
from sgevents_core.site.ages import is_same
from sgevents_core.site.anchoring import FEWEST_RECENT
from sgevents_core.site.client import EventLog
from sgevents_core.site.feed import rules_of
from sgevents_core.site.questions import Newest, Recent, spans_of
from sgevents_core.site.reset import first_change
from sgevents_core.state.attention import WAYS_OUT
from sgevents_core.state.feed_values import FeedState
from sgevents_core.state.opening import open_state

_SITE_TIMEOUT: Final = 15.0
_OTHER_SITE_FIX: Final = (
    "give each site a folder of its own: change path in [state], or url in [site]"
)


def feed_findings(settings: Settings) -> list[Finding]:
    """Compare the last events stored with those on the site; change nothing."""
    feed_state = _feed_state(settings)
    if feed_state is None:
        return _start_findings(settings)
    if not feed_state.recent:
        return []
    site = replace(settings.site, timeout=min(settings.site.timeout, _SITE_TIMEOUT))
    with closing(EventLog(site)) as log:
        if feed_state.site not in {"", log.host}:
            message = f"it belongs to the site {feed_state.site}, and [site] names {log.host}"
            return [Finding("state", "warning", message, _OTHER_SITE_FIX)]
        try:
            rewind_reason = feed_state.rewound or _log_difference(log, feed_state)
        except SiteError:
            return []  # the check of the site reports it
    if rewind_reason:
        message = f"the site's event log is not the one that was followed: {rewind_reason}"
        return [Finding("state", "problem", message, WAYS_OUT)]
    return [Finding("state", "ok", f"it continues after event {feed_state.frontier}")]


def _start_findings(settings: Settings) -> list[Finding]:
    """Check that a first start can begin where `[feed] start` says."""
    if settings.feed.start == "now":
        return []
    site = replace(settings.site, timeout=min(settings.site.timeout, _SITE_TIMEOUT))
    try:
        with closing(EventLog(site)) as log:
            first_change(log, rules_of(settings.feed), settings.feed.start)
    except StartAheadError as error:
        message = (
            f"the start {error.start} is ahead of the site, whose newest event is {error.newest}"
        )
        fix = f"write an id up to {error.highest}, a time that is over, or now"
        return [Finding("config", "problem", message, fix, "feed.start")]
    except SiteError:
        return []  # the check of the site reports it
    return [Finding("config", "ok", "the first start can begin there", subject="feed.start")]


def _feed_state(settings: Settings) -> FeedState | None:
    try:
        if not open_state(settings.state.path).is_made():
            return None
        with closing(open_state(settings.state.path).reader()) as reader:
            feed_record = reader.load_feed() if reader.is_ready else None
    except StateError:
        return None  # the check of the database reports it
    return feed_record.state if feed_record else None


def _log_difference(log: EventLog, feed_state: FeedState) -> str:
    """Return how the site's log differs from the one followed so far; empty if it does not."""
    known_rows = dict(sorted(feed_state.recent)[-FEWEST_RECENT:])
    recent_rows = log.ask(Recent(spans_of(sorted(known_rows)), len(known_rows) + 1)).rows
    changed_ids = [row.id for row in recent_rows if not is_same(row, known_rows[row.id])]
    if changed_ids:
        return f"event {changed_ids[0]} has another creation time"
    if recent_rows:
        return ""
    newest_rows = log.ask(Newest(1)).rows
    highest_id = newest_rows[0].id if newest_rows else 0
    if highest_id >= feed_state.frontier:
        return ""
    highest_text = f"its highest event is {highest_id}" if newest_rows else "it is empty"
    return f"{highest_text}, the last one taken was {feed_state.frontier}"
