"""The overview of a site: what needs a person, then how far everything has come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Final, Literal

from sgevents_core.console.overview_of_sites import daemon_words
from sgevents_core.console.page import NoQuery, Page, View, Visit, utc_time
from sgevents_core.console.sites import ConsoleSite
from sgevents_core.hosts.presence import HostsOverview
from sgevents_core.reading.overview import FeedOverview, Overview, PluginOverview, read_overview
from sgevents_core.settings import LaneSettings
from sgevents_core.state.opening import open_state
from sgevents_core.state.progress import BEGINNING
from sgevents_core.state.pulse import BlockedLane, RunningCall, RunningWorker

Following = Literal["following", "not following", "unknown"]


class ShownDaemon(View, frozen=True, kw_only=True):
    """The daemon of a site."""

    state: Literal["running", "not moving", "not running", "never ran"]
    following: Following
    """Whether the site's event log is being followed."""
    following_since: datetime | None
    """Since when it is, or is not, as far as known."""
    pid: int | None
    host: str
    version: str
    started_at: datetime | None
    spoke_at: datetime | None


class ShownFeed(View, frozen=True, kw_only=True):
    """The progress of the feed."""

    newest_id: int
    complete_to: int
    """No missing id at or below this one is waited for."""
    proved_to: int | None
    """An audit has shown that nothing is missing at or below this id."""
    proved_at: datetime | None
    answered_at: datetime | None
    waiting: int
    waiting_ranges: int
    given_up: int
    parked: int
    error: str
    rewound: str


class NeedLine(View, frozen=True, kw_only=True):
    """One condition that needs a person."""

    kind: str
    plugin: str | None
    text: str
    fix: str


class CallLine(View, frozen=True, kw_only=True):
    """A call that is running."""

    plugin: str
    callback: str
    event_id: int | None
    since: datetime | None


class WorkerLine(View, frozen=True, kw_only=True):
    """One worker process of a lane."""

    number: int
    state: str
    pid: int | None
    memory: int
    """In bytes; 0 if that is not known."""
    restarts: int
    call: CallLine | None
    trouble: str


class LaneLine(View, frozen=True, kw_only=True):
    """One lane: its workers, how far it is, and what is in hand."""

    name: str
    workers: int
    executor: str
    order_by: str | None
    timeout_s: float | None
    plugins: int
    behind: int
    behind_s: float
    calls: list[CallLine]
    """The calls that have been running for a second or longer."""
    processes: list[WorkerLine]
    """Its worker processes; empty if its callbacks run in threads."""
    blocked: str
    """Why the lane takes in no more events; empty if it does."""
    trouble: str
    """Why its plugins could not be loaded in worker processes; empty if they could."""


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
    failures_in_a_row: int
    last_error: str
    hangs: bool


class HeldLaneLine(View, frozen=True, kw_only=True):
    """A lane that a host has."""

    lane: str
    since: datetime | None


class HostLine(View, frozen=True, kw_only=True):
    """One of the hosts that share the state."""

    name: str
    since: datetime | None
    """Since when it is there, by its own clock."""
    feed_since: datetime | None
    """Since when it follows the site; null if it does not."""
    lanes: list[HeldLaneLine]
    differs: str
    """In what its files differ from what is wanted; empty if they do not."""


class ReloadLine(View, frozen=True, kw_only=True):
    """A reload of all hosts that is not over."""

    asked_on: str
    asked_at: datetime | None
    reloading: str
    """The host that reloads now; empty if none does."""
    waiting: list[str]
    """The hosts that have not reloaded yet, in their order."""
    stopped_on: str
    """The host that could not reload, for which the others wait; empty if all goes well."""
    reason: str


class Lag(View, frozen=True, kw_only=True):
    """How far the slowest of the plugins that are called is behind the newest event read."""

    events: int
    seconds: float
    plugin: str | None


class OverviewView(View, frozen=True, kw_only=True):
    """A whole state."""

    read_at: datetime | None
    daemon: ShownDaemon
    events: int
    feed: ShownFeed | None
    lag: Lag
    needs: list[NeedLine]
    """What needs a person, the most urgent first."""
    lanes: list[LaneLine]
    plugins: list[PluginLine]
    hosts: list[HostLine]
    """The hosts that share the state; empty if this one works at it alone."""
    reload: ReloadLine | None
    """A reload of all of them that is not over."""


def read_overview_page(visit: Visit, query: NoQuery) -> OverviewView:
    """Read the overview of a site."""
    settings = visit.site.settings
    enabled = frozenset(name for name, table in settings.plugins.items() if table.enabled)
    overview = read_overview(visit.site.state_folder, enabled)
    if overview is None:
        return _view_before_first_run(visit)
    plugins = [_plugin_line(plugin) for plugin in overview.plugins]
    return OverviewView(
        read_at=utc_time(visit.now),
        daemon=_shown_daemon(overview, visit.now),
        events=overview.events,
        feed=_shown_feed(overview, overview.feed, visit.now) if overview.feed else None,
        lag=_lag_of(plugins),
        needs=[
            NeedLine(kind=need.kind, plugin=need.plugin or None, text=need.text, fix=need.fix)
            for need in overview.needs(visit.now)
        ],
        lanes=list(_lane_lines(visit.site, overview)),
        plugins=sorted(plugins, key=_urgency),
        hosts=[] if overview.hosts is None else list(_host_lines(overview.hosts)),
        reload=None if overview.hosts is None else _reload_line(overview.hosts),
    )


def _view_before_first_run(visit: Visit) -> OverviewView:
    daemon = ShownDaemon(
        state="never ran",
        following="unknown",
        following_since=None,
        pid=None,
        host="",
        version="",
        started_at=None,
        spoke_at=None,
    )
    text = "Nothing has run on this state yet"
    need = NeedLine(kind="not_running", plugin=None, text=text, fix="start it: sgevents run")
    return OverviewView(
        read_at=utc_time(visit.now),
        daemon=daemon,
        events=0,
        feed=None,
        lag=_lag_of([]),
        needs=[need],
        lanes=[],
        plugins=[],
        hosts=[],
        reload=None,
    )


def _host_lines(hosts: HostsOverview) -> Iterator[HostLine]:
    for host_name, since in hosts.hosts.items():
        held = [work for work in hosts.work if work.host == host_name]
        yield HostLine(
            name=host_name,
            since=utc_time(since),
            feed_since=next((utc_time(work.since) for work in held if not work.lane_name), None),
            lanes=[
                HeldLaneLine(lane=work.lane_name, since=utc_time(work.since))
                for work in held
                if work.lane_name
            ],
            differs=hosts.differences.get(host_name, ""),
        )


def _reload_line(hosts: HostsOverview) -> ReloadLine | None:
    wanted = hosts.wanted
    if wanted is None or not hosts.rolls:
        return None
    return ReloadLine(
        asked_on=wanted.asked_on,
        asked_at=utc_time(wanted.asked_at),
        reloading=wanted.reloading,
        waiting=list(wanted.waiting),
        stopped_on=wanted.stopped_on,
        reason=wanted.reason,
    )


def _shown_daemon(overview: Overview, now: float) -> ShownDaemon:
    state = daemon_words(overview, now)
    following, since = _following(overview, state)
    return ShownDaemon(
        state=state,
        following=following,
        following_since=utc_time(since),
        pid=overview.pid,
        host=overview.host,
        version=overview.version,
        started_at=utc_time(overview.started),
        spoke_at=utc_time(overview.pulse.at if overview.pulse else None),
    )


def _following(overview: Overview, state: str) -> tuple[Following, float]:
    """Return whether the site's log is followed, and since when in seconds since 1970."""
    if overview.pulse is None or state != "running" or overview.feed is None:
        answered_at = overview.pulse.at if overview.pulse else 0.0
        return ("unknown" if state == "running" else "not following"), answered_at
    if overview.pulse.site is not None:
        return "not following", overview.pulse.site.since
    if overview.feed.rewound:
        return "not following", 0.0
    return "following", overview.started


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
        rewound=feed.rewound,
    )


def _lane_lines(site: ConsoleSite, overview: Overview) -> Iterator[LaneLine]:
    """Yield the lanes that have plugins, in the order of their names."""
    lane_names = sorted({plugin.lane for plugin in overview.plugins if plugin.state != "disabled"})
    with closing(open_state(site.state_folder).reader()) as state:
        journal_end = state.end()
        for lane_name in lane_names:
            progress = state.lane_progress(lane_name) or BEGINNING
            oldest_created = state.created_after(progress.finished)
            now = overview.pulse.at if overview.pulse else 0.0
            yield _lane_line(
                lane_name,
                site.settings.lanes.get(lane_name, LaneSettings()),
                overview,
                behind=progress.behind(journal_end),
                behind_s=max(now - oldest_created, 0.0) if oldest_created and now else 0.0,
            )


def _lane_line(
    lane_name: str, settings: LaneSettings, overview: Overview, *, behind: int, behind_s: float
) -> LaneLine:
    pulse = overview.pulse
    process_lanes = [
        lane for lane in (pulse.process_lanes if pulse else ()) if lane.lane == lane_name
    ]
    blocked = [lane for lane in (pulse.blocked if pulse else ()) if lane.lane == lane_name]
    return LaneLine(
        name=lane_name,
        workers=settings.workers,
        executor=settings.executor,
        order_by=settings.order_by,
        timeout_s=settings.timeout,
        plugins=sum(1 for plugin in overview.plugins if plugin.lane == lane_name),
        behind=behind,
        behind_s=behind_s if behind else 0.0,
        calls=[
            _call_line(call) for call in (pulse.calls if pulse else ()) if call.lane == lane_name
        ],
        processes=[_worker_line(worker) for lane in process_lanes for worker in lane.workers],
        blocked=_blocked_text(blocked[0]) if blocked else "",
        trouble=process_lanes[0].trouble if process_lanes else "",
    )


def _call_line(call: RunningCall) -> CallLine:
    return CallLine(
        plugin=call.plugin,
        callback=call.callback,
        event_id=call.event_id or None,
        since=utc_time(call.since),
    )


def _worker_line(worker: RunningWorker) -> WorkerLine:
    return WorkerLine(
        number=worker.number,
        state=worker.state,
        pid=worker.pid,
        memory=worker.memory,
        restarts=worker.restarts,
        call=_call_line(worker.call) if worker.call else None,
        trouble=worker.trouble,
    )


def _blocked_text(lane: BlockedLane) -> str:
    holder = f", which {lane.callback} of {lane.plugin} is handling" if lane.plugin else ""
    return f"takes in no more events until event {lane.event_id} is finished{holder}"


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
        failures_in_a_row=plugin.failures,
        last_error=plugin.last_error,
        hangs=plugin.hangs,
    )


_NOT_CALLED: Final = frozenset({"disabled", "paused", "not loaded", "not started"})
_URGENCY: Final = ("paused", "not started", "not loaded", "held", "catching up", "active")


def _urgency(plugin: PluginLine) -> tuple[bool, int, bool, str]:
    """Return the order of plugins: those in trouble first, those that are disabled last."""
    is_disabled = plugin.state == "disabled"
    rank = _URGENCY.index(plugin.state) if plugin.state in _URGENCY else len(_URGENCY)
    is_well = plugin.failures_in_a_row == 0 and plugin.dead_letters == 0
    return (is_disabled, rank, is_well, plugin.name)


def _lag_of(plugins: list[PluginLine]) -> Lag:
    running = [plugin for plugin in plugins if plugin.state not in _NOT_CALLED]
    slowest = max(running, key=lambda plugin: (plugin.behind, plugin.behind_s), default=None)
    if slowest is None or not slowest.behind:
        return Lag(events=0, seconds=0.0, plugin=None)
    longest_s = max(plugin.behind_s for plugin in running)
    return Lag(events=slowest.behind, seconds=longest_s, plugin=slowest.name)


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
