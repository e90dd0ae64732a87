"""The overview of a site: what needs a person, then how far everything has come."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from sgevents_core.console.overview_of_sites import daemon_words
from sgevents_core.console.page import NoQuery, Page, View, Visit, utc_time
from sgevents_core.reading.overview import FeedOverview, Overview, PluginOverview, read_overview


class ShownDaemon(View, frozen=True, kw_only=True):
    """The daemon of a site."""

    state: Literal["running", "not moving", "not running", "never ran"]
    pid: int | None
    host: str
    version: str
    started_at: datetime | None
    spoke_at: datetime | None


class ShownFeed(View, frozen=True, kw_only=True):
    """The progress of the feed."""

    newest_id: int
    complete_to: int
    proved_to: int | None
    proved_at: datetime | None
    answered_at: datetime | None
    waiting: int
    waiting_ranges: int
    given_up: int
    parked: int
    error: str
    error_since: datetime | None
    rewound: str


class NeedLine(View, frozen=True, kw_only=True):
    """One condition that needs a person."""

    kind: str
    plugin: str | None
    text: str
    fix: str


class CallLine(View, frozen=True, kw_only=True):
    """A call that is running."""

    lane: str
    plugin: str
    callback: str
    event_id: int | None
    since: datetime | None


class PluginLine(View, frozen=True, kw_only=True):
    """The progress of one plugin."""

    name: str
    lane: str
    state: str
    reason: str
    behind: int
    behind_s: float
    retry_in_s: float
    dead_letters: int
    last_error: str
    hangs: bool


class OverviewView(View, frozen=True, kw_only=True):
    """A whole state."""

    read_at: datetime | None
    daemon: ShownDaemon
    events: int
    feed: ShownFeed | None
    needs: list[NeedLine]
    calls: list[CallLine]
    plugins: list[PluginLine]


def read_overview_page(visit: Visit, query: NoQuery) -> OverviewView:
    """Read the overview of a site."""
    settings = visit.site.settings
    enabled = frozenset(name for name, table in settings.plugins.items() if table.enabled)
    overview = read_overview(visit.site.state_folder, enabled)
    if overview is None:
        return _view_before_first_run(visit)
    return OverviewView(
        read_at=utc_time(visit.now),
        daemon=_shown_daemon(overview, visit.now),
        events=overview.events,
        feed=_shown_feed(overview, overview.feed, visit.now) if overview.feed else None,
        needs=[
            NeedLine(kind=need.kind, plugin=need.plugin or None, text=need.text, fix=need.fix)
            for need in overview.needs(visit.now)
        ],
        calls=_call_lines(overview),
        plugins=[_plugin_line(plugin) for plugin in overview.plugins],
    )


def _view_before_first_run(visit: Visit) -> OverviewView:
    daemon = ShownDaemon(
        state="never ran", pid=None, host="", version="", started_at=None, spoke_at=None
    )
    text = "Nothing has run on this state yet"
    need = NeedLine(kind="not_running", plugin=None, text=text, fix="start it: sgevents run")
    return OverviewView(
        read_at=utc_time(visit.now),
        daemon=daemon,
        events=0,
        feed=None,
        needs=[need],
        calls=[],
        plugins=[],
    )


def _shown_daemon(overview: Overview, now: float) -> ShownDaemon:
    return ShownDaemon(
        state=daemon_words(overview, now),
        pid=overview.pid,
        host=overview.host,
        version=overview.version,
        started_at=utc_time(overview.started),
        spoke_at=utc_time(overview.pulse.at if overview.pulse else None),
    )


def _shown_feed(overview: Overview, feed: FeedOverview, now: float) -> ShownFeed:
    trouble = overview.pulse.site if overview.pulse else None
    return ShownFeed(
        newest_id=feed.newest_id,
        complete_to=feed.complete_to,
        proved_to=feed.proved_to or None,
        proved_at=utc_time(feed.proved_at),
        answered_at=utc_time(now - feed.answered_s_ago),
        waiting=feed.waiting,
        waiting_ranges=feed.waiting_ranges,
        given_up=feed.given_up,
        parked=feed.parked,
        error=trouble.error if trouble else "",
        error_since=utc_time(trouble.since if trouble else None),
        rewound=feed.rewound,
    )


def _call_lines(overview: Overview) -> list[CallLine]:
    return [
        CallLine(
            lane=call.lane,
            plugin=call.plugin,
            callback=call.callback,
            event_id=call.event_id or None,
            since=utc_time(call.since),
        )
        for call in (overview.pulse.calls if overview.pulse else ())
    ]


def _plugin_line(plugin: PluginOverview) -> PluginLine:
    return PluginLine(
        name=plugin.name,
        lane=plugin.lane,
        state=plugin.state,
        reason=plugin.reason,
        behind=plugin.behind,
        behind_s=plugin.behind_s if plugin.behind else 0.0,
        retry_in_s=plugin.retry_in_s,
        dead_letters=plugin.dead_letters,
        last_error=plugin.last_error,
        hangs=plugin.hangs,
    )


PAGES: Final = (
    Page(
        path="",
        title="Overview",
        summary="Show what needs a person, and how far feed, lanes and plugins have come.",
        template="overview.html",
        view_type=OverviewView,
        read=read_overview_page,
        shared_for=1.0,
    ),
)
