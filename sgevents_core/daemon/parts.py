"""The parts that work while a daemon runs: what they are, and how they are put together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial

from sgevents_core.calling.context import Services
from sgevents_core.calling.own_thread import worker_label
from sgevents_core.children.daemon_children import Children
from sgevents_core.crashes.evidence import EvidenceRecorder
from sgevents_core.crashes.loading_deaths import forget_started_plugins
from sgevents_core.crashes.recovering import give_up_fatal_calls, recover
from sgevents_core.crashes.syncing import ProgressSyncer
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.divided_lane import DividedLane
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.plugin_starts import start_plugins
from sgevents_core.dispatch.wiring import lanes_of, services_of
from sgevents_core.observe.liveness import Liveness
from sgevents_core.plugins.load_watching import PluginWatch
from sgevents_core.plugins.loading import Loaded, LoadedPlugin
from sgevents_core.requests.inbox import Inbox
from sgevents_core.scripts import Scripts
from sgevents_core.settings import Settings
from sgevents_core.site.client import EventLog
from sgevents_core.site.feed import Feed
from sgevents_core.site.health import SiteHealth
from sgevents_core.site.notices import BacklogTimedOut, Notice
from sgevents_core.site.script_lookup import ScriptLookup
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Presence, Writer


@dataclass(frozen=True)
class Parts:
    """The parts of one run.

    Args:
        plugins: The plugins that were started.
        services: What the calls of each plugin share, by the plugin's name.
        announcer: Reports failures to people and plugins.
        lanes: The lanes.
        feed: The feed.
        inbox: Hands people's requests to the lanes and the feed.
        syncing: Flushes to disk what was recorded.
        children: The worker processes; it also knows whether a stop waits for running calls.
        liveness: Knows when the loops of the feed and the lanes last turned.
        lane_threads: The threads of the lanes.
        feed_thread: The thread of the feed.
        syncing_thread: The thread of `syncing`.
    """

    plugins: Sequence[LoadedPlugin]
    services: dict[str, Services]
    announcer: Announcer
    lanes: Sequence[Lane]
    feed: Feed
    inbox: Inbox
    syncing: ProgressSyncer
    children: Children
    liveness: Liveness
    lane_threads: Sequence[threading.Thread]
    feed_thread: threading.Thread
    syncing_thread: threading.Thread


class Assembly:
    """Puts the parts of one run together, on a state that the process has locked.

    Args:
        settings: The configuration.
        loaded: The loaded plugins.
        state: The connection of the main thread.
        keeper: Keeps evidence of whose call ends the process.
        presence: Shows that this machine runs the daemon.
        children: The worker processes.
    """

    def __init__(
        self,
        settings: Settings,
        loaded: Loaded,
        state: Writer,
        *,
        keeper: EvidenceRecorder,
        presence: Presence,
        children: Children,
    ) -> None:
        self._settings = settings
        self._loaded = loaded
        self._state = state
        self._keeper = keeper
        self._presence = presence
        self._health = SiteHealth()
        self._home = open_state(settings.state.path)
        self._children = children

    def assemble(self, watch: PluginWatch | None) -> Parts:
        """Recover what the last process left, start the plugins, and return all parts.

        Raises:
            LoadingStopped: The watch was stopped.
        """
        settings, state = self._settings, self._state
        recover(settings, self._loaded, state)
        given_up = give_up_fatal_calls(settings, self._loaded, state)
        services = services_of(
            settings, self._loaded, state, health=self._health, stopping=self._children.stopping
        )
        scripts = Scripts(state.scripts())
        self._children.connect(services, scripts)
        plugins = start_plugins(self._loaded, services, state, watch)
        self._children.warm_up()
        forget_started_plugins(settings.state.path, plugins)
        announcer = Announcer([(services[plugin.name], plugin.hooks) for plugin in plugins])
        lanes = lanes_of(
            settings,
            plugins,
            services,
            self._home.lane_writer,
            announcer,
            hear=self._keeper.attribute_to_lane,
            scripts=scripts,
            executors=self._children.lanes,
        )
        feed = self._feed(lanes, announcer, scripts)
        self._health.on_change(partial(_wake, lanes))
        for one in given_up:
            announcer.failed(one.failure, one.event, one.failure_number, one.plugin_record)
        liveness = Liveness(["feed", *(loop for lane in lanes for loop in _loops_of(lane))])
        syncing = ProgressSyncer(lanes, self._home.lane_writer(), self._presence)
        feed_loop = partial(liveness.run, "feed", feed.run)
        return Parts(
            plugins=plugins,
            services=services,
            announcer=announcer,
            lanes=lanes,
            feed=feed,
            inbox=Inbox(settings.state.path, lanes, feed),
            syncing=syncing,
            children=self._children,
            liveness=liveness,
            lane_threads=[self._thread_of(lane, liveness) for lane in lanes],
            feed_thread=threading.Thread(target=feed_loop, name="feed", daemon=True),
            syncing_thread=threading.Thread(target=syncing.run, name="syncing"),
        )

    def _thread_of(self, lane: Lane, liveness: Liveness) -> threading.Thread:
        if isinstance(lane, DividedLane):
            lane.around = partial(self._run_worker, lane, liveness)
        body = partial(self._keeper.run_lane, lane.name, lane.run)
        lane_loop = partial(liveness.run, _loop_of(lane), body)
        return threading.Thread(target=lane_loop, name=f"lane-{lane.name}")

    def _run_worker(
        self, lane: Lane, liveness: Liveness, number: int, body: Callable[[], None]
    ) -> None:
        """Run the body of a worker's thread, and attribute what it does to the worker."""
        body = partial(self._keeper.run_lane, worker_label(lane.name, number), body)
        liveness.run(_worker_loop(lane, number), body)

    def _feed(self, lanes: Sequence[Lane], announcer: Announcer, scripts: Scripts) -> Feed:
        state = self._home.feed_writer()
        lookup = ScriptLookup(scripts, self._settings.script_names, state.keep_scripts)
        return Feed(
            EventLog(self._settings.site, self._settings.feed.fields, lookup),
            state,
            self._settings.feed,
            grown=partial(_wake, lanes),
            told=partial(_announce, announcer),
            health=self._health,
        )


def _loop_of(lane: Lane) -> str:
    """Return the name of the loop of a lane's thread."""
    return f"lane {lane.name}"


def _worker_loop(lane: Lane, number: int) -> str:
    """Return the name of the loop of a worker's thread."""
    return f"worker {number} of lane {lane.name}"


def _loops_of(lane: Lane) -> list[str]:
    """Return the names of the loops of a lane's threads."""
    workers = lane.workers if isinstance(lane, DividedLane) else 0
    return [_loop_of(lane), *(_worker_loop(lane, number + 1) for number in range(workers))]


def _wake(lanes: Sequence[Lane]) -> None:
    for lane in lanes:
        lane.wake()


def _announce(announcer: Announcer, notice: Notice) -> None:
    if isinstance(notice, BacklogTimedOut):
        noticed_at = datetime.fromtimestamp(time.time() - notice.age, timezone.utc)
        announcer.timed_out(notice.first, notice.last, noticed_at, notice.ids)
