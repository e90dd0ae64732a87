"""What `sgevents check` says about `[[alerts]]`."""

from __future__ import annotations

from sgevents_core.alerts.opening import check_addresses
from sgevents_core.cli.findings import Finding
from sgevents_core.errors import ConfigError, ExtraMissingError
from sgevents_core.printable import counted
from sgevents_core.settings import Settings


def alerts_findings(settings: Settings) -> list[Finding]:
    """Return whether the addresses can be used, without calling any; nothing without any."""
    if not settings.alerts:
        return []
    try:
        check_addresses(settings)
    except ExtraMissingError as error:
        return [Finding("alerts", "problem", error.message, error.fix)]
    except ConfigError as error:
        return [
            Finding("alerts", "problem", problem.message, problem.fix, subject=problem.key)
            for problem in error.problems
        ]
    count = sum(len(table.urls) for table in settings.alerts)
    message = (
        f"{counted(count, 'address', 'addresses')} can be used; sgevents alerts test tries them"
    )
    return [Finding("alerts", "ok", message)]
