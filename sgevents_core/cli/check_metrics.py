"""What `sgevents check` says about `[metrics]`."""

from __future__ import annotations

from sgevents_core.cli.findings import Finding
from sgevents_core.errors import ExtraMissingError
from sgevents_core.metrics.opening import check_extra
from sgevents_core.settings import Settings


def metrics_findings(settings: Settings) -> list[Finding]:
    """Return whether the daemon can answer monitoring; nothing if it is not to."""
    listen = settings.metrics.listen
    if listen is None:
        return []
    try:
        check_extra(settings)
    except ExtraMissingError as error:
        return [Finding("metrics", "problem", error.message, error.fix)]
    return [Finding("metrics", "ok", f"a run answers http://{listen}/metrics")]
