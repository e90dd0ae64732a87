"""Checking that the site's event log is the one that the state has followed."""

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
from sgevents_core.state.feed_values import FeedState
from sgevents_core.state.needs import WAYS_OUT
from sgevents_core.state.opening import open_state

_PATIENCE: Final = 15.0
_OTHER_SITE: Final = "give each site a folder of its own: change path in [state], or url in [site]"


def feed_findings(settings: Settings) -> list[Finding]:
    """Compare the last events stored with those on the site; change nothing."""
    state = _feed_state(settings)
    if state is None:
        return _start_findings(settings)
    if not state.recent:
        return []
    site = replace(settings.site, timeout=min(settings.site.timeout, _PATIENCE))
    with closing(EventLog(site)) as log:
        if state.site not in {"", log.host}:
            message = f"it belongs to the site {state.site}, and [site] names {log.host}"
            return [Finding("state", "warning", message, _OTHER_SITE)]
        try:
            why = state.rewound or _difference(log, state)
        except SiteError:
            return []  # the check of the site reports it
    if why:
        message = f"the site's event log is not the one that was followed: {why}"
        return [Finding("state", "problem", message, WAYS_OUT)]
    return [Finding("state", "ok", f"it continues after event {state.frontier}")]


def _start_findings(settings: Settings) -> list[Finding]:
    """Check that a first start can begin where `[feed] start` says."""
    if settings.feed.start == "now":
        return []
    site = replace(settings.site, timeout=min(settings.site.timeout, _PATIENCE))
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
        with closing(open_state(settings.state.path).reader()) as state:
            record = state.load_feed() if state.made else None
    except StateError:
        return None  # the check of the database reports it
    return record.state if record else None


def _difference(log: EventLog, state: FeedState) -> str:
    """Return how the site's log differs from the one that was followed; empty if it does not."""
    known = dict(sorted(state.recent)[-FEWEST_RECENT:])
    rows = log.ask(Recent(spans_of(sorted(known)), len(known) + 1)).rows
    strange = [row.id for row in rows if not is_same(row, known[row.id])]
    if strange:
        return f"event {strange[0]} has another creation time"
    if rows:
        return ""
    newest = log.ask(Newest(1)).rows
    highest = newest[0].id if newest else 0
    if highest >= state.frontier:
        return ""
    what = f"its highest event is {highest}" if newest else "it is empty"
    return f"{what}, the last one taken was {state.frontier}"
