"""Logging the result of loading the plugins."""

from __future__ import annotations

import logging

from sgevents_core.plugins.discovery import Discovery
from sgevents_core.plugins.loading import LEFT_OUT, Loaded
from sgevents_core.printable import counted

logger = logging.getLogger("sgevents.daemon")


def tell_remarks(discovery: Discovery) -> None:
    """Log what should not be among the packages."""
    for remark in discovery.remarks:
        extra = {"action": "plugins.remark"}
        logger.warning("%s; %s", remark.text, remark.fix, extra=extra)


def tell_statuses(loaded: Loaded) -> None:
    """Log what was loaded, what was not and why, and likely mistakes."""
    for status in loaded.statuses:
        extra = {"action": f"plugin.{status.status.replace(' ', '_')}", "plugin": status.name}
        for warning in status.warnings:
            logger.warning("Plugin %s: %s", status.name, warning, extra=extra)
        if status.status == "enabled":
            logger.info(
                "Plugin %s %s: %s, group %s",
                status.name,
                status.version or "",
                counted(status.callbacks or 0, "callback"),
                status.group,
                extra=extra,
            )
        elif status.status == "disabled" and LEFT_OUT in status.reason:
            text = "Plugin %s is left out of this run; its events wait for it"
            told = {"action": "plugin.left_out", "plugin": status.name}
            logger.warning(text, status.name, extra=told)
        elif status.status != "disabled":
            logger.error("Plugin %s", status.told(), extra=extra)
