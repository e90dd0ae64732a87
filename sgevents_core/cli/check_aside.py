"""Check for events that are set aside."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Final

from sgevents_core.cli.findings import Finding
from sgevents_core.errors import StateError
from sgevents_core.printable import counted
from sgevents_core.state.opening import open_state

_MAX_FINDINGS: Final = 5
_FIX: Final = (
    "sgevents feed aside shows all of them; sgevents replay hands one out that can be read again,"
    " sgevents feed aside forget clears the list"
)


def aside_findings(folder: Path) -> list[Finding]:
    """Return a warning for each of the first events that are set aside; change nothing."""
    try:
        if not open_state(folder).is_made():
            return []
        with closing(open_state(folder).reader()) as state:
            aside = state.set_aside_events()
    except StateError:
        return []  # the check of the database reports it
    aside_warnings = [
        Finding("state", "warning", f"event {entry.event} is set aside: {entry.reason}", _FIX)
        for entry in aside[:_MAX_FINDINGS]
    ]
    if len(aside) > _MAX_FINDINGS:
        more_text = (
            f"{counted(len(aside) - _MAX_FINDINGS, 'more event is', 'more events are')} set aside"
        )
        aside_warnings.append(Finding("state", "warning", more_text, _FIX))
    return aside_warnings
