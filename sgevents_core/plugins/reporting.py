"""Logging the result of loading the plugins."""

from __future__ import annotations

import logging

from sgevents_core.plugins.discovery import Discovery
from sgevents_core.plugins.loading import LEFT_OUT, Loaded
from sgevents_core.printable import counted

logger = logging.getLogger("sgevents.daemon")


def log_remarks(discovery: Discovery) -> None:
    """Log the leftover folders that do not belong in site-packages."""
    for install_remark in discovery.remarks:
        record_fields = {"action": "plugins.remark"}
        logger.warning("%s; %s", install_remark.text, install_remark.fix, extra=record_fields)


def log_statuses(loaded: Loaded) -> None:
    """Log the loaded plugins, those that failed and why, and likely mistakes."""
    for status in loaded.statuses:
        record_fields = {
            "action": f"plugin.{status.status.replace(' ', '_')}",
            "plugin": status.name,
        }
        for warning in status.warnings:
            logger.warning("Plugin %s: %s", status.name, warning, extra=record_fields)
        if status.status == "enabled":
            logger.info(
                "Plugin %s %s: %s, group %s",
                status.name,
                status.version or "",
                counted(status.callbacks or 0, "callback"),
                status.group,
                extra=record_fields,
            )
        elif status.status == "disabled" and LEFT_OUT in status.reason:
            message = "Plugin %s is left out of this run; its events wait for it"
            left_out_fields = {"action": "plugin.left_out", "plugin": status.name}
            logger.warning(message, status.name, extra=left_out_fields)
        elif status.status != "disabled":
            logger.error("Plugin %s", status.summary(), extra=record_fields)
