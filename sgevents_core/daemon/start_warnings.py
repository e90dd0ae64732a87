"""What a start warns of: questionable values, files that others can read, a disk elsewhere."""

from __future__ import annotations

import logging

from sgevents_core.settings import Settings
from sgevents_core.state.disk import NETWORK_FILE_SYSTEMS, detect_file_system
from sgevents_core.state.exposures import state_exposures

logger = logging.getLogger("sgevents.daemon")


def report_warnings(settings: Settings) -> None:
    """Log everything that a person should know about a configuration and its state's folder."""
    for problem in settings.warnings:
        extra = {"action": "config.warning", "key": problem.key}
        logger.warning("%s", problem, extra=extra)
    for exposure in state_exposures(settings.state.path):
        extra = {"action": "state.exposed"}
        logger.warning("%s: %s", exposure.message, exposure.fix, extra=extra)
    file_system_type = detect_file_system(settings.state.path)
    if file_system_type in NETWORK_FILE_SYSTEMS:
        log_text = "The state %s is on a network file system (%s): it belongs on a local disk"
        logger.warning(
            log_text, settings.state.path, file_system_type, extra={"action": "state.not_local"}
        )
