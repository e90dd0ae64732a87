"""The daemon: puts feed, journal and lanes together, starts them, stops them in order."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from types import FrameType
from typing import Final, NamedTuple

from sgevents_core import __version__
from sgevents_core.dispatch.alerting import Announcer, call_hook
from sgevents_core.dispatch.assembly import (
    keep_store,
    lanes_of,
    recover,
    services_of,
    start_plugins,
)
from sgevents_core.dispatch.context import Services
from sgevents_core.dispatch.lane import Lane
from sgevents_core.errors import SgEventsError, StateError
from sgevents_core.journal.lock import StateLock
from sgevents_core.journal.sqlite import SqliteState
from sgevents_core.plugins.discovery import discover
from sgevents_core.plugins.loading import Loaded, LoadedPlugin, load
from sgevents_core.settings import Settings
from sgevents_core.site.client import EventLog
from sgevents_core.site.feed import Feed
from sgevents_core.site.gaps import Notice

logger = logging.getLogger("sgevents.daemon")

TICK: Final = 0.2
DRAIN_TICK: Final = 0.02
FEED_ENDS_WITHIN: Final = 2.0
"""Seconds the feed may take to end; a silent site is not waited for, nothing of it is lost."""
ALERTS_END_WITHIN: Final = 5.0
PRUNE_EVERY: Final = 600.0


class Remains(NamedTuple):
    """What a drained daemon leaves behind, for people.

    Args:
        waiting: Ids still waited for.
        apart: Plugins that are held or paused, with the reason.
    """

    waiting: int
    apart: tuple[tuple[str, str, str], ...]


class Daemon:
    """Runs one site's events through the enabled plugins.

    Args:
        settings: The configuration.
        drain: Whether to end when everything there is was handled.
        strict: Whether every enabled plugin has to load.

    Raises:
        StateInUse: Another daemon runs on the state.
        StateError: The state cannot be used.
        PluginError: `strict`, and an enabled plugin cannot be used.
    """

    def __init__(self, settings: Settings, *, drain: bool = False, strict: bool = False) -> None:
        self._settings = settings
        self._drain = drain
        self._stop = threading.Event()
        self._lock = StateLock(settings.state.path)
        try:
            self._state = SqliteState(settings.state.path)
            self._loaded = load(settings, discover(), strict=strict)
        except BaseException:
            self._lock.close()
            raise
        self._pruned_at = time.monotonic()

    def stop(self) -> None:
        """Stop after the callbacks in hand."""
        self._stop.set()

    def run(self) -> Remains:
        """Run until stopped (or drained), and return what remains.

        Raises:
            SgEventsError: The feed or a lane cannot go on.
        """
        try:
            return self._run()
        finally:
            self._state.close()
            self._lock.close()

    def _run(self) -> Remains:
        _tell_statuses(self._loaded)
        recover(self._settings, self._loaded, self._state)
        services = services_of(self._settings, self._loaded, self._state)
        plugins = start_plugins(self._loaded, services, self._state)
        announcer = Announcer([(services[p.name], p.hooks) for p in plugins])
        lanes = lanes_of(self._settings, plugins, services, self._open_state, announcer)
        feed = self._feed(lanes, announcer)
        threads = [threading.Thread(target=lane.run, name=f"lane-{lane.name}") for lane in lanes]
        feed_thread = threading.Thread(target=feed.run, name="feed", daemon=True)
        logger.info(
            "sgevents %s follows %s with %d plugin(s)",
            __version__,
            self._settings.site.url,
            len(plugins),
            extra={"action": "daemon.started"},
        )
        for thread in (feed_thread, *threads):
            thread.start()
        try:
            self._watch(feed, lanes)
        finally:
            self._end(feed, feed_thread, lanes, threads)
            self._shut_down(plugins, services)
            announcer.close(ALERTS_END_WITHIN)
        _raise_error(feed, lanes)
        logger.info("Stopped", extra={"action": "daemon.stopped"})
        return _remains(self._state)

    def _open_state(self) -> SqliteState:
        return SqliteState(self._settings.state.path)

    def _feed(self, lanes: list[Lane], announcer: Announcer) -> Feed:
        return Feed(
            EventLog(self._settings.site, self._settings.feed.fields),
            self._open_state(),
            self._settings.feed,
            grown=partial(_wake, lanes),
            told=partial(_announce, announcer),
        )

    def _watch(self, feed: Feed, lanes: list[Lane]) -> None:
        """Wait for a signal, an error, or in a drain for the end of the work."""
        while not self._stop.wait(DRAIN_TICK if self._drain else TICK):
            if feed.error or any(lane.error for lane in lanes):
                return
            if self._drain and feed.idle.is_set() and self._all_handled(lanes):
                return
            if time.monotonic() - self._pruned_at > PRUNE_EVERY:
                self._prune()

    def _all_handled(self, lanes: list[Lane]) -> bool:
        end = self._state.end()
        return all(lane.caught_up(end) for lane in lanes)

    def _prune(self) -> None:
        """Remove what is older than the retention and needed by no enabled plugin."""
        self._pruned_at = time.monotonic()
        feed = self._state.load_feed()
        if feed is None:
            return
        enabled = {name for name, table in self._settings.plugins.items() if table.enabled}
        before = int(feed.state.anchor_at - self._settings.state.retention)
        removed = self._state.prune(before, self._state.lowest_cursor(enabled) + 1)
        if removed:
            extra = {"action": "journal.pruned", "events": removed}
            logger.info("%d old event(s) left the journal", removed, extra=extra)

    def _end(
        self,
        feed: Feed,
        feed_thread: threading.Thread,
        lanes: list[Lane],
        threads: list[threading.Thread],
    ) -> None:
        feed.stop()
        for lane in lanes:
            lane.stop()
        for thread in threads:
            thread.join()
        feed_thread.join(FEED_ENDS_WITHIN)

    def _shut_down(self, plugins: list[LoadedPlugin], services: dict[str, Services]) -> None:
        for plugin in plugins:
            own = services[plugin.name]
            if call_hook(own, plugin.hooks, "shutdown") is None:
                keep_store(plugin, own, self._state)


@contextmanager
def stopped_by_signals(daemon: Daemon) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM stop the daemon in order; a second one ends it at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        daemon.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wake(lanes: list[Lane]) -> None:
    for lane in lanes:
        lane.wake()


def _announce(announcer: Announcer, notice: Notice) -> None:
    if notice.action == "feed.timeout_elapsed":
        first, last = notice.detail["event_id"], notice.detail["last_event_id"]
        noticed = datetime.fromtimestamp(time.time() - notice.detail["age_s"], timezone.utc)
        announcer.timed_out(first, last, noticed)


def _tell_statuses(loaded: Loaded) -> None:
    for status in loaded.statuses:
        extra = {"action": f"plugin.{status.status.replace(' ', '_')}", "plugin": status.name}
        for warning in status.warnings:
            logger.warning("Plugin %s: %s", status.name, warning, extra=extra)
        if status.status == "enabled":
            logger.info(
                "Plugin %s %s: %s callback(s), group %s",
                status.name,
                status.version or "",
                status.callbacks,
                status.group,
                extra=extra,
            )
        elif status.status != "disabled":
            text = "Plugin %s is %s: %s %s"
            logger.error(text, status.name, status.status, status.reason, status.fix, extra=extra)


def _raise_error(feed: Feed, lanes: list[Lane]) -> None:
    if feed.error is not None:
        raise feed.error
    for lane in lanes:
        if isinstance(lane.error, SgEventsError):
            raise lane.error
        if lane.error is not None:
            reason = f"lane {lane.name} failed: {type(lane.error).__name__}: {lane.error}"
            raise StateError(path="lanes", reason=reason) from lane.error


def _remains(state: SqliteState) -> Remains:
    feed = state.load_feed()
    hot = [m for m in feed.missing if m.hot] if feed else []
    apart = tuple(
        (record.name, record.state, record.reason)
        for record in state.plugins().values()
        if record.state != "active"
    )
    return Remains(sum(m.last - m.first + 1 for m in hot), apart)
