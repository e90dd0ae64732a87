"""The worker processes of one lane: what each of them needs, and what the lane learns from them."""

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
    ScriptsLearned,
    SiteReport,
    pickled_with_secrets,
)
from sgevents_core.children.process import ENDS_WITHIN, Child, ChildDeath
from sgevents_core.crashes.loading_watch import RETURN_TIMEOUT
from sgevents_core.errors import LoadTimeoutError
from sgevents_core.observe.redaction import Redactor
from sgevents_core.observe.steady_logging import ROOT_LOGGER
from sgevents_core.plugins.load_watching import KnownBroken
from sgevents_core.scripts import Scripts
from sgevents_core.settings import LaneSettings, Settings, format_duration

logger = logging.getLogger("sgevents.dispatch")

SLACK: Final = 30.0
"""Seconds to start an interpreter, besides the time that plugins may take to load."""
MOST_THREAD_DEATHS: Final = 2
"""How often a thread that a plugin has started may end a child before the plugin is left out."""
_FIX: Final = "Mend the plugin, or disable it: enabled = false."
_LOOKS_EVERY: Final = 0.05
_SAYS_AFTER: Final = 1.0


class LaneChildren:
    """What the worker processes of a lane share.

    Args:
        name: The lane's name.
        settings: The configuration.
        plugins: The names of its enabled plugins.
        launcher: Starts processes.
        site_key: The name of the site in `ctx.key`.
        stopping: Set once a stop or a reload waits for running calls.
        known: Plugin -> why it is not loaded.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        plugins: Sequence[str],
        *,
        launcher: Launcher,
        site_key: str,
        stopping: threading.Event | None = None,
        known: Mapping[str, KnownBroken] | None = None,
    ) -> None:
        self.name = name
        self.plugins = tuple(plugins)
        self.known: dict[str, KnownBroken] = dict(known or {})
        self.services: Mapping[str, Services] = {}
        """What the calls of each plugin share, once that is known."""
        self.scripts: Scripts | None = None
        self.stopping = threading.Event() if stopping is None else stopping
        self.redact = Redactor.of(settings)
        self.table = settings.lanes.get(name, LaneSettings())
        self._settings = settings
        self._launcher = launcher
        self._lock = LaneLock(settings.state.path, name)
        self._site_key = site_key
        self._started: list[str] = []
        self._thread_deaths: dict[str, int] = {}
        own = replace(settings, plugins={one: settings.plugins[one] for one in plugins})
        self._pickled = pickled_with_secrets(own)
        load_timeouts = sum(own.plugins[one].load_timeout + RETURN_TIMEOUT for one in plugins)
        self.ends_within = ENDS_WITHIN + load_timeouts
        """Seconds that a child may take to end, with its plugins' `shutdown`."""
        self.patience = SLACK + 3 * load_timeouts
        """Seconds after which a child that still prepares hangs outside plugins' steps."""

    def await_old(self) -> None:
        """Wait until no worker process of an earlier daemon is left.

        They end with their daemon; one that the system cannot end yet keeps the lane waiting.

        Raises:
            StateError: The lock's file cannot be opened.
        """
        began, has_said = time.monotonic(), False
        while not self._lock.is_free():
            if not has_said and time.monotonic() - began > _SAYS_AFTER:
                has_said = True
                logger.warning(
                    "Lane %s waits: a worker process of an earlier daemon has not ended yet",
                    self.name,
                    extra={"action": "lane.waits_for_children", "lane": self.name},
                )
            time.sleep(_LOOKS_EVERY)

    def launch(self) -> Child:
        """Start a child, which then has to be prepared.

        Raises:
            OSError: The system has no room for one.
            StateError: The lock's file cannot be opened.
        """
        launched = self._launcher.launch(self.name, self._lock)
        return Child(launched, self.redact, self._report_site)

    def preparation(self) -> Prepare:
        """Return the message with which a child begins."""
        return Prepare(
            lane=self.name,
            settings=self._pickled,
            search_path=list(sys.path),
            site_key=self._site_key,
            known=self.known,
            started=[name for name in self._started if name not in self.known],
            logs_every_call=logging.getLogger(ROOT_LOGGER).isEnabledFor(logging.DEBUG),
        )

    def note_prepared(self, prepared: Prepared) -> None:
        """Learn what a child found while it loaded the plugins."""
        for text in prepared.learned:
            self._settings.learned_secrets.add_text(text)

    def take_over(self, ended: LaneChildren) -> None:
        """Continue for a lane whose processes have ended: what had started starts in each again."""
        self.services, self.scripts = ended.services, ended.scripts
        self._started = [name for name in ended._started if name in self.plugins]

    def note_started(self, plugin: str) -> None:
        """Note that a plugin has started: later children call its `startup` themselves."""
        if plugin not in self._started:
            self._started.append(plugin)

    def scripts_learned(self) -> ScriptsLearned | None:
        """Return the names of the site's scripts; None if there are none to tell."""
        if self.scripts is None:
            return None
        return ScriptsLearned(names=self.scripts.names, ids=self.scripts.ids)

    def leave_out(self, death: ChildDeath) -> bool:
        """Leave out the plugin in whose step a child died while it prepared.

        Return False if it is not known which that is.
        """
        step = death.step
        if step is None or step.plugin_name in self.known or step.plugin_name not in self.plugins:
            return False
        limit = self._settings.plugins[step.plugin_name].load_timeout
        if death.timed_out:
            error = LoadTimeoutError(doing=step.activity, within=format_duration(limit))
            known = KnownBroken(error.reason.rstrip("."), error.fix, death.traceback)
        else:
            reason = f"it ends its worker process in this: {step.activity}; {death.how}"
            known = KnownBroken(reason, _FIX, death.traceback)
        self.known[step.plugin_name] = known._replace(reason=self.redact(known.reason))
        self._say_left_out(step.plugin_name)
        return True

    def note_thread_death(self, death: ChildDeath) -> None:
        """Count a child's death by a thread that a plugin has started; leave out such a plugin."""
        if death.step is None or death.is_of_call:
            return
        plugin = death.step.plugin_name
        self._thread_deaths[plugin] = self._thread_deaths.get(plugin, 0) + 1
        if self._thread_deaths[plugin] >= MOST_THREAD_DEATHS:
            self.leave_out(death)

    def _say_left_out(self, plugin: str) -> None:
        logger.error(
            "Plugin %s is left out of the worker processes of lane %s: %s",
            plugin,
            self.name,
            self.known[plugin].reason,
            extra={
                "action": "worker.leaves_out",
                "plugin": plugin,
                "lane": self.name,
                "traceback": self.known[plugin].traceback,
            },
        )

    def _report_site(self, report: SiteReport) -> None:
        services = self.services.get(report.plugin)
        if services is not None:
            services.contact.take_report(
                is_waiting=report.waits, failed_at=report.failed, answered_began=report.answered
            )
