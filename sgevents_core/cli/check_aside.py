"""Checking for events that are set aside."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Final

from sgevents_core.cli.findings import Finding
from sgevents_core.errors import StateError
from sgevents_core.printable import counted
from sgevents_core.state.opening import open_state

_MOST_TOLD: Final = 5
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
            found = state.aside()
    except StateError:
        return []  # the check of the database reports it
    told = [
        Finding("state", "warning", f"event {one.event} is set aside: {one.reason}", _FIX)
        for one in found[:_MOST_TOLD]
    ]
    if len(found) > _MOST_TOLD:
        more = f"{counted(len(found) - _MOST_TOLD, 'more event is', 'more events are')} set aside"
        told.append(Finding("state", "warning", more, _FIX))
    return told
