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


class StartResult(NamedTuple):
    """The outcome of a `startup`: why it failed, None if not; what it changed in its store."""

    error: str | None
    store_changes: StoreChanges | None = None


class LateStart:
    """The late start of one plugin, in its lane's thread; until then it gets no events.

    Args:
        plugin: The plugin.
        services: The services of its calls; one of them found that the site did not answer.
        site_health: The health of the site.
        error_line: The error of its `startup`, in one line.
    """

    def __init__(
        self, plugin: LoadedPlugin, services: Services, site_health: SiteHealth, error_line: str
    ) -> None:
        self.not_before: float | None = None
        self._plugin = plugin
        self._services = services
        self._site_health = site_health
        self._error_line = error_line
        self._failed_at = services.contact.failed_at
        self._try_count = 1
        self._reported_outage = 0

    def hold(self, plugin_record: PluginRecord) -> None:
        """Record that the plugin waits for the site."""
        plugin_record.hold(time.time(), f"its startup waits for the site: {self._error_line}")

    def start_at_once(self) -> None:
        """Try at the next turn, whatever the health of the site, because a person asked for it."""
        self.not_before = 0.0

    def start_if_due(self, announcer: Announcer) -> StartResult | None:
        """Start the plugin if it is time; return the outcome, None while it waits."""
        current_time = time.monotonic()
        if self.not_before is None:
            standing = self._site_health.standing(self._failed_at)
            if standing is Standing.OWN:
                return StartResult(self._error_line)
            if standing is not Standing.OVER:
                self._wait_for_site(standing, announcer)
                return None
            jitter = random.random()  # noqa: S311 - no secret
            self.not_before = current_time + wait_after(self._try_count, jitter)
        return None if current_time < self.not_before else self._start_plugin()

    def _wait_for_site(self, standing: Standing, announcer: Announcer) -> None:
        if standing is Standing.UNKNOWN and not self._site_health.is_wanted:
            self._site_health.want()
        if standing is Standing.DOWN and self._reported_outage != self._site_health.outages:
            self._reported_outage = self._site_health.outages
            announcer.waits_to_start(self._plugin.name, self._error_line)

    def _start_plugin(self) -> StartResult | None:
        began_at = time.monotonic()
        context = CallContext(self._services, None, "startup")
        startup_error = call_hook(context, self._services, self._plugin.hooks, "startup")
        store_changes = context.end()
        context.release_store()  # until the plugin has started, it is not called
        if startup_error is None:
            return StartResult(None, store_changes)
        self._error_line = describe_error(startup_error, self._services.redact)[0]
        if self._services.contact.failed_at < began_at:
            return StartResult(self._error_line)
        self._failed_at, self._try_count = self._services.contact.failed_at, self._try_count + 1
        self.not_before = None
        return None


def late_start_of(
    plugin: LoadedPlugin, services: Services, startup_error: BaseException, began_at: float
) -> LateStart | None:
    """Return the late start of a plugin whose `startup` failed; None if the site was not the cause.

    Args:
        plugin: The plugin.
        services: The services of its calls.
        startup_error: The exception that its `startup` raised.
        began_at: When that began, in monotonic seconds.
    """
    site_health = services.contact.health
    if site_health is None or services.contact.failed_at < began_at:
        return None
    return LateStart(
        plugin, services, site_health, describe_error(startup_error, services.redact)[0]
    )


def settle_start(start_result: StartResult, record: PluginRecord) -> Step:
    """Update a plugin's record with the outcome of its late `startup`; return the step to write."""
    ledger_step = Step(plugins=[record])
    log_fields = {"plugin": record.name}
    if start_result.error is not None:
        record.fail_to_start(start_result.error)
        log_text = "Plugin %s is broken: its startup failed. It is handed no events and loses none."
        logger.error(log_text, record.name, extra={"action": "plugin.broken", **log_fields})
        return ledger_step
    record.resume()
    if start_result.store_changes:
        ledger_step.store = {record.name: recorded_changes(start_result.store_changes)}
    log_text = "Plugin %s has started, now that the site answers"
    logger.info(log_text, record.name, extra={"action": "plugin.started_late", **log_fields})
    return ledger_step
