"""The daemon: it assembles feed, journal and lanes, starts them, and stops them in order."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Container
from contextlib import closing
from datetime import datetime, timezone
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final, Literal, NamedTuple, TypeAlias

from sgevents_core import __version__
from sgevents_core.calling.context import Services
from sgevents_core.crashes.evidence import EvidenceKeeper
from sgevents_core.crashes.loading_deaths import forget_started, known_from, take_stock
from sgevents_core.crashes.loading_watch import LoadingWatch
from sgevents_core.crashes.recovering import condemned, fold, recover
from sgevents_core.crashes.syncing import Syncing
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.overdue import Overdue, hung, not_hung
from sgevents_core.dispatch.plugin_starts import start_plugins, stop_plugins
from sgevents_core.dispatch.vital_signs import VitalSigns, Watched
from sgevents_core.dispatch.wiring import lanes_of, services_of
from sgevents_core.errors import InternalError, SgEventsError, StateError
from sgevents_core.observe.liveness import Liveness
from sgevents_core.observe.logs import look
from sgevents_core.observe.shared import kept_whole
from sgevents_core.observe.systemd import Systemd
from sgevents_core.plugins.discovery import discover
from sgevents_core.plugins.load_watching import LoadingStopped, PluginWatch
from sgevents_core.plugins.loading import Loaded, LoadedPlugin, load
from sgevents_core.plugins.reporting import tell_remarks, tell_statuses
from sgevents_core.printable import counted
from sgevents_core.reload import Reloader
from sgevents_core.requests.inbox import Inbox
from sgevents_core.restarting import CommandLine, end_at_once, execute_anew
from sgevents_core.scripts import Scripts
from sgevents_core.settings import Settings
from sgevents_core.site.ageing import prune
from sgevents_core.site.client import EventLog
from sgevents_core.site.feed import Feed
from sgevents_core.site.health import SiteHealth
from sgevents_core.site.notices import BacklogTimedOut, Notice
from sgevents_core.site.script_lookup import ScriptLookup
from sgevents_core.state.disk import NETWORK, file_system
from sgevents_core.state.lock import StateLock
from sgevents_core.state.openness import state_exposures
from sgevents_core.state.presence import Presence
from sgevents_core.state.sqlite.sqlite_state import SqliteState

logger = logging.getLogger("sgevents.daemon")

Order: TypeAlias = Literal["stop", "reload"]
"""The order that a signal gives to the main thread."""

TICK: Final = 0.2
DRAIN_TICK: Final = 0.02
FEED_ENDS_WITHIN: Final = 2.0
"""Seconds the feed may take to end; a silent site is not waited for, and nothing is lost."""
ALERTS_END_WITHIN: Final = 5.0
PRUNE_EVERY: Final = 600.0


class Remains(NamedTuple):
    """What remains after a drain, for people.

    Args:
        waiting: Ids still waited for.
        apart: Plugins that are held, paused or not started, with the reason for each.
    """

    waiting: int
    apart: tuple[tuple[str, str, str], ...]


class Daemon:
    """The daemon of one site, which passes its events to the enabled plugins.

    Args:
        settings: The configuration.
        drain: Whether to end once every event so far is handled.
        strict: Whether every enabled plugin must load.
        without: Enabled plugins to leave out of this run; their events are kept for them.
        started: How the process was started; None if it cannot be reloaded.
        refused: Why an earlier attempt to replace this process failed; empty if there was none.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        drain: bool = False,
        strict: bool = False,
        without: Container[str] = (),
        started: CommandLine | None = None,
        refused: str = "",
    ) -> None:
        self._refused = refused
        self._settings = settings
        self._drain = drain
        self._strict = strict
        self._without = without
        self._started = started
        # Unlike an Event, its `put` may interrupt its `get`, as a signal does.
        self._orders: SimpleQueue[Order] = SimpleQueue()
        self._reloads = False
        self._watch: LoadingWatch | None = None
        self.hung = False
        """Whether threads of plugins hung when it ended, which may keep the process from ending."""

    @property
    def reloads(self) -> bool:
        """Whether it has ended in order to be executed again, and was not stopped since."""
        while not self._orders.empty():
            self._reloads &= self._orders.get() != "stop"
        return self._reloads

    def stop(self) -> None:
        """Stop after the running callbacks; may be called from a signal handler."""
        self._orders.put("stop")
        if self._watch is not None:
            self._watch.stop()

    def reload(self) -> None:
        """Test the new configuration, and end to restart; may be called from a signal handler."""
        self._orders.put("reload")

    def load(self, watch: PluginWatch | None = None) -> Loaded:
        """Load the plugins as a run does.

        Args:
            watch: Watches the plugins' code; by default it is not watched.

        Raises:
            PluginError: `strict`, and an enabled plugin cannot be used.
            LoadingStopped: The watch was stopped.
        """
        strict, without = self._strict, self._without
        discovery = discover()
        tell_remarks(discovery)
        return load(self._settings, discovery, strict=strict, without=without, watch=watch)

    def run(self) -> Remains:
        """Run until stopped (or drained), and return what remains.

        Raises:
            StateInUse: Another daemon runs on the state.
            StateError: The state cannot be used.
            PluginError: `strict`, and an enabled plugin cannot be used.
            SgEventsError: The feed or a lane cannot continue.
        """
        folder = self._settings.state.path
        with (
            closing(StateLock(folder)),
            closing(Presence(folder)) as presence,
            closing(SqliteState(folder)) as state,
            closing(EvidenceKeeper(folder)) as listener,
            kept_whole(folder),
        ):
            _tell_warnings(self._settings)
            known = known_from(take_stock(folder))
            fold(folder, state)  # keep the last process's record of its calls
            listener.begin()
            give_up, systemd = partial(_give_up, listener, self._started), Systemd()
            try:
                with LoadingWatch(listener, known, give_up=give_up, systemd=systemd) as self._watch:
                    run = self._ready(state, listener, presence)
            except LoadingStopped:
                logger.info("Stopped", extra={"action": "daemon.stopped"})
                return _remains(state, ())
            finally:
                self._watch = None
            remains = run.run(LoadingWatch(listener, give_up=give_up, stops=False, systemd=systemd))
            self._reloads, self.hung = run.reloads, run.hung
            return remains

    def _ready(self, state: SqliteState, listener: EvidenceKeeper, presence: Presence) -> _Run:
        """Load and start the plugins, and assemble everything."""
        loaded = self.load(self._watch)
        tell_statuses(loaded)
        run = _Run(
            self._settings,
            loaded,
            state,
            orders=self._orders,
            listener=listener,
            reloader=Reloader(self._settings, loaded, self._started, self._refused),
            drain=self._drain,
            presence=presence,
        )
        run.assemble(self._watch)
        return run


class _Works(NamedTuple):
    """The parts that work while a daemon runs."""

    plugins: list[LoadedPlugin]
    services: dict[str, Services]
    announcer: Announcer
    lanes: list[Lane]
    feed: Feed
    inbox: Inbox
    lane_threads: list[threading.Thread]
    feed_thread: threading.Thread
    syncing: Syncing
    syncing_thread: threading.Thread


class _Run:
    """One run of the daemon, on a state that it has locked."""

    def __init__(
        self,
        settings: Settings,
        loaded: Loaded,
        state: SqliteState,
        *,
        orders: SimpleQueue[Order],
        listener: EvidenceKeeper,
        reloader: Reloader,
        drain: bool,
        presence: Presence,
    ) -> None:
        self._settings = settings
        self._presence = presence
        self._loaded = loaded
        self._state = state
        self._orders = orders
        self._listener = listener
        self._reloader = reloader
        self.reloads = False
        self.hung = False
        self._drain = drain
        self._systemd = Systemd()
        self._liveness = Liveness(())
        self._pruned_at = time.monotonic()
        self._health = SiteHealth()
        self._shares = True

    def assemble(self, watch: PluginWatch | None) -> None:
        """Recover what the last process left, start the plugins, and assemble everything.

        Raises:
            LoadingStopped: The watch was stopped.
        """
        self._works = self._assembled(watch)

    def run(self, watch: LoadingWatch) -> Remains:
        """Run until the end; `watch` watches the plugins' shutdown."""
        works = self._works
        self._start(works)
        try:
            self._watch(works)
        finally:
            late = self._end(works, watch)
        if works.syncing.error is not None:
            raise works.syncing.error
        _raise_error(works.feed, works.lanes, late)
        logger.info("Stopped", extra={"action": "daemon.stopped"})
        return _remains(self._state, {plugin.name for plugin in self._loaded.plugins})

    def _assembled(self, watch: PluginWatch | None) -> _Works:
        recover(self._settings, self._loaded, self._state)
        given_up = condemned(self._settings, self._loaded, self._state)
        services = services_of(self._settings, self._loaded, self._state, health=self._health)
        plugins = start_plugins(self._loaded, services, self._state, watch)
        forget_started(self._settings.state.path, plugins)
        announcer = Announcer([(services[p.name], p.hooks) for p in plugins])
        hear, open_state = self._listener.hear, self._open_state
        scripts = Scripts(self._state.scripts())
        lanes = lanes_of(
            self._settings, plugins, services, open_state, announcer, hear=hear, scripts=scripts
        )
        feed = self._feed(lanes, announcer, scripts)
        self._health.on_change(partial(_wake, lanes))
        for one in given_up:
            announcer.failed(one.failure, one.event, one.number, one.record)
        self._liveness = Liveness(["feed", *map(_loop_of, lanes)])
        watched = partial(self._liveness.run, "feed", feed.run)
        syncing = Syncing(lanes, self._open_state(), self._presence)
        return _Works(
            plugins=plugins,
            services=services,
            announcer=announcer,
            lanes=lanes,
            feed=feed,
            inbox=Inbox(self._settings.state.path, lanes, feed),
            lane_threads=[self._thread_of(lane) for lane in lanes],
            feed_thread=threading.Thread(target=watched, name="feed", daemon=True),
            syncing=syncing,
            syncing_thread=threading.Thread(target=syncing.run, name="syncing"),
        )

    def _start(self, works: _Works) -> None:
        logger.info(
            "sgevents %s follows %s with %s",
            __version__,
            self._settings.site.url,
            counted(len(works.plugins), "plugin"),
            extra={"action": "daemon.started"},
        )
        self._presence.look()
        works.inbox.poll()  # before the lanes, so that a plugin to be paused gets no event
        for thread in (works.feed_thread, *works.lane_threads, works.syncing_thread):
            thread.start()
        self._systemd.ready()

    def _end(self, works: _Works, watch: LoadingWatch) -> SgEventsError | None:
        """Stop everything in order; return the error if a `shutdown` could not be recorded."""
        if not self.reloads:  # after a reload it is still the same service
            self._systemd.stopping()
        self._reloader.close()
        works.inbox.close()
        _stop(works, self._feed_watchdog)
        works.announcer.close(ALERTS_END_WITHIN)
        self.hung = bool(hung(works.lanes))
        working = not_hung(works.plugins, works.lanes)
        with watch:
            return stop_plugins(working, works.services, self._state, watch)

    def _thread_of(self, lane: Lane) -> threading.Thread:
        body = partial(self._listener.run_lane, lane.name, lane.run)
        watched = partial(self._liveness.run, _loop_of(lane), body)
        return threading.Thread(target=watched, name=f"lane-{lane.name}")

    def _feed_watchdog(self) -> None:
        feed_watchdog(self._systemd, self._liveness, time.monotonic())

    def _open_state(self) -> SqliteState:
        return SqliteState(self._settings.state.path)

    def _feed(self, lanes: list[Lane], announcer: Announcer, scripts: Scripts) -> Feed:
        state = self._open_state()
        lookup = ScriptLookup(scripts, self._settings.script_names, state.keep_scripts)
        return Feed(
            EventLog(self._settings.site, self._settings.feed.fields, lookup),
            state,
            self._settings.feed,
            grown=partial(_wake, lanes),
            told=partial(_announce, announcer),
            health=self._health,
        )

    def _watch(self, works: _Works) -> None:
        """Wait for a signal, an error or, in a drain, the end of the work."""
        restarts = self._reloader.can_restart and not self._drain
        overdue = Overdue(works.lanes, self._state, started=time.monotonic(), restarts=restarts)
        watched = Watched(works.feed, works.lanes, overdue, self._state.feed_trouble)
        with closing(VitalSigns(self._settings.state.path, watched, works.announcer)) as signs:
            self._watch_with(works, overdue, signs)

    def _watch_with(self, works: _Works, overdue: Overdue, signs: VitalSigns) -> None:
        while (order := self._order_within(DRAIN_TICK if self._drain else TICK)) != "stop":
            if order == "reload":
                self._reloader.ask()
            if overdue.look(time.monotonic()):
                self._reloader.leave_hung(time.monotonic())
            if self._reloader.poll():
                self.reloads = True
                return
            errors = [works.feed.error, works.syncing.error, *(lane.error for lane in works.lanes)]
            if any(errors):
                return
            if self._drain and works.feed.idle.is_set() and self._all_handled(works.lanes):
                return
            self._feed_watchdog()
            look()
            signs.look(time.monotonic())
            works.inbox.poll()
            if self._shares:
                self._share_tracebacks()
            if time.monotonic() - self._pruned_at > PRUNE_EVERY:
                self._prune()
                works.inbox.forget(time.time() - self._settings.state.retention)

    def _order_within(self, seconds: float) -> Order | None:
        try:
            return self._orders.get(timeout=seconds)
        except Empty:
            return None

    def _all_handled(self, lanes: list[Lane]) -> bool:
        end = self._state.end()
        return all(lane.caught_up(end) for lane in lanes)

    def _share_tracebacks(self) -> None:
        """Let failures written by an older version share their tracebacks, a slice at a time."""
        try:
            self._shares = self._state.share_tracebacks() > 0
        except StateError as error:
            logger.debug("Tracebacks are not shared yet: %s", error)

    def _prune(self) -> None:
        """Remove what is older than the retention and needed by no enabled plugin."""
        self._pruned_at = time.monotonic()
        enabled = {name for name, table in self._settings.plugins.items() if table.enabled}
        try:
            removed = prune(self._state, enabled, self._settings.state.retention)
        except StateError as error:
            extra = {"action": "journal.not_pruned"}
            logger.warning("%s Old events stay for now.", error, extra=extra)
            return
        if removed:
            told: dict[str, object] = {"action": "journal.pruned", "events": removed}
            logger.info("%s left the journal", counted(removed, "old event"), extra=told)
            self._pruned_at -= PRUNE_EVERY  # continue in the next turn, there may be more


def _give_up(listener: EvidenceKeeper, started: CommandLine | None, stops: bool) -> None:
    """End or replace the process, because its main thread does not return from a plugin."""
    if stops:
        extra = {"action": "daemon.stopped"}
        logger.warning("Stopped in the middle of a plugin that does not return", extra=extra)
        listener.close()
        end_at_once()
    if started is not None:
        text = "A plugin does not return and cannot be ended: starting anew without it"
        logger.error(text, extra={"action": "daemon.starting_anew"})
        try:
            execute_anew(started)
        except OSError as error:
            text = "It cannot be started anew, so it ends here: %s"
            logger.error(text, error, extra={"action": "daemon.starting_anew"})
            end_at_once(1)


def feed_watchdog(systemd: Systemd, liveness: Liveness, now: float) -> None:
    """Feed systemd's watchdog unless a loop hangs; called at every tick of the main thread.

    Args:
        systemd: The service manager.
        liveness: The liveness of the daemon's loops.
        now: The current monotonic time, in seconds.
    """
    if not liveness.hanging(now):
        systemd.feed_watchdog(now)


def _stop(works: _Works, feed_watchdog: Callable[[], None]) -> None:
    works.feed.stop()
    for lane in works.lanes:
        lane.stop()
    extra = {"action": "daemon.stopping"}
    logger.info("Stopping once the running callbacks have returned", extra=extra)
    for thread in works.lane_threads:
        while thread.is_alive():
            thread.join(TICK)
            feed_watchdog()  # a callback may take long
    works.feed_thread.join(FEED_ENDS_WITHIN)
    works.syncing.stop()
    works.syncing_thread.join()


def _loop_of(lane: Lane) -> str:
    """Return the name of the loop of a lane's thread."""
    return f"lane {lane.name}"


def _wake(lanes: list[Lane]) -> None:
    for lane in lanes:
        lane.wake()


def _announce(announcer: Announcer, notice: Notice) -> None:
    if isinstance(notice, BacklogTimedOut):
        noticed = datetime.fromtimestamp(time.time() - notice.age, timezone.utc)
        announcer.timed_out(notice.first, notice.last, noticed, notice.ids)


def _tell_warnings(settings: Settings) -> None:
    for problem in settings.warnings:
        extra = {"action": "config.warning", "key": problem.key}
        logger.warning("%s", problem, extra=extra)
    for exposure in state_exposures(settings.state.path):
        text = "%s: %s"
        told_of = {"action": "state.exposed"}
        logger.warning(text, exposure.message, exposure.fix, extra=told_of)
    kind = file_system(settings.state.path)
    if kind in NETWORK:
        text = "The state %s is on a network file system (%s): it belongs on a local disk"
        logger.warning(text, settings.state.path, kind, extra={"action": "state.not_local"})


def _raise_error(feed: Feed, lanes: list[Lane], late: SgEventsError | None) -> None:
    if feed.error is not None:
        raise feed.error
    for lane in lanes:
        if isinstance(lane.error, SgEventsError):
            raise lane.error
        if lane.error is not None:
            reason = f"{type(lane.error).__name__}: {lane.error}"
            raise InternalError(where=f"lane {lane.name}", reason=reason) from lane.error
    if late is not None:
        raise late


def _remains(state: SqliteState, loaded: Container[str]) -> Remains:
    feed = state.load_feed()
    hot = [m for m in feed.missing if m.hot] if feed else []
    apart = tuple(
        (record.name, record.state, record.reason)
        for record in state.plugins().values()
        if record.state in {"held", "paused"}
        or (record.state == "not started" and record.name in loaded)
    )
    return Remains(sum(m.last - m.first + 1 for m in hot), apart)
