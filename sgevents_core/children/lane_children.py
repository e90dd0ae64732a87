"""The data shared by a lane's worker processes, and the facts that the lane learns from them."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from sgevents_core.calling.context import Services
from sgevents_core.children.lane_lock import LaneLock
from sgevents_core.children.launching import Launcher
from sgevents_core.children.messages import (
    Prepare,
    Prepared,
    SiteReport,
    pickled_with_secrets,
)
from sgevents_core.children.process import END_TIMEOUT, Child, ChildDeath
from sgevents_core.crashes.loading_watch import RETURN_TIMEOUT
from sgevents_core.errors import LoadTimeoutError
from sgevents_core.observe.redaction import Redactor
from sgevents_core.observe.steady_logging import ROOT_LOGGER
from sgevents_core.plugins.load_watching import KnownBroken
from sgevents_core.scripts import Scripts
from sgevents_core.settings import LaneSettings, Settings, format_duration

logger = logging.getLogger("sgevents.dispatch")

START_SECONDS: Final = 30.0
"""Seconds to start an interpreter, besides the time that plugins may take to load."""
MAX_THREAD_DEATHS: Final = 2
"""How often a thread that a plugin has started may end a child before the plugin is left out."""
_FIX_ADVICE: Final = "Fix the plugin, or disable it: enabled = false."
_LOCK_INTERVAL: Final = 0.05
_REPORT_AFTER: Final = 1.0


class LaneChildren:
    """The data shared by the worker processes of a lane.

    Args:
        lane_name: The lane's name.
        settings: The configuration.
        plugin_names: The names of its enabled plugins.
        launcher: Starts processes.
        site_key: The name of the site in `ctx.key`.
        stopping: Set once a stop or a reload waits for running calls.
        known_broken: Plugin -> why it is not loaded.
    """

    def __init__(
        self,
        lane_name: str,
        settings: Settings,
        plugin_names: Sequence[str],
        *,
        launcher: Launcher,
        site_key: str,
        stopping: threading.Event | None = None,
        known_broken: Mapping[str, KnownBroken] | None = None,
    ) -> None:
        self.name = lane_name
        self.plugins = tuple(plugin_names)
        self.known_broken: dict[str, KnownBroken] = dict(known_broken or {})
        self.services: Mapping[str, Services] = {}
        """The services that each plugin's calls share, once they are known."""
        self.scripts: Scripts | None = None
        self.stopping = threading.Event() if stopping is None else stopping
        self.redact = Redactor.of(settings)
        self.table = settings.lanes.get(lane_name, LaneSettings())
        self.blames_kills = False
        """Whether a plugin is left out at whose step processes were killed again and again.

        Until the lane was loaded once, or has failed for long, it may be somebody's doing.
        """
        self._settings = settings
        self._launcher = launcher
        self._lane_lock = LaneLock(settings.state.path, lane_name)
        self._site_key = site_key
        self._started_plugins: list[str] = []
        self._thread_deaths: dict[str, int] = {}
        lane_settings = replace(
            settings,
            plugins={plugin_name: settings.plugins[plugin_name] for plugin_name in plugin_names},
        )
        self._pickled_settings = pickled_with_secrets(lane_settings)
        load_timeouts = sum(
            lane_settings.plugins[plugin_name].load_timeout + RETURN_TIMEOUT
            for plugin_name in plugin_names
        )
        self.end_timeout = END_TIMEOUT + load_timeouts
        """Seconds that a child may take to end, with its plugins' `shutdown`."""
        self.preparation_timeout = START_SECONDS + 3 * load_timeouts
        """Seconds after which a child that still prepares hangs outside plugins' steps."""

    def await_old(self) -> None:
        """Wait until no worker process of an earlier daemon is left.

        They end with their daemon; one that the system cannot end yet keeps the lane waiting.

        Raises:
            StateError: The lock's file cannot be opened.
        """
        began_at, has_reported = time.monotonic(), False
        while not self._lane_lock.is_free():
            if not has_reported and time.monotonic() - began_at > _REPORT_AFTER:
                has_reported = True
                logger.warning(
                    "Lane %s waits: a worker process of an earlier daemon has not ended yet",
                    self.name,
                    extra={"action": "lane.waits_for_children", "lane": self.name},
                )
            time.sleep(_LOCK_INTERVAL)

    def launch(self) -> Child:
        """Start a child, which then has to be prepared.

        Raises:
            OSError: The system has no room for one.
            StateError: The lock's file cannot be opened.
        """
        launched = self._launcher.launch(self.name, self._lane_lock)
        return Child(launched, self.redact, self._report_site)

    def preparation(self) -> Prepare:
        """Return the message with which a child begins."""
        return Prepare(
            lane=self.name,
            settings=self._pickled_settings,
            search_path=list(sys.path),
            site_key=self._site_key,
            known=self.known_broken,
            started=[
                plugin_name
                for plugin_name in self._started_plugins
                if plugin_name not in self.known_broken
            ],
            logs_every_call=logging.getLogger(ROOT_LOGGER).isEnabledFor(logging.DEBUG),
        )

    def note_prepared(self, prepared: Prepared) -> None:
        """Record the plugins, errors and secrets that a child reports after loading."""
        self.blames_kills = True
        for learned_secret in prepared.learned:
            self._settings.learned_secrets.add_text(learned_secret)

    def take_over(self, ended: LaneChildren) -> None:
        """Prepare to restart a lane whose processes ended: plugins that had started start again."""
        self.services, self.scripts = ended.services, ended.scripts
        self._started_plugins = [name for name in ended._started_plugins if name in self.plugins]

    def note_started(self, plugin_name: str) -> None:
        """Note that a plugin has started: later children call its `startup` themselves."""
        if plugin_name not in self._started_plugins:
            self._started_plugins.append(plugin_name)

    def note_stopped(self, plugin_name: str) -> None:
        """Note that a plugin was shut down: later children wait until it is started again."""
        if plugin_name in self._started_plugins:
            self._started_plugins.remove(plugin_name)

    def leave_out(self, child_death: ChildDeath) -> bool:
        """Leave out the plugin in whose step a child died while it prepared.

        Return False if that plugin cannot be identified.
        """
        loading_step = child_death.step
        if (
            loading_step is None
            or loading_step.plugin_name in self.known_broken
            or loading_step.plugin_name not in self.plugins
        ):
            return False
        load_timeout = self._settings.plugins[loading_step.plugin_name].load_timeout
        if child_death.timed_out:
            timeout_error = LoadTimeoutError(
                doing=loading_step.activity, within=format_duration(load_timeout)
            )
            broken_reason = KnownBroken(
                timeout_error.reason.rstrip("."), timeout_error.fix, child_death.traceback
            )
        else:
            reason = f"it ends its process in this step: {loading_step.activity}; {child_death.how}"
            broken_reason = KnownBroken(reason, _FIX_ADVICE, child_death.traceback)
        self.known_broken[loading_step.plugin_name] = broken_reason._replace(
            reason=self.redact(broken_reason.reason)
        )
        self._report_left_out(loading_step.plugin_name)
        return True

    def note_thread_death(self, child_death: ChildDeath) -> None:
        """Count a child's death by a thread that a plugin has started; leave out such a plugin."""
        if child_death.step is None or child_death.is_of_call:
            return
        plugin_name = child_death.step.plugin_name
        self._thread_deaths[plugin_name] = self._thread_deaths.get(plugin_name, 0) + 1
        if self._thread_deaths[plugin_name] >= MAX_THREAD_DEATHS:
            self.leave_out(child_death)

    def _report_left_out(self, plugin_name: str) -> None:
        logger.error(
            "Plugin %s is left out of the worker processes of lane %s: %s",
            plugin_name,
            self.name,
            self.known_broken[plugin_name].reason,
            extra={
                "action": "worker.leaves_out",
                "plugin": plugin_name,
                "lane": self.name,
                "traceback": self.known_broken[plugin_name].traceback,
            },
        )

    def _report_site(self, site_report: SiteReport) -> None:
        services = self.services.get(site_report.plugin)
        if services is not None:
            services.contact.take_report(
                is_waiting=site_report.waits,
                begins=site_report.begins,
                failed_at=site_report.failed,
                answered_began=site_report.answered,
            )
