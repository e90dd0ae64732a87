"""The thread that looks at the daemon every few seconds, and lets couriers know what is wrong."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final
from urllib.parse import urlsplit

from sgevents_core.alerts.conditions import Condition, DiskSpace, Picture, conditions_in
from sgevents_core.alerts.grouping import Lasting
from sgevents_core.alerts.heartbeat import Heartbeat
from sgevents_core.alerts.memory import read_announced, write_announced
from sgevents_core.alerts.recipients import Courier, recipients_of
from sgevents_core.alerts.watched_daemon import WatchedDaemon
from sgevents_core.errors import StateError
from sgevents_core.metrics.watched import unready_reason, unwell_reason
from sgevents_core.observe.redaction import Redactor
from sgevents_core.printable import one_line
from sgevents_core.reading.overview import read_overview
from sgevents_core.settings import AlertSettings, Settings
from sgevents_core.settings.spelling import dotted_key
from sgevents_core.state.letters import LetterChoice, LetterGroup
from sgevents_core.state.opening import open_state
from sgevents_core.state.pulse import read_pulse

logger = logging.getLogger("sgevents.alerts")

CHECK_INTERVAL: Final = 2.0
"""Seconds between two looks."""
STALE_AFTER: Final = 60.0
"""Seconds after which the last look no longer shows that all is well."""
CLOSE_SECONDS: Final = 2.0
"""Seconds for the last messages at the end of a run, which a reload waits for too."""


class AlertTable:
    """One table of `[[alerts]]`: which conditions it is about, and whom it tells.

    Args:
        settings: The table.
        couriers: Tell its recipients.
    """

    def __init__(self, settings: AlertSettings, couriers: Sequence[Courier]) -> None:
        self.couriers = couriers
        self._settings = settings
        self._lasting = Lasting(settings.after)
        self.is_well = False
        """Whether nothing of what it is about was wrong at the last look."""

    def look(self, picture: Picture) -> None:
        """Let its recipients know what is wrong in a picture."""
        conditions = [
            condition
            for condition in conditions_in(picture, self._settings.lag)
            if self._is_about(condition)
        ]
        lasting_conditions = self._lasting.filtered(conditions, picture.now)
        self.is_well = not any(condition.ends for condition in lasting_conditions)
        for courier in self.couriers:
            courier.tell(lasting_conditions, is_whole=picture.is_whole)

    def _is_about(self, condition: Condition) -> bool:
        table_plugins = self._settings.plugins
        is_about_plugin = (
            not (table_plugins and condition.plugin) or condition.plugin in table_plugins
        )
        return condition.kind in self._settings.on and is_about_plugin


class AlertWatch:
    """The alerts of a running daemon.

    Args:
        settings: The configuration.
        crashed_at: When the daemon before this one was last alive, if it was not stopped.
    """

    def __init__(self, settings: Settings, crashed_at: float) -> None:
        self._settings = settings
        self._crashed_at = crashed_at
        self._state_folder = settings.state.path
        self._enabled_plugins = frozenset(
            plugin_name for plugin_name, table in settings.plugins.items() if table.enabled
        )
        self._started_at = time.time()
        self._looked_at = float("-inf")
        self._watched_daemon: WatchedDaemon | None = None
        self._letter_groups: tuple[object, list[LetterGroup]] = (None, [])
        self._stopping = threading.Event()
        self._write_lock = threading.Lock()
        self._redact = Redactor.of(settings)
        self._alert_tables: list[AlertTable] = []
        announced = read_announced(self._state_folder)
        for table_index, table in enumerate(settings.alerts):
            couriers = [
                Courier(
                    recipient,
                    site_name=one_line(urlsplit(settings.site.url).hostname or ""),
                    repeat_interval=table.every,
                    announced=announced.get(f"{table_index} {recipient.identity}", {}),
                    redact=self._redact,
                    on_announced=self._keep_announced,
                )
                for recipient in recipients_of(table_index, table.urls)
            ]
            self._alert_tables.append(AlertTable(table, couriers))
        self._heartbeats = list(self._open_heartbeats())
        self._thread = threading.Thread(target=self._run, name="alerts-watch", daemon=True)
        self._thread.start()

    def watch(self, daemon: WatchedDaemon) -> None:
        """Look at a run from now on."""
        self._watched_daemon = daemon

    def close(self) -> None:
        """Tell the last news, for a few seconds at most; the next run tells the rest."""
        self._stopping.set()
        for heartbeat in self._heartbeats:
            heartbeat.close()
        deadline = time.monotonic() + CLOSE_SECONDS
        self._thread.join(CLOSE_SECONDS)
        for table in self._alert_tables:
            for courier in table.couriers:
                courier.close(max(deadline - time.monotonic(), 0.0))

    def _open_heartbeats(self) -> list[Heartbeat]:
        return [
            Heartbeat(
                table_settings.heartbeat,
                key=dotted_key(("alerts", table_index, "heartbeat")),
                interval=table_settings.heartbeat_every,
                is_well=self._well_check(table),
                redact=self._redact,
            )
            for table_index, (table_settings, table) in enumerate(
                zip(self._settings.alerts, self._alert_tables, strict=True)
            )
            if table_settings.heartbeat is not None
        ]

    def _well_check(self, table: AlertTable) -> Callable[[], bool]:
        ready_within = self._settings.metrics.ready_within

        def is_well() -> bool:
            daemon = self._watched_daemon
            is_fresh = time.monotonic() - self._looked_at < STALE_AFTER
            return (
                daemon is not None
                and is_fresh
                and table.is_well
                and not unwell_reason(daemon.parts)
                and not unready_reason(daemon.parts, ready_within)
            )

        return is_well

    def _run(self) -> None:
        is_failing = False
        while not self._stopping.wait(CHECK_INTERVAL if self._looked_at > 0 else 0.2):
            try:
                self._look_at_daemon()
                is_failing = False
            except Exception:  # a mistake of ours must not end alerts
                log_level = logging.DEBUG if is_failing else logging.ERROR
                log_extra = {"action": "alerts.failed"}
                logger.log(
                    log_level, "What is wrong could not be seen", exc_info=True, extra=log_extra
                )
                is_failing = True

    def _look_at_daemon(self) -> None:
        daemon = self._watched_daemon
        picture = self._picture_start() if daemon is None else self._take_picture(daemon)
        if picture is None:
            return
        for table in self._alert_tables:
            table.look(picture)
        self._looked_at = time.monotonic()

    def _picture_start(self) -> Picture | None:
        """Return what is known of a daemon that waits before its start; None if it does not."""
        daemon_pulse = read_pulse(self._state_folder, os.getpid())
        if daemon_pulse is None:
            return None
        return Picture(
            now=time.time(), running_since=self._started_at, overview=None, pulse=daemon_pulse
        )

    def _take_picture(self, daemon: WatchedDaemon) -> Picture:
        try:
            overview = read_overview(self._state_folder, self._enabled_plugins)
            letter_groups = self._read_letters(
                []
                if overview is None
                else [(plugin.name, plugin.dead_letters) for plugin in overview.plugins]
            )
        except StateError:
            overview, letter_groups = None, self._letter_groups[1]
        lanes_of_workers = list(daemon.parts.workers.items())
        return Picture(
            now=time.time(),
            running_since=self._started_at,
            overview=overview,
            letters=letter_groups,
            broken=daemon.broken,
            disk=self._disk_space(),
            worker_deaths={
                lane_name: lane_workers.death_count for lane_name, lane_workers in lanes_of_workers
            },
            crashed_at=self._crashed_at,
            pulse=read_pulse(self._state_folder, os.getpid()),
        )

    def _read_letters(self, letter_counts: list[tuple[str, int]]) -> list[LetterGroup]:
        """Return the groups of dead letters, read anew only if there are more or fewer."""
        if self._letter_groups[0] != letter_counts:
            if not any(letter_count for _, letter_count in letter_counts):
                self._letter_groups = (letter_counts, [])
            else:
                with closing(open_state(self._state_folder).letters()) as letters:
                    self._letter_groups = (letter_counts, letters.groups(LetterChoice()))
        return self._letter_groups[1]

    def _disk_space(self) -> DiskSpace | None:
        try:
            disk_status = os.statvfs(self._state_folder)
        except OSError:
            return None
        return DiskSpace(
            disk_status.f_bavail * disk_status.f_frsize, disk_status.f_blocks * disk_status.f_frsize
        )

    def _keep_announced(self) -> None:
        """Keep what all recipients know of; called by any courier."""
        with self._write_lock:
            announced = {
                f"{table_index} {courier.recipient.identity}": courier.announced
                for table_index, table in enumerate(self._alert_tables)
                for courier in table.couriers
            }
            write_announced(self._state_folder, announced)
