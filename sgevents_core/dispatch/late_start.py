"""Plugins whose `startup` failed because the site did not answer; they start once it does."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import NamedTuple

from sgevents_core.calling.context import CallContext, Services
from sgevents_core.calling.describing import describe_error
from sgevents_core.calling.late_start import LateStart
from sgevents_core.calling.store import StoreChanges, recorded_changes
from sgevents_core.dispatch.alerting import Announcer, call_hook
from sgevents_core.plugins.loading import LoadedPlugin
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.steps import Step

logger = logging.getLogger("sgevents.dispatch")


class StartResult(NamedTuple):
    """The outcome of a `startup`: why it failed, None if not; what it changed in its store."""

    error: str | None
    store_changes: StoreChanges | None = None


def start_if_due(
    late_start: LateStart, plugin: LoadedPlugin, services: Services, announcer: Announcer
) -> StartResult | None:
    """Start a plugin if it is time; return the outcome, None while it waits.

    Args:
        late_start: Its late start.
        plugin: The plugin.
        services: The services of its calls.
        announcer: Reports that it waits.
    """
    if late_start.is_own_fault:
        return StartResult(late_start.error_line)
    if not late_start.is_due(partial(announcer.waits_to_start, plugin.name)):
        return None
    began_at = time.monotonic()
    context = CallContext(services, None, "startup")
    startup_error = call_hook(context, services, plugin.hooks, "startup")
    store_changes = context.end()
    context.release_store()  # until the plugin has started, it is not called
    if startup_error is None:
        return StartResult(None, store_changes)
    late_start.error_line = describe_error(startup_error, services.redact)[0]
    failed_at = services.contact.failed_at
    if failed_at < began_at:
        return StartResult(late_start.error_line)
    late_start.fail_again(failed_at)
    return None


def late_start_of(
    services: Services, startup_error: BaseException, began_at: float
) -> LateStart | None:
    """Return the late start of a plugin whose `startup` failed; None if the site was not the cause.

    Args:
        services: The services of its calls.
        startup_error: The exception that its `startup` raised.
        began_at: When that began, in monotonic seconds.
    """
    site_health = services.contact.health
    if site_health is None or services.contact.failed_at < began_at:
        return None
    return LateStart(
        site_health,
        services.contact.failed_at,
        describe_error(startup_error, services.redact)[0],
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
