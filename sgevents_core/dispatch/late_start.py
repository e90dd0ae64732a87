"""Plugins whose `startup` failed because the site did not answer; they start once it does."""

from __future__ import annotations

import logging
import random
import time
from typing import NamedTuple

from sgevents_core.calling.context import CallContext, Services
from sgevents_core.calling.describing import describe_error
from sgevents_core.calling.outage import wait_after
from sgevents_core.calling.store import StoreChanges, recorded_changes
from sgevents_core.dispatch.alerting import Announcer, call_hook
from sgevents_core.plugins.loading import LoadedPlugin
from sgevents_core.site.health import SiteHealth, Standing
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.steps import Step

logger = logging.getLogger("sgevents.dispatch")


class Tried(NamedTuple):
    """The outcome of a `startup`: why it failed, None if not; what it changed in its store."""

    error: str | None
    store_changes: StoreChanges | None = None


class LateStart:
    """The late start of one plugin, in its lane's thread; until then it gets no events.

    Args:
        plugin: The plugin.
        services: What its calls share; one of them found that the site did not answer.
        health: The health of the site.
        error: The error of its `startup`, in one line.
    """

    def __init__(
        self, plugin: LoadedPlugin, services: Services, health: SiteHealth, error: str
    ) -> None:
        self.not_before: float | None = None
        self._plugin = plugin
        self._services = services
        self._health = health
        self._error = error
        self._failed = services.contact.failed_at
        self._times = 1
        self._told = 0

    def hold(self, record: PluginRecord) -> None:
        """Record that the plugin waits."""
        record.hold(time.time(), f"its startup waits for the site: {self._error}")

    def at_once(self) -> None:
        """Try at the next turn, whatever the health of the site, because a person asked for it."""
        self.not_before = 0.0

    def turn(self, announcer: Announcer) -> Tried | None:
        """Start the plugin if it is time; return the outcome, None while it waits."""
        now = time.monotonic()
        if self.not_before is None:
            standing = self._health.standing(self._failed)
            if standing is Standing.OWN:
                return Tried(self._error)
            if standing is not Standing.OVER:
                self._wait(standing, announcer)
                return None
            jitter = random.random()  # noqa: S311 - no secret
            self.not_before = now + wait_after(self._times, jitter)
        return None if now < self.not_before else self._start()

    def _wait(self, standing: Standing, announcer: Announcer) -> None:
        if standing is Standing.UNKNOWN and not self._health.is_wanted:
            self._health.want()
        if standing is Standing.DOWN and self._told != self._health.outages:
            self._told = self._health.outages
            announcer.waits_to_start(self._plugin.name, self._error)

    def _start(self) -> Tried | None:
        began = time.monotonic()
        context = CallContext(self._services, None, "startup")
        error = call_hook(context, self._services, self._plugin.hooks, "startup")
        changes = context.end()
        context.release_store()  # until the plugin has started, it is not called
        if error is None:
            return Tried(None, changes)
        self._error = describe_error(error, self._services.redact)[0]
        if self._services.contact.failed_at < began:
            return Tried(self._error)
        self._failed, self._times = self._services.contact.failed_at, self._times + 1
        self.not_before = None
        return None


def late_start_of(
    plugin: LoadedPlugin, services: Services, error: BaseException, began: float
) -> LateStart | None:
    """Return the late start of a plugin whose `startup` failed; None if the site was not the cause.

    Args:
        plugin: The plugin.
        services: What its calls share.
        error: What its `startup` raised.
        began: When that began, in monotonic seconds.
    """
    health = services.contact.health
    if health is None or services.contact.failed_at < began:
        return None
    return LateStart(plugin, services, health, describe_error(error, services.redact)[0])


def settle(tried: Tried, record: PluginRecord) -> Step:
    """Update a plugin's record with the outcome of its late `startup`; return the step to write."""
    step = Step(plugins=[record])
    extra = {"plugin": record.name}
    if tried.error is not None:
        record.fail_to_start(tried.error)
        text = "Plugin %s is broken: its startup failed. It is handed no events and loses none."
        logger.error(text, record.name, extra={"action": "plugin.broken", **extra})
        return step
    record.resume()
    if tried.store_changes:
        step.store = {record.name: recorded_changes(tried.store_changes)}
    text = "Plugin %s has started, now that the site answers"
    logger.info(text, record.name, extra={"action": "plugin.started_late", **extra})
    return step
